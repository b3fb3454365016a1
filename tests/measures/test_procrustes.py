"""Procrustes distances against the textbook, next to their tip, and with a rotation that is not unique."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import simopt
from simopt import measures
from simopt.errors import InputError
from simopt.measures import procrustes
from tests.measures.test_textbook import KINDS, pair
from tests.oracles.procrustes import MEASURES

FOLDED = ["procrustes-angular-5fold", "procrustes-euclidean-5fold"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_agrees_with_the_textbook(name: str, kind: str) -> None:
    X, Y = pair(kind)
    if name in FOLDED and kind == "samples < units":
        with pytest.raises(InputError, match="12 train samples .*folds=null"):
            simopt.score(X, Y, name)
        return
    if name == "procrustes-angular-5fold" and kind == "few samples":  # a cosine of one sample
        with pytest.raises(InputError, match="fold of one sample has too few .* two folds need 6 samples"):
            simopt.score(X, Y, name)
        return
    assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=1e-9, abs=1e-9)


def test_a_fold_without_variance_is_refused_only_where_it_is_normalized(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((2, 30, 3))
    X[6:] -= X[6:].mean(axis=0)
    X[:6] = 0
    with pytest.raises(InputError, match="X does not vary in one of 5 folds"):
        simopt.score(X, Y, "procrustes-angular-5fold")
    with pytest.raises(InputError, match="Y does not vary in one of 5 folds"):
        simopt.score(Y, X, "procrustes-angular-5fold")
    assert np.isfinite(simopt.score(X, Y, "procrustes-euclidean-5fold"))


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-12])
def test_small_distances_keep_their_digits(size: float, rng: np.random.Generator) -> None:
    X = torch.from_numpy(rng.standard_normal((30, 5)))
    X = X - X.mean(dim=0)
    away = torch.from_numpy(rng.standard_normal((30, 1)))
    away = away - away.mean()
    away = away - X @ torch.linalg.lstsq(X, away).solution
    away = away / away.norm()
    # A new column orthogonal to all of X: the rotation is the identity, the distance is its size.
    Y = torch.cat([X, size * away], dim=1)
    assert measures.get("procrustes_euclidean")(X, Y).item() == pytest.approx(
        size, rel=1e-2 if size < 1e-9 else 1e-5
    )
    angle = measures.get("procrustes_angle")(X, Y).item()
    assert angle == pytest.approx(math.atan(size / X.norm().item()), rel=1e-2 if size < 1e-9 else 1e-4)


@pytest.mark.parametrize("name", ["procrustes_euclidean", "procrustes_angle", "procrustes-modelsym-score"])
def test_at_the_recording_the_gradient_is_zero(name: str) -> None:
    X = torch.randn(30, 4, dtype=torch.float64)
    rotated = X @ torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    for Y in (X.clone(), rotated):
        Y.requires_grad_()
        score = measures.get(name)(X, Y)
        assert torch.autograd.grad(score, Y)[0].abs().max() == 0


def test_the_gradient_is_exact_very_close_to_the_recording() -> None:
    X = torch.randn(20, 4, dtype=torch.float64)
    Y = (X + 1e-5 * torch.randn(20, 4, dtype=torch.float64)).requires_grad_()
    assert gradcheck(measures.get("procrustes_angle").bind(X), Y, eps=1e-9, atol=1e-4)


def test_forms_belong_together(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((30, 5)), rng.standard_normal((30, 7))
    nbs = simopt.score(X, Y, "nbs")
    assert simopt.score(X, Y, "procrustes-angular") == pytest.approx(math.acos(nbs))
    assert simopt.score(X, Y, "procrustes-disparity") == pytest.approx(1 - nbs**2)
    assert simopt.score(X, Y, "procrustes-normalised-squared") == pytest.approx(2 - 2 * nbs)
    assert simopt.score(X, X, "procrustes-angular-5fold") == pytest.approx(0, abs=1e-12)
    assert not measures.get("procrustes-angular-5fold").differentiable


def test_held_out_folds_of_rank_deficient_data_are_defined_where_the_rotation_is(
    rng: np.random.Generator,
) -> None:
    X, Y = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 40)), rng.standard_normal((30, 40))
    for name in FOLDED:
        assert simopt.score(X, Y, name) == pytest.approx(MEASURES[name](X, Y), rel=1e-9)


def test_options_are_checked(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3))
    with pytest.raises(InputError, match="Unknown form of procrustes_angle 'cosine'"):
        measures.get("procrustes_angle", form="cosine")
    with pytest.raises(InputError, match="form=angle .*normalized=true"):
        measures.get("procrustes_euclidean", form="angle")
    with pytest.raises(InputError, match="folds of procrustes_angle is 1"):
        measures.get("procrustes_angle", folds=1)
    with pytest.raises(InputError, match="30 folds of 20 samples"):
        simopt.score(X, X, "procrustes_angle", folds=30)


def test_an_angle_from_a_chord_reaches_from_0_to_pi() -> None:
    chords = torch.tensor([0.0, 1e-9, 2**0.5, 2.0, 2.0 + 1e-12], dtype=torch.float64)
    expected = torch.tensor([0.0, 1e-9, math.pi / 2, math.pi, math.pi], dtype=torch.float64)
    torch.testing.assert_close(procrustes.angle(chords), expected, rtol=1e-12, atol=0)
