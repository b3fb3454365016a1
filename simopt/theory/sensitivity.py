"""How a score answers to a perturbation of each PC: theory, experiment, and the two side by side."""

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
from simopt.theory.closed_forms import ClosedForm, closed_form
from simopt.theory.expansions import effective_components, expand, exponent
from simopt.theory.finite_sample import expected
from simopt.theory.perturbations import Directions, Kind, check, exact_pair, perturb
from simopt.typing import FloatArray, OnStep

_SMALL = 0.5
"""Degrees at which a measure without a closed form is asked how it begins to fall."""
_LOCAL_SEEDS = 2


@dataclass(frozen=True)
class Local:
    """How the loss of a score begins when a PC is rotated by a small angle t, in radians: weight t^order.

    Attributes
    ----------
    order, weight : array, (K,)
        NaN where not measured; weight 0 where the score does not answer. Measured at half a degree: no power
        law, and so of little meaning, where Y = X is not what scores best (a penalty, held-out folds).
    effective_components : float
        Participation ratio of the weights: how many PCs the measure sees.
    exponent : float
        The power of lambda with which the weights grow.
    how : str
        ``closed form``, ``gradient`` or ``finite differences``.
    """

    order: FloatArray
    weight: FloatArray
    effective_components: float
    exponent: float
    how: str


@dataclass(frozen=True)
class Sensitivity:
    """One measure under one kind of perturbation, at S strengths.

    Attributes
    ----------
    measure : str
    at_self : float
        The score of X with itself.
    theory : array, (S, K), or None
        For directions exactly orthogonal to all PCs; None where there is no closed form.
    expected, band : array, (S, K), or None
        For random directions: what is to be expected, and its standard deviation from draw to draw.
    experiment : array, (S, K, R), or None
        The scores of perturbed data, NaN for PCs that were left out; None from a spectrum alone.
    local : Local

    Under ``noise_all`` K is 1: all PCs at once.
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
        """The experiment's mean over seeds, (S, K)."""
        return None if self.experiment is None else self.experiment.mean(axis=-1)

    @property
    def deviation(self) -> float | None:
        """The largest distance of theory from the experiment's mean over seeds; None where one is missing."""
        return _largest(self.mean, self.theory)

    @property
    def corrected_deviation(self) -> float | None:
        """The same of theory with its finite-sample correction."""
        return _largest(self.mean, self.expected)

    @property
    def within_band(self) -> float | None:
        """The share of single experiments that lie within two standard deviations of what is expected."""
        if self.experiment is None or self.expected is None or self.band is None:
            return None
        apart = np.abs(self.experiment - self.expected[..., None])
        there = np.isfinite(apart)
        if not there.any():
            return None
        return float((apart <= 2 * self.band[..., None] + 1e-9)[there].mean())


def predict(
    variances: FloatArray,
    measures: Sequence[Measure],
    kind: Kind,
    strengths: Sequence[float],
    *,
    units: int,
    samples: int,
) -> list[Sensitivity]:
    """Return theory alone, from a spectrum.

    Parameters
    ----------
    variances : array, (K,)
        lambda, or explained variance ratios: in squared units of the data where a penalty counts.
    measures : sequence of Measure
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strengths : sequence of float
    units, samples : int

    Returns
    -------
    list of Sensitivity

    Raises
    ------
    InputError
        A spectrum that X of this shape cannot have, a strength out of range, or a measure without a closed
        form.
    """
    for strength in strengths:
        check(kind, strength)
    spectrum = torch.from_numpy(checks.spectrum(variances, samples, units))
    curves = []
    for measure in measures:
        form = closed_form(measure)
        if form is None:
            raise InputError(
                f"{measure.name} has no closed form; it needs data: dataset=NAME instead of spectrum."
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
    observe: OnStep = lambda done, total: None,
) -> list[Sensitivity]:
    """Perturb every PC of a recording, score it, and set theory beside it where there is one.

    Parameters
    ----------
    X : array, (n, p)
    measures : sequence of Measure
    kind : {"rotation", "scaling", "noise", "noise_all"}
    strengths : sequence of float
        Degrees, amplitudes or levels.
    seeds : sequence of int
        One random direction each for every PC.
    pcs : sequence of int, optional
        Which PCs, from 1 on; default all.
    observe : callable
        Told how many of all perturbations are scored.

    Returns
    -------
    list of Sensitivity

    Raises
    ------
    InputError
        Data that no measure can use, no seed or PC, or a strength, seed or PC out of range.
    """
    for strength in strengths:
        check(kind, strength)
    reference = Reference.of(X, dtype=torch.float64)
    directions = Directions(reference, tuple(seeds))
    spectrum = directions.values.square()
    chosen = chosen_pcs(pcs, len(spectrum))
    changed, count = (chosen, len(spectrum)) if kind != "noise_all" else ([0], 1)
    scored: list[FloatArray] = [np.full((len(strengths), count, len(seeds)), math.nan) for _ in measures]
    few = [kind != "noise_all" and measure.facts.sample_rotations for measure in measures]
    for s, strength in enumerate(strengths):
        sides = {fewer: perturb(directions, kind, strength, fewer_rows=fewer) for fewer in sorted(set(few))}
        bound = [m.bind(sides[fewer].reference) for m, fewer in zip(measures, few, strict=True)]
        for done, i in enumerate(changed, start=s * len(changed) + 1):
            moments = {fewer: Moments(side.reference, side.of_pc(i)) for fewer, side in sides.items()}
            for scores, each, fewer in zip(scored, bound, few, strict=True):
                scores[s, i] = _scores(each, moments[fewer])
            observe(done, len(strengths) * len(changed))
    samples, units = reference.responses.shape
    curves = []
    for measure, scores in zip(measures, scored, strict=True):
        form = closed_form(measure)
        if form is None:
            own = float(measure.bind(reference)(reference.responses))
            local = _measured(measure, directions, chosen)
            curves.append(Sensitivity(measure.name, own, None, None, None, scores, local))
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
        mean = torch.stack([each.score for each in random]).numpy()
        band = torch.stack([each.deviation for each in random]).numpy()
    start = expand(form, spectrum, "rotation", units=units, samples=samples)
    weight = start.leading.nan_to_num()
    local = _local(start.order.numpy(), weight.numpy(), spectrum, "closed form")
    return Sensitivity(measure.name, float(exact("scaling", 1.0)[0]), theory, mean, band, None, local)


def _local(order: FloatArray, weight: FloatArray, spectrum: Tensor, how: str) -> Local:
    known = np.isfinite(weight) & (weight > 0)
    if not known.any():
        return Local(order, weight, math.nan, math.nan, how)
    weights, variances = torch.from_numpy(weight[known]), spectrum[torch.from_numpy(known)]
    return Local(order, weight, effective_components(weights), exponent(weights, variances), how)


@torch.no_grad()
def _scores(bound: BoundMeasure, moments: Moments) -> FloatArray:
    scores: FloatArray = bound.evaluate(moments).numpy()
    return scores


def _measured(measure: Measure, directions: Directions, chosen: Sequence[int]) -> Local:
    """Measure order and weight of the loss at a small angle, by the gradient where there is one."""
    some = Directions(directions.reference, directions.seeds[:_LOCAL_SEEDS])
    fewer = measure.facts.sample_rotations
    near = perturb(some, "rotation", _SMALL, fewer_rows=fewer)
    bound = measure.bind(near.reference)
    own = float(bound(near.reference.responses))
    t = math.radians(_SMALL)
    # The derivative of cos t u + sin t w is the same a quarter turn on.
    on = 90 + _SMALL if measure.differentiable else 2 * _SMALL
    later = perturb(some, "rotation", on, fewer_rows=fewer)
    without = perturb(some, "scaling", 0.0, fewer_rows=fewer)
    count = len(directions.values)
    order, weight = np.full(count, math.nan), np.full(count, math.nan)
    for i in chosen:
        Y = near.of_pc(i)
        loss = measure.sign * (own - _scores(bound, Moments(near.reference, Y)))
        if measure.differentiable:
            slope = -measure.sign * _slope(bound, Y, later.of_pc(i) - without.of_pc(i))
            powers = t * slope / np.where(loss > 0, loss, math.nan)
        else:
            twice = measure.sign * (own - _scores(bound, Moments(near.reference, later.of_pc(i))))
            fell = (twice > 0) & (loss > 0)
            powers = np.log2(np.where(fell, twice, math.nan) / np.where(fell, loss, 1))
        there = np.isfinite(powers)
        order[i] = powers[there].mean() if there.any() else math.nan
        weight[i] = loss.mean() / t ** order[i] if there.any() else 0.0
    how = "gradient" if measure.differentiable else "finite differences"
    return _local(order, weight, directions.values.square(), how)


def _slope(bound: BoundMeasure, Y: Tensor, velocity: Tensor) -> FloatArray:
    """Return the derivative of the score as Y moves, (R,)."""
    leaf = Y.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(bound(leaf).sum(), leaf)
    slope: FloatArray = (gradient * velocity).sum(dim=(-2, -1)).numpy()
    return slope


def chosen_pcs(pcs: Sequence[int] | None, count: int) -> list[int]:
    """Return the places of PCs, from 0, of numbers from 1; of None all.

    Raises
    ------
    InputError
        No PC is given, or there are not so many.
    """
    if pcs is None:
        return list(range(count))
    if not pcs:
        raise InputError("pcs is empty; give at least one, for instance pcs=[1].")
    for pc in pcs:
        checks.whole(pc, 1, "a PC")
        if pc > count:
            raise InputError(f"PC {pc} is not there: the recording has {count}.")
    return [pc - 1 for pc in dict.fromkeys(pcs)]


def _largest(mean: FloatArray | None, theory: FloatArray | None) -> float | None:
    if mean is None or theory is None:
        return None
    apart = np.abs(mean - theory)
    return None if np.isnan(apart).all() else float(np.nanmax(apart))
