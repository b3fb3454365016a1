"""The finite-sample correction against draws."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.theory.closed_forms import closed_form
from simopt.theory.finite_sample import expected
from simopt.theory.perturbations import Directions, exact_pair, perturb
from tests.theory.pairs import Exact

SPECTRUM = [5.0, 3.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02]
SEEDS = tuple(range(400))
TINY = 1e-8  # what a weak PC changes of CKA: there the first order all but cancels


@pytest.mark.parametrize(("kind", "strength"), [("rotation", 90.0), ("rotation", 30.0), ("noise", 1.0)])
@pytest.mark.parametrize("name", ["cka", "nbs", "procrustes_angular", "linreg", "ridge1", "cca", "ensd"])
def test_mean_and_spread_over_draws(name, kind, strength):
    exact = Exact(SPECTRUM, units=8, samples=60)
    directions = Directions(Reference.of(exact.X), SEEDS)
    measure = measures.get(name)
    form = closed_form(measure)
    corrected = expected(form, directions.values.square(), kind, strength, units=8, samples=60)
    side = perturb(directions, kind, strength, fewer_rows=True)
    bound = measure.bind(side.reference)
    orthogonal = form(exact_pair(directions.values.square(), kind, strength, units=8, samples=60))
    for i in (0, 3, 7):
        scores = bound(side.of_pc(i))
        spread = float(corrected.deviation[i])
        error = abs(float(scores.mean() - corrected.score[i]))
        # 4 standard errors, and what is of higher order in 1 / n
        assert (
            error
            < 4 * spread / len(SEEDS) ** 0.5 + abs(float(corrected.score[i] - orthogonal[i])) / 20 + TINY
        )
        assert float(scores.std()) == pytest.approx(spread, rel=0.35, abs=TINY)


def test_many_samples_leave_nothing_to_correct():
    variances = torch.tensor(SPECTRUM, dtype=torch.float64)
    for name in ("cka", "nbs", "linreg", "ridge1"):
        form = closed_form(measures.get(name))
        corrected = expected(form, variances, "rotation", 60.0, units=8, samples=10**9)
        exact = form(exact_pair(variances, "rotation", 60.0, units=8, samples=30))
        np.testing.assert_allclose(corrected.score, exact, atol=1e-7)
        assert float(corrected.deviation.max()) < 1e-6


def test_least_squares_at_as_many_pcs_as_samples_allow_explains_all():
    variances = torch.tensor(SPECTRUM, dtype=torch.float64)
    corrected = expected(
        closed_form(measures.get("linreg")), variances, "rotation", 60.0, units=8, samples=9 + 1
    )
    assert float(corrected.score.min()) < 1
    whole = expected(closed_form(measures.get("linreg")), variances, "rotation", 60.0, units=8, samples=9)
    np.testing.assert_allclose(whole.score, 1, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "kind", "strength"),
    [
        ("procrustes_angular", "rotation", 0.0),
        ("procrustes_euclidean", "noise", 0.0),
        ("cca_angle", "scaling", 0.5),
    ],
)
def test_without_a_direction_nothing_is_random(name, kind, strength):
    variances = torch.tensor(SPECTRUM, dtype=torch.float64)
    form = closed_form(measures.get(name))
    corrected = expected(form, variances, kind, strength, units=8, samples=60)
    np.testing.assert_array_equal(
        corrected.score, form(exact_pair(variances, kind, strength, units=8, samples=30))
    )
    np.testing.assert_array_equal(corrected.deviation, 0)


def test_two_samples_are_refused():
    with pytest.raises(InputError, match="samples is 2"):
        expected(
            closed_form(measures.get("cka")), torch.ones(1).double(), "rotation", 90.0, units=1, samples=2
        )
