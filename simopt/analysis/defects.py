"""Rules that name what is wrong with a dataset Y: PCs or labels of X that it lacks, noise, sample order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simopt.analysis.residual import Residual
from simopt.typing import FloatArray

NEXT, MISSING_SHARE, DROP = 5, 0.8, 0.3
"""A PC that Y does not capture counts as missing if Y captures at least MISSING_SHARE of the NEXT weaker PCs,
and if their mean captured variance is at least DROP above that of the PC. Without DROP, noise could leave a
PC just below what counts as captured and weaker PCs just above."""
UNDECODED = 0.25
"""A variable counts as missing if (accuracy from Y - chance) / (accuracy from the recording - chance) is less
than this."""
DECODABLE = 0.1
"""A variable is judged only if the recording's accuracy exceeds chance by at least this much."""
WHOLE = 0.95
"""If Y captures more than this share of every PC, no defect in the course of captured variance is named."""
NOISE = 1e-3
"""Y has noise if the recording leaves at least this share of its variance unexplained."""
NEAR_FLOOR = 0.1
"""PCs are not captured at all if their mean captured variance is at most this much above that of noise."""
FADING = -0.7
"""Weaker PCs are captured less if the rank correlation of captured variance and PC number is at most this."""
BY_CHANCE = 95.0
"""A score up to this percentile of the null does not distinguish Y from unrelated data."""
VACUOUS = 0.9
"""If noise of Y's shape captures at least this share of every PC, captured variance is not informative."""
STRUCTURED = 0.5
"""Y is not noise if its effective dimensions are fewer than this share of those of noise."""


@dataclass(frozen=True)
class Defect:
    """One defect of a dataset.

    Attributes
    ----------
    kind : str
        ``rows`` (samples in another order), ``components`` (PCs are missing), ``noise`` (added noise, or only
        noise), ``truncated`` (only the first PCs are captured), ``dimensions`` (parts of PCs are missing, as
        without some of the units), ``fading`` (weaker PCs are captured less, for an unknown reason) or
        ``label`` (a label cannot be decoded).
    text : str
        What is wrong, as a sentence with numbers.
    """

    kind: str
    text: str


def noise_level(samples: int, units: int) -> float:
    """Return the mean share of a PC's variance that noise captures: units / (samples - 1), at most 1."""
    # A random subspace of q of the n - 1 dimensions of centered samples holds on average q / (n - 1) of the
    # squared length of any fixed vector.
    return min(1.0, units / (samples - 1))


def says_nothing(samples: int, units: int) -> bool:
    """Return whether captured variance is uninformative: noise of this shape captures nearly every PC."""
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
    residual: Residual | None,
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
        For each measure with a null the percentile of the score of Y in it, 0 to 100; NaN if the measure is
        saturated, so that all unrelated data have one score. If no measure has a null, only labels are
        judged.
    dimensions : float
        Effective dimensions of Y: the participation ratio (sum lambda)^2 / sum lambda^2, where lambda are the
        variances of the PCs of Y.
    decoding : mapping of str to (float, float, float)
        For each task variable that is decoded from X above chance: the accuracy of decoding from Y, the
        accuracy of decoding from X, and chance.
    residual : Residual or None
        The part of Y that X does not explain; None if it is not known.
    """
    # Data that no measure tells from unrelated data have one defect; the other rules would only list
    # symptoms.
    known = [percentile for percentile in percentiles.values() if not np.isnan(percentile)]
    if known and max(known) <= BY_CHANCE:
        return [_unrelated(samples, units, dimensions)]
    defects = []
    if percentiles and not says_nothing(samples, units):
        mask = is_captured(captured, samples, units)
        floor = noise_level(samples, units)
        holes = _holes(captured, mask)
        if len(holes):
            text = (
                f"PC {_listed(holes)} of the recording missing ({variance_ratio[holes].sum():.1%} of its "
                "variance), although weaker PCs are captured."
            )
            defects.append(Defect("components", text))
        defects += _profile(variance_ratio, captured, floor, holes, residual)
    for variable, (accuracy, reference, chance) in decoding.items():
        rise = reference - chance
        if rise >= DECODABLE and accuracy - chance < UNDECODED * rise:
            below = ", below chance" if accuracy < chance else ""
            text = (
                f"{variable} cannot be decoded: accuracy {accuracy:.2f}{below}, "
                f"recording {reference:.2f}, chance {chance:.2f}."
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


def _holes(captured: FloatArray, mask: npt.NDArray[np.bool_]) -> np.ndarray:
    """Return the indices of PCs that are missing although most of the next weaker PCs are captured."""
    after = {pc: slice(pc + 1, pc + 1 + NEXT) for pc in np.flatnonzero(~mask[:-1])}
    holes = [
        pc
        for pc, weaker in after.items()
        if mask[weaker].mean() >= MISSING_SHARE and captured[weaker].mean() >= captured[pc] + DROP
    ]
    return np.array(holes, dtype=int)


def _noise(residual: Residual | None) -> list[Defect]:
    """Name noise if what the recording does not explain of Y is independent between units."""
    if residual is None or residual.share < NOISE or not residual.uncorrelated:
        return []
    variance = "of about the same variance in all" if residual.equal else "of unequal variance"
    ratio = (1 - residual.share) / residual.share
    text = (
        f"{residual.share:.1%} of the variance of Y is noise, independent between units and {variance} "
        f"(signal-to-noise ratio {ratio:.2g})."
    )
    return [Defect("noise", text)]


def _profile(
    variance_ratio: FloatArray,
    captured: FloatArray,
    floor: float,
    holes: np.ndarray,
    residual: Residual | None,
) -> list[Defect]:
    """Name noise, and whether captured variance breaks off after the first PCs, or fades with their variance.

    The profile over PCs alone does not tell what is wrong: with isotropic noise of variance s in every
    dimension, captured variance of a PC with variance ratio p is p / (p + s), but it fades in much the same
    way if units are missing. Noise is therefore named by what the recording does not explain of Y.
    """
    # Holes are reported by themselves; with them no profile would fit.
    kept = np.delete(np.arange(len(captured)), holes)
    ratio, seen = variance_ratio[kept], captured[kept]
    if len(kept) < 3 or seen.min() > WHOLE or np.ptp(seen) == 0:
        return []  # too few PCs for a profile, or all of them captured
    found = _noise(residual)
    up_to = _break(ratio, seen, floor)
    if up_to:
        text = (
            f"only the first {kept[up_to]} of {len(captured)} PCs are captured, "
            f"{ratio[:up_to].sum():.1%} of the variance; noise captures as much of the other PCs as Y does."
        )
        return [*found, Defect("truncated", text)]
    return found or _faded(seen, residual)


def _faded(seen: FloatArray, residual: Residual | None) -> list[Defect]:
    """Name that dimensions are missing from a Y without noise, or else that weaker PCs are captured less."""
    half = len(seen) // 2
    average = (
        f"{seen[:half].mean():.2f} of the stronger half of the PCs is captured on average, "
        f"{seen[half:].mean():.2f} of the weaker half"
    )
    if residual is not None and residual.share < NOISE:
        return [Defect("dimensions", f"Y has no noise, but lacks dimensions of the recording: {average}.")]
    # Spearman's correlation of captured variance with the order of the PCs.
    if np.corrcoef(np.arange(len(seen)), seen.argsort().argsort())[0, 1] > FADING:
        return []
    beside = ""
    if residual is not None:
        beside = (
            f"; {residual.share:.1%} of Y's variance is neither in the recording nor noise of single units"
        )
    return [Defect("fading", f"weaker PCs are captured less: {average}{beside}.")]


def _break(ratio: FloatArray, seen: FloatArray, floor: float) -> int:
    """Return the number of PCs after which captured variance falls to what noise captures; 0 if it does not.

    A step from 1 to that level has to fit better than captured variance that fades by p / (p + s).
    """
    # A grid of noise levels, 10 decades at 40 a decade: fine enough, since one level changes by 6 %.
    levels = ratio.max() * np.logspace(-8, 2, 401)
    fading = floor + (1 - floor) * ratio / (ratio + levels[:, None])  # (levels, PCs)
    breaks = np.arange(1, len(seen))
    steps = np.where(np.arange(len(seen)) < breaks[:, None], 1.0, floor)  # (breaks, PCs)
    left_fading, left_steps = (np.square(model - seen).sum(axis=1).min() for model in (fading, steps))
    up_to = int(breaks[np.square(steps - seen).sum(axis=1).argmin()])
    clear = seen[:up_to].min() >= (1 + floor) / 2 and seen[up_to:].mean() <= floor + NEAR_FLOOR
    return up_to if clear and left_steps < left_fading else 0


def _listed(pcs: np.ndarray) -> str:
    """Return the numbers of PCs, from 1, as text; at most six of them."""
    shown = ", ".join(str(pc + 1) for pc in pcs[:6])
    return shown if len(pcs) <= 6 else f"{shown} and {len(pcs) - 6} more"
