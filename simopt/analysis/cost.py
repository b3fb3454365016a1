"""What one score of a measure takes, with and without its gradient, as measured here and now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from simopt import checks
from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit

REPEATS, SECONDS = 7, 0.5


@dataclass(frozen=True)
class Timed:
    """The time of one call.

    Attributes
    ----------
    seconds : float
        The median.
    calls : int
        Of how many: of those after the first, or of the first alone, not warmed up, where it took too long.
    """

    seconds: float
    calls: int


@dataclass(frozen=True)
class Cost:
    """What one score takes, X bound before.

    Attributes
    ----------
    score : Timed
    gradient : Timed or None
        The score with its gradient; None where there is none.
    samples, units : int
        Of Y.
    device, dtype : str
    threads : int
        That torch uses on the CPU.
    """

    score: Timed
    gradient: Timed | None
    samples: int
    units: int
    device: str
    dtype: str
    threads: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values, times in seconds."""
        plain = dict(vars(self))
        for name in ("score", "gradient"):
            one = plain.pop(name)
            plain |= {
                f"{name}_{key}": None if one is None else getattr(one, key) for key in ("seconds", "calls")
            }
        return plain


def cost(measure: Measure, reference: Reference, *, repeats: int = REPEATS, seconds: float = SECONDS) -> Cost:
    """Time a score of random Y of the recording's shape, and a score with its gradient.

    Parameters
    ----------
    measure : Measure
    reference : Reference
        On the device and in the dtype that count.
    repeats : int, >= 1
        Calls after the first one, of which the median is taken.
    seconds : float
        No call is begun that, by the first one, would end later than this; then the first one counts.

    Raises
    ------
    InputError
        The measure does not apply to this recording.
    """
    checks.whole(repeats, 1, "repeats")
    bound = measure.bind(reference)
    samples, units = reference.responses.shape
    Y = GaussianInit()([0], samples, units)[0].to(reference.scores)

    def score() -> None:
        with torch.no_grad():
            bound(Y)

    def gradient() -> None:
        leaf = Y.detach().requires_grad_()
        torch.autograd.grad(bound(leaf), leaf)

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
    """Return the median time of calls after a first one, or the time of that one where it takes too long."""
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
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
