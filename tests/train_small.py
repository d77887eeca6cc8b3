"""A small run for tests/test_distributed.py: python -m tests.train_small RUN STEPS; torchrun, too.

Resumes what is in RUN, as `mlic train` does.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from pillow_mlic.training.loop import STATE, Settings, Trainer, load_state

from .conftest import make_small_model, photograph

SETTINGS = Settings(batch=4, crop=64, bf16=False, seed=3)


def main() -> None:
    """Train, with a line in the log for every step."""
    run, steps = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    pictures = [np.asarray(photograph(200, 160, seed=s)) for s in range(3)]
    model = make_small_model().train()
    trainer = Trainer(model, pictures, run, SETTINGS, torch.device("cpu"))
    if (run / STATE).exists():
        trainer.load(load_state(run / STATE))
    trainer.train(steps, None, False, lambda report: None, report_seconds=0)
    trainer.group.leave()


if __name__ == "__main__":
    main()
