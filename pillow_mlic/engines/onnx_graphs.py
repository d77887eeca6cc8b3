"""Which configurations of `mlicv2-lite` have graphs for ONNX Runtime (scripts/export_graphs.py).

A graph has no weights: each of its initialisers bears the name of a pack's tensor.
"""

from pathlib import Path

from ..models.lite_config import LiteConfig

STEPS = ("analysis", "hyper_analysis", "synthesis")
FOLDER = Path(__file__).parent / "graphs"
folders = [FOLDER]
"""Where graphs are looked for; each has a folder for each configuration."""


def name_of(config: LiteConfig) -> str:
    """What the folder of a configuration is called: all that its transforms depend on."""
    c = config
    stages = ((c.width4, c.depth4), (c.width8, c.depth8), (c.width16, c.depth16))
    return "-".join([*(f"{w}x{d}" for w, d in stages), f"{c.latents}", f"{c.hyper_latents}"])


def folder_of(config: LiteConfig) -> Path | None:
    """The folder with the graphs of a configuration; None where there are none."""
    places = (folder / name_of(config) for folder in folders)
    return next((place for place in places if place.is_dir()), None)
