"""A run in the span of X and Y0 is the run itself."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import simopt
from simopt import catalogue, measures
from simopt.measures import Reference
from simopt.optimization.init import GaussianInit
from simopt.optimization.loop import Ascent
from simopt.optimization.span import Span, fewer, parts
from tests.contract import POINTS, point


def test_reduce_and_expand_are_inverse_and_keep_products(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 8)) + 3
    Y0 = torch.from_numpy(rng.standard_normal((2, 60, 4)) + 2)
    span = Span(Reference.of(X), Y0)
    Z = span.reduce(Y0)
    assert Z.shape == (2, 10, 4)
    torch.testing.assert_close(span.expand(Z), Y0)
    torch.testing.assert_close(Z.mean(dim=-2), torch.zeros(2, 4, dtype=torch.float64), rtol=0, atol=1e-14)
    centered = Y0 - Y0.mean(dim=-2, keepdim=True)
    torch.testing.assert_close(Z.mT @ Z, centered.mT @ centered)
    Xc = torch.from_numpy(X - X.mean(axis=0))
    torch.testing.assert_close(span.reference.responses.mT @ Z, Xc.mT @ centered)
    torch.testing.assert_close(span.reference.variance_ratio, Reference.of(X).variance_ratio)
    torch.testing.assert_close(span.amplitude, torch.linalg.svdvals(Xc)[:5])


@pytest.mark.parametrize("name", ["cka", "nbs", "linreg", "ridge100", "cca"])
def test_scores_are_the_same_in_fewer_rows(name: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 6)) @ rng.standard_normal((6, 8)) * 3 + 1
    Y0 = torch.from_numpy(rng.standard_normal((60, 4)) + 2)
    measure = measures.get(name)
    span = Span(Reference.of(X), Y0)
    Y = span.reduce(torch.stack([Y0, Y0 + torch.from_numpy(X[:, :4])]))
    assert Y.shape == (2, 11, 4)
    expected = measure.bind(X)(torch.stack([Y0, Y0 + torch.from_numpy(X[:, :4])]))
    torch.testing.assert_close(measure.bind(span.reference)(Y), expected)
    torch.testing.assert_close(measure.bind(X)(span.expand(Y)), expected)
    torch.testing.assert_close(Y.mean(dim=-2), torch.zeros(2, 4, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-15, 1e-3])
def test_y0_that_x_all_but_holds_is_kept(size: float, rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 5))
    Y0 = torch.from_numpy(X[:, [0, 1, 1]] + size * rng.standard_normal((60, 3)))
    span = Span(Reference.of(X), Y0)
    Z = span.reduce(Y0)
    torch.testing.assert_close(span.expand(Z), Y0)
    torch.testing.assert_close(Z.mean(dim=-2), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-13)
    centered = torch.from_numpy(X - X.mean(axis=0))
    torch.testing.assert_close(span.reference.responses.mT @ Z, centered.mT @ (Y0 - Y0.mean(dim=0)))


def test_without_fewer_rows_y_keeps_its_samples(rng: np.random.Generator) -> None:
    X = rng.standard_normal((7, 4)) * [3, 2, 1, 0.5] + 1
    Y0 = torch.from_numpy(rng.standard_normal((7, 9)))
    span = Span(Reference.of(X), Y0, fewer=False)
    assert span.outside == 2
    torch.testing.assert_close(span.reduce(Y0), Y0, rtol=0, atol=0)
    torch.testing.assert_close(span.expand(Y0), Y0, rtol=0, atol=0)
    Y = span.place(torch.eye(6))
    torch.testing.assert_close(Y.mT @ Y, torch.eye(6, dtype=torch.float64))
    outside = torch.from_numpy(X - X.mean(axis=0)).mT @ Y[:, 4:]
    torch.testing.assert_close(outside, torch.zeros(4, 2, dtype=torch.float64), rtol=0, atol=1e-12)
    assert Y.sum(dim=0).abs().max() < 1e-12


def test_large_y_are_evaluated_one_by_one() -> None:
    assert parts(torch.zeros(3, 10, 10)) == [slice(0, 3)]
    assert parts(torch.zeros(3, 500, 200)) == [slice(0, 1), slice(1, 2), slice(2, 3)]


@pytest.mark.parametrize("name", ["cka", "nbs", "procrustes_angular", "linreg", "ridge10"])
@pytest.mark.parametrize("options", [{"lr": 5.0}, {"lr": 2.0, "momentum": 0.9, "nesterov": True}])
def test_the_whole_run_is_the_same(name: str, options: dict, rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 6)) * [4, 2, 1, 1, 0.5, 0.2]
    reference = Reference.of(X)
    Y0 = GaussianInit()([0, 1], 80, 5)
    measure = measures.get(name)
    factory = catalogue.build({**catalogue.read("optimizer", "sgd"), **options}, "optimizer", partial=True)
    span = Span(reference, Y0)
    whole = Ascent(measure.bind(reference), Y0, factory, 0.999, 60)
    fewer = Ascent(measure.bind(span.reference), span.reduce(Y0), factory, 0.999, 60)
    scores: list[list[torch.Tensor]] = [[], []]
    for ascent, kept in zip((whole, fewer), scores, strict=True):
        ascent.run(lambda state, kept=kept: kept.append(state.score))
    full, reduced = (torch.stack(kept) for kept in scores)
    assert full[-1].min() > full[0].max() + 0.02
    torch.testing.assert_close(reduced, full, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(span.expand(fewer.Y), whole.Y, rtol=1e-7, atol=1e-7)


FLAGGED = [name for name in POINTS if point(name).differentiable and point(name).facts.sample_rotations]


@pytest.mark.parametrize("name", FLAGGED)
def test_measures_that_say_so_are_blind_to_rotations_of_the_samples(
    name: str, rng: np.random.Generator
) -> None:
    X = torch.from_numpy(rng.standard_normal((40, 5)) * [3, 2, 1, 0.5, 0.2])
    Y = X @ torch.from_numpy(rng.standard_normal((5, 4))) + torch.from_numpy(rng.standard_normal((40, 4)))
    span = Span(Reference.of(X), Y[None])
    reduced = point(name).bind(span.reference)(span.reduce(Y[None]))[0]
    torch.testing.assert_close(reduced, point(name)(X, Y), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("measure", "track", "optimizer", "options", "used"),
    [
        ("cka", (), "sgd", {}, True),
        ("cka", ("nbs",), "sgd", {"momentum": 0.9}, True),
        ("cka", (), "sgd", {"weight_decay": 0.1}, False),
        ("cka", (), "adam", {}, False),
        ("cka", (), "lbfgs", {}, False),
        ("cka", ("rsa",), "sgd", {}, False),
        ("cka_rbf", (), "sgd", {}, False),
        ("linreg_cv5", (), "sgd", {}, False),
    ],
)
def test_fewer_rows_are_used_where_nothing_tells_the_difference(
    measure: str, track: tuple[str, ...], optimizer: str, options: dict, used: bool, rng
) -> None:
    factory = catalogue.build(
        {**catalogue.read("optimizer", optimizer), **options}, "optimizer", partial=True
    )
    chosen = [measures.get(name) for name in (measure, *track)]
    X = rng.standard_normal((40, 5))
    assert fewer(Reference.of(X), torch.zeros(1, 40, 4), chosen, factory) is used
    assert not fewer(Reference.of(X[:10]), torch.zeros(1, 10, 4), chosen, factory)


def test_rows_are_not_made_where_there_is_no_float64(rng: np.random.Generator) -> None:
    factory = catalogue.build(catalogue.read("optimizer", "sgd"), "optimizer", partial=True)
    reference = Reference.of(rng.standard_normal((40, 5)))
    on_metal = replace(reference, scores=SimpleNamespace(shape=(40, 5), device=torch.device("mps")))
    assert fewer(reference, torch.zeros(1, 40, 4), [measures.get("cka")], factory)
    assert not fewer(on_metal, torch.zeros(1, 40, 4), [measures.get("cka")], factory)


def test_what_comes_of_it_has_all_samples(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 5)).astype(np.float32)
    trajectory = simopt.optimize(X, "nbs", optimizer="sgd", lr=20, max_steps=15, dtype="float64")
    assert trajectory.Y.shape == (1, 60, 5)
    assert simopt.score(X, trajectory.Y[0], "nbs") == pytest.approx(trajectory.score[-1, 0], rel=1e-9)
