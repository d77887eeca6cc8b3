"""`python -m pillow_mlic.training`: the same as `mlic train`, for torchrun."""

import argparse
import sys

from ..cli.train import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pillow_mlic.training")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
