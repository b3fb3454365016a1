"""Invariances that are found, of functions whose invariances are known by hand."""

import math

import numpy as np
import pytest
import torch

from simopt import checks, measures
from simopt.analysis.invariances import invariances, related, transformed
from simopt.errors import InputError
from simopt.measures import FunctionMeasure
from simopt.measures.base import INVARIANCES

ROTATIONS = {"permutation", "orthogonal"}


def cosine_of_grams(X, Y):
    """Uncentered, so that a translation counts."""
    K, L = X @ X.T, Y @ Y.T
    return (K * L).sum() / (K.norm() * L.norm())


def first_units(X, Y):
    return np.corrcoef(X[:, 0].numpy(), Y[:, 0].numpy())[0, 1] ** 2


def largest_means(X, Y):
    return X.mean(0).abs().max() + Y.mean(0).abs().max()


def distance(X, Y):
    return torch.cdist(X, X).sum() - torch.cdist(Y, Y).sum()


def projectors(X, Y):
    """Overlap of the column spaces: any invertible map of the units leaves them."""
    P, Q = (A @ torch.linalg.pinv(A) for A in (X, Y))
    return float((P * Q).sum())


def handedness(X, Y):
    """Stays under rotations, and not under reflections."""
    return torch.linalg.det(X[:5]) + torch.linalg.det(Y[:4])


KNOWN = [
    (handedness, set()),
    (cosine_of_grams, ROTATIONS | {"isotropic_scaling"}),
    (first_units, {"isotropic_scaling", "translation", "column_scaling"}),
    (largest_means, {"permutation"}),
    (distance, ROTATIONS | {"translation"}),
    (projectors, set(INVARIANCES) - {"translation", "affine"}),
]


@pytest.mark.parametrize(("function", "expected"), KNOWN, ids=lambda value: getattr(value, "__name__", ""))
def test_known_invariances_are_found_on_both_sides(function, expected):
    results = invariances(FunctionMeasure(name="own", function=function))
    assert len(results) == 2 * len(INVARIANCES)
    for side in ("X", "Y"):
        assert {result.kind for result in results if result.side == side and result.holds} == expected
    assert all(result.declared is None and result.agrees for result in results)
    changed = [result.change for result in results if not result.holds]
    assert min(changed) > 1e-3


def test_sides_are_told_apart():
    results = invariances(FunctionMeasure(name="own", function=lambda X, Y: X.sum() + (Y - Y.mean(0)).norm()))
    holds = {
        side: {result.kind for result in results if result.side == side and result.holds}
        for side in ("X", "Y")
    }
    assert holds == {"X": {"permutation"}, "Y": ROTATIONS | {"translation"}}


@pytest.mark.parametrize("name", ["cka", "linreg", "procrustes_euclidean", "rsa", "mutual_knn"])
def test_what_the_catalogue_declares_is_what_is_found(name):
    results = invariances(measures.get(name))
    assert all(result.agrees for result in results)
    assert any(result.holds for result in results)
    assert not all(result.holds for result in results)


def test_a_false_declaration_is_a_disagreement(monkeypatch):
    cka = measures.get("cka")
    facts = cka.facts.__class__(**{**cka.facts.__dict__, "invariant_y": frozenset(INVARIANCES)})
    monkeypatch.setattr(type(cka), "facts", property(lambda self: facts))
    wrong = {(result.kind, result.side) for result in invariances(cka) if not result.agrees}
    assert wrong == {("column_scaling", "Y"), ("invertible_linear", "Y"), ("affine", "Y")}


def test_a_score_that_is_not_finite_does_not_stay():
    results = invariances(FunctionMeasure(name="own", function=lambda X, Y: Y.mean() * math.nan))
    assert not any(result.holds for result in results)
    assert checks.as_plain(results[0])["change"] is None


def test_the_changes_are_the_same_each_time():
    cka = measures.get("cka")
    assert invariances(cka) == invariances(cka)


def test_transformations_are_what_they_are_called(rng):
    A = related(rng)[0]
    centered = A - A.mean(0)
    kept = {
        "permutation": lambda B: torch.equal(B.sort(1)[0], A.sort(1)[0]),
        "orthogonal": lambda B: torch.allclose(B @ B.T, A @ A.T),
        "isotropic_scaling": lambda B: torch.allclose(B / A, (B / A)[0, 0]),
        "translation": lambda B: torch.allclose(B - B.mean(0), centered),
        "column_scaling": lambda B: torch.allclose(B / A, (B / A)[:1].expand_as(A)),
        "invertible_linear": lambda B: torch.linalg.matrix_rank(torch.cat([A, B], 1)) == 5,
        "affine": lambda B: torch.linalg.matrix_rank(torch.cat([centered, B - B.mean(0)], 1)) == 5,
    }
    for kind in INVARIANCES:
        B = transformed(kind, A, rng)
        assert kept[kind](B)
        assert not torch.allclose(A, B)


def test_a_measure_that_needs_more_says_so():
    with pytest.raises(InputError, match="need repeats"):
        invariances(measures.get("rsa_crossnobis"))
    with pytest.raises(InputError, match="transformation"):
        transformed("shear", torch.ones(3, 2), np.random.default_rng(0))
