"""The sensitivity of a score to a perturbation of each PC: theory, experiment, and their comparison.

The perturbations and their strengths are defined in :mod:`simopt.theory.perturbations`. K is the number of
PCs of X. The variance lambda_i of PC i is the i-th eigenvalue of X'X of the centered X.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import BoundMeasure, Measure, Moments, Reference
from simopt.rows import Rows
from simopt.theory.closed_forms import ClosedForm, closed_form
from simopt.theory.expansions import effective_components, expand, exponent
from simopt.theory.finite_sample import expected
from simopt.theory.perturbations import Directions, Kind, exact_pair, perturb
from simopt.typing import FloatArray, OnStep

# Degrees at which the leading loss of a measure without a closed form is measured. On cka, nbs and linreg the
# order is then right to 6e-5; at 5 degrees the next term of the expansion makes that 6e-3. Measures of ranks
# limit the angle from below: a rotation by 0.05 degrees changes so few ranks that the order of rsa_spearman
# comes out as 0.6 to 1.3, where it is about 1.8 at 5 degrees (40 samples, 6 PCs).
_SMALL = 0.5
# Random directions that this is averaged over; the errors above are with two.
_LOCAL_SEEDS = 2


@dataclass(frozen=True)
class Local:
    """The loss of a score when one PC is rotated by a small angle.

    For an angle of t radians the loss is weight * t^order to leading order.

    Attributes
    ----------
    order, weight : array, (K,)
        Power of t, and its coefficient, for each PC. The order is NaN for PCs that were not measured, and the
        weight is 0 where the score does not change. Without a closed form both are measured at half a degree.
        If Y = X does not have the best score, as with a penalty or held-out folds, the loss is not a power of
        t, and neither number has a meaning.
    effective_components : float
        Participation ratio of the weights w, (sum w)^2 / sum w^2: the effective number of PCs that the
        measure is sensitive to.
    exponent : float
        The weights are proportional to this power of lambda.
    how : str
        How order and weight were found: ``closed form``, ``gradient`` or ``finite differences``.
    """

    order: FloatArray
    weight: FloatArray
    effective_components: float
    exponent: float
    how: str


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity of one measure to one kind of perturbation, at S strengths.

    ``noise_all`` perturbs all PCs at once. With it, K is 1 in all fields except ``local``.

    Attributes
    ----------
    measure : str
        Name of the measure.
    at_self : float
        The score of X with itself.
    theory : array, (S, K), or None
        Score if the PC is perturbed by a direction orthogonal to all PCs. None without a closed form.
    expected, band : array, (S, K), or None
        Expected score if the PC is perturbed by a random direction, and the standard deviation of this score
        over directions. None without a closed form, or with ``noise_all``.
    experiment : array, (S, K, R), or None
        Scores of perturbed data for R seeds; NaN for PCs that were left out. None without data.
    local : Local
        The loss under small rotations, for every kind of perturbation.
    """

    measure: str
    at_self: float
    theory: FloatArray | None
    expected: FloatArray | None
    band: FloatArray | None
    experiment: FloatArray | None
    local: Local

    @property
    def mean(self) -> FloatArray | None:
        """The mean of ``experiment`` over seeds, (S, K), or None."""
        return None if self.experiment is None else self.experiment.mean(axis=-1)

    @property
    def deviation(self) -> float | None:
        """The largest |``theory`` - :attr:`mean`|; None if one of the two is None."""
        return _largest(self.mean, self.theory)

    @property
    def corrected_deviation(self) -> float | None:
        """The largest |``expected`` - :attr:`mean`|; None if one of the two is None."""
        return _largest(self.mean, self.expected)

    @property
    def within_band(self) -> float | None:
        """The share of scores of ``experiment`` within two ``band`` of ``expected``; None if one is None."""
        if self.experiment is None or self.expected is None or self.band is None:
            return None
        apart = np.abs(self.experiment - self.expected[..., None])  # (S, K, R)
        measured = np.isfinite(apart)
        if not measured.any():
            return None
        # The band is 0 where the direction does not matter (scaling): 1e-9 is for rounding.
        return float((apart <= 2 * self.band[..., None] + 1e-9)[measured].mean())


def predict(
    variances: FloatArray,
    measures: Sequence[Measure],
    kind: Kind,
    strengths: Sequence[float],
    *,
    units: int,
    samples: int,
) -> list[Sensitivity]:
    """Compute the sensitivity of measures from the spectrum of X by theory, without data.

    Parameters
    ----------
    variances : array, (K,)
        Variances lambda of the PCs, or explained variance ratios. Ridge regression needs lambda itself, as
        the penalty is compared with it.
    measures : sequence of Measure
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strengths : sequence of float
        Angles in degrees, amplitudes, or noise levels (:mod:`simopt.theory.perturbations`).
    units, samples : int
        The shape of X.

    Returns
    -------
    list of Sensitivity
        One for each measure.

    Raises
    ------
    InputError
        X of this shape cannot have this spectrum, or a measure has no closed form.
    """
    spectrum = torch.from_numpy(checks.spectrum(variances, samples, units))
    curves = []
    for measure in measures:
        form = closed_form(measure)
        if form is None:
            raise InputError(
                f"{measure.name} has no closed form, so it needs data: give dataset=NAME, not spectrum."
            )
        curves.append(_theory(measure, form, spectrum, kind, strengths, units, samples))
    return curves


def experiment(
    X: FloatArray,
    measures: Sequence[Measure],
    kind: Kind,
    strengths: Sequence[float],
    *,
    seeds: Sequence[int] = tuple(range(10)),
    pcs: Sequence[int] | None = None,
    rows: Rows | None = None,
    observe: OnStep = lambda done, total: None,
) -> list[Sensitivity]:
    """Perturb every PC of a recording, score the result, and compute the theory for measures that have one.

    Parameters
    ----------
    X : array, (n, p)
        The recording.
    measures : sequence of Measure
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strengths : sequence of float
        Angles in degrees, amplitudes, or noise levels (:mod:`simopt.theory.perturbations`).
    seeds : sequence of int
        Each seed gives one random direction for every PC.
    pcs : sequence of int, optional
        The PCs to perturb, numbered from 1. By default all PCs are perturbed.
    rows : Rows, optional
        The groups of samples, which folds keep together.
    observe : callable
        Is called after every perturbation with the number of perturbations done and their total number.

    Returns
    -------
    list of Sensitivity
        One for each measure.

    Raises
    ------
    InputError
        No measure can score the data; seeds or pcs is empty; or a seed or PC is out of range.
    """
    reference = Reference.of(X, dtype=torch.float64, rows=rows)
    directions = Directions(reference, tuple(seeds))
    spectrum = directions.values.square()
    chosen = chosen_pcs(pcs, len(spectrum))
    changed, count = (chosen, len(spectrum)) if kind != "noise_all" else ([0], 1)
    scored: list[FloatArray] = [np.full((len(strengths), count, len(seeds)), math.nan) for _ in measures]
    few = [kind != "noise_all" and measure.facts.sample_rotations for measure in measures]
    for s, strength in enumerate(strengths):
        # Measures that ignore rotations of the samples are scored in K + 2 rows, the others in all samples.
        perturbed = {less: perturb(directions, kind, strength, fewer_rows=less) for less in sorted(set(few))}
        bound = [m.bind(perturbed[less].reference) for m, less in zip(measures, few, strict=True)]
        for done, i in enumerate(changed, start=s * len(changed) + 1):
            # X'Y and Y'Y of a perturbed Y are computed once and shared by the measures.
            moments = {less: Moments(data.reference, data.of_pc(i)) for less, data in perturbed.items()}
            for scores, bound_measure, less in zip(scored, bound, few, strict=True):
                scores[s, i] = _scores(bound_measure, moments[less])
            observe(done, len(strengths) * len(changed))
    samples, units = reference.responses.shape
    curves = []
    for measure, scores in zip(measures, scored, strict=True):
        form = closed_form(measure)
        if form is None:
            at_self = float(measure.bind(reference)(reference.responses))
            local = _measured(measure, directions, chosen)
            curves.append(Sensitivity(measure.name, at_self, None, None, None, scores, local))
        else:
            theory = _theory(measure, form, spectrum, kind, strengths, units, samples)
            curves.append(replace(theory, experiment=scores))
    return curves


def _theory(
    measure: Measure,
    form: ClosedForm,
    spectrum: Tensor,
    kind: Kind,
    strengths: Sequence[float],
    units: int,
    samples: int,
) -> Sensitivity:
    def exact(kind: Kind, strength: float) -> Tensor:
        return form(exact_pair(spectrum, kind, strength, units=units, samples=samples)).reshape(-1)

    theory = torch.stack([exact(kind, strength) for strength in strengths]).numpy()
    mean = band = None
    if kind != "noise_all":
        random = [expected(form, spectrum, kind, s, units=units, samples=samples) for s in strengths]
        mean, band = (torch.stack(part).numpy() for part in zip(*random, strict=True))
    start = expand(form, spectrum, units=units, samples=samples)
    weight = start.leading.nan_to_num()
    local = _local(start.order.numpy(), weight.numpy(), spectrum, "closed form")
    return Sensitivity(measure.name, float(exact("scaling", 1.0)[0]), theory, mean, band, None, local)


def _local(order: FloatArray, weight: FloatArray, spectrum: Tensor, how: str) -> Local:
    weights = torch.from_numpy(weight).nan_to_num(0.0, 0.0, 0.0).clamp(min=0)
    return Local(order, weight, effective_components(weights), exponent(weights, spectrum), how)


@torch.no_grad()
def _scores(bound: BoundMeasure, moments: Moments) -> FloatArray:
    scores: FloatArray = bound.evaluate(moments).numpy()
    return scores


def _measured(measure: Measure, directions: Directions, chosen: Sequence[int]) -> Local:
    """Measure order and weight of the loss at a small angle, by the gradient if there is one.

    For a loss w t^order, order = t loss'(t) / loss(t) at any t. Without a gradient it is the binary logarithm
    of loss(2 t) / loss(t).
    """
    some = Directions(directions.reference, directions.seeds[:_LOCAL_SEEDS])
    fewer = measure.facts.sample_rotations
    near = perturb(some, "rotation", _SMALL, fewer_rows=fewer)
    bound = measure.bind(near.reference)
    at_self = float(bound(near.reference.responses))
    t = math.radians(_SMALL)
    # d/dt (cos t u + sin t w) is the rotation by 90 degrees more, cos(t + 90) u + sin(t + 90) w. Y without PC
    # i is subtracted below, as only the PC moves.
    on = 90 + _SMALL if measure.differentiable else 2 * _SMALL
    later = perturb(some, "rotation", on, fewer_rows=fewer)
    without = perturb(some, "scaling", 0.0, fewer_rows=fewer)
    count = len(directions.values)
    order, weight = np.full(count, math.nan), np.full(count, math.nan)
    for i in chosen:
        Y = near.of_pc(i)
        loss = measure.sign * (at_self - _scores(bound, Moments(near.reference, Y)))
        if measure.differentiable:
            slope = -measure.sign * _slope(bound, Y, later.of_pc(i) - without.of_pc(i))
            powers = t * slope / np.where(loss > 0, loss, math.nan)
        else:
            twice = measure.sign * (at_self - _scores(bound, Moments(near.reference, later.of_pc(i))))
            fell = (twice > 0) & (loss > 0)
            powers = np.log2(np.where(fell, twice, math.nan) / np.where(fell, loss, 1))
        measured = np.isfinite(powers)  # (R,)
        order[i] = powers[measured].mean() if measured.any() else math.nan
        weight[i] = loss.mean() / t ** order[i] if measured.any() else 0.0
    how = "gradient" if measure.differentiable else "finite differences"
    return _local(order, weight, directions.values.square(), how)


def _slope(bound: BoundMeasure, Y: Tensor, velocity: Tensor) -> FloatArray:
    """Return <gradient, velocity>, (R,): the derivative of the score as Y moves at a velocity (R, n, p)."""
    leaf = Y.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(bound(leaf).sum(), leaf)
    slope: FloatArray = (gradient * velocity).sum(dim=(-2, -1)).numpy()
    return slope


def chosen_pcs(pcs: Sequence[int] | None, count: int) -> list[int]:
    """Convert PCs that are numbered from 1 to indices that start at 0; None selects all PCs.

    Raises
    ------
    InputError
        The list is empty, or a PC is not between 1 and ``count``.
    """
    if pcs is None:
        return list(range(count))
    if not pcs:
        raise InputError("pcs is empty; give at least one PC, for instance pcs=[1].")
    for pc in pcs:
        checks.whole(pc, 1, "a PC of pcs")
        if pc > count:
            raise InputError(f"pcs has {pc}, but the recording has {count} PCs; choose 1 to {count}.")
    return [pc - 1 for pc in dict.fromkeys(pcs)]


def _largest(mean: FloatArray | None, theory: FloatArray | None) -> float | None:
    if mean is None or theory is None:
        return None
    apart = np.abs(mean - theory)
    return None if np.isnan(apart).all() else float(np.nanmax(apart))
