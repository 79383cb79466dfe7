"""A pretend accelerator: its tensors say that they are on `gpu:0`, and compute on the CPU.

It shows, on a machine without a GPU, what a GPU would be asked for: whether kernels mix devices (an error here as
there), where the host waits for the device or copies to or from it, and how many kernels are launched. It cannot show
how fast a GPU is, nor what its own kernels round differently.

Made of torch's python backend of PrivateUse1, which is experimental, and of a wrapper subclass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Self, TypeVar
from unittest.mock import patch

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from raydnn.nn.models.users import module
from raydnn.stacking import noise
from raydnn.stacking.random import generator
from raydnn.training.measures.evaluation import CHUNK
from raydnn.training.steps import passes

T = TypeVar("T")

_setup_privateuseone_for_python_backend("gpu")
torch.gpu.get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]  # type: ignore[attr-defined]
# It has no generators that others could fork.
torch.gpu.device_count = lambda: 0  # type: ignore[attr-defined]
GPU = torch.device("gpu", 0)
CPU = torch.device("cpu")

_aten = torch.ops.aten
_WAITS = {_aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten._unique2}
"""Kernels whose result the host needs: a value, or a shape that depends on values."""
_INDEXES = {_aten.index, _aten.index_put, _aten.index_put_}
"""They take indices from the host; where these say yes or no instead, the host counts them first."""
_NO_KERNEL = {_aten.empty, _aten.empty_like, _aten.empty_strided, _aten.new_empty, _aten.new_empty_strided}
"""Memory that is not written yet."""


class MixedDevicesError(RuntimeError):
    """A kernel was given tensors of the host and of the device."""


class ForbiddenError(RuntimeError):
    """The host waited for the device, or copied to or from it, where a graph is captured."""


class Crossing(NamedTuple):
    """One meeting of host and device."""

    kind: Literal["wait", "to device", "to host"]
    kernel: str


class DeviceTensor(torch.Tensor):
    """A tensor on the device."""

    held: torch.Tensor
    """Its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> DeviceTensor:
        made: DeviceTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=GPU,
        )
        made.held = held
        return made

    def tolist(self) -> Any:
        PretendDevice.current().cross("wait", "tolist")
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(
        cls,
        kernel: OpOverload,
        _types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return PretendDevice.current().launch(kernel, args, kwargs or {})


class PretendDevice(TorchDispatchMode):
    """While it is entered, what is asked for on `gpu` is made there, and all that happens is counted."""

    _entered: Self | None = None

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: Counter[str] = Counter()
        """Launched so far."""
        self.crossings: Counter[Crossing] = Counter()
        self.captures: list[int] = []
        """Kernels of each captured function."""
        self._capturing = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here, and importing the compiler would take a second.
        return False

    @classmethod
    def current(cls) -> PretendDevice:
        """The one that is entered."""
        assert cls._entered is not None, "no pretend device is there"
        return cls._entered

    def __enter__(self) -> Self:
        PretendDevice._entered = self
        # `torch.tensor(..., device=GPU)` then shows its copy to the device.
        torch._C._set_only_lift_cpu_tensors(True)
        entered: Self = super().__enter__()
        return entered

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(False)
        PretendDevice._entered = None

    def capture(
        self, function: Callable[[], T], _device: torch.device, _generators: Sequence[torch.Generator]
    ) -> tuple[T, Callable[[], T]]:
        """In place of a CUDA graph: the function, in which host and device must not meet."""
        before = self.kernels.total()

        def replay() -> T:
            with self._captured():
                return function()

        result = replay()
        self.captures.append(self.kernels.total() - before)
        return result, replay

    @contextmanager
    def _captured(self) -> Iterator[None]:
        self._capturing = True
        try:
            yield
        finally:
            self._capturing = False

    def cross(self, kind: Literal["wait", "to device", "to host"], kernel: str) -> None:
        """Note that host and device meet."""
        if self._capturing:
            raise ForbiddenError(f"{kind}: {kernel}")
        self.crossings[Crossing(kind, kernel)] += 1

    def __torch_dispatch__(
        self, kernel: OpOverload, _types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        there = any(isinstance(leaf, DeviceTensor) for leaf in _tensors((*args, *kwargs.values())))
        return (
            self.launch(kernel, args, kwargs)
            if there or _on_gpu(kwargs.get("device"))
            else kernel(*args, **kwargs)
        )

    def launch(self, kernel: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a kernel that has to do with the device."""
        tensors = list(_tensors((*args, *kwargs.values())))
        there = [tensor for tensor in tensors if isinstance(tensor, DeviceTensor)]
        here = [tensor for tensor in tensors if not isinstance(tensor, DeviceTensor)]
        device = kwargs.get("device")
        self._check(kernel, args, there, here, device)
        given = [_each(argument, _held) for argument in args]
        options = {name: _each(argument, _held) for name, argument in kwargs.items()}
        if _on_gpu(device):
            options["device"] = CPU
        found = kernel(*given, **options)
        if not self._is_view(kernel, there, found):
            self.kernels[kernel.overloadpacket.__name__] += 1
        on_host = kernel is _aten._local_scalar_dense.default or (device is not None and not _on_gpu(device))
        if on_host or (kernel is _aten.copy_.default and args[0] in here):
            return found
        wrapped = _each(found, lambda x: DeviceTensor(x) if isinstance(x, torch.Tensor) else x)
        return return_and_correct_aliasing(kernel, args, kwargs, wrapped) if there else wrapped

    def _check(
        self, kernel: OpOverload, args: Sequence[Any], there: Sequence[Any], here: Sequence[Any], device: Any
    ) -> None:
        packet, name = kernel.overloadpacket, str(kernel)
        if there and packet in _WAITS:
            self.cross("wait", name)
        if packet is _aten._to_copy:
            if device is not None and bool(there) != _on_gpu(device):
                self.cross("to device" if _on_gpu(device) else "to host", name)
        elif packet is _aten.copy_:
            if len({isinstance(tensor, DeviceTensor) for tensor in args[:2]}) == 2:
                self.cross("to device" if isinstance(args[0], DeviceTensor) else "to host", name)
        elif there and packet in _INDEXES:
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self.cross("wait", name)
            if here:
                self.cross("to device", name)
        # Of the host's, only single numbers may take part.
        elif there and any(tensor.dim() for tensor in here):
            raise MixedDevicesError(f"{name} of {[(str(t.device), tuple(t.shape)) for t in (*there, *here)]}")

    def _is_view(self, kernel: OpOverload, there: Sequence[DeviceTensor], found: Any) -> bool:
        """Whether nothing is computed."""
        if kernel.overloadpacket in _NO_KERNEL:
            return True
        if kernel._schema.is_mutable or kernel is _aten._local_scalar_dense.default:
            return False
        memory = {tensor.held.untyped_storage()._cdata for tensor in there}
        return all(tensor.untyped_storage()._cdata in memory for tensor in _tensors([found]))


@contextmanager
def training_on(device: PretendDevice, before_capture: int = 1) -> Iterator[None]:
    """Where the package trains on the pretend device as it does on a GPU.

    Args:
        device: The device.
        before_capture: Steps of a stack before one is captured.
    """
    real = passes.capture

    def capture(function: Any, at: torch.device, generators: Sequence[torch.Generator]) -> Any:
        return (device.capture if at.type == GPU.type else real)(function, at, generators)

    def on_host(*keys: int | str, device: object = CPU) -> torch.Generator:
        return generator(*keys)

    with (
        patch.object(passes, "STEPS_BEFORE_CAPTURE", before_capture),
        patch.object(passes, "capture", capture),
        patch.dict(CHUNK, {GPU.type: CHUNK["cuda"]}),
        # The device has no generators of its own.
        patch.object(noise, "generator", on_host),
        patch.object(module, "generator", on_host),
    ):
        yield


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """The tensors among values and lists of them."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _each(value: Any, function: Callable[[Any], Any]) -> Any:
    """A function of a value, or of each in a list."""
    return type(value)(function(one) for one in value) if isinstance(value, list | tuple) else function(value)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, DeviceTensor) else value


def _on_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == GPU.type
