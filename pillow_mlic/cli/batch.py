"""`mlic batch`: many pictures, on all cores or a cluster."""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from . import common

if TYPE_CHECKING:
    from ..bulk.run import BatchProgress, BatchSummary

MOST_REJECTS = 10
"""Rejects that are printed one by one; all of them are in their file."""


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "batch",
        help="folders of any size, on all cores or a cluster",
        description=(
            "Convert folders, globs or URLs (s3://bucket/photos, zip://::photos.zip) to .mlic, or "
            "back with --to. To resume a job that was stopped, give the same command again. "
            "manifest.jsonl lists the finished pictures, manifest.rejects.jsonl those that could "
            "not be converted."
        ),
    )
    parser.add_argument("sources", nargs="+", metavar="SRC", help="folder, glob, file or URL")
    parser.add_argument("target", metavar="DST", help="folder or URL for the outputs")
    parser.add_argument(
        "--to",
        default="mlic",
        metavar="FORMAT",
        help="decode .mlic files to this format: png, jpeg, webp ...",
    )
    much = parser.add_mutually_exclusive_group()
    common.add_quality(much)
    common.add_encoding(parser)
    common.add_device(parser)
    parser.add_argument(
        "--psnr",
        action="store_true",
        help="also decode each file and note its PSNR in the manifest; takes longer",
    )
    parser.add_argument(
        "--workers",
        type=common.positive,
        metavar="N",
        help="processes; default: the number of cores (with Ray, CPUs of the cluster) divided by "
        "--threads",
    )
    parser.add_argument(
        "--threads",
        type=common.positive,
        default=1,
        metavar="N",
        help="threads of each worker; default 1, which is fastest and keeps bytes the same for "
        "any number of workers",
    )
    parser.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="worker processes here, or actors of a Ray cluster (needs pillow-mlic[cluster])",
    )
    parser.add_argument(
        "--address",
        help="address of the Ray cluster, such as auto; default: RAY_ADDRESS, or Ray started here",
    )
    parser.add_argument(
        "--num-gpus", type=float, default=0, metavar="N", help="GPUs of each actor of Ray"
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        help="default: manifest.jsonl in DST, or in the current folder if DST is a URL",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    common.add_huge(parser)
    parser.add_argument(
        "-f", "--force", action="store_true", help="begin anew and replace existing files"
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic batch; 1 if an input was rejected."""
    from ..bulk import batch

    kept = [
        *("to", "workers", "threads", "engine", "address", "num_gpus", "manifest"),
        *("psnr", "strip", "huge", "eight_bit", "force", "dry_run"),
    ]
    with _Bar(args.quiet or args.json) as bar:
        summary = batch(
            args.sources,
            args.target,
            progress=bar,
            **{name: getattr(args, name) for name in kept},
            **common.save_options(args),
        )
    for record in summary.rejects[:MOST_REJECTS]:
        print(f"mlic: {record['input']}: {record['error']}", file=sys.stderr)
    if len(summary.rejects) > MOST_REJECTS:
        print(f"mlic: {len(summary.rejects)} inputs were rejected in all", file=sys.stderr)
    if args.dry_run and not args.json:
        for source, target in summary.planned:
            print(f"{source} -> {target}")
    if args.json:
        print(_json(summary))
    elif not args.quiet:
        print(_table(summary, dry=args.dry_run), file=sys.stderr)
    return 1 if summary.rejects else 0


class _Bar:
    """Progress on standard error: pictures, rate, time left, bytes saved."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._saved = 0

    def __enter__(self) -> "_Bar":
        return self

    def __call__(self, progress: "BatchProgress") -> None:
        if self._bar is None:
            from tqdm import tqdm

            disable = True if self._quiet else None
            self._bar = tqdm(total=progress.total, unit="picture", file=sys.stderr, disable=disable)
        record = progress.record
        if "error" not in record:
            self._saved += record["size"] - record["bytes"]
        word = "saved" if self._saved >= 0 else "more"
        self._bar.set_postfix_str(f"{common.bytes_text(abs(self._saved))} {word}", refresh=False)
        self._bar.update()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _facts(summary: "BatchSummary") -> dict[str, Any]:
    """The figures of a summary that people and programs want."""
    megapixels = summary.pixels / 1e6
    facts: dict[str, Any] = {
        "done": summary.done,
        "skipped": summary.skipped,
        "rejected": len(summary.rejects),
        "animated": summary.animated,
        "damaged_lines": summary.damaged,
        "megapixels": round(megapixels, 3),
        "input_bytes": summary.input_bytes,
        "output_bytes": summary.output_bytes,
        "seconds": round(summary.seconds, 3),
        "cpu_seconds": round(summary.cpu_seconds, 3),
    }
    if summary.psnr is not None:
        facts["psnr"] = round(summary.psnr, 3)
    if summary.seconds and summary.done:
        facts["pictures_per_second"] = round(summary.done / summary.seconds, 3)
        facts["megapixels_per_second"] = round(megapixels / summary.seconds, 3)
    return facts


def _json(summary: "BatchSummary") -> str:
    planned = [{"input": source, "output": target} for source, target in summary.planned]
    kept = {"planned": planned} if planned and not summary.done else {}
    return json.dumps({**_facts(summary), "manifest": str(summary.manifest), **kept})


def _table(summary: "BatchSummary", dry: bool) -> str:
    """The summary for people, a row for each figure."""
    facts = _facts(summary)
    rows = [("skipped, done before", f"{summary.skipped}"), ("rejected", f"{facts['rejected']}")]
    if summary.animated:
        rows.append(("several frames, first one written", f"{summary.animated}"))
    if summary.damaged:
        rows.append(("damaged lines of the manifest", f"{summary.damaged}"))
    if dry:
        rows.insert(0, ("to be done", f"{len(summary.planned)}"))
    else:
        rows.insert(0, ("done", f"{summary.done}"))
    if summary.done:
        share = summary.output_bytes / summary.input_bytes
        before, after = map(common.bytes_text, (summary.input_bytes, summary.output_bytes))
        rows += [
            ("size", f"{before} -> {after} ({share:.1%})"),
            ("pixels", f"{facts['megapixels']:.1f} megapixels"),
            ("time", time.strftime("%H:%M:%S", time.gmtime(summary.seconds))),
            ("CPU time", time.strftime("%H:%M:%S", time.gmtime(summary.cpu_seconds))),
            (
                "rate",
                f"{facts.get('pictures_per_second', 0):.2f} pictures/s, "
                f"{facts.get('megapixels_per_second', 0):.2f} megapixels/s",
            ),
        ]
    if summary.psnr is not None:
        rows.append(("PSNR", f"{summary.psnr:.2f} dB"))
    if not dry:
        rows.append(("manifest", str(summary.manifest)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
