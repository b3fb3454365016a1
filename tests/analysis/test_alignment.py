"""Y laid over X, and which states of a run are shown."""

import numpy as np
import pytest
import scipy.linalg
import torch

import simopt
from simopt.analysis.alignment import Snapshots, aligned
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.measures.moments import Moments
from simopt.optimization import State, captured_variance


def rotation(rng, size):
    return scipy.linalg.qr(rng.normal(size=(size, size)))[0]


@pytest.mark.parametrize("units", [3, 5, 8])
def test_it_is_orthogonal_procrustes_as_scipy_does_it_on_padded_data(rng, units):
    X, Y = rng.normal(size=(40, 5)), rng.normal(size=(40, units)) + 3
    width = max(5, units)
    wide_x = np.pad(X - X.mean(axis=0), ((0, 0), (0, width - 5)))
    wide_y = np.pad(Y - Y.mean(axis=0), ((0, 0), (0, width - units)))
    wide_y *= np.linalg.norm(wide_x) / np.linalg.norm(wide_y)
    turn, _ = scipy.linalg.orthogonal_procrustes(wide_y, wide_x)
    np.testing.assert_allclose(aligned(X, Y), (wide_y @ turn)[:, :5] + X.mean(axis=0), atol=1e-12)


def test_no_random_rotation_comes_closer(rng):
    X, Y = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    onto = aligned(X, Y)
    least = np.linalg.norm(X - onto)
    centre = X.mean(axis=0)
    others = [np.linalg.norm(X - centre - (onto - centre) @ rotation(rng, 4)) for _ in range(200)]
    assert least < min(others)


def test_rotation_reflection_scale_and_mean_of_y_change_nothing(rng):
    X, Y = rng.normal(size=(40, 5)), rng.normal(size=(40, 6))
    turned = 7.5 * Y @ rotation(rng, 6) + rng.normal(size=6)
    np.testing.assert_allclose(aligned(X, turned), aligned(X, Y), atol=1e-12)
    np.testing.assert_allclose(aligned(X, -2 * X @ rotation(rng, 5) + 1), X, atol=1e-12)


def test_float32_stays_and_comes_near_to_float64(rng):
    X, Y = rng.normal(size=(200, 20)) + 5, rng.normal(size=(200, 30))
    single = aligned(X.astype(np.float32), Y.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, aligned(X, Y), atol=1e-4)


def test_what_cannot_be_aligned_is_refused(rng):
    X = rng.normal(size=(10, 3))
    with pytest.raises(InputError, match="X has 10 samples and Y has 9"):
        aligned(X, X[:9])
    with pytest.raises(InputError, match="Y is the same in all 10 samples"):
        aligned(X, np.ones((10, 3)))


def watch(X, scores, *, frames, target=1.0, sign=1, rows=None):
    """Show made-up states to the observer: the one with score s is noise and s X."""
    reference = Reference.of(X)
    noise = np.random.default_rng(1).normal(size=X.shape)
    rows = np.arange(len(X)) if rows is None else rows
    seen = Snapshots(reference, rows, frames=frames, target=target, sign=sign, synthetic=lambda Y: Y.clone())
    for step, score in enumerate(scores):
        Y = torch.from_numpy(noise * 0.1 + score * X)[None]
        last = step == len(scores) - 1
        seen(State(step, torch.tensor([score]), Moments(reference, Y), last))
    return seen


def test_frames_are_evenly_spaced_in_score_whatever_the_steps(rng):
    X = rng.normal(size=(20, 4))
    scores = np.linspace(0.1, 1, 1001) ** 3
    seen = watch(X, scores, frames=10)
    shown = [shot.score for shot in seen.evenly()]
    np.testing.assert_allclose(np.diff(shown), (scores[-1] - scores[0]) / 9, atol=0.06)
    assert (shown[0], shown[-1]) == (pytest.approx(scores[0]), pytest.approx(scores[-1]))
    assert len(seen.kept) <= 2 * 10 + 2


def test_a_distance_is_followed_downwards(rng):
    seen = watch(rng.normal(size=(20, 4)), np.linspace(3, 0.5, 200), frames=6, target=0.5, sign=-1)
    shown = [shot.score for shot in seen.evenly()]
    np.testing.assert_allclose(shown, np.linspace(3, 0.5, 6), atol=0.25)
    assert sorted(shown, reverse=True) == shown


def test_the_last_state_is_the_last_frame_even_if_the_score_fell(rng):
    seen = watch(rng.normal(size=(20, 4)), [0.1, 0.4, 0.9, 0.8, 0.7], frames=5)
    shots = seen.evenly()
    assert [shots[0].step, shots[-1].step] == [0, 4]
    assert [shot.step for shot in shots] == sorted(shot.step for shot in shots)


def test_a_leap_is_held_and_a_single_state_is_every_frame(rng):
    X = rng.normal(size=(20, 4))
    assert [shot.step for shot in watch(X, [0.0, 1.0], frames=4).evenly()] == [0, 0, 1, 1]
    assert [shot.step for shot in watch(X, [1.0], frames=3).evenly()] == [0, 0, 0]


def test_a_snapshot_is_the_aligned_y_in_the_first_two_pcs_of_x(rng):
    X = rng.normal(size=(30, 5)) * [5, 3, 1, 1, 1] + 2
    rows = np.array([3, 4, 20])
    shot = watch(X, [0.0, 0.3], frames=2, rows=rows).evenly()[-1]
    Y = 0.1 * np.random.default_rng(1).normal(size=X.shape) + 0.3 * X
    left, values, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    flat = aligned(X, Y) - X.mean(axis=0)
    axes = np.linalg.svd(X - X.mean(axis=0))[2][:2]
    signs = np.sign((Reference.of(X).scores.numpy()[:, :2] * (left * values)[:, :2]).sum(axis=0))
    expected = (flat @ axes.T * signs)[rows] / np.linalg.norm(values)
    np.testing.assert_allclose(shot.points, expected, atol=1e-5)
    assert shot.points.dtype == np.float32
    known = captured_variance(Moments(Reference.of(X), torch.from_numpy(Y)))
    np.testing.assert_allclose(shot.captured, known, atol=1e-12)


def test_one_pc_makes_no_picture(rng):
    with pytest.raises(InputError, match="a picture needs two"):
        watch(rng.normal(size=(20, 1)) * np.ones((1, 3)), [0.1], frames=2)


def test_an_optimised_y_ends_nearer_to_x_than_noise_begins(rng):
    X = rng.normal(size=(40, 6)) * [6, 5, 4, 1, 1, 1]
    noise = np.random.default_rng(3).normal(size=X.shape)
    end = simopt.optimize(X, "nbs", target=0.95).Y[0]
    assert np.linalg.norm(aligned(X, end) - X) < 0.5 * np.linalg.norm(aligned(X, noise) - X)
