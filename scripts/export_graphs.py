"""The graphs of the bundled packs' transforms for ONNX Runtime, without weights.

    python scripts/export_graphs.py                     # of the packs in weights/
    python scripts/export_graphs.py PACK.safetensors... --into FOLDER

A graph for each of analysis, hyper analysis and synthesis is traced from the networks of
`pillow_mlic.models`. Weights are left out: every initialiser bears the name of a pack's tensor, and
`engines.onnx_engine` gives its values. So one set of graphs serves all packs of a configuration.
Needs torch and the extra `export`.
"""

import argparse
import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxscript import optimizer
from torch import Tensor, nn
from torch.export import Dim

from pillow_mlic import packs
from pillow_mlic.engines import onnx_graphs
from pillow_mlic.models.lite_config import LiteConfig
from pillow_mlic.models.mlicv2_lite import MlicV2Lite

BUNDLED = Path(__file__).parents[1] / "weights"
OPSET = 20
ELSEWHERE = "weights"
"""Where a graph says that its initialisers are: no file, the engine gives them."""


class Analysis(nn.Module):
    """Pixels (B, H, W, 3) uint8, quality (B,) -> y (B, H/16, W/16, M)."""

    def __init__(self, model: MlicV2Lite) -> None:
        super().__init__()
        self.analysis = model.analysis

    def forward(self, pixels: Tensor, quality: Tensor) -> Tensor:
        return self.analysis(pixels.float() / 255, quality)


class HyperAnalysis(nn.Module):
    """y (B, H/16, W/16, M) -> z (B, H/64, W/64, Z)."""

    def __init__(self, model: MlicV2Lite) -> None:
        super().__init__()
        self.hyper_analysis = model.hyper_analysis

    def forward(self, y: Tensor) -> Tensor:
        return self.hyper_analysis(y)


class Synthesis(nn.Module):
    """y_hat (B, H/16, W/16, M), quality (B,) -> pixels (B, H, W, 3) uint8."""

    def __init__(self, model: MlicV2Lite) -> None:
        super().__init__()
        self.synthesis = model.synthesis

    def forward(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        x = self.synthesis(y_hat, quality) * 255
        return torch.round(x).clamp(0, 255).to(torch.uint8)


_SIDES = {0: Dim.AUTO, 1: Dim.AUTO, 2: Dim.AUTO}
_BATCH = {0: Dim.AUTO}


def exported(config: LiteConfig) -> dict[str, onnx.ModelProto]:
    """The graph of each of `onnx_graphs.STEPS` for networks of this configuration."""
    model = MlicV2Lite(config).eval()
    # Sides that are all different, and no 1: the exporter takes equal ones, and 1, for rules.
    y, quality = torch.rand(2, 8, 12, config.latents), torch.tensor([3.0, 4.5])
    pixels = torch.randint(256, (2, 128, 192, 3), dtype=torch.uint8)
    return {
        "analysis": _traced(Analysis(model), (pixels, quality), (_SIDES, _BATCH), "y"),
        "hyper_analysis": _traced(HyperAnalysis(model), (y,), (_SIDES,), "z"),
        "synthesis": _traced(Synthesis(model), (y, quality), (_SIDES, _BATCH), "pixels"),
    }


def _traced(
    module: nn.Module, inputs: tuple[Tensor, ...], dynamic: Any, output: str
) -> onnx.ModelProto:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            inputs,
            output_names=[output],
            dynamo=True,
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    return _without_weights(program.model_proto)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model simplified, its initialisers without their values."""
    graph = model.graph
    weights = [(w.name, list(w.dims)) for w in graph.initializer]
    inputs = len(graph.input)
    # As inputs nothing can be folded into them, nor equal ones be merged.
    for name, shape in weights:
        graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    del graph.initializer[:]
    model = optimizer.optimize(model)
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    del graph.input[inputs:]
    for name, shape in weights:
        if name in used:
            weight = graph.initializer.add(name=name, dims=shape)
            weight.data_type = onnx.TensorProto.FLOAT
            weight.data_location = onnx.TensorProto.EXTERNAL
            weight.external_data.add(key="location", value=ELSEWHERE)
    for node in graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
        node.ClearField("name")
    for proto in (model, graph, *graph.input, *graph.output):
        proto.ClearField("metadata_props")
        proto.ClearField("doc_string")
    del graph.value_info[:]
    del model.functions[:]
    return model


def main() -> None:
    """Write the graphs of each configuration."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packs", type=Path, nargs="*", help="default: those of the repository")
    parser.add_argument("--into", type=Path, default=onnx_graphs.FOLDER, help="folder of folders")
    args = parser.parse_args()
    files = [packs.inspect(path) for path in args.packs or sorted(BUNDLED.glob("*.safetensors"))]
    for config in dict.fromkeys(LiteConfig.from_dict(file.config) for file in files):
        folder = args.into / onnx_graphs.name_of(config)
        folder.mkdir(parents=True, exist_ok=True)
        for step, model in exported(config).items():
            path = folder / f"{step}.onnx"
            path.write_bytes(model.SerializeToString(deterministic=True))
            print(f"{path}: {path.stat().st_size} bytes, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    main()
