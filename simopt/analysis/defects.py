"""What a dataset lacks of a recording, by stated rules: missing components, noise, labels, rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simopt.typing import FloatArray

NEXT = 5
"""A PC is missing if it is not captured while four in five of the next weaker ones are."""
MISSING_SHARE = 0.8
UNDECODED = 0.25
"""A variable is missing if its accuracy rises from chance by less than this share of the recording's rise."""
DECODABLE = 0.1
"""Rise over chance that a recording must show for a variable to be judged."""
FIT = 0.8
"""A profile explains captured variance if it leaves less than 1 - FIT of its spread."""
BY_CHANCE = 95.0
"""Percentile of the null up to which a score says nothing."""
VACUOUS = 0.9
"""Captured variance by noise from which on captured variance says nothing."""
STRUCTURED = 0.5
"""Data are no noise if they have less than this share of the effective dimensions of noise."""


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        ``rows``, ``components``, ``noise``, ``truncated`` or ``label``.
    text : str
        What is wrong, and the rule by which it was found.
    """

    kind: str
    text: str


def noise_level(samples: int, units: int) -> float:
    """Return the expected captured variance of every PC by noise, units / (samples - 1), at most 1."""
    return min(1.0, units / (samples - 1))


def says_nothing(samples: int, units: int) -> bool:
    """Whether data of this shape capture nearly all variance of anything."""
    return noise_level(samples, units) >= VACUOUS


def is_captured(captured: FloatArray, samples: int, units: int) -> npt.NDArray[np.bool_]:
    """Return which PCs are captured: past the midpoint of what noise captures and 1, (K,).

    None are where captured variance says nothing.
    """
    if says_nothing(samples, units):
        return np.zeros(len(captured), dtype=bool)
    mask: npt.NDArray[np.bool_] = captured >= (1 + noise_level(samples, units)) / 2
    return mask


def find(
    variance_ratio: FloatArray,
    captured: FloatArray,
    *,
    samples: int,
    units: int,
    percentiles: Mapping[str, float],
    dimensions: float,
    decoding: Mapping[str, tuple[float, float, float]],
) -> list[Defect]:
    """Return what is wrong with Y, the most serious first.

    Parameters
    ----------
    variance_ratio : array, (K,)
        Of the PCs of X.
    captured : array, (K,)
        Their captured variance by Y.
    samples, units : int
        Of Y.
    percentiles : mapping of str to float
        Of each score of Y within the scores of unrelated data, 0 to 100.
    dimensions : float
        Participation ratio of Y, (sum lambda)^2 / sum lambda^2.
    decoding : mapping of str to (accuracy of Y, accuracy of X, chance)
    """
    if percentiles and max(percentiles.values()) <= BY_CHANCE:
        return [_unrelated(samples, units, dimensions)]
    found = []
    if not says_nothing(samples, units):
        mask = is_captured(captured, samples, units)
        holes = _holes(mask)
        if len(holes):
            text = (
                f"PC {_listed(holes)} of the recording missing, {variance_ratio[holes].sum():.1%} of its "
                "variance, though weaker ones are captured."
            )
            found.append(Defect("components", text))
        found += _profile(variance_ratio, captured, noise_level(samples, units), holes)
    for variable, (accuracy, reference, chance) in decoding.items():
        rise = reference - chance
        if rise >= DECODABLE and accuracy - chance < UNDECODED * rise:
            text = (
                f"{variable} cannot be decoded: accuracy {accuracy:.2f}, recording {reference:.2f}, "
                f"chance {chance:.2f}."
            )
            found.append(Defect("label", text))
    return found


def _unrelated(samples: int, units: int, dimensions: float) -> Defect:
    # The expected participation ratio of independent noise (Marchenko-Pastur).
    noise = samples * units / (samples + units)
    if dimensions < STRUCTURED * noise:
        text = (
            "no score is above those of unrelated data, yet Y is no noise "
            f"({dimensions:.1f} effective dimensions, noise has {noise:.0f}): are its rows in another order?"
        )
        return Defect("rows", text)
    return Defect("noise", "no score is above those of unrelated data, and Y looks like noise itself.")


def _holes(mask: npt.NDArray[np.bool_]) -> np.ndarray:
    """Return the PCs, from 0, that are not captured while most of the next weaker ones are."""
    after = {pc: mask[pc + 1 : pc + 1 + NEXT] for pc in np.flatnonzero(~mask)}
    holes = [pc for pc, weaker in after.items() if len(weaker) and weaker.mean() >= MISSING_SHARE]
    return np.array(holes, dtype=int)


def _profile(
    variance_ratio: FloatArray, captured: FloatArray, floor: float, holes: np.ndarray
) -> list[Defect]:
    """Tell noise from truncation: captured variance that fades with the variance of a PC, or breaks off."""
    kept = np.delete(np.arange(len(captured)), holes)
    ratio, seen = variance_ratio[kept], captured[kept]
    spread = np.square(seen - seen.mean()).sum()
    if len(kept) < 3 or seen.min() > 0.95 or spread == 0:
        return []
    levels = ratio.max() * np.logspace(-8, 2, 401)
    fading = floor + (1 - floor) * ratio / (ratio + levels[:, None])
    left_fading = np.square(fading - seen).sum(axis=1)
    noise = levels[left_fading.argmin()]
    breaks = np.arange(1, len(kept))
    steps = np.where(np.arange(len(kept)) < breaks[:, None], 1.0, floor)
    left_steps = np.square(steps - seen).sum(axis=1)
    if min(left_fading.min(), left_steps.min()) > (1 - FIT) * spread:
        return []
    if left_fading.min() <= left_steps.min():
        text = (
            "captured variance fades with the variance of a PC as with added noise of "
            f"{noise:.2g} of the recording's variance in every dimension (signal to noise "
            f"{1 / (noise * len(captured)):.2g})."
        )
        return [Defect("noise", text)]
    seen_up_to = int(breaks[left_steps.argmin()])
    text = (
        f"only the first {kept[seen_up_to]} of {len(captured)} PCs are captured, "
        f"{ratio[:seen_up_to].sum():.1%} of the variance; the rest is at the level of noise."
    )
    return [Defect("truncated", text)]


def _listed(pcs: np.ndarray) -> str:
    shown = ", ".join(str(pc + 1) for pc in pcs[:6])
    return shown if len(pcs) <= 6 else f"{shown} and {len(pcs) - 6} more"
