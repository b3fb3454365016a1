"""``simopt.optimize``: one call from a recording to a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simopt import catalogue, checks, measures
from simopt.errors import RunFailedError
from simopt.measures import Measure, Reference
from simopt.optimization import device as devices
from simopt.optimization import init as inits
from simopt.optimization.device import memory_errors
from simopt.optimization.setup import not_finite, prepare
from simopt.optimization.state import StopReason
from simopt.optimization.trajectory import Recorder, Trajectory
from simopt.typing import ArrayLike


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
    where, precision = devices.choose(device, dtype, tf32=tf32)
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
        )
        reason = ascent.run(recorder)
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
