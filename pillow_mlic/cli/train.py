"""`mlic train`."""

import argparse
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import packs
from ..training.recipes import RECIPES
from . import common

if TYPE_CHECKING:
    from ..training.loop import TrainingReport

MOST_KEPT = 2**30
"""Bytes: larger tensors come and go as before."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""As <malloc.h> numbers them."""


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a model on a folder of pictures",
        description=(
            "Train a trunk at a constant learning rate; RUN/state.pt is resumed exactly if it "
            "exists. With --cooldown, branch off from the trunk, take the rate down to zero and "
            "write the weights."
        ),
    )
    _add_arguments(parser)
    parser.set_defaults(run=run)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="folder of pictures, searched recursively")
    parser.add_argument("run_folder", type=Path, metavar="run", help="folder that keeps the run")
    parser.add_argument("--model", default=packs.DEFAULT_MODEL, help="default %(default)s")
    parser.add_argument(
        "-q",
        "--quality",
        type=float,
        help="quality to train for; needed by all models but the default one",
    )
    parser.add_argument("--lambda", dest="lam", type=float, help="the same, given as a lambda")
    parser.add_argument(
        "--distortion",
        choices=("psnr", "ms-ssim", "visual"),
        help="what to train for: squared error (default), MS-SSIM, or how pictures look "
        "(SSIMULACRA2, Butteraugli and a share of squared error)",
    )
    parser.add_argument(
        "--stage",
        choices=("all", "hyperprior", "selection", "texture"),
        help="all (default): everything; hyperprior: without contexts, a good start for all; "
        "selection (mlicv2, the last stage): only learn which symbols need not be coded; texture "
        "(mlicv2-lite, the last stage): only learn to make textures of noise",
    )
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="rates, crops and number of steps as a paper has them for the stage, in place of "
        "--rate and --crop; --minutes and --steps may stop earlier",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="PLACE",
        help="start a new run from the weights of another run, a pack or a published checkpoint",
    )
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--steps", type=int, help="stop after this many steps")
    parser.add_argument(
        "--cooldown",
        action="store_true",
        help="branch off, take the rate down to zero and write weights",
    )
    parser.add_argument(
        "--out", type=Path, help="pack to write; default RUN/MODEL[-cooldown-STEP].safetensors"
    )
    common.add_device(parser)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument(
        "--batch", type=int, help="crops a step; default 32, for models of one quality 16"
    )
    parser.add_argument(
        "--crop",
        type=int,
        help="side of a crop in pixels; default 128, for models of one quality 256",
    )
    parser.add_argument(
        "--rate", type=float, help="learning rate; default 2e-3, for models of one quality 1e-4"
    )
    parser.add_argument(
        "--optimiser",
        choices=("adam", "soap"),
        help="adam (default), or soap: a fifth more time a step on two cores, and fewer steps",
    )
    parser.add_argument("--seed", type=int, help="seed of weights, crops and noise; default 0")
    parser.add_argument(
        "--no-bf16",
        dest="bf16",
        action="store_const",
        const=False,
        help="matrix products in float32 instead of bfloat16",
    )


def keep_memory() -> bool:
    """In a process that only trains: what is freed stays with it, where its C library is glibc.

    Else every large tensor is given back and comes anew, page by page: 7 % of a step.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(what, MOST_KEPT) for what in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))


def run(args: argparse.Namespace) -> int:
    """mlic train."""
    from tqdm import tqdm

    from ..training.session import TrainingRequest, train

    names = (
        *("batch", "crop", "rate", "seed", "bf16", "optimiser"),
        *("quality", "distortion", "stage", "recipe"),
    )
    request = TrainingRequest(
        data=args.data,
        run=args.run_folder,
        model=args.model,
        minutes=args.minutes,
        steps=args.steps,
        cooldown=args.cooldown,
        out=args.out,
        start=args.start,
        lam=args.lam,
        device=args.device,
        threads=args.threads,
        changes={name: getattr(args, name) for name in names},
    )
    first = os.environ.get("RANK", "0") == "0"  # torchrun starts several processes
    layout = "{l_bar}{bar}| {elapsed}<{remaining} {postfix}"
    with tqdm(total=1.0, bar_format=layout, disable=not first) as bar:

        def loading(done: int, total: int) -> None:
            bar.set_postfix_str(f"reading pictures {done}/{total}")

        def report(entry: "TrainingReport") -> None:
            bar.n = min(entry.fraction, 1.0)
            bar.set_postfix_str(
                f"step {entry.step} loss {entry.loss:.4f} {entry.bpp:.3f} bpp "
                f"{entry.psnr:.2f} dB {entry.crops_per_second:.0f} crops/s"
            )

        pack = train(request, report, loading)
    if first:
        print(f"wrote {pack}", file=sys.stderr)
    return 0
