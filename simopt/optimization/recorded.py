"""A step recorded once and launched as a whole.

A step of a small problem is many short kernels, and to launch each one takes longer than to run it. A CUDA
graph launches all of them at once. It repeats the same kernels on the same memory: nothing in a step may ask
for a value, nor depend on how many steps were made, but through tensors on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from simopt.errors import InputError, RunFailedError

T = TypeVar("T")

_CHECKED = frozenset({"_linalg_svd", "_linalg_eigh", "linalg_eig", "_linalg_check_errors"})
"""Operations that look themselves at whether they came to an end."""


class StepRecorder(Protocol):
    """What records a step."""

    def admit(self, optimizer: torch.optim.Optimizer) -> None:
        """Make an optimiser keep all that changes from step to step on the device.

        Raises
        ------
        InputError
            It cannot.
        """

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Return what repeats the work, and its result, whose tensors every repetition fills again.

        The work is not carried out by recording it.
        """


class CudaGraphs:
    """Records CUDA graphs."""

    def admit(self, optimizer: torch.optim.Optimizer) -> None:
        """Set ``capturable``, which torch's optimisers with a count of steps have; SGD has no count.

        Raises
        ------
        InputError
            An optimiser that keeps values on the host, which a recorded step would not change.
        """
        for group in optimizer.param_groups:
            if "capturable" in group:
                group["capturable"] = True
            elif not isinstance(optimizer, torch.optim.SGD):
                raise InputError(
                    f"cuda_graphs=true: {type(optimizer).__name__} keeps values on the host between steps; "
                    "use adam, adamw, rmsprop or sgd, or cuda_graphs=false."
                )

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Capture the kernels of the work, which ran before, so that all libraries are set up.

        Raises
        ------
        RunFailedError
            CUDA refuses.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                result = work()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise RunFailedError(
                f"a step could not be recorded ({reason}); cuda_graphs=false does without."
            ) from error
        return graph.replay, result


def waits(work: Callable[[], T]) -> tuple[T, list[str]]:
    """Carry out work, and return its result with the operations in it that make the host wait.

    These hand a value to the host, or one of the host's to the device, or have as many results as the values
    say.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    found: set[str] = set()

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            name = func.overloadpacket.__name__
            if name in _CHECKED or _by_value(func, args) or len(_devices((args, kwargs, out))) > 1:
                found.add(name)
            return out

    with Watch():  # type: ignore[no-untyped-call]
        result = work()
    return result, sorted(found)


def _by_value(func: Any, args: Any) -> bool:
    """Whether the values say what comes out, or how much; of indexing, only that by a mask does."""
    if func is torch.ops.aten.index.Tensor:
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags))


def _devices(values: Any) -> set[str]:
    """Return the kinds of device that tensors are on; numbers in a tensor of no dimension go anywhere."""
    leaves: Iterable[Any] = torch.utils._pytree.tree_leaves(values)
    tensors: list[Tensor] = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.ndim]
    return {tensor.device.type for tensor in tensors}
