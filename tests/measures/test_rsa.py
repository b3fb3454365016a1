"""RSA: every RDM by every comparison against the textbook, facts, refusals, ties, silent samples."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

import simopt
from simopt import catalogue, measures, pairwise
from simopt.errors import InputError
from simopt.measures import rdm
from simopt.measures.rsa import RSA
from tests.contract.test_measures import draw, related, transformed
from tests.measures.test_textbook import DATA, KINDS, pair
from tests.oracles import rsa as textbook

NAMES = [name for name in measures.names(aliases=True) if name in textbook.MEASURES]
ALL = list(itertools.product(textbook.KINDS, textbook.COMPARISONS))
# A singular covariance has no inverse, and a correlation over one unit is 0 / 0: both are refused. So is an X
# with samples of a single direction, as the two units of "few samples" have under a correlation.
SINGULAR = {"samples < units", "rank-deficient X", "rank-deficient Y", "padded Y"}


def refused(kind: str, comparison: str, data: str) -> bool:
    if kind == "correlation" and data == "few samples":
        return comparison != "euclidean_norm"
    return (kind == "mahalanobis" and data in SINGULAR) or (kind == "correlation" and data == "one unit")


def get(kind: str, comparison: str, **options) -> measures.Measure:
    return RSA(name="rsa", rdm=kind, comparison=comparison, **options)


def test_every_name_has_a_textbook_version() -> None:
    rsa_names = {name for name in measures.names() if isinstance(measures.get(name), RSA)} - {
        "rsa_crossnobis"
    }
    aliases = {alias for alias, owner in catalogue.aliases("measure").items() if owner in rsa_names}
    assert rsa_names | aliases == set(textbook.MEASURES)


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_what_the_textbook_says(name: str) -> None:
    X, Y = pair("related")
    assert simopt.score(X, Y, name) == pytest.approx(textbook.MEASURES[name](X, Y), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("data", KINDS)
@pytest.mark.parametrize(("kind", "comparison"), ALL)
def test_score_agrees_with_the_textbook(kind: str, comparison: str, data: str) -> None:
    X, Y = pair(data)
    if refused(kind, comparison, data):
        with pytest.raises(InputError):
            simopt.score(X, Y, get(kind, comparison))
        return
    expected = textbook.rsa(kind, comparison, X, Y)
    assert simopt.score(X, Y, get(kind, comparison)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", sorted(n for n in textbook.MEASURES if n.startswith("rsa-")))
def test_score_agrees_with_published_packages(name: str) -> None:
    fixtures = np.load(DATA / "oracle_fixtures.npz")
    # Published Bures values sum roots of eigenvalues that are rounding, each about 1e-8.
    tolerance = 2e-6 if "bures" in name else 1e-9
    for case, value in json.loads((DATA / "oracles.json").read_text())[name]["values"].items():
        X, Y = fixtures[f"X_{case}"], fixtures[f"Y_{case}"]
        assert simopt.score(X, Y, name) == pytest.approx(value, rel=tolerance, abs=tolerance), case


@pytest.mark.parametrize("side", ["X", "Y"])
@pytest.mark.parametrize("center_units", [False, True])
@pytest.mark.parametrize(("kind", "comparison"), ALL)
def test_invariances_of_combinations_without_a_name(
    kind: str, comparison: str, center_units: bool, side: str
) -> None:
    check_invariances(get(kind, comparison, center_units=center_units), side)


def check_invariances(measure: measures.Measure, side: str) -> None:
    stated = measure.facts.invariant_x if side == "X" else measure.facts.invariant_y
    rng = np.random.default_rng(3)
    X, Y = related(rng)
    before = measure(X, Y).item()
    for change in measures.base.INVARIANCES:
        A, B = (transformed(change, X, rng), Y) if side == "X" else (X, transformed(change, Y, rng))
        difference = abs(measure(A, B).item() - before)
        assert difference < 1e-9 if change in stated else difference > 1e-6, change


@pytest.mark.parametrize(("kind", "comparison"), ALL)
def test_range_symmetry_and_gradient_of_every_combination(kind: str, comparison: str) -> None:
    measure = get(kind, comparison)
    X, Y = related(np.random.default_rng(4))
    score = measure(X, Y).item()
    assert measure.facts.low <= score <= measure.facts.high
    assert measure(Y, X).item() == pytest.approx(score, rel=1e-11, abs=1e-11)
    if measure.facts.at_self is not None:
        assert measure(X, X).item() == pytest.approx(measure.facts.at_self, abs=1e-12 if score < 2 else 1e-10)
    if measure.differentiable:
        for wide in (X[:12, :4], torch.cat([X[:12], Y[:12], X[:12] ** 2], dim=1)[:, :9]):
            batch = torch.stack([wide, wide + 0.1 * draw(np.random.default_rng(5), *wide.shape)])
            assert torch.autograd.gradcheck(measure.bind(Y[:12]), batch.requires_grad_())


def test_relations() -> None:
    X, Y = pair("related")
    z = [(A - A.mean(axis=1, keepdims=True)) / A.std(axis=1, keepdims=True) for A in (X, Y)]
    same = pytest.approx
    assert simopt.score(X, Y, "rsa-sqeuclidean-cosine_cov") == same(simopt.score(X, Y, "cka"), abs=1e-13)
    assert simopt.score(X, Y, "rsa-sqeuclidean-bures") == same(simopt.score(X, Y, "nbs"), abs=1e-13)
    assert simopt.score(X, Y, "rsa_cosine_cov") == same(simopt.score(*z, "cka"), abs=1e-13)
    assert simopt.score(X, Y, "rsa_bures") == same(simopt.score(*z, "nbs"), abs=1e-13)
    basis = [np.linalg.qr(A - A.mean(axis=0))[0] for A in (X, Y)]
    rho = np.linalg.svd(basis[0].T @ basis[1], compute_uv=False)
    size = math.sqrt(X.shape[1] * Y.shape[1])
    assert simopt.score(X, Y, "rsa-mahalanobis-bures") == same(rho.sum() / size, abs=1e-13)
    assert simopt.score(X, Y, "rsa-mahalanobis-cosine_cov") == same((rho**2).sum() / size, abs=1e-13)


@pytest.mark.parametrize("comparison", ["spearman", "tau_a", "tau_b"])
@pytest.mark.parametrize("kind", textbook.KINDS)
def test_ties_of_whole_numbers_are_ties(kind: str, comparison: str, rng: np.random.Generator) -> None:
    X, Y = rng.integers(0, 3, (25, 4)) + 1.0, rng.integers(0, 3, (25, 3)) + 1.0
    X[3], Y[7] = X[5], 2 * Y[8]
    if kind == "correlation":  # constant rows are another test's
        X[:, 0], Y[:, 0] = 5, 7
    expected = textbook.rsa(kind, comparison, X, Y)
    assert simopt.score(X, Y, get(kind, comparison)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["correlation", "cosine"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_without_a_direction_are_at_1_of_all_others(
    kind: str, dtype: torch.dtype, rng: np.random.Generator
) -> None:
    Y = draw(rng, 12, 4).to(dtype)
    Y[3] = 0
    Y[8] = 0.1 if kind == "correlation" else 0
    D = pairwise.distances(rdm.embed(kind, Y, "Y").points).square()
    others = [i for i in range(12) if i not in (3, 8)]
    torch.testing.assert_close(D[3, others], torch.ones(10, dtype=dtype))
    torch.testing.assert_close(D[8, [3, *others]], torch.ones(11, dtype=dtype))
    torch.testing.assert_close(D.diagonal(), torch.zeros(12, dtype=dtype))
    X = draw(rng, 12, 5).to(dtype)
    for comparison in ("pearson", "bures", "euclidean_norm", "corr_cov"):
        leaf = Y.clone().requires_grad_()
        (grad,) = torch.autograd.grad(get(kind, comparison)(X, leaf), leaf)
        assert torch.isfinite(grad).all()
        assert grad[:3].abs().sum() > 0


@pytest.mark.parametrize(("kind", "comparison"), [(k, c) for k, c in ALL if k != "mahalanobis"])
def test_equal_samples_leave_the_gradient_finite(
    kind: str, comparison: str, rng: np.random.Generator
) -> None:
    X, Y = draw(rng, 14, 3), draw(rng, 14, 4)
    X[3], Y[5], Y[6] = X[2], Y[4], Y[4]
    score = get(kind, comparison)(X, Y.requires_grad_())
    assert torch.isfinite(score)
    if get(kind, comparison).differentiable:
        (grad,) = torch.autograd.grad(score, Y)
        assert torch.isfinite(grad).all()


@pytest.mark.parametrize("comparison", ["pearson", "corr_cov"])
def test_many_units_in_float32(comparison: str, rng: np.random.Generator) -> None:
    X = draw(rng, 25, 4000)
    Y = X + draw(rng, 25, 4000)
    for kind in ("sqeuclidean", "correlation", "euclidean"):
        measure = get(kind, comparison)
        assert measure(X.float(), Y.float()).item() == pytest.approx(measure(X, Y).item(), abs=1e-4)


def test_a_constant_rdm() -> None:
    simplex, Y = np.eye(6), pair("tall")[1][:6]
    for comparison in ("pearson", "spearman", "tau_a", "tau_b", "corr_cov"):
        with pytest.raises(InputError, match="euclidean RDM of X"):
            simopt.score(simplex, Y, get("euclidean", comparison))
    assert 0 < simopt.score(simplex, Y, get("euclidean", "cosine")) < 1
    assert simopt.score(Y, simplex, "rsa-euclidean-tau_a") == 0
    assert math.isnan(simopt.score(Y, simplex, "rsa-euclidean-tau_b"))
    assert math.isnan(simopt.score(Y, simplex, "rsa-euclidean-spearman"))
    for comparison in ("pearson", "corr_cov"):
        assert math.isnan(simopt.score(Y, simplex, get("euclidean", comparison)))
        assert math.isnan(simopt.score(Y, simplex, get("sqeuclidean", comparison)))
    ascending = np.outer(np.arange(1.0, 7), [0.1, 0.3]) + 0.7
    for comparison in ("cosine", "pearson", "spearman", "cosine_cov", "corr_cov", "bures"):
        assert math.isnan(simopt.score(Y, ascending, get("correlation", comparison)))
    one_way = np.outer(np.arange(1.0, 7), [1.0, 2])
    with pytest.raises(InputError, match="cosine RDM of X"):
        simopt.score(one_way, Y, "rsa-cosine-bures")


def test_refusals_and_warnings(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((12, 3)), rng.standard_normal((12, 4))
    with pytest.raises(InputError, match="Unknown rdm of rsa 'euclid'; the nearest: euclidean"):
        measures.get("rsa", rdm="euclid")
    with pytest.raises(InputError, match="Unknown comparison of rsa 'kendall'"):
        measures.get("rsa", comparison="kendall")
    with pytest.raises(InputError, match="center_units of rsa is 'yes'"):
        measures.get("rsa", center_units="yes")
    with pytest.raises(InputError, match="rsa: Y has 1 unit, but a correlation"):
        simopt.score(X, Y[:, :1], "rsa")
    with pytest.raises(InputError, match="Y has 11 units in 12 samples, .* fewer than 11"):
        simopt.score(X, rng.standard_normal((12, 11)), "rsa_mahalanobis")
    for bad in (Y[:, [0, 1, 1, 2]], Y[:, [0, 0]] * [1, 0] + 0.1, Y - Y.mean(axis=1, keepdims=True)):
        with pytest.raises(InputError, match="linear combination of the units before it"):
            simopt.score(X, bad, "rsa_mahalanobis")
    with pytest.raises(InputError, match="rsa_mahalanobis: X: unit 2 is constant"):
        simopt.score(np.hstack([Y[:, :2], np.ones((12, 1))]), Y, "rsa_mahalanobis")
    wide = rng.standard_normal((20, 19))
    assert "no gradient moves it" in measures.get("rsa").degenerate(wide, wide[:, :2])
    assert "is singular" in measures.get("rsa_mahalanobis").degenerate(wide, wide)
    assert measures.get("rsa_mahalanobis").degenerate(wide, wide[:, :18]) is None
    assert measures.get("rsa").degenerate(wide, wide[:, :3]) is None


def test_few_units_build_no_rdm(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = measures.get("rsa").bind(draw(rng, 60, 5))
    monkeypatch.setattr(rdm.Embedding, "kernel", None)
    small = bound(draw(rng, 60, 30))
    monkeypatch.undo()
    assert torch.isfinite(small)
    Y = torch.cat([Y30 := draw(rng, 60, 30), torch.zeros(60, 1, dtype=torch.float64)], dim=1)
    for comparison in ("cosine", "pearson", "cosine_cov", "corr_cov"):
        bound = get("sqeuclidean", comparison).bind(draw(rng, 60, 5))
        torch.testing.assert_close(bound(Y30), bound(Y), rtol=1e-12, atol=1e-13)
