"""Train for a fixed time on a machine that is lent for minutes and keeps nothing.

    python scripts/train_on_loan.py PICTURES HANDED_IN HANDED_OUT --minutes 9 --batch 256
    python scripts/train_on_loan.py --join HANDED_OUT RUN        # at home: RUN/state.pt again

PICTURES is one folder of pictures. HANDED_IN is the HANDED_OUT of an earlier call; if it is empty,
training starts afresh. HANDED_OUT gets the training state in parts of at most 15 MiB, the weights
and the log. The time covers everything: loading, training, saving. Resuming is exact.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from pillow_mlic.training.loop import LOG, STATE, TrainingReport
from pillow_mlic.training.session import TrainingRequest, train

PART = 15 << 20
SECONDS_TO_SAVE = 20


def split(file: Path, folder: Path) -> None:
    """Write `file` as numbered parts; removes leftover parts of an earlier, longer file."""
    for old in folder.glob(f"{file.name}.[0-9]*"):
        old.unlink()
    with open(file, "rb") as source:
        for number, data in enumerate(iter(lambda: source.read(PART), b"")):
            (folder / f"{file.name}.{number:03d}").write_bytes(data)


def join(folder: Path, file: Path) -> bool:
    """Put `file` together from its parts in `folder`; False where there are none."""
    parts = sorted(folder.glob(f"{file.name}.[0-9]*"))
    numbers = [int(part.suffix[1:]) for part in parts]
    if numbers != list(range(len(parts))):
        msg = f"parts of {file.name} are missing in {folder}: there are only {numbers}"
        raise SystemExit(msg)
    if parts:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".joining")
        with open(beside, "wb") as target:
            for part in parts:
                target.write(part.read_bytes())
        beside.replace(file)
    return bool(parts)


def main() -> None:
    """Parse, join, train, split."""
    start = time.monotonic()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--join", action="store_true", help="only put a state together again")
    parser.add_argument("--minutes", type=float, default=9.0, help="wall clock of the whole call")
    parser.add_argument("--cooldown", action="store_true", help="end with weights")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--device")
    args = parser.parse_args()
    if len(args.folders) != (2 if args.join else 3):
        parser.error("three folders are needed: PICTURES HANDED_IN HANDED_OUT (--join: two)")
    if args.join:
        if not join(args.folders[0], args.folders[1] / STATE):
            parser.error(f"there is no training state in {args.folders[0]}")
        return
    pictures, handed_in, handed_out = args.folders
    handed_out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        resumed = join(handed_in, run / STATE)
        print("resuming" if resumed else "starting afresh", flush=True)
        spent = time.monotonic() - start
        minutes = args.minutes - (spent + SECONDS_TO_SAVE) / 60
        if minutes <= 0:
            parser.error("there is no time left to train")

        def report(entry: TrainingReport) -> None:
            print(json.dumps(entry._asdict()), flush=True)

        pack = train(
            TrainingRequest(
                data=pictures,
                run=run,
                minutes=minutes,
                cooldown=args.cooldown,
                device=args.device,
                changes={"batch": args.batch, "rate": args.rate},
            ),
            report,
        )
        split(run / STATE, handed_out)
        for file in (pack, run / LOG):
            shutil.copy(file, handed_out)
    print(f"{time.monotonic() - start:.0f} s in all", file=sys.stderr)


if __name__ == "__main__":
    main()
