"""Rules that name what a dataset lacks of a recording: missing components, noise, labels, sample order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simopt.typing import FloatArray

NEXT, MISSING_SHARE = 5, 0.8
"""A PC counts as missing if it is not captured, but at least this share of the next so many weaker PCs is."""
UNDECODED = 0.25
"""A variable counts as missing if accuracy gains less than this share of the recording's gain over chance."""
DECODABLE = 0.1
"""A variable is judged only if the recording's accuracy exceeds chance by at least this much."""
FIT = 0.8
"""A profile describes captured variance if it explains at least this share of its sum of squares about the
mean."""
BY_CHANCE = 95.0
"""Percentile of the null up to which a score does not tell Y from unrelated data."""
VACUOUS = 0.9
"""If noise of Y's shape captures this much of every PC, captured variance is not informative."""
STRUCTURED = 0.5
"""Data with less than this share of the effective dimensions of noise are not noise."""


@dataclass(frozen=True)
class Defect:
    """One defect of a dataset.

    Attributes
    ----------
    kind : str
        ``rows``, ``components``, ``noise``, ``truncated`` or ``label``.
    text : str
        What is wrong, with the numbers behind it.
    """

    kind: str
    text: str


def noise_level(samples: int, units: int) -> float:
    """Return the mean captured variance of every PC by noise, units / (samples - 1), at most 1."""
    # A random subspace of q of the n - 1 dimensions of centered samples holds on average q / (n - 1) of the
    # squared length of any fixed vector.
    return min(1.0, units / (samples - 1))


def says_nothing(samples: int, units: int) -> bool:
    """Return whether noise of this shape already captures nearly all variance of every PC."""
    return noise_level(samples, units) >= VACUOUS


def is_captured(captured: FloatArray, samples: int, units: int) -> npt.NDArray[np.bool_]:
    """Return which PCs are captured: above the midpoint between the level of noise and 1, (K,).

    If :func:`says_nothing` holds for the shape of Y, no PC counts as captured.
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
    """Return the defects of Y, the most serious first.

    Parameters
    ----------
    variance_ratio : array, (K,)
        Of the PCs of X.
    captured : array, (K,)
        Their captured variance by Y.
    samples, units : int
        Of Y.
    percentiles : mapping of str to float
        Percentile of each score of Y in its null, 0 to 100, by measure.
    dimensions : float
        Participation ratio of Y, (sum lambda)^2 / sum lambda^2.
    decoding : mapping of str to (accuracy of Y, accuracy of X, chance)
        By variable.
    """
    # Data that no measure tells from unrelated data have one defect; the other rules would only list
    # symptoms.
    if percentiles and max(percentiles.values()) <= BY_CHANCE:
        return [_unrelated(samples, units, dimensions)]
    defects = []
    if not says_nothing(samples, units):
        mask = is_captured(captured, samples, units)
        holes = _holes(mask)
        if len(holes):
            text = (
                f"PC {_listed(holes)} of the recording missing, {variance_ratio[holes].sum():.1%} of its "
                "variance, though weaker ones are captured."
            )
            defects.append(Defect("components", text))
        defects += _profile(variance_ratio, captured, noise_level(samples, units), holes)
    for variable, (accuracy, reference, chance) in decoding.items():
        rise = reference - chance
        if rise >= DECODABLE and accuracy - chance < UNDECODED * rise:
            text = (
                f"{variable} cannot be decoded: accuracy {accuracy:.2f}, recording {reference:.2f}, "
                f"chance {chance:.2f}."
            )
            defects.append(Defect("label", text))
    return defects


def _unrelated(samples: int, units: int, dimensions: float) -> Defect:
    """Tell shuffled samples from noise: a shuffle keeps the spectrum, and few data have that of noise."""
    # Participation ratio of n x q independent entries: for the Marchenko-Pastur law with ratio q / n it is
    # q / (1 + q / n).
    noise = samples * units / (samples + units)
    if dimensions < STRUCTURED * noise:
        text = (
            "no score is above those of unrelated data, but Y is not noise: it has "
            f"{dimensions:.1f} effective dimensions, noise has {noise:.0f}. Are its samples in another order?"
        )
        return Defect("rows", text)
    return Defect("noise", "no score is above those of unrelated data, and Y itself looks like noise.")


def _holes(mask: npt.NDArray[np.bool_]) -> np.ndarray:
    """Return the indices of PCs that are not captured although most of the next weaker PCs are."""
    after = {pc: mask[pc + 1 : pc + 1 + NEXT] for pc in np.flatnonzero(~mask)}
    holes = [pc for pc, weaker in after.items() if len(weaker) and weaker.mean() >= MISSING_SHARE]
    return np.array(holes, dtype=int)


def _profile(
    variance_ratio: FloatArray, captured: FloatArray, floor: float, holes: np.ndarray
) -> list[Defect]:
    """Tell added noise from truncation by the profile of captured variance over PCs.

    With isotropic noise of variance s in every dimension, captured variance of a PC with variance ratio p is
    p / (p + s): it fades with p. If only the first PCs are kept, it breaks off. Both models fall to the level
    that noise captures by chance. The one with the smaller squared error is reported if it fits.
    """
    # Holes are reported by themselves; with them neither profile would fit.
    kept = np.delete(np.arange(len(captured)), holes)
    ratio, seen = variance_ratio[kept], captured[kept]
    spread = np.square(seen - seen.mean()).sum()
    if len(kept) < 3 or seen.min() > 0.95 or spread == 0:
        return []  # too few PCs for a profile, or all of them captured
    # A grid of noise levels, 10 decades at 40 a decade: fine enough, since one level changes by 6 %.
    levels = ratio.max() * np.logspace(-8, 2, 401)
    fading = floor + (1 - floor) * ratio / (ratio + levels[:, None])  # (levels, PCs)
    left_fading = np.square(fading - seen).sum(axis=1)
    noise = levels[left_fading.argmin()]
    breaks = np.arange(1, len(kept))
    steps = np.where(np.arange(len(kept)) < breaks[:, None], 1.0, floor)  # (breaks, PCs)
    left_steps = np.square(steps - seen).sum(axis=1)
    if min(left_fading.min(), left_steps.min()) > (1 - FIT) * spread:
        return []
    if left_fading.min() <= left_steps.min():
        text = (
            "Y looks like the recording plus isotropic noise: the weaker a PC, the less of it is captured "
            f"(estimated signal-to-noise ratio {1 / (noise * len(captured)):.2g})."
        )
        return [Defect("noise", text)]
    seen_up_to = int(breaks[left_steps.argmin()])
    text = (
        f"only the first {kept[seen_up_to]} of {len(captured)} PCs are captured, "
        f"{ratio[:seen_up_to].sum():.1%} of the variance; the others only at the level of noise."
    )
    return [Defect("truncated", text)]


def _listed(pcs: np.ndarray) -> str:
    """Return the numbers of PCs, from 1, as text; at most six of them."""
    shown = ", ".join(str(pc + 1) for pc in pcs[:6])
    return shown if len(pcs) <= 6 else f"{shown} and {len(pcs) - 6} more"
