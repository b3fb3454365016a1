"""The learning order: which PCs of a recording an optimized Y captures first, and at which score.

Y starts as normal noise, n samples by p units, and follows the gradient of a score. If steps are small and
along the gradient (gradient flow; ``optimizer=sgd`` with a small learning rate), the path has a closed form.
Let X and Y be centered, K_x = X X' and K_y = Y Y', and let F be the PC scores of X scaled to ||F|| = 1.

- CKA. The gradient is 2 cka (K_x / <K_x, K_y> - K_y / ||K_y||^2) Y. With a rescaled time a, the flow is
  dY/da = K_x Y - b(a) K_y Y, which is a matrix Riccati equation for K_y. Its solution is

      K_y = E Y0 (I + 2 Y0' Q Y0)^-1 Y0' E,   E = exp(a K_x),   dQ/da = b(a) exp(2 a K_x),   Q(0) = 0.

  For every b, Y has the column space of exp(a K_x) Y0, and captured variance depends on nothing else.
- Linear regression. The gradient is 2 (I - H) K_x Y (Y'Y)^-1 / ||X||^2, where H projects on the columns of Y.
  It is orthogonal to Y, so that Y'Y does not change. If Y'Y is a multiple of I, Y has the column space of
  exp(a K_x) Y0 as with CKA, and only the score at a given time a differs.
- NBS. The gradient is (F P - nbs Y / ||Y||) / ||Y||, where P is the polar factor of F'Y. Let F'Y0 = H P with
  H positive semidefinite. Then F'(Y0 + tau F P) = (H + tau F'F) P has the same polar factor P. So up to its
  length, Y stays on the ray Y0 + tau F P.

The angular form of a score has the same path as the score. For CKA and linear regression, sums over the many
normal numbers of Y0 are replaced by their limits. Adam is not a gradient flow: it scales all entries of a
step to about the same size. If a few PCs are much stronger than the others, Adam therefore captures the
weaker PCs earlier than predicted, and the strongest PCs later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import spearmanr

from simopt import checks, linalg, measures
from simopt.errors import InputError, NumericalError
from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit
from simopt.optimization.trajectory import half_capture
from simopt.theory.learning_paths import KernelSums, along_clock, along_ray
from simopt.typing import FloatArray

if TYPE_CHECKING:
    from simopt.typing import ArrayLike

_CLOCK = "gradient flow (small steps along the gradient), Y0 normal, many samples and units"
_LINREG = f"{_CLOCK}; Y0'Y0 a multiple of the identity, as for many more samples than units"
_RAY = "gradient flow (small steps along the gradient) from drawn normal Y0"
ASSUMPTIONS = {
    "cka": _CLOCK,
    "cka_angular": _CLOCK,
    "nbs": _RAY,
    "procrustes_angular": _RAY,
    "linreg": _LINREG,
}
"""The measures whose learning order can be predicted, and what each prediction assumes."""


@dataclass(frozen=True)
class StartGradient:
    """The effect of a small step along the gradient on each PC, at R random starts.

    Attributes
    ----------
    captured : array, (R, K)
        Change of the captured variance of each PC per unit step along the gradient, whose entries are scaled
        to root mean square 1.
    """

    captured: FloatArray

    @property
    def order(self) -> np.ndarray:
        """Return the indices of the PCs, (K,), sorted by their mean rate of capture, the fastest first."""
        return np.argsort(-self.captured.mean(axis=0), kind="stable")


@dataclass(frozen=True)
class Prediction:
    """The captured variance of each PC as a function of the score, predicted without a run.

    Attributes
    ----------
    measure : str
        Name of the measure.
    spectrum : array, (K,)
        Explained variance ratio of each PC.
    score : array, (T,)
        Scores along the path, rising from the score of the start to the target.
    captured_variance : array, (T, K)
        Captured variance of each PC at each score.
    assumption : str
        What the prediction assumes, a text of :data:`ASSUMPTIONS`.
    """

    measure: str
    spectrum: FloatArray
    score: FloatArray
    captured_variance: FloatArray
    assumption: str

    def half_capture(self) -> FloatArray:
        """Return the half capture of each PC, (K,): the score at which Y first captures half of it.

        It is NaN for a PC that is not half captured before the target.
        """
        half: FloatArray = half_capture(self.score[:, None], self.captured_variance[:, None])[0]
        return half


@dataclass(frozen=True)
class Comparison:
    """The comparison of predicted half captures with those of runs.

    The half capture of a PC is the score at which Y first captures half of it.

    Attributes
    ----------
    median_difference, largest_difference : float
        Median and largest |predicted - run| over the leading PCs that together hold 80 % of the variance.
        PCs that are never half captured are left out.
    rank_correlation : float
        Spearman correlation of the half captures of the prediction and of the runs, over all PCs that have
        both.
    never_predicted, never_run, never_both : int
        Number of PCs that are not half captured in the prediction, in the runs, and in both.
    """

    median_difference: float
    largest_difference: float
    rank_correlation: float
    never_predicted: int
    never_run: int
    never_both: int


def gradient_at_start(
    X: ArrayLike, measure: str | Measure, seeds: Sequence[int] = (0,), *, units: int | None = None
) -> StartGradient:
    """Return how fast the captured variance of each PC rises at first, from the gradient at random starts.

    Let G be the gradient at Y0, or minus the gradient for a distance. Regress the unit vector u_i of PC i on
    Y0, and let b_i be the coefficients and e_i the residual. Then the captured variance of PC i rises at the
    rate 2 e_i'G b_i. Proof: the captured variance is R2 = 1 - min_b |u_i - Y b|^2. At the minimum a change of
    b has no effect to first order, so that only the change of Y matters.

    Parameters
    ----------
    X : array or tensor, (samples, units)
        The recording.
    measure : str or Measure
        A measure that has a gradient, or its name.
    seeds : sequence of int
        Each seed gives one start Y0, the same as in ``simopt.optimize``.
    units : int or None
        Number of units of Y; None: as many as X has.

    Returns
    -------
    StartGradient

    Raises
    ------
    InputError
        The data or the seeds cannot be used, or the measure has no gradient.
    NumericalError
        The gradient at a start is zero, NaN or infinite.
    """
    chosen = measures.get(measure) if isinstance(measure, str) else measure
    if not chosen.differentiable:
        raise InputError(f"{chosen.name} has no gradient, so no learning order; choose another measure.")
    checks.seeds(seeds)
    reference = Reference.of(X, dtype=torch.float64, device="cpu")
    bound = chosen.bind(reference)
    axes = reference.scores / reference.variance_ratio.sqrt()  # (n, K), unit vectors u_i
    start = GaussianInit(units=units)
    captured = []
    for seed in seeds:
        Y0 = start([seed], reference.samples, reference.responses.shape[-1])[0].requires_grad_()
        score = chosen.sign * bound(Y0)
        if not score.requires_grad:
            raise InputError(f"{chosen.name} returned no gradient; use torch functions of Y only.")
        (slope,) = torch.autograd.grad(score, Y0)
        size = slope.square().mean().sqrt()
        if not 0 < float(size) < np.inf:
            raise NumericalError(
                f"{chosen.name} has no learning order: its gradient for seed {seed} is {float(size):g}. "
                "Choose another seed or measure."
            )
        slope, centered = linalg.center(slope / size), linalg.center(Y0.detach())
        weights = linalg.ridge_coefficients(centered, axes)  # (p, K), b_i
        captured.append(2 * ((axes - centered @ weights) * (slope @ weights)).sum(dim=0))
    return StartGradient(torch.stack(captured).numpy())


def predict(
    spectrum: Sequence[float] | FloatArray,
    samples: int,
    units: int,
    measure: str,
    *,
    target: float = 0.99,
    seeds: Sequence[int] = (0,),
) -> Prediction:
    """Predict how captured variance rises with the score of a measure, from the spectrum of X alone.

    The formulas are in the docstring of this module.

    Parameters
    ----------
    spectrum : sequence of float, (K,)
        Variances of the PCs of the recording, in any units.
    samples, units : int
        Number of samples and of units of Y.
    measure : str
        Name of a measure in :data:`ASSUMPTIONS`.
    target : float
        The score at which the path ends, between 0 and 1.
    seeds : sequence of int
        Seeds of the normal Y0 from which the paths of NBS start. Captured variance is averaged over the
        seeds. Predictions for other measures do not use seeds.

    Returns
    -------
    Prediction

    Raises
    ------
    InputError
        The measure has no prediction; X cannot have the spectrum; a Y of this shape captures every PC at the
        start; NBS has fewer units than PCs; or the target is not between the score of the start and 1.
    """
    if measure not in ASSUMPTIONS:
        raise InputError(
            f"measure={measure!r} has no predicted learning order; choose from {', '.join(ASSUMPTIONS)}, or "
            "use gradient_at_start."
        )
    checks.whole(samples, checks.MIN_SAMPLES, "samples")
    checks.whole(units, 1, "units")
    variances = checks.spectrum(spectrum, samples)
    if units >= samples - 1:
        raise InputError(
            f"Y of {samples} samples and {units} units captures every PC at the start; choose fewer units."
        )
    ratio: FloatArray = variances / variances.sum()
    checks.seeds(seeds)
    if not 0 < target < 1:
        raise InputError(f"target is {target}; choose a score between 0 and 1.")
    # The path is followed in the cosine; angular = 1 - (2/pi) arccos(cosine) = (2/pi) arcsin(cosine).
    angular = measure.endswith("_angular")
    end = float(np.sin(np.pi / 2 * target)) if angular else target
    if ASSUMPTIONS[measure] == _RAY:
        score, captured = along_ray(ratio, samples, units, end, seeds)
    else:
        kernels = KernelSums(ratio, samples, units)
        advance = kernels.advance if measure != "linreg" else lambda _, captured: float(ratio @ captured)
        score, captured = along_clock(ratio, samples, units, advance, end)
    if angular:
        score = 2 / np.pi * np.arcsin(np.minimum(score, 1))
    if score[0] >= target:
        raise InputError(
            f"target is {target}, but noise already has {measure} {score[0]:.3g}; give a higher target."
        )
    return Prediction(measure, ratio, score, captured, ASSUMPTIONS[measure])


def compare(prediction: Prediction, half: FloatArray) -> Comparison:
    """Compare predicted half captures with those of runs, or of a published table.

    Parameters
    ----------
    prediction : Prediction
    half : array, (K,) or (R, K)
        Half captures of each PC and replicate, as ``Trajectory.half_capture()`` returns them; NaN for a PC
        that is never half captured. The median over replicates is used. Weak PCs at the end may be missing.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        The array has no PCs, or more PCs than the prediction.
    """
    runs = np.atleast_2d(np.asarray(half, dtype=np.float64))
    count = runs.shape[-1]
    if not 0 < count <= len(prediction.spectrum):
        raise InputError(f"half has {count} PCs; give 1 to {len(prediction.spectrum)}, as many as predicted.")
    # Never counts as later than any score, so that a median over replicates exists.
    run = np.median(np.where(np.isnan(runs), np.inf, runs), axis=0)
    predicted = prediction.half_capture()[:count]
    never_run, never_predicted = ~np.isfinite(run), ~np.isfinite(predicted)
    both = ~never_run & ~never_predicted
    difference = np.abs(predicted - run)[
        both & (np.arange(count) <= np.searchsorted(np.cumsum(prediction.spectrum), 0.8))
    ]
    return Comparison(
        median_difference=float(np.median(difference)) if difference.size else np.nan,
        largest_difference=float(difference.max()) if difference.size else np.nan,
        rank_correlation=float(spearmanr(predicted[both], run[both])[0]) if both.sum() > 2 else np.nan,
        never_predicted=int(never_predicted.sum()),
        never_run=int(never_run.sum()),
        never_both=int((never_predicted & never_run).sum()),
    )
