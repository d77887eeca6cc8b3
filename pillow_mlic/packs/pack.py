"""A loaded pack: tables, and the network on the devices that need it."""

import copy
from typing import TYPE_CHECKING, cast

from .. import models, process
from ..errors import DecodeError, WeightsError
from . import identity
from .file import Arrays, Content, PackFile

if TYPE_CHECKING:
    import torch

    from ..entropy.tables import Tables
    from ..integers.network import IntegerNetwork
    from ..models.base import Model


class Pack:
    """Weights and tables in memory; networks are built when they are first asked for."""

    def __init__(self, file: PackFile, content: Content) -> None:
        self.file = file
        self.identity = content.identity
        self.hash: bytes = content.identity[: identity.SIZE]
        """What .mlic files call the pack."""
        self.tables: Tables = content.tables
        self.integers: IntegerNetwork | None = content.integers
        """The entropy part in integers; None where the pack does not carry it."""
        self._arrays = content.arrays
        self._models: dict[str, Model] = {}
        self._canonicals: dict[str, Model] = {}
        self._halves: dict[tuple[str, bool], Model] = {}
        self._lock = process.Lock()

    def model(self, device: "torch.device") -> "Model":
        """The network in float32 on `device`; WeightsError where the weights are those of
        another network."""
        from ..models.defaults import numbered

        device = numbered(device)
        with self._lock:
            if "cpu" not in self._models:
                self._models["cpu"] = self._built()
            return self._placed(self._models, device)

    def canonical(self, device: "torch.device") -> "Model":
        """The network in float64, without its transforms: what it decides is what streams say."""
        from ..models.defaults import numbered, plain_defaults

        device = numbered(device)
        with self._lock:
            if "cpu" not in self._canonicals:
                import torch

                with plain_defaults():
                    self._canonicals["cpu"] = self.model(torch.device("cpu")).exact()
            if self._canonicals["cpu"] is self._models["cpu"]:
                return self.model(device)
            return self._placed(self._canonicals, device)

    def half(self, device: "torch.device", whole: bool) -> "Model":
        """The network with the blocks of its transforms in bfloat16, where it has such blocks;
        `whole`: all their linear layers."""
        from ..models.defaults import numbered, plain_defaults
        from ..models.layers.half import with_half_blocks, with_half_layers

        key = (str(numbered(device)), whole)
        with self._lock:
            if key not in self._halves:
                import torch

                network = cast("torch.nn.Module", self.model(device))
                with plain_defaults(), torch.inference_mode(False):  # gradients may be wanted later
                    made = (with_half_layers if whole else with_half_blocks)(network)
                self._halves[key] = cast("Model", made)
            return self._halves[key]

    def arrays(self, prefix: str) -> Arrays:
        """The weights whose names begin so, as they are stored: in half precision in our packs.

        For packs with integers.
        """
        return {n: array for n, array in self._arrays.items() if n.startswith(prefix)}

    def need_integers(self) -> "IntegerNetwork":
        """The entropy part in integers; DecodeError where the pack does not carry it."""
        if self.integers is None:
            msg = (
                f"this needs an entropy part in integers, which the weights {self.file.name} do "
                "not have: the file was written by a broken program, or forged"
            )
            raise DecodeError(msg)
        return self.integers

    def as_file(self, file: PackFile) -> "Pack":
        """The same pack as another file has it: one identity, but perhaps another card."""
        if file == self.file:
            return self
        other = copy.copy(self)
        other.file = file
        return other

    def with_model(self, model: "Model") -> "Pack":
        """The same pack with another network on the CPU, for comparing what networks do."""
        other = copy.copy(self)
        other._models, other._canonicals = {"cpu": model}, {}
        other._halves = {}
        other.integers = None
        return other

    def _built(self) -> "Model":
        import torch

        from ..models.defaults import plain_defaults
        from ..models.loading import build

        try:
            with (
                plain_defaults(),
                torch.inference_mode(False),
            ):  # whoever asks first: gradients need such tensors
                tensors = {name: torch.from_numpy(array) for name, array in self._arrays.items()}
                model = cast("Model", build(self._fresh, tensors, copy=False))
            if self.tables.fixed != model.fixed_rows:
                msg = (
                    f"its tables have {self.tables.fixed} rows for a prior of "
                    f"{model.fixed_rows} channels"
                )
                raise ValueError(msg)
        except (LookupError, ValueError, TypeError, RuntimeError) as error:
            msg = f"{self.file.path} is a damaged weight pack: {error}"
            raise WeightsError(msg) from error
        model.eval()
        model.requires_grad_(False)
        if self.integers is None:
            self._arrays = {}  # the network has them now, and no other engine wants them
        return model

    def _fresh(self) -> "torch.nn.Module":
        return cast("torch.nn.Module", models.create(self.file.model, self.file.config))

    def _placed(self, modules: "dict[str, Model]", device: "torch.device") -> "Model":
        import torch

        if str(device) not in modules:
            with torch.inference_mode(False):  # whoever asks first, as in `_built`
                twin = cast("torch.nn.Module", copy.deepcopy(modules["cpu"]))
                modules[str(device)] = cast("Model", twin.to(device))
        return modules[str(device)]
