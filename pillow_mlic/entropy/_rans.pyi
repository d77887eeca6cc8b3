"""The range coder in C; c_coder.py has the sentences for what it refuses.

Arguments are buffers of any kind, contiguous and aligned. Table rows cross as `counts` (all rows
one after another), `starts` (where each row starts in `counts`, and the end of the last) and
`offsets` (the first symbol of each row). Raises ValueError for buffers that hold something else or
do not fit together, and for a row that is not there.
"""

import numpy as np
from numpy.typing import NDArray

def encode(
    symbols: NDArray[np.int32],
    indexes: NDArray[np.int32],
    counts: NDArray[np.uint32],
    starts: NDArray[np.int64],
    offsets: NDArray[np.int32],
    /,
) -> bytes | None:
    """The stream of all symbols; None if one is too far away from its row."""

def decode(
    symbols: NDArray[np.int32],
    indexes: NDArray[np.int32],
    state: int,
    position: int,
    data: bytes,
    counts: NDArray[np.uint32],
    starts: NDArray[np.int64],
    offsets: NDArray[np.int32],
    /,
) -> tuple[int, int, int]:
    """Write the next symbols, one for each row index, into `symbols`; move state and position on.

    position: the next word of 32 bits in `data`. Gives (refusal, state, position): the refusal is
    0 if all went well, 1 if `data` end too early, 2 for an escaped value that is too long; after
    1 and 2 nothing else is of use.
    """
