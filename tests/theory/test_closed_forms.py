"""Closed forms against the measures themselves, on perturbations that are exactly what theory assumes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simopt import measures
from simopt.theory.closed_forms import closed_form
from simopt.theory.pairs import Tilted
from simopt.theory.perturbations import exact_pair
from tests.theory.pairs import Exact

WITH_A_FORM = (
    "cka",
    "cka_angular",
    "cka-angular-distance",
    "nbs",
    "nbs_squared",
    "procrustes_angular",
    "procrustes_euclidean",
    "procrustes-squared-euclidean",
    "procrustes_normalized",
    "procrustes-disparity",
    "procrustes_angle",
    "rv",
    "ensd",
    "rv_adjusted",
    "linreg",
    "linreg-r2-sym-no_cv",
    "linreg-pearsonr-no_cv",
    "linreg-angular",
    "ridge1",
    "ridge100",
    "ridge-lambda100-r2-sym-no_cv",
    "ridge-lambda100-pearsonr-no_cv",
    "cca",
    "cca-mean-squared",
    "cca-bures-score",
    "cca_angle",
)
STRENGTHS = {
    "rotation": st.floats(1, 179),
    "scaling": st.one_of(st.just(0.0), st.floats(0.05, 0.95), st.floats(1.05, 4)),
    "noise": st.floats(0.05, 5),
    "noise_all": st.floats(0.05, 4),
}


def forms_of(name):
    measure = measures.get(name)
    return measure, closed_form(measure)


@pytest.mark.parametrize("kind", STRENGTHS)
@pytest.mark.parametrize("name", WITH_A_FORM)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_closed_form_is_the_measure(name, kind, data):
    spectrum = sorted(data.draw(st.lists(st.floats(0.1, 100), min_size=2, max_size=5)), reverse=True)
    strength = data.draw(STRENGTHS[kind])
    exact = Exact(spectrum, units=len(spectrum) + data.draw(st.integers(0, 2)), samples=24)
    measure, form = forms_of(name)
    theory = form(exact_pair(exact.variances, kind, strength, units=exact.units, samples=24)).reshape(-1)
    scored = torch.stack([measure(exact.X, exact.perturbed(kind, strength, i)) for i in range(len(theory))])
    if form.scale is not None:
        # Where a cosine is 1 up to rounding, its angle is known to the root of that only.
        at_self = form.score(torch.zeros(1, dtype=torch.float64))
        near = (theory - at_self).abs() < 1e-6
        theory, scored = ((torch.where(near, (values - at_self) ** 2, values)) for values in (theory, scored))
    np.testing.assert_allclose(scored, theory, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", WITH_A_FORM)
def test_small_pcs_beside_a_large_one_that_is_gone(name):
    exact = Exact([75.0, 0.125], units=2, samples=24)
    measure, form = forms_of(name)
    theory = form(exact_pair(exact.variances, "scaling", 0.0, units=2, samples=24)).reshape(-1)[0]
    scored = float(measure(exact.X, exact.perturbed("scaling", 0.0, 0)))
    assert float(theory) == pytest.approx(scored, abs=1e-12)


@pytest.mark.parametrize("name", WITH_A_FORM)
def test_the_only_pc_turned_away(name):
    """Nothing is left to predict, to correlate or to align."""
    exact = Exact([2.0], units=2, samples=12)
    measure, form = forms_of(name)
    theory = form(exact_pair(exact.variances, "rotation", 90.0, units=2, samples=12))
    scored = float(measure(exact.X, exact.perturbed("rotation", 90.0, 0)))
    assert float(theory) == pytest.approx(scored, abs=1e-10)


def test_a_pc_is_there_at_any_amplitude_but_none():
    variances = torch.tensor([2.0, 1.0], dtype=torch.float64)
    form = forms_of("cca")[1]
    for amplitude, score in ((0.0, 0.5), (1e-7, 1.0)):
        assert (form(exact_pair(variances, "scaling", amplitude, units=2, samples=30)) == score).all()


def test_published_formulas():
    """The formulas of the paper's figure, as they stand in its caption's terms."""
    variances = torch.tensor([5.0, 2.0, 1.0, 0.25], dtype=torch.float64)
    p, q = variances / variances.sum(), variances**2 / (variances**2).sum()
    t = 37.0
    pair = exact_pair(variances, "rotation", t, units=4, samples=30)
    cos, sin = math.cos(math.radians(t)), math.sin(math.radians(t))
    nbs = 1 - p * (1 - cos)
    expected = {
        "cka": 1 - q * sin**2,
        "nbs": nbs,
        "procrustes_angular": 1 - 2 / math.pi * torch.arccos(nbs),
        "linreg": 1 - p * sin**2,
    }
    for name, values in expected.items():
        torch.testing.assert_close(forms_of(name)[1](pair), values, atol=1e-14, rtol=0)
    a = 0.3
    pair = exact_pair(variances, "scaling", a, units=4, samples=30)
    rest, rest2 = variances.sum() - variances, (variances**2).sum() - variances**2
    cka = (rest2 + a**2 * variances**2) / ((variances**2).sum() * (rest2 + a**4 * variances**2)).sqrt()
    nbs = (rest + a * variances) / (variances.sum() * (rest + a**2 * variances)).sqrt()
    torch.testing.assert_close(forms_of("cka")[1](pair), cka, atol=1e-14, rtol=0)
    torch.testing.assert_close(forms_of("nbs")[1](pair), nbs, atol=1e-14, rtol=0)


@pytest.mark.parametrize("name", sorted(set(WITH_A_FORM) - {"cka_angular", "cka-angular-distance"}))
def test_directions_that_overlap_with_other_pcs(name):
    """One column of X'Y and Y'Y fills up; the closed form still is the measure."""
    exact = Exact([9.0, 4.0, 2.0, 0.5, 0.1], units=6, samples=14, seed=1)
    measure, form = forms_of(name)
    rng = np.random.default_rng(0)
    for along, across in ((math.cos(0.7), math.sin(0.7)), (0.0, 1.0), (1.0, 0.8)):
        overlap = torch.zeros(5, 5, dtype=torch.float64)
        scores = []
        for i in range(5):
            w = torch.from_numpy(rng.standard_normal(14))
            w = w - w.mean()
            w = w - (w @ exact.U[:, i]) * exact.U[:, i]
            w = w / w.norm()
            overlap[i] = (exact.U.mT @ w) ** 2
            part = (along - 1) * exact.U[:, i] + across * w
            Y = exact.X + exact.S[i] * torch.outer(part, exact.V[:, i])
            scores.append(float(measure(exact.X, Y)))
        theory = form(Tilted(exact.variances, along, across, overlap, 6, 14))
        np.testing.assert_allclose(theory.numpy(), scores, atol=1e-10, rtol=0)


def test_measures_without_a_closed_form_say_so():
    for name in ("cka_debiased", "rsa", "linreg_cv5", "svcca", "mutual_knn", "rv-adjusted-maye"):
        assert forms_of(name)[1] is None


@pytest.mark.parametrize(
    ("name", "cka", "nbs", "angular"),
    [
        ("mante", 0.36, 0.80, 0.59),
        ("siegel", 0.31, 0.71, 0.50),
        ("hatsopoulos", 0.40, 0.84, 0.64),
        ("majaj", 0.58, 0.84, 0.64),
        ("freeman_ziemba", 0.43, 0.82, 0.61),
    ],
)
def test_first_pc_of_the_recordings_as_published(name, cka, nbs, angular):
    """Read by eye from the paper's figure 6, at PC 1 and 90 degrees."""
    from simopt.datasets.twin import published_spectrum

    spectrum = torch.tensor(published_spectrum(name), dtype=torch.float64)
    pair = exact_pair(spectrum, "rotation", 90, units=len(spectrum), samples=30)
    from_curves = [float(forms_of(name)[1](pair)[0]) for name in ("cka", "nbs", "procrustes_angular")]
    assert from_curves == pytest.approx([cka, nbs, angular], abs=0.03)
