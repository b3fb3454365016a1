"""Rules that name what is wrong with a dataset Y: PCs or labels of X that it lacks, noise, sample order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simopt.typing import FloatArray

NEXT, MISSING_SHARE = 5, 0.8
"""A PC counts as missing if Y does not capture it, but captures at least MISSING_SHARE of the NEXT PCs that
follow it in order of descending variance."""
UNDECODED = 0.25
"""A variable counts as missing if the accuracy of decoding from Y exceeds chance by less than this share of
the amount by which the accuracy of decoding from the recording exceeds chance."""
DECODABLE = 0.1
"""A variable is judged only if the recording's accuracy exceeds chance by at least this much."""
FIT = 0.8
"""A profile over PCs describes captured variance if it explains at least this share of the sum of squares of
captured variance about its mean."""
BY_CHANCE = 95.0
"""A score up to this percentile of the null does not tell Y from unrelated data."""
VACUOUS = 0.9
"""If noise of Y's shape captures at least this share of every PC, captured variance is not informative."""
STRUCTURED = 0.5
"""Y is not noise if its number of effective dimensions is less than this share of that of noise."""


@dataclass(frozen=True)
class Defect:
    """One defect of a dataset.

    Attributes
    ----------
    kind : str
        ``rows`` (samples in another order), ``components`` (PCs are missing), ``noise`` (added noise, or only
        noise), ``truncated`` (only the first PCs are captured) or ``label`` (a label cannot be decoded).
    text : str
        What is wrong, as a sentence with numbers.
    """

    kind: str
    text: str


def noise_level(samples: int, units: int) -> float:
    """Return how much variance of each PC noise captures on average: units / (samples - 1), at most 1."""
    # A random subspace of q of the n - 1 dimensions of centered samples holds on average q / (n - 1) of the
    # squared length of any fixed vector.
    return min(1.0, units / (samples - 1))


def says_nothing(samples: int, units: int) -> bool:
    """Return whether captured variance says nothing: noise of this shape captures nearly all of every PC."""
    return noise_level(samples, units) >= VACUOUS


def is_captured(captured: FloatArray, samples: int, units: int) -> npt.NDArray[np.bool_]:
    """Return which PCs Y captures, as a bool array (K,).

    A PC is captured if its captured variance is at least the midpoint between :func:`noise_level` and 1. If
    :func:`says_nothing` holds for the shape of Y, no PC counts as captured.

    Parameters
    ----------
    captured : array, (K,)
        Captured variance of each PC.
    samples, units : int
        Shape of Y.
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
        Share of each PC of X in the variance of X.
    captured : array, (K,)
        Captured variance of each PC.
    samples, units : int
        Shape of Y.
    percentiles : mapping of str to float
        For each measure the percentile of the score of Y in the null, 0 to 100.
    dimensions : float
        Effective dimensions of Y: the participation ratio (sum lambda)^2 / sum lambda^2, where lambda are the
        variances of the PCs of Y.
    decoding : mapping of str to (float, float, float)
        For each task variable the accuracy of decoding from Y, the accuracy of decoding from X, and chance.
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
                f"PC {_listed(holes)} of the recording missing ({variance_ratio[holes].sum():.1%} of its "
                "variance), although weaker PCs are captured."
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
    """Return the defect of a Y that scores like unrelated data: samples in another order, or noise.

    Another order of samples does not change the spectrum of Y, and few data have a spectrum like noise.
    """
    # Participation ratio of n x q independent entries: for the Marchenko-Pastur law with ratio q / n it is
    # q / (1 + q / n).
    noise = samples * units / (samples + units)
    if dimensions < STRUCTURED * noise:
        text = (
            "no score is above those of unrelated data, but Y is not noise: it has "
            f"{dimensions:.1f} effective dimensions, noise has {noise:.0f}. Are Y's samples in another order?"
        )
        return Defect("rows", text)
    return Defect("noise", "no score is above those of unrelated data, and Y looks like noise.")


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
        f"{ratio[:seen_up_to].sum():.1%} of the variance; noise captures as much of the other PCs as Y does."
    )
    return [Defect("truncated", text)]


def _listed(pcs: np.ndarray) -> str:
    """Return the numbers of PCs, from 1, as text; at most six of them."""
    shown = ", ".join(str(pc + 1) for pc in pcs[:6])
    return shown if len(pcs) <= 6 else f"{shown} and {len(pcs) - 6} more"
