"""An accelerator that is none: tensors that say they are on a GPU and lie in the CPU's memory.

    with Accelerator("cuda") as gpu:
        x = torch.ones(3).to("cuda:0")      # gpu.uploads == 1
        (x + torch.ones(3)).sum()           # RuntimeError: two devices
        float(x.sum())                      # gpu.scalar_reads == 1

It refuses what a GPU refuses: tensors of two devices in one operation, operators that this torch
has no kernel for there (by torch's own list of kernels), and, as "mps", float64. It counts what
makes a GPU wait: copies in both directions, single numbers that are read, and operations whose
result's size depends on values. What it cannot show: rounding, speed, and which types of numbers a
kernel takes.

To C++ these tensors are on the CPU, so that autograd works on them as on any others. Only
Python's questions (`x.device`, `x.to`) get the accelerator's answers.
"""

import functools
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

CPU = torch.device("cpu")
_DEVICE_OF = Tensor.device.__get__  # type: ignore[attr-defined]
_ON = {
    Tensor.is_cpu.__get__: "cpu",  # type: ignore[attr-defined]
    Tensor.is_cuda.__get__: "cuda",  # type: ignore[attr-defined]
    Tensor.is_mps.__get__: "mps",  # type: ignore[attr-defined]
}
_SIZED_BY_VALUES = {"nonzero", "masked_select", "equal", "_unique2", "unique_dim"}
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}

_READS = {
    Tensor.item,
    *(Tensor.__bool__, Tensor.__int__, Tensor.__index__, Tensor.__float__, Tensor.__complex__),
}
"""Functions that read a number: in inference mode no operator tells of it."""

current: "Accelerator | None" = None


class Counts(NamedTuple):
    """What a GPU waits for."""

    uploads: int
    downloads: int
    scalar_reads: int
    sized_by_values: int


class _Generator(torch.Generator):
    """Random numbers of the accelerator; here they are the CPU's."""

    def __new__(cls, device: Any = "cpu") -> "_Generator":
        made = super().__new__(cls, CPU)
        made.named = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.named


class OnDevice(Tensor):
    """A tensor of the accelerator."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert current is not None
        return current.call(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert current is not None
        return current.run(func, args, kwargs or {})


class Accelerator(TorchFunctionMode):
    """A context with an accelerator, and what it has counted."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = torch.device(device, 0)  # as torch names the tensors of "cuda" and of "mps"
        self.forbidden: set[str] = set()
        """Operators that it lacks besides those that this torch lacks."""
        self.most_numbers: int | None = None
        """More numbers in one tensor do not fit."""
        self.reset()

    def reset(self) -> None:
        """Begin to count from nothing."""
        self.uploads = self.downloads = self.scalar_reads = self.sized_by_values = 0

    def counts(self) -> Counts:
        """Since the last `reset`."""
        return Counts(self.uploads, self.downloads, self.scalar_reads, self.sized_by_values)

    def __enter__(self) -> "Accelerator":
        global current
        assert current is None
        current = self
        # Module.to() is to make new parameters: old ones would keep their class.
        self._overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        self._generator, torch.Generator = torch.Generator, _Generator  # type: ignore[misc]
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        global current
        super().__exit__(*error)
        torch.Generator = self._generator  # type: ignore[misc]
        torch.__future__.set_overwrite_module_params_on_conversion(self._overwrite)
        current = None

    # ---- Python's side -----------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.call(func, args, kwargs or {})

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A function of torch: moves tensors, or makes them where it is asked to."""
        ours = bool(args) and isinstance(args[0], OnDevice)
        if ours and func == _DEVICE_OF:
            return self.device
        if ours and func in _ON:
            return _ON[func] == self.device.type
        if ours and func in _READS:
            before = self.scalar_reads
            number = self._plain(func, args, kwargs)
            self.scalar_reads = max(self.scalar_reads, before + 1)  # perhaps an operator told
            return number
        if ours and func in (Tensor.numpy, Tensor.__array__):
            msg = f"can't convert {self.device} device type tensor to numpy"
            raise TypeError(msg)
        if func in (Tensor.cpu, Tensor.cuda):
            return self._move(args[0], "cpu" if func is Tensor.cpu else "cuda", {})
        if func is Tensor.to and args:
            return self._to(*args, **kwargs)
        device = kwargs.get("device")
        if ours and func is Tensor.new_tensor:
            self.uploads += 1
            return self._here(self._plain(func, args, kwargs))
        if device is not None and self._is_here(device):
            made = self._plain(func, args, {**kwargs, "device": CPU})
            if func in (torch.tensor, torch.as_tensor, torch.asarray):
                self.uploads += 1
            return self._here(made)
        return self._plain(func, args, kwargs)

    @staticmethod
    def _plain(func: Any, args: Any, kwargs: Any) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    def _is_here(self, device: Any) -> bool:
        wanted = torch.device(device)
        if wanted.type == "cpu":
            return False
        if wanted.type != self.device.type or wanted.index not in (None, self.device.index or 0):
            msg = f"there is no {wanted}"
            raise RuntimeError(msg)
        return True

    def _to(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            args = (self.device if isinstance(args[0], OnDevice) else CPU, args[0].dtype, *args[1:])
        copy = kwargs.pop("copy", False)
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        options = {"dtype": dtype, "memory_format": layout, "copy": copy}
        return self._move(tensor, device, {k: v for k, v in options.items() if v})

    def _move(self, tensor: Tensor, device: Any, options: dict[str, Any]) -> Tensor:
        was, goes = isinstance(tensor, OnDevice), isinstance(tensor, OnDevice)
        if device is not None:
            goes = self._is_here(device)
        if options:  # types are changed where the tensor comes from
            tensor = self._plain(Tensor.to, (tensor,), options)
        if was == goes:
            return tensor
        self.uploads += goes
        self.downloads += was
        return _Copy.apply(tensor, goes)

    def _here(self, made: Any) -> Any:
        if isinstance(made, Tensor):  # nearly always
            return self.wrap(made)
        return tree_map_only(Tensor, self.wrap, made)

    def wrap(self, tensor: Tensor) -> Tensor:
        """A plain tensor as one of the accelerator; the memory is the same."""
        if isinstance(tensor, OnDevice):
            return tensor
        if self.device.type == "mps" and tensor.dtype == torch.float64:
            msg = "Cannot convert a MPS Tensor to float64 dtype: MPS does not support float64"
            raise TypeError(msg)
        if self.most_numbers is not None and tensor.numel() > self.most_numbers:
            if self.device.type == "mps":
                msg = "MPS backend out of memory (MPS allocated: 1 GB, max allowed: 1 GB)"
                raise RuntimeError(msg)
            msg = "CUDA out of memory. Tried to allocate 1 GB"
            raise torch.OutOfMemoryError(msg)
        return Tensor._make_subclass(OnDevice, tensor, tensor.requires_grad)

    # ---- the operators' side -----------------------------------------------------------------

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An operator of which at least one tensor is here."""
        name = func._schema.name.removeprefix("aten::")
        self._check(name, func, args, kwargs)
        if name == "_local_scalar_dense":
            self.scalar_reads += 1
        if name in _SIZED_BY_VALUES:
            self.sized_by_values += 1
        if name in _INDEXING:
            self.sized_by_values += any(
                isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1]
            )
        if name == "copy_" and type(args[0]) is not type(args[1]):
            self.uploads += isinstance(args[0], OnDevice)
            self.downloads += isinstance(args[1], OnDevice)
        kwargs = {k: v for k, v in kwargs.items() if k != "device"}
        with torch._C._DisableTorchDispatch():
            result = func(*args, **kwargs)
        return self._here(result) if name != "copy_" else args[0]

    def _check(self, name: str, func: Any, args: Any, kwargs: Any) -> None:
        if name in self.forbidden or name in _lacking(self.device.type):
            msg = f"The operator 'aten::{name}' is not currently implemented for {self.device}"
            raise NotImplementedError(msg)
        tensors = _tensors((*args, *kwargs.values()))
        elsewhere = [x for x in tensors if not isinstance(x, OnDevice)]
        if name in _INDEXING and isinstance(args[0], OnDevice):  # indexes may come from the CPU
            self.uploads += len(elsewhere)
            return
        # Zeros that autograd makes in C++ are made where it believes to be.
        differentiates = torch._C._current_graph_task_id() != -1
        if differentiates or name in ("copy_", "_has_compatible_shallow_copy_type"):
            return
        if any(x.dim() for x in elsewhere):
            msg = f"Expected all tensors to be on the same device ({self.device}, cpu) in {func}"
            raise RuntimeError(msg)


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors among an operator's arguments, in lists and tuples, too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


class _Copy(torch.autograd.Function):
    """To the accelerator or from it, with gradients that go the other way."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, up: bool) -> Tensor:
        assert current is not None
        ctx.up = up
        with torch._C._DisableTorchDispatch():
            copied = tensor.detach().clone().as_subclass(Tensor)
        return current.wrap(copied) if up else copied

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Copy.apply(grads[0], not ctx.up), None


@functools.cache
def _lacking(kind: str) -> frozenset[str]:
    """Operators without a kernel for "cuda" or "mps", as the list of kernels in torch says."""
    spec = find_spec("torchgen")
    assert spec is not None
    assert spec.origin is not None
    place = Path(spec.origin).parent / "packaged/ATen/native/native_functions.yaml"
    lacking: dict[str, bool] = {}
    for entry in re.split(r"^- func: ", place.read_text(), flags=re.M)[1:]:
        name = entry.split("(")[0].split(".")[0]
        kernels = " ".join(re.findall(r"^ {4}([\w, ]+): \w", entry, flags=re.M)).replace(",", " ")
        if "structured_delegate" in entry:  # its own kernel is that of another overload
            continue
        has = not kernels or "Composite" in kernels or kind.upper() in kernels.split()
        lacking[name] = lacking.get(name, True) and not has  # another overload may have one
    return frozenset(name for name, missing in lacking.items() if missing)
