"""Theory and experiment side by side."""

import numpy as np
import pytest
import torch
from torch import Tensor

import simopt
from simopt import measures
from simopt.errors import InputError
from simopt.measures import FunctionMeasure
from simopt.theory.sensitivity import experiment, predict


@pytest.fixture(scope="module")
def X():
    return simopt.load_dataset("gaussian", samples=200, units=12).samples()


def run(X, *names, kind="rotation", strengths=(90.0,), **options):
    return experiment(X, [measures.get(name) for name in names], kind, strengths, **options)


@pytest.mark.parametrize("kind", ["rotation", "scaling", "noise"])
def test_experiment_meets_theory_within_its_band(X, kind):
    strengths = {"rotation": (90.0, 30.0), "scaling": (0.0, 0.5), "noise": (1.0,)}[kind]
    for curve in run(X, "cka", "nbs", "procrustes_angular", "linreg", "cca", kind=kind, strengths=strengths):
        spread = curve.band / np.sqrt(10)
        error = np.abs(curve.mean - curve.expected)
        assert (error <= 5 * spread + np.abs(curve.expected - curve.theory) / 10 + 1e-9).all()
        assert curve.corrected_deviation <= curve.deviation + 1e-9
        assert curve.within_band > 0.85


def test_noise_on_all_pcs_is_one_number_a_level():
    X = simopt.load_dataset("gaussian", samples=3000, units=12).samples()
    (curve,) = run(X, "cka", kind="noise_all", strengths=(0.0, 0.5, 2.0))
    assert curve.experiment.shape == (3, 1, 10)
    assert curve.expected is None
    assert curve.mean[0, 0] == pytest.approx(1)
    error = np.abs(curve.mean - curve.theory)
    assert (error <= 4 * curve.experiment.std(axis=-1) / np.sqrt(10) + 12 / 3000).all()
    assert (np.diff(curve.mean[:, 0]) < 0).all()


def test_two_measures_of_one_name_keep_their_own_scores(X):
    chosen = [measures.get("ridge100", penalty=penalty) for penalty in (0.1, 1e4)]
    for curve in experiment(X, chosen, "rotation", (90.0,), pcs=[1]):
        assert curve.deviation < 1e-3


def test_one_pc_that_is_taken_away_has_no_score():
    X = np.random.default_rng(0).standard_normal((20, 1))
    (curve,) = run(X, "nbs", kind="scaling", strengths=(0.0,))
    assert np.isnan(curve.experiment).all()
    assert (curve.deviation, curve.within_band) == (None, None)


def test_from_a_spectrum_alone_is_the_theory_of_the_data(X):
    (with_data,) = run(X, "ridge10", pcs=[1])
    spectrum = simopt.load_dataset("gaussian", samples=200, units=12).spectrum()
    total = ((X - X.mean(axis=0)) ** 2).sum()
    (alone,) = predict(
        spectrum * total, [measures.get("ridge10")], "rotation", (90.0,), units=12, samples=200
    )
    np.testing.assert_allclose(alone.theory, with_data.theory, atol=1e-12)
    np.testing.assert_allclose(alone.expected, with_data.expected, atol=1e-12)
    assert alone.experiment is None
    assert alone.deviation is None


def test_the_gradient_finds_the_order_and_weight_that_theory_has(X):
    """CKA as a function without a closed form: order and weight come from its gradient."""

    def cosine(X: Tensor, Y: Tensor) -> Tensor:
        return measures.get("cka")(X, Y)

    unknown = FunctionMeasure(name="mine", function=cosine)
    (theory,) = run(X, "cka")
    (measured,) = experiment(X, [unknown], "rotation", (90.0,))
    assert measured.theory is None
    assert measured.local.how == "gradient"
    np.testing.assert_allclose(measured.mean, theory.mean, atol=1e-12)
    np.testing.assert_allclose(measured.local.order, 2, atol=0.01)
    assert measured.local.exponent == pytest.approx(2, abs=0.05)
    assert measured.local.effective_components == pytest.approx(theory.local.effective_components, rel=0.02)


def test_measures_of_other_kinds_have_their_orders(X):
    curves = {
        c.measure: c for c in run(X, "shape_angular", "rsa_spearman", "gulp", pcs=[1, 2, 4], seeds=[0, 1])
    }
    for name, order, how in (
        ("shape_angular", 1, "gradient"),
        ("gulp", 2, "gradient"),
        ("rsa_spearman", 2, "finite differences"),
    ):
        local = curves[name].local
        assert local.how == how
        np.testing.assert_allclose(local.order[[0, 1, 3]], order, atol=0.1)
        assert np.isnan(local.order[2])
        assert np.isnan(curves[name].mean[0, 2])


def test_distances_rise(X):
    (curve,) = run(X, "procrustes_euclidean", seeds=[0])
    assert curve.at_self == pytest.approx(0)
    assert (curve.theory > 0).all()
    assert (curve.local.weight > 0).all()


def test_what_cannot_be_is_refused(X):
    with pytest.raises(InputError, match=r"13\b.*12 PCs"):
        run(X, "cka", pcs=[13])
    with pytest.raises(InputError, match=r"13\b.*12 PCs"):
        run(X, "cka", kind="noise_all", pcs=[13])
    with pytest.raises(InputError, match="pcs"):
        run(X, "cka", pcs=[])
    with pytest.raises(InputError, match="rsa .*dataset="):
        predict(np.ones(3), [measures.get("rsa")], "rotation", (90.0,), units=3, samples=9)
    with pytest.raises(InputError, match="none negative"):
        predict(np.array([1.0, -1.0]), [measures.get("cka")], "rotation", (90.0,), units=3, samples=9)
    with pytest.raises(
        InputError, match="5 variances above zero; X with 5 samples and 5 units has at most 4"
    ):
        predict(np.ones(5), [measures.get("cka")], "rotation", (90.0,), units=5, samples=5)


def test_progress_is_told(X):
    calls = []
    run(
        X,
        "cka",
        pcs=[1, 3],
        seeds=[0],
        strengths=(90.0, 45.0),
        observe=lambda done, of: calls.append((done, of)),
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert torch.is_grad_enabled()
