"""Expansions against the exact forms, and the powers of lambda that the paper derives."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.theory.closed_forms import closed_form
from simopt.theory.expansions import effective_components, expand, exponent
from simopt.theory.perturbations import exact_pair
from tests.theory.test_closed_forms import WITH_A_FORM

VARIANCES = torch.tensor([4.0, 2.0, 1.0, 0.5], dtype=torch.float64)


def exact_loss(name, e):
    measure = measures.get(name)
    form = closed_form(measure)
    angles = (0.0, math.degrees(e))
    scores = [form(exact_pair(VARIANCES, "rotation", angle, units=5, samples=30)) for angle in angles]
    return measure.sign * (scores[0] - scores[1])


@pytest.mark.parametrize("name", WITH_A_FORM)
def test_what_the_first_term_leaves_is_of_higher_order(name):
    expansion = expand(closed_form(measures.get(name)), VARIANCES, units=5, samples=30)
    order = expansion.order.nan_to_num(1.0)
    errors = []
    for e in (0.002, 0.001):
        loss = exact_loss(name, e)
        errors.append((expansion.leading.nan_to_num() * e**order - loss).abs())
        if bool((loss.abs() > 1e-9).all()):
            assert bool((errors[-1] <= 0.02 * loss.abs()).all())
    # Halving e divides what is left by more than 2 to the power of the first term.
    assert bool((errors[1] <= errors[0] / 2**order * 0.75 + 1e-12).all())


def test_leading_terms_of_the_paper():
    lam = VARIANCES
    p, q = lam / lam.sum(), lam**2 / (lam**2).sum()
    expected = {
        "cka": (2, q),
        "cka_angular": (1, 2 / math.pi * (2 * q).sqrt()),
        "nbs": (2, p / 2),
        "procrustes_angular": (1, 2 / math.pi * p.sqrt()),
        "procrustes_euclidean": (1, lam.sqrt()),
        "linreg": (2, p),
        "cca": (2, torch.full_like(p, 1 / 8)),
    }
    for name, (order, weight) in expected.items():
        expansion = expand(closed_form(measures.get(name)), lam, units=4, samples=30)
        assert (expansion.order == order).all()
        torch.testing.assert_close(expansion.leading, weight, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("name", "power"),
    [("cka", 2), ("cka_angular", 1), ("nbs", 1), ("procrustes_angular", 0.5), ("linreg", 1), ("cca", 0)],
)
def test_power_of_lambda_and_the_number_of_pcs_seen(name, power):
    weight = expand(closed_form(measures.get(name)), VARIANCES, units=4, samples=30).leading
    assert exponent(weight, VARIANCES) == pytest.approx(power, abs=1e-10)
    ratio = (VARIANCES[0] / VARIANCES[3]) ** power
    assert float(weight[0] / weight[3]) == pytest.approx(float(ratio))
    powered = VARIANCES.numpy() ** power
    seen = powered.sum() ** 2 / (powered**2).sum()
    assert effective_components(weight) == pytest.approx(seen)


def test_a_ridge_penalty_turns_weights_from_lambda_to_its_square():
    powers = []
    for penalty in (1e-9, 1.0, 1e9):
        form = closed_form(measures.get("ridge1", penalty=penalty))
        weight = expand(form, VARIANCES, units=4, samples=30).leading
        powers.append(exponent(weight, VARIANCES))
    np.testing.assert_allclose([powers[0], powers[2]], [1, 2], atol=1e-5)
    assert 1 < powers[1] < 2


def test_what_a_measure_is_blind_to_has_no_weight():
    blind = replace(closed_form(measures.get("cka")), deviation=lambda pair: 0 * pair.y_total())
    expansion = expand(blind, VARIANCES, units=4, samples=30)
    assert expansion.order.isnan().all()
    assert expansion.leading.isnan().all()
