"""The tests of pillow-mlic."""

import os

# Before torch is imported. Threads that wait for each other must not spin: on a machine that is
# busy with other things, two of them would take a hundred times as long as one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
