"""simopt.optimize: the contract of the Python API."""

import numpy as np
import pytest
import torch

import simopt
from simopt.errors import DegenerateWarning, InputError, RunFailedError
from simopt.optimization.trajectory import StopReason
from tests.oracles import textbook


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((40, 6)) * [4, 3, 2, 1, 0.5, 0.2] + 7


@pytest.mark.parametrize("seeds", [(0,), (3, 1, 4)])
def test_fields_and_methods_of_a_trajectory(X: np.ndarray, seeds: tuple[int, ...]) -> None:
    trajectory = simopt.optimize(X, "nbs", seeds=seeds)
    T, R = trajectory.score.shape
    assert trajectory.step.tolist() == list(range(T))
    assert R == len(seeds)
    assert trajectory.captured_variance.shape == (T, R, 6)
    assert trajectory.Y.shape == (R, 40, 6)
    assert trajectory.half_capture().shape == (R, 6)
    assert trajectory.stop_reason is StopReason.TARGET
    assert (trajectory.score[-1] >= 0.99).all()
    steps = trajectory.steps_to(0.99)
    assert steps.shape == (R,)
    assert steps.max() == T - 1
    assert np.isnan(trajectory.steps_to(0.9999)).all()
    variance = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    np.testing.assert_allclose(trajectory.variance_ratio, variance / variance.sum(), rtol=1e-5)
    for r in range(R):
        assert trajectory.score[-1, r] == pytest.approx(
            textbook.nbs(X, trajectory.Y[r].astype(float)), abs=1e-5
        )
        last = textbook.captured_variance(X, trajectory.Y[r].astype(float))
        np.testing.assert_allclose(trajectory.captured_variance[-1, r], last, atol=1e-4)


def test_replicates_depend_on_their_seed_alone(X: np.ndarray) -> None:
    both = simopt.optimize(X, seeds=np.array([0, 5]), max_steps=np.int64(5), target=np.float32(0.99))
    other = simopt.optimize(X, seeds=(5,), max_steps=5)
    np.testing.assert_allclose(both.score[:, 1], other.score[:, 0], rtol=1e-5)
    assert not np.allclose(both.score[:, 0], both.score[:, 1])
    torch.manual_seed(99)
    again = simopt.optimize(X, seeds=(5,), max_steps=5)
    np.testing.assert_array_equal(again.Y, other.Y)


def test_the_global_random_state_is_left_alone(X: np.ndarray) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    simopt.optimize(X, max_steps=2)
    assert torch.equal(before, torch.get_rng_state())


def test_dtype_device_and_shape_of_the_recording(X: np.ndarray) -> None:
    double = simopt.optimize(X, dtype="float64", device="cpu", max_steps=3)
    assert double.Y.dtype == np.float64
    single = simopt.optimize(torch.from_numpy(X.astype(np.float32)), max_steps=3)
    assert single.Y.dtype == np.float32
    np.testing.assert_allclose(single.score, double.score, atol=1e-5)
    timed = simopt.optimize(X.reshape(4, 10, 6), max_steps=3, dtype="float64")
    np.testing.assert_array_equal(timed.score, double.score)


def test_fewer_samples_than_units(rng: np.random.Generator) -> None:
    trajectory = simopt.optimize(rng.standard_normal((12, 30)), "procrustes_angular")
    assert trajectory.captured_variance.shape[2] == 11
    assert trajectory.score[-1] >= 0.99


def test_linreg_warns_when_it_starts_high(rng: np.random.Generator) -> None:
    with pytest.warns(DegenerateWarning, match="R2 is about 0.86 for pure noise") as warned:
        trajectory = simopt.optimize(rng.standard_normal((29, 24)), "linreg")
    assert trajectory.score[0] == pytest.approx(24 / 28, abs=0.05)
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"measure": "ckaa"}, "nearest: cka"),
        ({"optimizer": "adm"}, "Unknown optimizer"),
        ({"lr": -1.0}, "optimizer: Invalid learning rate"),
        ({"target": 1.5}, r"target is 1\.5, but cka .*0 and 1"),
        ({"target": float("nan")}, "target is nan"),
        ({"max_steps": -1}, "max_steps is -1"),
        ({"seeds": ()}, "seeds.*empty"),
        ({"seeds": (1, 1)}, r"seeds=\[1, 1\]"),
        ({"seeds": (-1,)}, "a seed is -1"),
        ({"seeds": (2**63,)}, "9223372036854775808.*at most"),
        ({"init": "zeros"}, "Unknown init"),
        ({"dtype": "float16"}, "Unknown dtype"),
        ({"device": "toaster"}, "device=toaster is no device"),
    ],
)
def test_options_that_cannot_be_used(X: np.ndarray, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simopt.optimize(X, **options)


def test_a_run_that_blows_up_says_so(X: np.ndarray) -> None:
    with pytest.raises(RunFailedError, match="NaN.*step 1.*optimizer.lr"):
        simopt.optimize(X, lr=1e30)


def test_a_distance_is_optimized_downwards(X: np.ndarray) -> None:
    trajectory = simopt.optimize(X, "procrustes_angle", target=0.2)
    assert trajectory.stop_reason is StopReason.TARGET
    assert trajectory.score[0, 0] > 1 > 0.2 >= trajectory.score[-1, 0]
    assert trajectory.steps_to(0.5) < trajectory.steps_to(0.2) == trajectory.step[-1]
    with pytest.raises(InputError, match=r"target is -0\.1, but procrustes_angle .*0 and"):
        simopt.optimize(X, "procrustes_angle", target=-0.1)


def test_a_measure_without_a_gradient_is_refused(X: np.ndarray) -> None:
    with pytest.raises(InputError, match="rsa_spearman .*gradient.*track"):
        simopt.optimize(X, "rsa_spearman")
