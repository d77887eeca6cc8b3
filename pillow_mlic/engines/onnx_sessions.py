"""Sessions of ONNX Runtime, made when first needed and kept for the life of the process.

A session belongs to a process and a number of threads. Its threads sleep between pictures. After a
fork the child makes its own: the parent's threads are not there.
"""

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import process, settings
from ..errors import WeightsError
from ..packs import Pack
from .base import NO_MEMORY

# Else releases from 1.32 on report to their makers, from a thread that begins with the import and
# that no child of a fork survives the end of.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

_ERROR = 3
"""The least that is logged."""
CPU = "CPUExecutionProvider"
OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
"""Of providers that would compute with fewer digits (docs/portability.md)."""


def providers() -> tuple[str, ...]:
    """What sessions run on, first choice first; the CPU is always the last.

    ValueError where the variable MLIC_ONNX_PROVIDERS names one that this ONNX Runtime lacks.
    """
    there = onnxruntime.get_available_providers()
    wanted = settings.onnx_providers()
    for name in wanted:
        if name not in there:
            msg = (
                f"MLIC_ONNX_PROVIDERS names {name!r}, which this ONNX Runtime does not have; "
                f"it has {', '.join(there)}"
            )
            raise ValueError(msg)
    return (*dict.fromkeys(name for name in wanted if name != CPU), CPU)


_Key = tuple[str, int, tuple[str, ...]]
"""Name of the graph, threads, providers."""


class Sessions:
    """The sessions of one pack."""

    def __init__(self) -> None:
        self._made: dict[_Key, Any] = {}
        self._lock = threading.Lock()

    def run(
        self, pack: Pack, graph: Path, threads: int, inputs: dict[str, NDArray[Any]]
    ) -> NDArray[Any]:
        """The only output of a graph, run with a pack's weights.

        MemoryError where memory does not suffice.
        """
        with _memory_errors():
            (found,) = self._session(pack, graph, threads).run(None, inputs)
        return found

    def begin(self, pack: Pack, graph: Path, threads: int) -> None:
        """Make the session of a graph beside what the caller does before it runs the graph.

        With one thread nothing is done beside anything.
        """
        if threads > 1 and self._key(graph, threads) not in self._made:
            with contextlib.suppress(RuntimeError):  # a program that is ending starts no threads
                threading.Thread(target=self._try, args=(pack, graph, threads)).start()

    def _try(self, pack: Pack, graph: Path, threads: int) -> None:
        with contextlib.suppress(Exception):  # whoever needs it makes it again, and hears why not
            self._session(pack, graph, threads)

    def _session(self, pack: Pack, graph: Path, threads: int) -> Any:
        key = self._key(graph, threads)
        with self._lock:
            if key not in self._made:
                self._made[key] = _session(pack, graph, threads)
            return self._made[key]

    @staticmethod
    def _key(graph: Path, threads: int) -> _Key:
        return graph.stem, threads, providers()

    def leave(self) -> None:
        """In the child of a fork: let nobody end the sessions, which would wait for threads that
        are not there."""
        for session in self._made.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


_sessions: dict[bytes, Sessions] = {}
_lock = process.Lock()


def of_pack(pack: Pack) -> Sessions:
    """The sessions of a pack, by its identity."""
    with _lock:
        return _sessions.setdefault(pack.identity, Sessions())


def _after_fork() -> None:
    for sessions in _sessions.values():
        sessions.leave()
    _sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _session(pack: Pack, graph: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # pictures have many sizes
    options.log_severity_level = _ERROR
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    arrays = {
        name: np.ascontiguousarray(array, np.float32)
        for name, array in pack.arrays(f"{graph.stem}.").items()
    }
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options.add_external_initializers(list(arrays), values)
    names = providers()
    with_options = [(name, OPTIONS.get(name, {})) for name in names]
    try:
        # Without its fallback, which would print to the standard output.
        session = onnxruntime.InferenceSession(
            graph, options, providers=with_options, enable_fallback=0
        )
    except _errors() as error:
        if _tells_of_memory(error):
            raise
        if len(names) > 1:
            msg = f"ONNX Runtime cannot run {graph.stem} on {', '.join(names)}: {error}"
            raise ValueError(msg) from error
        # A tensor is missing, or its shape is another.
        msg = f"{pack.file.path} is a damaged weight pack: {error}"
        raise WeightsError(msg) from error
    # It was built for these, but a library or a device may be missing.
    if missing := [name for name in names if name not in session.get_providers()]:
        msg = f"ONNX Runtime cannot start {', '.join(missing)} here (MLIC_ONNX_PROVIDERS)"
        raise ValueError(msg)
    return session


@functools.cache
def _errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return state.Fail, state.RuntimeException, state.InvalidArgument, state.NoSuchFile


def _tells_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return "bad_alloc" in text or "failed to allocate" in text


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """The library's errors for want of memory as MemoryError."""
    try:
        yield
    except _errors() as error:
        if not _tells_of_memory(error):
            raise
        raise MemoryError(NO_MEMORY) from error
