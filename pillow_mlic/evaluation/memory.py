"""Peak memory of coding one picture, in processes that do nothing else.

    python -m pillow_mlic.evaluation.memory REQUEST

Counted is the memory of the whole process that is in RAM at once (resident), with interpreter,
libraries and weights. That is what a user's program needs.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from .codecs import Codec

MIB = 2**20
_STATUS = Path("/proc/self/status")


def available() -> bool:
    """Whether this system tells a process its peak memory."""
    return _STATUS.exists() or importlib.util.find_spec("resource") is not None


def measure(codec: Codec, setting: float, picture: Path) -> dict[str, float]:
    """Peak resident memory in MiB: {"idle", "encoding", "decoding"}.

    "idle" is the process that has opened nothing but the picture, with Pillow imported;
    "encoding" and "decoding" are peaks of two processes, each from its start. RuntimeError where
    the codec fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "codec": {**asdict(codec), "options": dict(codec.options)},
            "setting": setting,
            "picture": str(picture.resolve()),
            "file": str(Path(folder) / "coded"),
        }
        encoding = _process({**request, "task": "encode"})
        decoding = _process({**request, "task": "decode"})
    return {"idle": encoding["idle"], "encoding": encoding["peak"], "decoding": decoding["peak"]}


def _process(request: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        msg = f"peak memory could not be measured: {reason}"
        raise RuntimeError(msg)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def peak() -> float:
    """The most memory in MiB that this process has had resident at once.

    Linux counts it since the program was started. macOS gives it by `getrusage`, which on Linux
    would begin with the peak of the parent process. ImportError on other systems.
    """
    if _STATUS.exists():
        line = next(x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / MIB
    import resource  # which Windows does not have

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def main(text: str) -> None:
    """Do what a request says and print the peaks as JSON."""
    request = json.loads(text)
    Image.MAX_IMAGE_PIXELS = None  # the picture is our own, however large
    codec = Codec(**request["codec"])
    file = Path(request["file"])
    if request["task"] == "encode":
        with Image.open(request["picture"]) as opened:
            image = opened.convert("RGB")
        idle = peak()
        file.write_bytes(codec.encode(image, request["setting"]))
        print(json.dumps({"idle": idle, "peak": peak()}))
    else:
        codec.decode(file.read_bytes())
        print(json.dumps({"peak": peak()}))


if __name__ == "__main__":
    main(sys.argv[1])
