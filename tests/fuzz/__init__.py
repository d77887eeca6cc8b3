"""A fuzzer of the container, the plugin, the payload and the command.

    corpus -> mutate (raw, or with every checksum repaired) -> targets -> outcome

Each file is made from a seed and its number alone, so any of them can be made again:

    python -m tests.fuzz --count 200000 --workers 2        the nightly form
    python -m tests.fuzz --only 4711                       one file, in this process

Files that fail are saved. Those worth keeping go to tests/fuzz/crashes under a name that says what
they broke; tests/test_fuzz.py replays them in every run.
"""
