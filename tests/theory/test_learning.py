"""Predicted learning orders against integrated gradients, drawn matrices and runs."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm, polar, subspace_angles

import simopt
from simopt import measures
from simopt.errors import InputError, NumericalError
from simopt.measures import FunctionMeasure, Moments, Reference
from simopt.optimization.captured import captured_variance
from simopt.report.published import numbers
from simopt.theory.learning import ASSUMPTIONS, compare, gradient_at_start, predict
from simopt.theory.learning_paths import captured_variance as captured_by

TWINS = ["majaj", "mante", "freeman_ziemba", "siegel", "hatsopoulos"]


def small(seed: int = 0) -> np.ndarray:
    return simopt.load_dataset("gaussian", samples=400, units=40, exponent=1.0, seed=seed).samples()


def spectrum_of(X: np.ndarray) -> np.ndarray:
    values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2
    return values[values > 1e-10 * values[0]]


def flow(X: np.ndarray, name: str, Y0: np.ndarray, clock: float, scale) -> np.ndarray:
    """Integrate Y' = scale(Y) times the measure's own gradient."""
    bound = measures.get(name).bind(X)

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        Y = torch.tensor(flat.reshape(Y0.shape), requires_grad=True)
        (gradient,) = torch.autograd.grad(bound(Y), Y)
        return (scale(flat.reshape(Y0.shape)) * gradient.numpy()).ravel()

    solved = solve_ivp(slope, (0, clock), Y0.ravel(), rtol=1e-10, atol=1e-10)
    return solved.y[:, -1].reshape(Y0.shape)


def centered_pair(rng: np.random.Generator, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    X, Y = rng.standard_normal((n, p)) * np.arange(p, 0, -1), rng.standard_normal((n, p))
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    return X / np.linalg.norm(X), Y


@pytest.mark.parametrize("clock", [0.7, 3.0])
def test_the_flow_of_cka_has_the_column_space_of_the_exponential(
    rng: np.random.Generator, clock: float
) -> None:
    X, Y0 = centered_pair(rng, 14, 4)
    K = X @ X.T

    def scale(Y: np.ndarray) -> float:
        return np.linalg.norm(X.T @ X) * np.linalg.norm(Y.T @ Y) / 2  # the gradient is then K Y - b K_y Y

    Y = flow(X, "cka", Y0, clock, scale)
    assert np.linalg.norm(Y - Y0) > 0.1
    assert subspace_angles(Y, expm(clock * K) @ Y0).max() < 1e-6
    assert subspace_angles(Y, Y0).max() > 1e-2


def test_the_flow_of_nbs_is_a_ray(rng: np.random.Generator) -> None:
    X, Y0 = centered_pair(rng, 14, 4)
    left, values, _ = np.linalg.svd(X, full_matrices=False)
    F = left * values
    step = F @ polar(F.T @ Y0)[0]
    Y = flow(X, "nbs", Y0, 15.0, lambda Y: 1.0)
    plane = np.stack([Y0.ravel(), step.ravel()], axis=1)
    weights, *_ = np.linalg.lstsq(plane, Y.ravel(), rcond=None)
    assert weights[1] / weights[0] > 1
    np.testing.assert_allclose(plane @ weights, Y.ravel(), atol=1e-7)


@pytest.mark.parametrize("clock", [0.0, 3.0, 30.0])
def test_captured_variance_of_the_exponential_against_drawn_matrices(
    rng: np.random.Generator, clock: float
) -> None:
    spectrum = 1 / np.arange(1, 31)
    ratio, draws, n, p = spectrum / spectrum.sum(), 60, 150, 30
    gain = np.ones(n - 1)
    gain[:30] = np.exp(clock * ratio)
    drawn = np.empty((draws, 30))
    for row in drawn:
        basis, _ = np.linalg.qr(gain[:, None] * rng.standard_normal((n - 1, p)))
        row[:] = np.square(basis[:30]).sum(axis=1)
    error = drawn.std(axis=0) / np.sqrt(draws)
    # 1/p is the order of what the limit leaves out
    predicted = captured_by(2 * clock * ratio, n, p)
    assert np.all(np.abs(predicted - drawn.mean(axis=0)) < 4 * error + 0.3 / p)
    assert captured_by(0 * ratio, n, p) == pytest.approx(np.full(30, p / (n - 1)))


def test_nbs_with_few_pcs_and_many_units_has_a_closed_form() -> None:
    spectrum = np.array([0.6, 0.3, 0.1])
    n, p, s = 100_000, 3000, np.sqrt(spectrum)
    prediction = predict(spectrum, n, p, "nbs")
    tau = np.geomspace(1, 1e5, 400)
    score = (np.sqrt(p) * s.sum() + tau) / np.sqrt(p * (n - 1) + 2 * tau * np.sqrt(p) * s.sum() + tau**2)
    along = (np.sqrt(p) + tau[:, None] * s) ** 2
    captured = along / (along + n - 1 - p)
    expected = np.stack([np.interp(prediction.score, score, captured[:, i]) for i in range(3)], axis=1)
    np.testing.assert_allclose(prediction.captured_variance[1:], expected[1:], atol=0.02)
    half = [np.interp((p / (n - 1) + 1) / 2, captured[:, i], score) for i in range(3)]
    np.testing.assert_allclose(prediction.half_capture(), half, atol=0.01)


@pytest.mark.parametrize("measure", ["cka", "linreg"])
@pytest.mark.parametrize("seed", range(3))
def test_larger_pcs_are_learned_first(measure: str, seed: int) -> None:
    spectrum = np.sort(np.random.default_rng(seed).lognormal(sigma=2, size=25))[::-1]
    prediction = predict(spectrum, 300, 40, measure)
    half = prediction.half_capture()
    reached = np.isfinite(half)
    assert reached[0]
    assert np.all(np.diff(half[reached]) > 0)
    assert not np.any(np.diff(reached.astype(int)) > 0)
    assert np.all(np.diff(prediction.captured_variance, axis=1) <= 1e-12)


@pytest.mark.parametrize("measure", ASSUMPTIONS)
def test_a_prediction_starts_at_noise_and_ends_at_the_target(measure: str) -> None:
    X = small()
    prediction = predict(spectrum_of(X), *X.shape, measure, target=0.9, seeds=range(8))
    Y0 = torch.randn(8, *X.shape, dtype=torch.float64)
    assert prediction.score[0] == pytest.approx(float(measures.get(measure)(X, Y0).mean()), rel=0.03)
    assert prediction.score[-1] == pytest.approx(0.9)
    assert prediction.captured_variance[0].mean() == pytest.approx(40 / 399, abs=0.01)
    assert np.all(np.diff(prediction.score) > 0)


RATES = {"cka": 200.0, "nbs": 200.0, "linreg": 300.0}  # measured: at most 0.008 in the median, 0.025 anywhere


@pytest.mark.parametrize("measure", RATES)
def test_small_steps_along_the_gradient_follow_the_prediction(measure: str) -> None:
    X = small()
    run = simopt.optimize(
        X,
        measure,
        optimizer="sgd",
        lr=RATES[measure],
        target=0.95,
        max_steps=1500,
        seeds=range(8),
        device="cpu",
    )
    assert run.steps_to(0.95).max() < 1500
    comparison = compare(
        predict(spectrum_of(X), *X.shape, measure, target=0.95, seeds=range(8)), run.half_capture()
    )
    assert comparison.median_difference < 0.012
    assert comparison.largest_difference < 0.035
    assert comparison.rank_correlation > 0.99
    assert comparison.never_run - comparison.never_both <= 3
    assert comparison.never_predicted == comparison.never_both


# Adam is no gradient flow. Measured median differences: 0.014, 0.028, 0.011, 0.010, 0.015.
ADAM = {"cka": 0.02, "cka_angular": 0.035, "nbs": 0.015, "procrustes_angular": 0.015, "linreg": 0.02}


@pytest.mark.parametrize("measure", ASSUMPTIONS)
def test_runs_with_adam_against_the_prediction(measure: str) -> None:
    X = small()
    run = simopt.optimize(X, measure, seeds=range(4), device="cpu")
    comparison = compare(predict(spectrum_of(X), *X.shape, measure, seeds=range(4)), run.half_capture())
    assert comparison.median_difference < ADAM[measure]
    assert comparison.rank_correlation > 0.98
    assert comparison.never_run == pytest.approx(comparison.never_predicted, abs=4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::simopt.errors.DegenerateWarning")
@pytest.mark.parametrize("measure", ASSUMPTIONS)
@pytest.mark.parametrize("dataset", TWINS)
def test_the_five_recordings_by_their_spectra(dataset: str, measure: str) -> None:
    twin = simopt.load_dataset(dataset, source="surrogate")
    prediction = predict(twin.spectrum(), *twin.samples().shape, measure)
    run = simopt.optimize(twin.responses, measure, device="cpu")
    comparison = compare(prediction, run.half_capture())
    assert comparison.median_difference < (0.07 if measure.startswith("cka") else 0.02)
    assert comparison.rank_correlation > 0.95
    if dataset in ("majaj", "mante"):
        assert compare(prediction, numbers.half_capture(dataset, measure)).median_difference < 0.02


@pytest.mark.slow
def test_majaj_by_small_steps_along_the_gradient() -> None:
    X = simopt.load_dataset("majaj", source="surrogate").samples()
    run = simopt.optimize(X, "cka", optimizer="sgd", lr=1000.0, target=0.97, max_steps=4000, device="cpu")
    comparison = compare(predict(spectrum_of(X), *X.shape, "cka", target=0.97), run.half_capture())
    assert comparison.median_difference < 0.005
    assert comparison.largest_difference < 0.03


@pytest.mark.parametrize("measure", ["cka", "nbs", "linreg", "procrustes_euclidean", "rsa"])
def test_rates_at_the_start_against_a_small_step(measure: str) -> None:
    X = simopt.load_dataset("gaussian", samples=40, units=6).samples().astype(np.float64)
    reference, chosen, step = Reference.of(X), measures.get(measure), 1e-5
    start = gradient_at_start(X, measure, [3, 5], units=9)
    assert start.captured.shape == (2, 6)
    Y0 = torch.randn(40, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).requires_grad_()
    (slope,) = torch.autograd.grad(chosen.sign * chosen(X, Y0), Y0)
    slope = slope / slope.square().mean().sqrt()
    ends = [(Y0.detach() + sign * step * slope) for sign in (1, -1)]
    captured = [captured_variance(Moments(reference, Y)).numpy() for Y in ends]
    np.testing.assert_allclose(start.captured[1], (captured[0] - captured[1]) / (2 * step), atol=1e-7)


@pytest.mark.parametrize(
    ("measure", "power"), [("cka", 1.0), ("linreg", 1.0), ("nbs", 0.5), ("ridge100", 1.0)]
)
def test_the_gradient_favours_large_pcs_by_a_power_of_their_variance(measure: str, power: float) -> None:
    X = simopt.load_dataset("gaussian", samples=1000, units=60, exponent=1.0).samples()
    start = gradient_at_start(X, measure, range(4))
    slope, _ = np.polyfit(np.log(spectrum_of(X)[:20]), np.log(start.captured.mean(axis=0)[:20]), 1)
    assert slope == pytest.approx(power, abs=0.1)
    assert start.order[:2].tolist() == [0, 1]


def test_the_first_pc_of_a_run_is_the_fastest_at_its_start() -> None:
    X = small()
    order = gradient_at_start(X, "cka", [0]).order
    run = simopt.optimize(X, "cka", seeds=[0], device="cpu")
    assert order[0] == np.nanargmin(run.half_capture()[0])


def test_a_comparison_counts_and_ranks() -> None:
    prediction = predict([0.5, 0.3, 0.2], 50, 10, "cka")
    half = prediction.half_capture()
    assert np.isfinite(half).all()
    same = compare(prediction, half)
    assert (same.median_difference, same.largest_difference) == (0, 0)
    assert same.rank_correlation == pytest.approx(1)
    other = compare(prediction, half + np.array([[0.1, 0.02, 0.5], [0.1, 0.02, np.nan], [0.1, 0.02, np.nan]]))
    assert other.median_difference == pytest.approx(0.06)  # the first two PCs hold 80 %
    assert (other.never_predicted, other.never_run, other.never_both) == (0, 1, 0)
    assert np.isnan(other.rank_correlation)
    assert compare(prediction, half[:1]).largest_difference == 0


def test_fewer_units_than_pcs_end_below_the_target() -> None:
    prediction = predict(np.ones(30) * np.arange(30, 0, -1), 200, 5, "linreg")
    assert prediction.score[-1] == pytest.approx(np.arange(26, 31).sum() / np.arange(31).sum())
    assert np.isnan(prediction.half_capture()).sum() == 25
    best = np.sqrt(np.square(np.arange(26, 31)).sum() / np.square(np.arange(31)).sum())
    assert predict(np.arange(30, 0, -1.0), 200, 5, "cka").score[-1] == pytest.approx(best)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"measure": "cca"}, r"'cca'.*cka, cka_angular"),
        ({"spectrum": [1.0, -1.0]}, "finite variances"),
        ({"spectrum": [1.0] * 60}, "60 variances above zero; X with 50 samples has at most 49"),
        ({"units": 49}, "50 samples.* 49 units"),
        ({"measure": "nbs", "units": 2}, r"2 units.*3 PCs"),
        ({"target": 1.0}, r"target.* 1\.0"),
        ({"target": 0.1}, r"target.* 0\.1\b.*cka"),
        ({"seeds": []}, "seeds is empty"),
    ],
)
def test_what_cannot_be_predicted_is_refused(changed: dict, message: str) -> None:
    options = {"spectrum": [3.0, 2.0, 1.0], "samples": 50, "units": 20, "measure": "cka", **changed}
    with pytest.raises(InputError, match=message):
        predict(**options)


def test_what_has_no_gradient_is_refused() -> None:
    X = small()
    with pytest.raises(InputError, match="rsa_kendall"):
        gradient_at_start(X, "rsa_kendall")
    with pytest.raises(InputError, match="seeds is empty"):
        gradient_at_start(X, "cka", [])
    with pytest.raises(InputError, match="blind .*torch"):
        gradient_at_start(X, FunctionMeasure(name="blind", function=lambda X, Y: float(Y.detach().sum())))
    flat = FunctionMeasure(name="flat", function=lambda X, Y: 0 * Y.sum())
    with pytest.raises(NumericalError, match="flat.*seed 0 is 0"):
        gradient_at_start(X, flat)
    with pytest.raises(InputError, match=r"4 PCs.* 3\b"):
        compare(predict([3.0, 2.0, 1.0], 50, 20, "cka"), np.zeros(4))
