"""Crossnobis RDMs: textbook, an independent package, what noise does to them, invariances, refusals."""

import itertools
import json
from typing import get_args

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.errors import InputError
from simopt.measures import crossnobis
from simopt.measures.rsa import RSA
from tests.contract.test_measures import draw, related
from tests.measures.test_rsa import check_invariances
from tests.measures.test_textbook import DATA
from tests.oracles import crossnobis as textbook

NOISES = get_args(crossnobis.Noise)
COMPARISONS = ("cosine", "pearson", "spearman", "tau_a", "tau_b", "cosine_cov", "corr_cov", "euclidean_norm")
ALL = list(itertools.product(NOISES, COMPARISONS))
RECORDED = json.loads((DATA / "crossnobis.json").read_text())["values"]


def get(
    comparison: str = "cosine", noise: str = "ledoit_wolf", repeats: int | None = 2, **options: str
) -> measures.Measure:
    return RSA(name="rsa", rdm="crossnobis", comparison=comparison, noise=noise, repeats=repeats, **options)


@pytest.mark.parametrize("entry", RECORDED, ids=lambda e: f"{e['case']}-{e['repeats']}-{e['noise']}")
def test_scores_are_those_of_rsatoolbox(entry: dict) -> None:
    fixtures = np.load(DATA / "oracle_fixtures.npz")
    X, Y = (fixtures[f"{side}_{entry['case']}"] for side in "XY")
    for comparison, value in entry["scores"].items():
        measure = get(comparison, entry["noise"], entry["repeats"], residuals="condition")
        assert simopt.score(X, Y, measure) == pytest.approx(value, rel=1e-9, abs=1e-9), comparison
    for A, value in zip((X, Y), entry["mean_dissimilarity"], strict=True):
        flat = torch.from_numpy(A.reshape(-1, A.shape[-1]))
        rdm = crossnobis.embed(flat, entry["repeats"], entry["noise"], "X", "condition")
        mean = rdm.dissimilarities().mean()
        assert mean.item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("repeats", "residuals"), [(2, "two_way"), (3, "two_way"), (5, "condition")])
@pytest.mark.parametrize(("noise", "comparison"), ALL)
def test_score_agrees_with_the_textbook(
    noise: str, comparison: str, repeats: int, residuals: str, rng: np.random.Generator
) -> None:
    X, Y = rng.standard_normal((30, 6)) * [9, 5, 3, 2, 1, 0.5] + 7, rng.standard_normal((30, 4)) - 3
    Y = Y + X @ rng.standard_normal((6, 4))
    expected = textbook.score(X, Y, comparison, repeats, noise, residuals)
    measure = get(comparison, noise, repeats, residuals=residuals)
    assert simopt.score(X, Y, measure) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("noise", NOISES)
def test_a_constant_of_a_repeat_moves_nothing(noise: str, rng: np.random.Generator) -> None:
    """Differences within a repeat do not see it, and neither does the noise that whitens them."""
    X = np.tile(rng.standard_normal((20, 8)), (4, 1)) + rng.standard_normal((80, 8))
    Y = X + rng.standard_normal(X.shape)
    runs = np.repeat(5 * rng.standard_normal((4, 8)), 20, axis=0)
    measure = get(noise=noise, repeats=4)
    score = simopt.score(X, Y, measure)
    assert simopt.score(X + runs, Y, measure) == pytest.approx(score, abs=1e-9)
    assert simopt.score(X, Y + runs, measure) == pytest.approx(score, abs=1e-9)
    moved = simopt.score(X + runs, Y, get(noise=noise, repeats=4, residuals="condition"))
    assert (abs(moved - score) > 1e-3) == (noise != "none")


@pytest.mark.parametrize(("residuals", "bias"), [("two_way", 0.0), ("condition", 4.0)])
def test_noise_of_runs_does_not_enter_the_covariance(
    residuals: str, bias: float, rng: np.random.Generator
) -> None:
    """Noise of variance 1 and runs of variance 4: the variance of noise comes out as 1, or 1 + 4."""
    found = []
    for _ in range(400):
        runs = 2 * rng.standard_normal((4, 1, 2))
        A = torch.from_numpy((rng.standard_normal((4, 6, 2)) + runs).reshape(24, 2))
        plain, white = (
            crossnobis.embed(A, 4, noise, "X", residuals).points for noise in ("none", "diagonal")
        )
        found.append(((plain / white) ** 2)[0].mean().item())  # the variance by which a unit was divided
    error = np.std(found) / 20
    assert abs(np.mean(found) - 1 - bias) < 4 * error


def test_the_named_one(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((30, 40)), rng.standard_normal((30, 1))
    expected = textbook.MEASURES["rsa_crossnobis"](X, Y, repeats=3)
    assert simopt.score(X, Y, "rsa_crossnobis", repeats=3) == pytest.approx(expected, rel=1e-9)


def test_noise_adds_nothing_on_average(rng: np.random.Generator) -> None:
    """Conditions that differ by noise only are at 0, others at the squared distance of their means."""
    means = np.array([[0.0, 0, 0], [0, 0, 0], [2, 0, 0]])
    distances = []
    for _ in range(400):
        A = torch.from_numpy(np.tile(means, (4, 1)) + rng.standard_normal((12, 3)))
        distances.append(crossnobis.embed(A, 4, "none", "X").dissimilarities().numpy())
    expected, error = np.array([0, 4, 4]) / 3, np.std(distances, axis=0) / 20
    assert (abs(np.mean(distances, axis=0) - expected) < 4 * error).all()
    assert (np.array(distances)[:, 0] < 0).any()


@pytest.mark.parametrize("side", ["X", "Y"])
@pytest.mark.parametrize(("noise", "comparison"), ALL)
def test_invariances_are_as_stated(noise: str, comparison: str, side: str) -> None:
    check_invariances(get(comparison, noise), side)


@pytest.mark.parametrize(("noise", "comparison"), ALL)
def test_range_symmetry_and_gradient(noise: str, comparison: str) -> None:
    measure = get(comparison, noise)
    X, Y = related(np.random.default_rng(4))
    score = measure(X, Y).item()
    assert measure.facts.low <= score <= measure.facts.high
    assert measure(Y, X).item() == pytest.approx(score, rel=1e-11, abs=1e-11)
    if measure.facts.at_self is not None:
        assert measure(X, X).item() == pytest.approx(measure.facts.at_self, abs=1e-12)
    if measure.differentiable:
        batch = torch.stack([X[:12], X[:12] + 0.1 * draw(np.random.default_rng(5), 12, 5)])
        assert torch.autograd.gradcheck(measure.bind(Y[:12]), batch.requires_grad_())


def test_shrinkage_of_one_unit_and_of_round_noise() -> None:
    """Noise that is isotropic already has no direction to shrink in, and stays what it is."""
    for residuals in (torch.tensor([[1.0], [-1], [2], [-2]]), torch.eye(3).repeat(2, 1)):
        residuals = residuals.double().requires_grad_()
        S = crossnobis._shrunk(residuals)
        torch.testing.assert_close(S, residuals.mT @ residuals / len(residuals))
        (grad,) = torch.autograd.grad(S.sum(), residuals)
        assert torch.isfinite(grad).all()


def test_refusals(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((12, 3)), rng.standard_normal((12, 4))
    with pytest.raises(InputError, match="rsa_crossnobis: X: .*12 samples .*repeats=M"):
        simopt.score(X, Y, "rsa_crossnobis")
    for repeats in (5, 6, 12):
        with pytest.raises(InputError, match=f"12 samples, but repeats={repeats} needs"):
            simopt.score(X, Y, "rsa_crossnobis", repeats=repeats)
    with pytest.raises(InputError, match="repeats of rsa_crossnobis is 1"):
        measures.get("rsa_crossnobis", repeats=1)
    with pytest.raises(InputError, match="repeats of rsa needs rdm=crossnobis; unset it for rdm=correlation"):
        measures.get("rsa", repeats=2)
    with pytest.raises(InputError, match="Unknown noise of rsa_crossnobis 'fulll'; the nearest: full"):
        measures.get("rsa_crossnobis", noise="fulll")
    with pytest.raises(InputError, match="kernel of a crossnobis RDM is not positive semidefinite"):
        measures.get("rsa_crossnobis", comparison="bures")
    with pytest.raises(InputError, match="Unknown residuals of rsa_crossnobis 'run'"):
        measures.get("rsa_crossnobis", residuals="run")
    for units, residuals in ((6, "two_way"), (7, "condition")):
        with pytest.raises(InputError, match=f"Y has {units} units, .* {units - 1} degrees of freedom"):
            simopt.score(X, rng.standard_normal((12, units)), get(noise="full", residuals=residuals))
    twice = np.tile(Y[:6], (2, 1))
    for noise in ("full", "diagonal"):
        with pytest.raises(InputError, match=r"unit 1|unit 0"):
            simopt.score(X, np.hstack([twice[:, :1], twice[:, :1]]), get(noise=noise))
    with pytest.raises(InputError, match="Y: .*noise=none"):
        simopt.score(X, twice, get())
    assert simopt.score(twice, twice, get(noise="none")) == pytest.approx(1)
    with pytest.raises(InputError, match="unit 2 .*linear combination"):
        simopt.score(X, Y[:, [0, 1, 1]], get(noise="full"))
    wide = rng.standard_normal((12, 7))
    assert "singular" in get(noise="full").degenerate(X, wide[:, :6])
    assert get(noise="full").degenerate(X, wide[:, :5]) is None
    assert get(noise="full", residuals="condition").degenerate(X, wide[:, :6]) is None
    assert get().degenerate(X, wide) is None


@pytest.mark.parametrize("noise", NOISES)
def test_the_formula_names_the_residuals_that_the_noise_is_computed_from(noise: str) -> None:
    for residuals in get_args(crossnobis.Residuals):
        formula = get(noise=noise, residuals=residuals).facts.formula
        assert ("e_i^A" in formula) == (noise != "none")
        assert ("mean_j z_j^A" in formula) == (noise != "none" and residuals == "two_way")
