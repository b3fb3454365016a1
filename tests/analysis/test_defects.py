"""Rules that name what is wrong, on data with a known defect."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.analysis import defects
from simopt.analysis.decoding import Decoder
from simopt.analysis.residual import residual
from simopt.components import principal_components
from simopt.measures import Moments, Reference
from simopt.optimization.captured import captured_variance

SAMPLES, UNITS, CLASSES = 400, 30, 4
LABELS = np.arange(SAMPLES) % CLASSES


def recording(rng: np.random.Generator) -> np.ndarray:
    """A decaying spectrum, and classes that show in weak dimensions."""
    X = rng.standard_normal((SAMPLES, UNITS)) * np.arange(1, UNITS + 1) ** -0.7
    means = np.zeros((CLASSES, UNITS))
    means[:, -6:] = rng.standard_normal((CLASSES, 6))
    return (X + means[LABELS]) @ np.linalg.qr(rng.standard_normal((UNITS, UNITS)))[0]


def defects_of(X: np.ndarray, Y: np.ndarray, percentile: float = 100.0) -> list[defects.Defect]:
    accuracy = [Decoder().decode(data, LABELS).accuracy for data in (Y, X)]
    return found(X, Y, {"cka": percentile}, {"class": (accuracy[0], accuracy[1], 1 / CLASSES)})


def found(
    X: np.ndarray,
    Y: np.ndarray,
    percentiles: dict[str, float],
    decoding: dict[str, tuple[float, float, float]] | None = None,
) -> list[defects.Defect]:
    reference = Reference.of(X)
    return defects.find(
        reference.variance_ratio.numpy(),
        captured_variance(Moments(reference, torch.from_numpy(Y))).numpy(),
        samples=len(Y),
        units=Y.shape[1],
        percentiles=percentiles,
        dimensions=float(1 / np.sum(principal_components(Y).values ** 4)),
        decoding=decoding or {},
        residual=residual(reference.scores.numpy(), Y),
    )


def without(X: np.ndarray, pcs: list[int]) -> np.ndarray:
    left, values, right = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    values[pcs] = 0
    return left * values @ right


def test_nothing_is_wrong_with_a_rotated_and_scaled_copy(rng: np.random.Generator) -> None:
    X = recording(rng)
    assert defects_of(X, 5 * X @ np.linalg.qr(rng.standard_normal((UNITS, UNITS)))[0] + 3) == []


@pytest.mark.parametrize("pcs", [[0], [2], [1, 9]], ids=str)
def test_components_that_were_removed(pcs: list[int], rng: np.random.Generator) -> None:
    X = recording(rng)
    first = defects_of(X, without(X, pcs) @ rng.standard_normal((UNITS, UNITS)))[0]
    assert first.kind == "components"
    assert f"PC {', '.join(str(pc + 1) for pc in pcs)} of the recording" in first.text


@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0])
def test_noise_that_was_added(noise: float, rng: np.random.Generator) -> None:
    X = recording(rng)
    scale = noise * np.sqrt(np.square(X - X.mean(axis=0)).sum() / X.size)
    first = defects_of(X, X + scale * rng.standard_normal(X.shape))[0]
    assert first.kind == "noise"
    snr = float(first.text.rpartition("ratio ")[2].removesuffix(")."))
    assert snr == pytest.approx(noise**-2, rel=0.25)


def test_only_the_first_components(rng: np.random.Generator) -> None:
    X = recording(rng)
    Y = without(X, list(range(8, UNITS)))[:, :20] + 1e-6 * rng.standard_normal((SAMPLES, 20))
    (first, *_) = defects_of(X, Y)
    assert (first.kind, first.text[:22]) == ("truncated", "only the first 8 of 30")


def test_only_the_first_components_and_one_of_them_missing(rng: np.random.Generator) -> None:
    X = recording(rng)
    Y = without(X, [2, *range(10, UNITS)])[:, :20] + 1e-6 * rng.standard_normal((SAMPLES, 20))
    missing, truncated, *_ = defects_of(X, Y)
    ratio = principal_components(X).values ** 2
    assert missing.text.startswith("PC 3 of the recording missing")
    assert truncated.text.startswith("only the first 10 of 30 PCs are captured")
    assert f"{ratio[:10].sum() - ratio[2]:.1%} of the variance" in truncated.text


def test_labels_that_were_scrambled(rng: np.random.Generator) -> None:
    X = recording(rng)
    means = np.stack([X[LABELS == label].mean(axis=0) for label in range(CLASSES)])
    Y = X - means[LABELS] + means[rng.permutation(LABELS)]
    kinds = [defect.kind for defect in defects_of(X, Y)]
    assert "label" in kinds
    assert "rows" not in kinds


def test_rows_that_were_shuffled_are_told_from_noise(rng: np.random.Generator) -> None:
    X = recording(rng)
    X = X + 5 * rng.standard_normal((SAMPLES, 1)) * X[0]  # a strong dimension
    assert [defect.kind for defect in defects_of(X, rng.permutation(X), percentile=40.0)] == ["rows"]
    assert [defect.kind for defect in defects_of(X, rng.standard_normal(X.shape), percentile=40.0)] == [
        "noise"
    ]


def test_captured_variance_says_nothing_with_as_many_units_as_samples(rng: np.random.Generator) -> None:
    assert defects.says_nothing(100, 95)
    assert not defects.says_nothing(100, 80)
    assert not defects.is_captured(np.ones(5), 21, 132).any()
    X = recording(rng)[:30]
    none = defects.find(
        principal_components(X).values ** 2,
        np.linspace(1, 0.9, 29),
        samples=30,
        units=40,
        percentiles={"cka": 99.0},
        dimensions=10.0,
        decoding={"class": (0.9, 0.9, 0.25)},
        residual=None,
    )
    assert none == []


def test_captured_is_past_the_midpoint_of_noise_and_one() -> None:
    assert defects.noise_level(101, 40) == 0.4
    assert defects.is_captured(np.array([0.69, 0.71]), 101, 40).tolist() == [False, True]
    X, Y = torch.randn(101, 3, dtype=torch.float64), torch.randn(300, 101, 40, dtype=torch.float64)
    measured = captured_variance(Moments(Reference.of(X), Y)).mean()
    assert float(measured) == pytest.approx(defects.noise_level(101, 40), abs=0.01)
    assert measures.get("linreg")(X, Y).mean() == pytest.approx(defects.noise_level(101, 40), abs=0.01)


def altered(X: np.ndarray, what: str, rng: np.random.Generator) -> np.ndarray:
    if what == "isotropic noise":
        return X + 0.5 * X.std() * rng.standard_normal(X.shape)
    if what == "noise of each unit":
        return X + 0.5 * X.std(axis=0) * rng.standard_normal(X.shape)
    if what == "half of the units":
        return X[:, rng.permutation(X.shape[1])[: X.shape[1] // 2]]
    return without(X, list(range(8, X.shape[1])))


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("isotropic noise", "noise", "of about the same variance in all"),
        ("noise of each unit", "noise", "of unequal variance"),
        ("half of the units", "dimensions", "Y has no noise"),
        ("first PCs", "truncated", "only the first 8 of 24 PCs"),
    ],
)
@pytest.mark.parametrize("rotated", [True, False])
def test_noise_missing_units_and_missing_pcs_are_told_apart(
    what: str, kind: str, words: str, rotated: bool
) -> None:
    right = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((150, 24)) * np.arange(1, 25) ** -0.7
        turn = np.linalg.qr(rng.standard_normal((24, 24)))[0] if rotated else np.eye(24)
        X = X @ turn * np.exp(0.3 * rng.standard_normal(24))
        (*others, last) = found(X, altered(X, what, rng), {"cka": 99.5}) or [defects.Defect("", "")]
        # Without a rotation the PCs of missing units are missing as a whole.
        known = {other.kind for other in others} <= ({"components"} if what == "half of the units" else set())
        right += known and last.kind == kind and words in last.text
    assert right >= 90


def test_a_nonlinear_y_is_not_noise_and_little_data_say_nothing_of_noise(rng: np.random.Generator) -> None:
    X = rng.standard_normal((300, 10)) * np.arange(1, 11) ** -0.7
    features = np.maximum(X @ rng.standard_normal((10, 40)), 0)
    assert not residual(Reference.of(X).scores.numpy(), features).uncorrelated
    assert "noise" not in [defect.kind for defect in found(X, features, {"cka": 99.5})]
    X = recording(rng)[:55]  # 24 degrees of freedom are left
    assert residual(Reference.of(X).scores.numpy(), X) is None
    noisy = X + 0.5 * X.std() * rng.standard_normal(X.shape)
    assert "noise" not in [defect.kind for defect in found(X, noisy, {"cka": 99.5})]


def test_the_share_of_noise_is_free_of_bias() -> None:
    """Half of the variance of Y is noise; a regression on 30 PCs takes up 30 of its 99 dimensions."""
    shares = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((100, 30))
        shares.append(residual(Reference.of(X).scores.numpy(), X + rng.standard_normal(X.shape)).share)
    assert np.mean(shares) == pytest.approx(0.5, abs=4 * np.std(shares) / np.sqrt(50))


def test_without_a_null_labels_alone_are_judged(rng: np.random.Generator) -> None:
    """Unrelated random walks capture each other's first PCs, as related data do."""
    X, Y = (rng.standard_normal((200, 10)).cumsum(axis=0) for _ in "XY")
    assert found(X, Y, {}) == []
    (label,) = found(X, Y, {}, {"class": (0.2, 0.9, 0.25)})
    assert label.text == "class cannot be decoded: accuracy 0.20, below chance, recording 0.90, chance 0.25."


def test_a_saturated_measure_has_a_null_so_that_components_are_judged(rng: np.random.Generator) -> None:
    X = recording(rng)
    assert found(X, without(X, [2]), {"a": np.nan})[0].kind == "components"


@pytest.mark.parametrize("order", [1, -1])
def test_a_missing_percentile_hides_no_other(order: int, rng: np.random.Generator) -> None:
    X = recording(rng)
    for known, kinds in ((40.0, ["noise"]), (99.0, [])):
        percentiles = dict([("a", np.nan), ("b", known)][::order])
        Y = X if known > 95 else rng.standard_normal(X.shape)
        assert [defect.kind for defect in found(X, Y, percentiles)] == kinds
