"""A pack's transforms as ONNX files with weights inside, for other people's runtimes.

Needs the package onnx (the extra `export`), no torch.
"""

from pathlib import Path

import numpy as np

from .. import packs
from ..errors import WeightsError
from ..files import whole_file
from . import onnx_graphs


def export(name: str, folder: Path) -> list[Path]:
    """Write the graphs of the pack of this name into a folder; -> their paths.

    ImportError where onnx is missing, WeightsError where the network has no graphs.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        msg = "this needs the package onnx; run: python -m pip install onnx"
        raise ImportError(msg, name="onnx") from error
    pack = packs.load(packs.find(name))
    graphs = onnx_graphs.of_pack(pack.file)
    if graphs is None:
        msg = f"there are no graphs for the network of the weights {pack.file.name}"
        raise WeightsError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for step in onnx_graphs.STEPS:
        model = onnx.load(graphs / f"{step}.onnx", load_external_data=False)
        arrays = pack.arrays(f"{step}.")
        for weight in model.graph.initializer:
            if weight.name in arrays:
                whole = np.ascontiguousarray(arrays[weight.name], np.float32)
                weight.CopyFrom(onnx.numpy_helper.from_array(whole, weight.name))
        path = folder / f"{step}.onnx"
        with whole_file(path) as file:
            file.write(model.SerializeToString())
        written.append(path)
    return written
