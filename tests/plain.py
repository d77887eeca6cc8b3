"""A plain MLIC++, with which tests compare the fast one.

One convolution after the other in (B, C, H, W) layout, every map in full, even if only half of it
is used. `python -m tests.plain PICTURE` shows how much faster the fast one is: both in one process,
with the same weights (an installed pack's, or random ones).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from pillow_mlic import packs
from pillow_mlic.diagnostics import speed
from pillow_mlic.models.base import TableCoder
from pillow_mlic.models.layers.checkerboard import ANCHOR, NON_ANCHOR, keep, put, take
from pillow_mlic.models.layers.gdn import PEDESTAL
from pillow_mlic.models.mlicpp import MlicPlusPlus, MlicPlusPlusConfig


def main() -> None:
    """Two tables, the plain one and the fast one."""
    parser = argparse.ArgumentParser(description="MLIC++ written down plainly, and the fast one.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", default="mlic++", help="weight pack; default: %(default)s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    with Image.open(args.picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    fast = packs.load(packs.find(args.model))
    twin = PlainMlicPlusPlus.twin(fast.model(torch.device("cpu")), torch.float32)
    for pack in (fast.with_model(twin), fast):
        found = speed.measure(pixels, pack, 3.0, args.threads, args.repeats)
        print(f"{speed.table(found)}\n")


class PlainMlicPlusPlus:
    """What models.base.Model asks of a model, for the weights of another."""

    stride = 64
    halo = 112
    decisions = 0

    def __init__(
        self, state: Mapping[str, Tensor], config: MlicPlusPlusConfig, dtype: torch.dtype
    ) -> None:
        self.state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
        self.config = config
        self.channels = config.latents, config.width

    @classmethod
    def twin(cls, model: MlicPlusPlus, dtype: torch.dtype) -> "PlainMlicPlusPlus":
        """With the weights of `model`."""
        return cls(model.state_dict(), model.config, dtype)

    def exact(self) -> "PlainMlicPlusPlus":
        return PlainMlicPlusPlus(self.state, self.config, torch.float64)

    # Layers

    def conv(self, x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        bias = self.state[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)

    def shuffled(self, x: Tensor, name: str) -> Tensor:
        return F.pixel_shuffle(self.conv(x, f"{name}.0"), 2)

    def gdn(self, x: Tensor, name: str, inverse: bool) -> Tensor:
        least = (1e-6 + PEDESTAL) ** 0.5
        beta = self.state[f"{name}.beta"].clamp(min=least) ** 2 - PEDESTAL
        gamma = self.state[f"{name}.gamma"].clamp(min=PEDESTAL**0.5) ** 2 - PEDESTAL
        norm = F.conv2d(x * x, gamma[:, :, None, None], beta)
        return x * (norm.sqrt() if inverse else norm.rsqrt())

    def residual(self, x: Tensor, name: str) -> Tensor:
        out = F.gelu(self.conv(F.gelu(self.conv(x, f"{name}.conv1")), f"{name}.conv2"))
        skips = f"{name}.skip.weight" in self.state
        return out + (self.conv(x, f"{name}.skip") if skips else x)

    def down(self, x: Tensor, name: str) -> Tensor:
        out = self.conv(F.gelu(self.conv(x, f"{name}.conv1", 2)), f"{name}.conv2")
        return self.gdn(out, f"{name}.gdn", inverse=False) + self.conv(x, f"{name}.skip", 2)

    def up(self, x: Tensor, name: str) -> Tensor:
        out = self.conv(F.gelu(self.shuffled(x, f"{name}.subpel_conv")), f"{name}.conv")
        return self.gdn(out, f"{name}.igdn", inverse=True) + self.shuffled(x, f"{name}.upsample")

    def stack(self, x: Tensor, name: str) -> Tensor:
        """Convolutions with GELU between; their places in the sequence are the even ones."""
        places = sorted({int(key.split(".")[name.count(".") + 1]) for key in self.under(name)})
        for place in places:
            layer = f"{name}.{place}"
            x = x if place == 0 else F.gelu(x)
            x = (
                self.shuffled(x, layer)
                if f"{layer}.0.weight" in self.state
                else self.conv(x, layer)
            )
        return x

    def under(self, name: str) -> list[str]:
        return [key for key in self.state if key.startswith(f"{name}.")]

    # Transforms

    def analysis(self, x: Tensor, quality: Tensor) -> Tensor:
        del quality
        x = x.permute(0, 3, 1, 2)
        for i in range(0, 6, 2):
            x = self.down(x, f"g_a.analysis_transform.{i}")
            x = self.residual(x, f"g_a.analysis_transform.{i + 1}")
        return self.conv(x, "g_a.analysis_transform.6", 2).permute(0, 2, 3, 1)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        x = y.permute(0, 3, 1, 2)
        for i in range(5):
            x = self.conv(x if i == 0 else F.gelu(x), f"h_a.reduction.{2 * i}", 1 + (i in (2, 4)))
        return x.permute(0, 2, 3, 1)

    def synthesis(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        del quality
        x = y_hat.permute(0, 3, 1, 2)
        for i in range(7):
            layer = self.up if i % 2 else self.residual
            x = layer(x, f"g_s.synthesis_transform.{i}")
        return self.shuffled(x, "g_s.synthesis_transform.7").permute(0, 2, 3, 1)

    # Contexts

    def entropy(self, quality: Tensor, z_size: tuple[int, int], coder: TableCoder) -> Tensor:
        medians = self.state["entropy_bottleneck.quantiles"][:, 0, 1]
        mean = medians.expand(len(quality), *z_size, -1)
        z_hat = coder.fixed(mean, lambda latents: latents.z) + mean
        hyper = self.stack(z_hat.permute(0, 3, 1, 2), "h_s.increase")
        done: list[Tensor] = []
        for i in range(self.config.slices):
            done.append(self.slice(i, hyper, done, coder))
        return torch.cat(done, 1).permute(0, 2, 3, 1)

    def slice(self, i: int, hyper: Tensor, done: list[Tensor], coder: TableCoder) -> Tensor:
        contexts = [hyper]
        if done:
            previous = torch.cat(done, 1)
            inter = self.inter(previous, f"global_inter_context.{i}", heads=i)
            contexts = [inter, self.stack(previous, f"channel_context.{i}.fushion"), hyper]
        means = hyper.chunk(2, 1)[1]
        so_far = torch.zeros_like(means[:, : self.config.slice_channels])
        for half, word in ((ANCHOR, "anchor"), (NON_ANCHOR, "nonanchor")):
            if half == NON_ANCHOR:
                if done:
                    intra = self.intra(done[-1], so_far, f"global_intra_context.{i}")
                    contexts = [intra, *contexts]
                contexts = [self.local(so_far, f"local_context.{i}"), *contexts]
            network = f"entropy_parameters_{word}.{i}.fusion"
            parameters = self.stack(torch.cat(contexts, 1), network)
            so_far = so_far + self.code(i, half, parameters, coder)
            residual = self.stack(
                torch.cat([means, *done, so_far], 1), f"lrp_{word}.{i}.lrp_transform"
            )
            so_far = so_far + _keep(0.5 * torch.tanh(residual), half)
        return so_far

    def code(self, i: int, half: int, parameters: Tensor, coder: TableCoder) -> Tensor:
        width = self.config.slice_channels
        channels = slice(i * width, (i + 1) * width)
        scale, mean = take(parameters.permute(0, 2, 3, 1), half).chunk(2, -1)
        one = mean.new_ones(1)
        symbols = coder(mean, scale, one, lambda latents: take(latents.y[..., channels], half))
        return put(symbols + mean, half).permute(0, 3, 1, 2)

    def projected(self, x: Tensor, name: str, heads: int) -> Tensor:
        """(B, heads, C / heads, n)."""
        x = self.conv(self.conv(x, f"{name}.0"), f"{name}.1", groups=x.shape[1])
        return x.flatten(2).unflatten(1, (heads, -1))

    def attended(self, q: Tensor, k: Tensor, v: Tensor, like: Tensor) -> Tensor:
        out = (v @ k.softmax(3).transpose(2, 3)) @ q.softmax(2)
        return out.flatten(1, 2).view(like.shape)

    def mixed(self, x: Tensor, name: str) -> Tensor:
        hidden = F.gelu(self.conv(x, f"{name}.0"))
        hidden = F.gelu(self.conv(hidden, f"{name}.2", groups=hidden.shape[1]))
        return self.conv(hidden, f"{name}.4")

    def inter(self, previous: Tensor, name: str, heads: int) -> Tensor:
        parts = (
            self.projected(previous, f"{name}.{p}", heads) for p in ("queries", "keys", "values")
        )
        out = self.conv(self.attended(*parts, previous), f"{name}.reprojection")
        return self.conv(out, f"{name}.skip") + self.mixed(out, f"{name}.mlp")

    def intra(self, previous: Tensor, anchors: Tensor, name: str) -> Tensor:
        q = self.projected(_keep(previous, NON_ANCHOR), f"{name}.queries", 2)
        k = self.projected(_keep(previous, ANCHOR), f"{name}.keys", 2)
        v = self.projected(anchors, f"{name}.values", 2)
        ones = torch.ones_like(anchors[:1, :1])
        at_anchors = (_keep(ones, ANCHOR) > 0).flatten()
        out = self.attended(q, k[..., at_anchors], v[..., at_anchors], anchors)
        out = self.conv(_keep(out, NON_ANCHOR), f"{name}.reprojection")
        return out + self.mixed(out, f"{name}.mlp")

    def local(self, anchors: Tensor, name: str) -> Tensor:
        state = {key.removeprefix(f"{name}."): self.state[key] for key in self.under(name)}
        batch, c, height, width = anchors.shape
        side, heads = self.config.window, 2
        x = F.layer_norm(
            anchors.permute(0, 2, 3, 1), (c,), state["norm1.weight"], state["norm1.bias"]
        )
        x = F.linear(x, state["qkv_proj.weight"], state["qkv_proj.bias"]).permute(0, 3, 1, 2)
        parts = F.unfold(x, side, padding=side // 2)
        parts = parts.reshape(batch, 3, c // heads, heads, side**2, height * width)
        q, k, v = parts.permute(1, 0, 5, 3, 4, 2)
        place = state["relative_position_table"][state["relative_position_index"]].permute(2, 0, 1)
        known = F.unfold(_keep(torch.ones_like(anchors[:1, :1]), ANCHOR), side, padding=side // 2)[
            0
        ].T
        masked = -100 * (1 - known[:, None, :, None] * known[:, None, None, :])
        out = (q @ k.transpose(-1, -2) * (c // heads) ** -0.5 + place + masked).softmax(-1) @ v
        out = out.transpose(-1, -2).reshape(batch, height * width, -1)
        out = F.linear(out, state["fusion.weight"].flatten(1), state["fusion.bias"])
        out = F.linear(out, state["proj.weight"], state["proj.bias"])
        x = F.layer_norm(out, out.shape[-1:], state["norm2.weight"], state["norm2.bias"])
        x = F.gelu(F.linear(x, state["mlp.fc1.weight"], state["mlp.fc1.bias"]))
        out = out + F.linear(x, state["mlp.fc2.weight"], state["mlp.fc2.bias"])
        return out.transpose(1, 2).reshape(batch, -1, height, width)


def _keep(x: Tensor, half: int) -> Tensor:
    """One half of (B, C, H, W), zero at the other."""
    return keep(x.permute(0, 2, 3, 1), half).permute(0, 3, 1, 2)


if __name__ == "__main__":
    main()
