"""What every measure yaml promises, checked for each: facts, invariances both ways, batches, binding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simopt import measures
from simopt.analysis.invariances import related, transformed
from simopt.errors import InputError
from simopt.measures.base import INVARIANCES
from tests.contract import POINTS, params, point, refused

NAMES = params(POINTS)
SEEDS = st.integers(0, 2**32 - 1)


def draw(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape))


@pytest.mark.parametrize("side", ["X", "Y"])
@pytest.mark.parametrize("kind", INVARIANCES)
@pytest.mark.parametrize("name", NAMES)
def test_stated_invariances_hold_and_unstated_ones_fail(name: str, kind: str, side: str) -> None:
    measure = point(name)
    stated = measure.facts.invariant_x if side == "X" else measure.facts.invariant_y
    changes = []
    exact = 1e-7 if "pls25" in name else 1e-9  # an iteration

    @settings(max_examples=5, deadline=None, database=None, derandomize=True)
    @given(SEEDS)
    def check(seed: int) -> None:
        rng = np.random.default_rng(seed)
        X, Y = related(rng)
        before = measure(X, Y)
        X, Y = (transformed(kind, X, rng), Y) if side == "X" else (X, transformed(kind, Y, rng))
        changes.append(abs(measure(X, Y) - before).item())
        if kind in stated:
            assert changes[-1] < exact

    check()
    if kind not in stated:
        assert max(changes) > 1e-8


@pytest.mark.parametrize("name", NAMES)
def test_range_and_value_at_the_recording(name: str, rng: np.random.Generator) -> None:
    measure = point(name)
    facts = measure.facts
    X, Y = related(rng)
    for candidate in (Y, draw(rng, 30, 4), draw(rng, 30, 40), X):
        if refused(name, *candidate.shape):
            with pytest.raises(InputError, match="Mahalanobis"):
                measure(X, candidate)
            continue
        score = measure(X, candidate).item()
        assert facts.low - 1e-9 <= score <= facts.high + 1e-9
    if facts.at_self is not None:
        assert measure(X, X).item() == pytest.approx(facts.at_self, abs=1e-6)
        closer = measure(X, X + 1e-3 * draw(rng, 30, 5)).item()
        assert measure.sign * closer >= measure.sign * measure(X, draw(rng, 30, 5)).item()


@pytest.mark.parametrize("name", NAMES)
def test_symmetry_is_as_stated(name: str, rng: np.random.Generator) -> None:
    measure = point(name)
    differences = []
    for _ in range(10):
        X, Y = related(rng)
        differences.append(abs(measure(X, Y).item() - measure(Y, X).item()))
    assert (max(differences) < 1e-9) == measure.facts.symmetric
    assert (measure.facts.direction == "symmetric") == measure.facts.symmetric


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_members_and_binding_changes_nothing(name: str, rng: np.random.Generator) -> None:
    measure = point(name)
    X = draw(rng, 20, 5)
    Y = draw(rng, 2, 3, 20, 4)
    bound = measure.bind(X)
    scores = bound(Y)
    assert scores.shape == (2, 3)
    for index in np.ndindex(2, 3):
        torch.testing.assert_close(scores[index], measure(X, Y[index]), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(bound(Y[0, 0].numpy()), scores[0, 0])


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_complete(name: str) -> None:
    measure = point(name)
    assert measure.name == name
    assert measure.facts.formula
    assert measure.facts.source
    assert measure.facts.family
    assert measure.facts.low < measure.facts.high
    assert measure.facts.invariant_x | measure.facts.invariant_y <= set(INVARIANCES)


@pytest.mark.parametrize("name", NAMES)
def test_float32_agrees_with_float64(name: str, rng: np.random.Generator) -> None:
    X, Y = related(rng)
    measure = point(name)
    single = measure(X.float(), Y.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(measure(X, Y).item(), rel=2e-5, abs=2e-5)


def test_what_a_bound_measure_refuses() -> None:
    bound = measures.get("cka").bind(torch.eye(5))
    with pytest.raises(InputError, match="X has 5 samples and Y has 4"):
        bound(torch.ones(4, 2))
    with pytest.raises(InputError, match="bound to X in torch.float32"):
        bound(torch.ones(5, 2, dtype=torch.float64))
    with pytest.raises(InputError, match="expected .*samples, units"):
        bound(torch.ones(5))
    with pytest.raises(InputError, match="reshape .time, condition, unit."):
        measures.get("cka").bind(torch.zeros(2, 3, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_dtypes_are_scored_in_float64(dtype: torch.dtype, rng: np.random.Generator) -> None:
    X, Y = ((10 * draw(rng, 20, units)).to(dtype) for units in (4, 3))
    for name in ("cka", "nbs", "linreg_cv5"):
        score = measures.get(name)(X, Y)
        assert score.dtype == torch.float64
        assert score.item() == measures.get(name)(X.double(), Y.double()).item()
        assert score.item() == pytest.approx(measures.score(X, Y, name), rel=1e-12)
    if dtype.is_floating_point:
        leaf = Y.clone().requires_grad_()
        (grad,) = torch.autograd.grad(measures.get("nbs").bind(X)(leaf), leaf)
        assert grad.dtype == dtype
        assert grad.any()


def test_arrays_that_torch_cannot_share_are_copied(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((20, 4)), rng.standard_normal((20, 3))
    expected = measures.get("cka")(X, Y).item()
    assert measures.get("cka")(X[::-1], Y[::-1]).item() == pytest.approx(expected, rel=1e-12)
    for array in (X, Y):
        array.flags.writeable = False
    assert measures.get("cka")(X, Y).item() == expected


def test_options_of_a_measure_that_has_its_own_are_refused() -> None:
    with pytest.raises(InputError, match="ridge1 is a measure with its options fixed; give penalty to"):
        measures.score(np.eye(5), np.eye(5), measures.get("ridge1"), penalty=3)


def test_distinct_names_differ_in_their_options() -> None:
    found = set(measures.distinct())
    assert set(measures.names()) < found
    assert {"gulp-lambda1", "shape-repsim-alpha0.5-angular"} < found
    assert not found & {"cka-linear-gretton", "gulp-lambda0.01", "shape-netrep-alpha0.5-angular"}


@pytest.mark.parametrize(
    ("name", "option"),
    [("procrustes_angle", "centered"), ("procrustes_angle", "normalized"), ("pls25", "scale"),
     ("pls25", "pooled"), ("pls25", "fewer_components"), ("pls25", "per_unit")],
)  # fmt: skip
def test_a_word_is_no_truth_value(name: str, option: str) -> None:
    with pytest.raises(InputError, match=f"{option} of {name} is 'no'; it is true or false"):
        measures.get(name, **{option: "no"})


def test_linreg_says_when_it_is_degenerate() -> None:
    linreg = measures.get("linreg")
    assert linreg.degenerate(100, 20) is None
    assert "about 0.71" in linreg.degenerate(99, 70)
    assert "R2 is 1 whatever Y is" in linreg.degenerate(50, 60)
    assert measures.get("linreg_cv5").degenerate(50, 60) is None
