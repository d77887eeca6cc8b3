"""Which network and which way of training is worth hours? Equal-time runs of several candidates.

    python scripts/candidates.py PHOTOS VALID OUT --minutes 8 base deep:depth16=3 wide:width8=320
    python scripts/candidates.py PHOTOS VALID OUT --minutes 8 --from PACK \\
        base grown:depth16=4 large:crop=256,batch=4 single:quality=4

A candidate is a name and its differences from the default: widths and depths of the network
(models/mlicv2_lite.py) and settings of training (training/loop.py). Each is trained by one process
with one thread, its rate falling to zero, from a KLT start or from given weights (to which deeper
ones add blocks that do nothing at first). It is measured by real files of the pictures in VALID.
Prints a Markdown table that compares the others with the first candidate. Packs are kept in OUT;
candidates that are there already are not trained again.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pillow_mlic import models, packs
from pillow_mlic.conversion import read_rgb
from pillow_mlic.evaluation import codecs
from pillow_mlic.evaluation.bdrate import bd_rate
from pillow_mlic.evaluation.bench import find_images
from pillow_mlic.evaluation.metrics import psnr
from pillow_mlic.evaluation.tables import markdown_table
from pillow_mlic.models.complexity import complexity
from pillow_mlic.models.layers.quality import lambda_of
from pillow_mlic.training.data import Crops, load_folder
from pillow_mlic.training.export import write_half
from pillow_mlic.training.loop import Settings, Trainer, TrainingReport

MODEL = "mlicv2-lite"
SETTINGS = {field.name for field in fields(Settings)}
Candidate = tuple[str, dict[str, Any]]
Row = dict[str, Any]


def parse(text: str) -> Candidate:
    """name:key=value,key=value; values are JSON."""
    name, _, changes = text.partition(":")
    pairs = (change.split("=", 1) for change in changes.split(",") if change)
    return name, {key: json.loads(value) for key, value in pairs}


def pack_of(candidate: Candidate, args: argparse.Namespace) -> Path:
    """Where the candidate's weights are kept."""
    path: Path = args.out / candidate[0] / f"{MODEL}.safetensors"
    return path


def network(changes: dict[str, Any], start: Path | None, pictures: list[Any]) -> Any:
    """The candidate's network, from given weights or a KLT of the pictures."""
    torch.manual_seed(0)
    if start is None:
        model = models.create(MODEL, models.create(MODEL).config_dict() | changes)
        model.start_from_data(Crops(pictures, 16, 1).batch(0, 4000).float() / 255)
        return model
    file = packs.inspect(start)
    model = models.create(MODEL, file.config | changes)
    weights = packs.load(file).model(torch.device("cpu")).state_dict()
    missing, unknown = model.load_state_dict(weights, strict=False)
    if unknown:
        msg = f"{start} has weights that the candidate has no place for: {unknown[0]}"
        raise SystemExit(msg)
    print(f"{len(missing)} tensors begin afresh", flush=True)
    return model


def train(candidate: Candidate, args: argparse.Namespace) -> None:
    """Train one candidate and leave its pack and its figures in OUT."""
    name, changes = candidate
    torch.set_num_threads(1)
    base = Settings(batch=16, rate=args.rate)
    settings = replace(base, **{k: v for k, v in changes.items() if k in SETTINGS})
    pictures = load_folder(args.photos, settings.crop)
    config = {k: v for k, v in changes.items() if k not in SETTINGS}
    model = network(config, args.start, pictures)
    run = args.out / name
    run.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(model, pictures, run, settings, torch.device("cpu"))

    def report(entry: TrainingReport) -> None:
        print(
            f"{name}: {100 * entry.fraction:.0f} % step {entry.step}, {entry.loss:.4f}", flush=True
        )

    trainer.train(None, args.minutes, cooldown=True, report=report, report_seconds=60)
    card = {"steps": trainer.step, "crops": trainer.seen, "seconds": trainer.seconds, **changes}
    write_half(pack_of(candidate, args), MODEL, model, card)


def measure(candidate: Candidate, args: argparse.Namespace) -> Row:
    """Figures of a trained candidate by real files: (bpp, MSE, PSNR) of each picture by quality."""
    torch.set_num_threads(1)
    file = packs.inspect(pack_of(candidate, args))
    os.environ["MLIC_WEIGHTS"] = str(file.path)
    codec = replace(codecs.create("mlic"), options={"optimize": args.optimize})
    by_quality: dict[float, list[list[float]]] = {quality: [] for quality in args.quality}
    for path in find_images([args.valid]):
        picture = read_rgb(path)
        for quality, found in by_quality.items():
            data = codec.encode(picture, quality)
            level = psnr(picture, codec.decode(data))
            bpp = 8 * len(data) / (picture.width * picture.height)
            found.append([bpp, 255**2 * 10 ** (-level / 10), level])
    return {"config": file.config, "card": file.card, "points": by_quality}


def row(name: str, found: Row, anchor: Row) -> list[str]:
    """A line of the table.

    By quality: the change of R + lambda D as a share of R, which is that many more bits at equal
    error.
    """

    def curve(found: Row) -> list[tuple[float, float]]:
        means = (np.mean(points, 0) for points in found["points"].values())
        return [(bpp, level) for bpp, _, level in means]

    try:
        bd = f"{bd_rate(curve(anchor), curve(found)):+.2f} %"
    except ValueError:
        bd = "-"
    more = []
    for quality, points in found["points"].items():
        weights = np.array([1.0, float(lambda_of(torch.tensor([quality])))])
        mine, theirs = (np.mean(p, 0)[:2] for p in (points, anchor["points"][quality]))
        more.append(f"{100 * (mine - theirs) @ weights / theirs[0]:+.2f} %")
    size = complexity(MODEL, found["config"])
    card = found["card"]
    speed = f"{card['crops'] / card['seconds']:.1f}" if "seconds" in card else "-"
    return [
        name,
        f"{size.parameters / 1e6:.2f} M",
        f"{size.encode:.1f}",
        f"{size.decode:.1f}",
        f"{size.entropy:.1f}",
        str(card["steps"]),
        speed,
        bd,
        *more,
    ]


def main() -> None:
    """Train what is missing, measure all, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("candidates", type=parse, nargs="+")
    parser.add_argument("--minutes", type=float, default=8.0, help="wall clock of each")
    parser.add_argument("--from", dest="start", type=Path, help="a weight pack")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=2, help="candidates at a time")
    parser.add_argument("--quality", type=float, nargs="+", default=[1.0, 3.0, 5.0, 7.0])
    parser.add_argument("--optimize", action="store_true", help="measure with optimised rounding")
    args = parser.parse_args()
    missing = [
        c for c in args.candidates if not (args.out / c[0] / f"{MODEL}.safetensors").exists()
    ]
    context = get_context("spawn")
    with ProcessPoolExecutor(args.workers, context, max_tasks_per_child=1) as pool:
        for training in [pool.submit(train, candidate, args) for candidate in missing]:
            training.result()
        measuring = [pool.submit(measure, candidate, args) for candidate in args.candidates]
        found = [each.result() for each in measuring]
    header = ["candidate", "parameters", "encoder, kMAC/px", "decoder", "of these entropy part"]
    header += ["steps", "crops/s", "BD-rate", *(f"quality {q:g}" for q in args.quality)]
    names = [name for name, _ in args.candidates]
    print(markdown_table(header, [row(n, f, found[0]) for n, f in zip(names, found, strict=True)]))


if __name__ == "__main__":
    main()
