"""What every measure yaml promises, checked for each: facts, invariances both ways, batches, binding."""

import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import simopt
from simopt import measures
from simopt.analysis.invariances import related, transformed
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.measures.base import INVARIANCES
from tests.contract import POINTS, params, point, refused
from tests.oracles import textbook

NAMES = params(POINTS)
WITHOUT_ALIASES = params(POINTS, aliases=False)
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

    @settings(max_examples=5, deadline=None, database=None, derandomize=True)
    @given(SEEDS)
    def check(seed: int) -> None:
        rng = np.random.default_rng(seed)
        X, Y = related(rng)
        before = measure(X, Y)
        X, Y = (transformed(kind, X, rng), Y) if side == "X" else (X, transformed(kind, Y, rng))
        changes.append(abs(measure(X, Y) - before).item())
        if kind in stated:
            assert changes[-1] < 1e-9

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


@pytest.mark.parametrize("name", WITHOUT_ALIASES)
def test_a_pickled_bound_measure_gives_the_same_score_bit_for_bit(
    name: str, rng: np.random.Generator
) -> None:
    X, Y = related(rng)
    bound = point(name).bind(X)
    again = pickle.loads(pickle.dumps(bound))
    assert torch.equal(again(Y), bound(Y))
    assert again.measure == bound.measure


@pytest.mark.parametrize("name", WITHOUT_ALIASES)
def test_a_bound_measure_moves_to_another_precision(name: str, rng: np.random.Generator) -> None:
    X, Y = related(rng)
    bound = point(name).bind(X)
    single = bound.to(dtype=torch.float32)
    score = single(Y.float())
    assert score.dtype == torch.float32
    assert score.item() == pytest.approx(bound(Y).item(), rel=2e-5, abs=2e-5)
    with pytest.raises(InputError, match="torch.float32"):
        single(Y)
    assert single.to("cpu", torch.float64)(Y).item() == pytest.approx(bound(Y).item(), rel=2e-5, abs=2e-5)


def test_a_bound_measure_moves_to_a_dtype_alone_and_says_what_it_is() -> None:
    bound = measures.get("cka").bind(torch.eye(5, dtype=torch.float64)[:, :3]).to(torch.float32)
    assert bound.reference.scores.dtype == torch.float32
    assert repr(bound) == "<cka bound to 5 samples, torch.float32, cpu>"


@pytest.mark.parametrize("dtype", [torch.float16, torch.int64])
def test_a_bound_measure_moves_to_no_other_dtype(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=f"{dtype}.*torch.float32 or torch.float64"):
        measures.get("cka").bind(np.eye(5)).to(dtype=dtype)


@pytest.mark.parametrize("name", WITHOUT_ALIASES)
def test_x_with_a_gradient_is_refused(name: str, rng: np.random.Generator) -> None:
    X, Y = related(rng)
    measure = point(name)
    leaf = X.clone().requires_grad_()
    for bad in (leaf, 2 * leaf):
        for refused_call in (lambda X=bad: measure(X, Y), lambda X=bad: measure.bind(X)):
            with pytest.raises(InputError, match=f"{re.escape(name)}.*Y.*X.detach") as caught:
                refused_call()
            assert ("swap X and Y" in str(caught.value)) == measure.facts.symmetric
    with torch.no_grad():
        assert torch.equal(measure(leaf, Y), measure(X, Y))
    assert torch.equal(measure(leaf.detach(), Y), measure(X, Y))


LEVELS = [0.0, 0.1, 1e6 / 3]
"""0.1 and 1e6 / 3 are rounded, and so is the mean of them: centering leaves a few eps."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", WITHOUT_ALIASES)
def test_a_constant_y_is_refused(name: str, dtype: torch.dtype, rng: np.random.Generator) -> None:
    X = draw(rng, 30, 5).to(dtype)
    bound = point(name).bind(X)
    for level in LEVELS:
        constant = torch.full((30, 4), level, dtype=dtype) * torch.linspace(0.5, 1.5, 4, dtype=dtype)
        batch = torch.stack([draw(rng, 30, 4).to(dtype), constant]).requires_grad_()
        for refused_call, which in (
            (lambda Y=constant: point(name)(X, Y), "Y"),
            (lambda Y=constant: bound(Y), "Y"),
            (lambda Y=batch: bound(Y), r"Y\[1\]"),
        ):
            with pytest.raises(InputError, match=f"{re.escape(name)}: {which} is the same in all 30 samples"):
                refused_call()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_only_the_first_y_is_examined() -> None:
    bound = measures.get("cka").bind(torch.randn(30, 5)).to("cuda")
    constant = torch.ones(30, 4, device="cuda")
    with pytest.raises(InputError, match="cka: Y is the same"):
        bound(constant)
    bound(torch.randn(30, 4, device="cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        score = bound(constant)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert score.isnan()


def test_a_large_mean_is_not_a_constant(rng: np.random.Generator) -> None:
    X, Y = draw(rng, 30, 5), draw(rng, 30, 4)
    assert measures.get("cka")(X, Y + 1e6).item() == pytest.approx(measures.get("cka")(X, Y).item(), rel=1e-6)
    padded = torch.cat([Y, torch.full((30, 1), 1e9, dtype=torch.float64)], dim=1)
    assert measures.get("cka")(X, padded).item() == pytest.approx(measures.get("cka")(X, Y).item(), rel=1e-12)


def test_what_a_bound_measure_refuses() -> None:
    bound = measures.get("cka").bind(torch.eye(5))
    with pytest.raises(InputError, match="X has 5 samples and Y has 4"):
        bound(torch.ones(4, 2))
    with pytest.raises(InputError, match="bound to X in torch.float32"):
        bound(torch.ones(5, 2, dtype=torch.float64))
    with pytest.raises(InputError, match="give Y as .*samples, units"):
        bound(torch.ones(5))
    with pytest.raises(InputError, match="Reshape .time, condition, unit."):
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


def test_a_dataset_is_scored_as_its_samples() -> None:
    recording = simopt.load_dataset("mante", source="surrogate")
    assert recording.responses.ndim == 3
    X = np.concatenate(list(recording.responses)).astype(np.float64)
    Y = Dataset("model", recording.responses[:, :, :7] ** 2)
    flat = X[:, :7] ** 2
    expected = textbook.MEASURES["cka"](X, flat)
    assert simopt.score(recording, Y) == pytest.approx(expected, rel=1e-10)
    assert simopt.score(recording, flat) == simopt.score(X, Y) == simopt.score(recording, Y)
    assert simopt.score(recording, Y, ["cka", "nbs"])["cka"] == simopt.score(recording, Y)
    score = measures.get("cka")(recording, Y)
    assert isinstance(score, torch.Tensor)
    assert score.item() == pytest.approx(expected, rel=1e-5)


def test_options_of_a_measure_that_has_its_own_are_refused() -> None:
    with pytest.raises(InputError, match="ridge1 .*penalty"):
        measures.score(np.eye(5), np.eye(5), measures.get("ridge1"), penalty=3)


def test_distinct_names_differ_in_their_options() -> None:
    distinct = set(measures.distinct())
    assert set(measures.names()) < distinct
    assert {"gulp-lambda1", "shape-repsim-alpha0.5-angular"} < distinct
    assert not distinct & {"cka-linear-gretton", "gulp-lambda0.01", "shape-netrep-alpha0.5-angular"}


@pytest.mark.parametrize(
    ("name", "option"),
    [("procrustes_angle", "centered"), ("procrustes_angle", "normalized"), ("pls25", "scale"),
     ("pls25", "pooled"), ("pls25", "fewer_components"), ("pls25", "per_unit")],
)  # fmt: skip
def test_a_word_is_no_truth_value(name: str, option: str) -> None:
    with pytest.raises(InputError, match=f"{option} of {name} is 'no'"):
        measures.get(name, **{option: "no"})


def test_linreg_says_when_it_is_degenerate() -> None:
    linreg, back = measures.get("linreg"), measures.get("linreg", direction="x_to_y")
    both = measures.get("linreg", direction="both")
    X, Y = np.random.default_rng(0).standard_normal((2, 99, 110))
    few = X[:, :20]
    assert linreg.degenerate(X, few) is None
    assert "70 units of Y for 99 samples: R2 is about 0.71" in linreg.degenerate(few, Y[:, :70])
    assert "110 units of Y >= 99 samples - 1: R2 is 1 whatever Y is" in linreg.degenerate(few, Y)
    assert linreg.degenerate(few, few @ Y[:20]) is None  # 110 units of rank 20
    assert "110 units of X >= 99 samples - 1: R2 is 1 whatever Y is" in back.degenerate(X, few)
    assert back.degenerate(few, Y) is None
    assert "R2 in one of the two directions is 1" in both.degenerate(X, few)
    assert both.degenerate(few, few) is None
    assert measures.get("linreg_cv5").degenerate(X, Y) is None
    assert linreg.degenerate(measures.Reference.of(few), torch.from_numpy(Y)) == linreg.degenerate(few, Y)


@pytest.mark.parametrize("name", WITHOUT_ALIASES)
def test_a_score_is_constant_only_with_a_warning(name: str, rng: np.random.Generator) -> None:
    """Y of one size that are unrelated to X have the same score only where the measure says so."""
    measure = point(name)
    for p, q in ((40, 3), (4, 40), (4, 3)):
        if refused(name, 30, max(p, q)):
            continue
        # Small, as the potential of distances beyond 4 underflows.
        X, Y = 0.1 * draw(rng, 30, p), 0.1 * draw(rng, 5, 30, q)
        assert np.ptp(measure.bind(X)(Y).numpy()) > 1e-9 or measure.degenerate(X, Y[0])


CROSS_VALIDATED = params(name for name in POINTS if point(name).cross_validated)


@pytest.mark.parametrize("level", [0.0, 0.1])
@pytest.mark.parametrize("name", CROSS_VALIDATED)
def test_a_constant_unit_changes_no_held_out_score(name: str, level: float, rng: np.random.Generator) -> None:
    X, Y = related(rng)
    measure, constant = point(name), torch.full((30, 1), level, dtype=torch.float64)
    padded_x, padded_y = torch.cat([X, constant], dim=1), torch.cat([Y, constant], dim=1)
    score = measure(X, Y).item()
    for pair in ((padded_x, Y), (X, padded_y), (padded_x, padded_y)):
        assert measure(*pair).item() == pytest.approx(score, rel=1e-9, abs=1e-9)
    if measure.facts.at_self is not None:
        assert measure(padded_x, padded_x).item() == pytest.approx(measure.facts.at_self, abs=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.1])
@pytest.mark.parametrize("name", CROSS_VALIDATED)
def test_a_unit_that_is_silent_in_a_fold_has_a_finite_score(
    name: str, level: float, rng: np.random.Generator
) -> None:
    measure = point(name)
    X, Y = related(rng)
    X[:6, 1] = Y[12:18, 0] = level
    for pair in ((X, Y), (Y, X)):
        score = measure(*pair).item()
        assert max(measure.facts.low, -100) <= score <= measure.facts.high
    if measure.facts.at_self is not None:
        assert measure(X, X).item() == pytest.approx(measure.facts.at_self, abs=1e-6)


@pytest.mark.parametrize("name", CROSS_VALIDATED)
def test_few_samples_are_scored_together_or_refused(name: str, rng: np.random.Generator) -> None:
    measure = point(name)
    for samples in range(5, 15):
        X, Y = draw(rng, samples, 2), draw(rng, samples, 2)
        try:
            scores = [measure(X, side).item() for side in (Y, X)]
        except InputError:
            with pytest.raises(InputError, match="too few for a score .at least 3.|choose at most"):
                measure(X, X)
            continue
        assert np.isfinite(scores).all()
        if measure.facts.at_self is not None:
            assert scores[1] == pytest.approx(measure.facts.at_self, abs=1e-6)
