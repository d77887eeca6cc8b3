"""The graphs of `mlicv2-lite`'s transforms for ONNX Runtime (scripts/export_graphs.py).

A graph has no weights: each of its initialisers bears the name of a pack's tensor.
"""

from pathlib import Path

from ..models.lite_config import LiteConfig
from ..packs import PackFile

MODEL = "mlicv2-lite"
STEPS = ("analysis", "hyper_analysis", "synthesis")
FOLDER = Path(__file__).parent / "graphs"
folders = [FOLDER]
"""Where graphs are looked for; each has a folder for each configuration."""


def name_of(config: LiteConfig) -> str:
    """What the folder of a configuration is called: all that its transforms depend on."""
    c = config
    stages = ((c.width4, c.depth4), (c.width8, c.depth8), (c.width16, c.depth16))
    return "-".join([*(f"{w}x{d}" for w, d in stages), f"{c.latents}", f"{c.hyper_latents}"])


def of_pack(file: PackFile) -> Path | None:
    """The folder with the graphs of a pack's network; None where there are none."""
    if file.model != MODEL:
        return None
    try:
        name = name_of(LiteConfig.from_dict(file.config))
    except (KeyError, TypeError, ValueError):  # whoever builds the network says what is wrong
        return None
    return next((place / name for place in folders if (place / name).is_dir()), None)
