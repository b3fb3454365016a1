"""Measured time of one score of a measure, with and without its gradient."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit


@dataclass(frozen=True)
class Timed:
    """The measured time of one call of a function.

    Attributes
    ----------
    seconds : float
        Median time over calls.
    calls : int
        Number of calls in the median. The first call is a warm-up and does not count, unless it took so long
        that no other call was made.
    """

    seconds: float
    calls: int


@dataclass(frozen=True)
class Cost:
    """The time of one score of a measure, without the work on X that is done only once.

    Attributes
    ----------
    score : Timed
        Time of the score without its gradient.
    gradient : Timed or None
        Time of the score with its gradient; None for a measure without a gradient.
    samples, units : int
        Number of samples and of units of Y.
    device, dtype : str
        The torch device and dtype in which the score was computed.
    threads : int
        Number of threads that torch uses on the CPU.
    """

    score: Timed
    gradient: Timed | None
    samples: int
    units: int
    device: str
    dtype: str
    threads: int

    def as_json(self) -> dict[str, Any]:
        """Return the attributes as JSON values. Times are in seconds."""
        plain = dict(vars(self))
        for name in ("score", "gradient"):
            timed_call = plain.pop(name)  # None without a gradient
            plain |= {f"{name}_{key}": getattr(timed_call, key, None) for key in ("seconds", "calls")}
        return plain


def cost(measure: Measure, reference: Reference, *, repeats: int = 7, seconds: float = 0.5) -> Cost:
    """Return the measured time of one score, with and without its gradient, of a random Y as large as X.

    Parameters
    ----------
    measure : Measure
    reference : Reference
        The recording X, on the device and in the dtype to be timed.
    repeats : int, >= 1
        Largest number of timed calls after the warm-up.
    seconds : float
        Time limit for all calls. A call is started only if it would end within the limit, provided that it
        takes as long as the first call.

    Raises
    ------
    InputError
        The measure cannot score this recording.
    """
    bound = measure.bind(reference)
    samples, units = reference.responses.shape
    Y = GaussianInit()([0], samples, units)[0].to(reference.scores)

    def score() -> None:
        with torch.no_grad():
            bound(Y)

    def gradient() -> None:
        leaf = Y.detach().requires_grad_()
        torch.autograd.grad(bound(leaf), leaf)

    # A user's function may claim a gradient and detach its input: one evaluation finds out.
    climbs = measure.differentiable and bound(Y.detach().requires_grad_()).requires_grad
    device = reference.scores.device
    return Cost(
        score=timed(score, device, repeats, seconds),
        gradient=timed(gradient, device, repeats, seconds) if climbs else None,
        samples=samples,
        units=units,
        device=str(device),
        dtype=str(reference.scores.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
    )


def timed(work: Callable[[], object], device: torch.device, repeats: int, seconds: float) -> Timed:
    """Return the median time of calls of ``work`` after the first call.

    If no other call is possible within the time limit, the time of the first call is returned.

    Parameters
    ----------
    work : callable
    device : torch.device
        The device on which ``work`` computes. It is synchronized before a time is taken.
    repeats : int
        Largest number of calls after the first.
    seconds : float
        Time limit for all calls.
    """
    begun = time.perf_counter()
    first = _once(work, device)
    taken: list[float] = []
    for _ in range(repeats):
        if time.perf_counter() - begun + first > seconds:
            break
        taken.append(_once(work, device))
    return Timed(float(np.median(taken)), len(taken)) if taken else Timed(first, 1)


def _once(work: Callable[[], object], device: torch.device) -> float:
    _wait_for(device)
    begun = time.perf_counter()
    work()
    _wait_for(device)
    return time.perf_counter() - begun


def _wait_for(device: torch.device) -> None:
    """Wait for queued work: kernels on an accelerator run after the call that started them has returned."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
