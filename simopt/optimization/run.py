"""``simopt.optimize``: one call from a recording to a trajectory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from simopt import catalogue, checks, measures
from simopt.errors import RunFailedError
from simopt.measures import Measure, Reference
from simopt.optimization import device as devices
from simopt.optimization import init as inits
from simopt.optimization.ending import StopReason
from simopt.optimization.recorded import CudaGraphs
from simopt.optimization.setup import not_finite, prepare
from simopt.optimization.trajectory import Recorder, Trajectory

if TYPE_CHECKING:
    from simopt.typing import ArrayLike

_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Word in one way what Python, numpy and torch's allocators say when memory runs out.

    Raises
    ------
    RunFailedError
        Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in _MEMORY_SIGNS):
            raise
        raise RunFailedError("out of memory; fewer seeds at a time or dtype=float32 need less.") from error


@memory_errors()
def optimize(
    X: ArrayLike,
    measure: str | Measure = "cka",
    *,
    optimizer: str = "adam",
    lr: float | None = None,
    target: float = 0.99,
    max_steps: int = 1000,
    seeds: Sequence[int] = (0,),
    init: str = "gaussian",
    device: str = "auto",
    dtype: str = "float32",
    tf32: bool = False,
    cuda_graphs: bool = False,
) -> Trajectory:
    """Optimise synthetic datasets towards a recording, and log what they capture of it.

    Each seed gives one replicate: Y starts as noise and follows the gradient of score(X, Y) with respect to
    Y until it reaches ``target`` or ``max_steps`` (arXiv 2407.07059, sec. 3).

    Parameters
    ----------
    X : array or tensor, (samples, units) or (time, condition, unit)
        The recording.
    measure : str or Measure
        A name of ``simopt.measures.names()`` or a measure.
    optimizer : str
        ``adam``, ``adamw``, ``sgd``, ``rmsprop`` or ``lbfgs``.
    lr : float or None
        Its learning rate, in the units of Y (Y0 has standard deviation 1); None: its own default, 0.1 for
        ``adam``.
    target : float
    max_steps : int
    seeds : sequence of int
    init : str
        ``gaussian``.
    device : str
        ``auto`` (cuda, then mps, then cpu) or a torch device.
    dtype : {"float32", "float64"}
    tf32 : bool
        On cuda, take products of float32 matrices in TF32: faster, to about three digits.
    cuda_graphs : bool
        On cuda, record a step once and launch it as a whole from then on: for problems so small that to
        launch their kernels takes longer than to run them. The scores are the same; a step that must look at
        a value (as one that decomposes Y) is not recorded, with a warning.

    Returns
    -------
    Trajectory

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    RunFailedError
        The score became NaN or infinite, or memory ran out.
    """
    where, precision = devices.choose(device, dtype, tf32=tf32, cuda_graphs=cuda_graphs)
    array = checks.responses(X, "X")
    reference = Reference.of(checks.flatten(array), dtype=precision, device=where)
    chosen = measures.get(measure) if isinstance(measure, str) else measure
    start = inits.build(catalogue.read("init", init))
    given = {} if lr is None else {"lr": lr}
    factory = catalogue.build({**catalogue.read("optimizer", optimizer), **given}, "optimizer", partial=True)
    recorder = Recorder()
    with devices.matrix_products(tf32=tf32):
        ascent = prepare(
            reference,
            chosen,
            start,
            factory,
            seeds=seeds,
            units=array.shape[-1],
            target=target,
            max_steps=max_steps,
            recorder=CudaGraphs() if cuda_graphs else None,
        )
        reason = ascent.run(recorder, ahead=recorder.asks)
    if reason is StopReason.NOT_FINITE:
        raise RunFailedError(not_finite(ascent, chosen.name))
    return Trajectory(
        step=np.array(recorder.step),
        score=np.stack(recorder.score),
        captured_variance=np.stack(recorder.captured_variance),
        Y=ascent.synthetic().cpu().numpy(),
        variance_ratio=reference.variance_ratio.cpu().numpy(),
        stop_reason=reason,
        sign=chosen.sign,
    )
