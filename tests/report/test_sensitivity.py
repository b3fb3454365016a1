"""Figures of sensitivity."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import simopt
from simopt import measures
from simopt.errors import InputError
from simopt.report.sensitivity import draw_sensitivity, save_sensitivity
from simopt.theory.sensitivity import experiment

DATA = simopt.load_dataset("gaussian", samples=50, units=5)
CURVES = experiment(
    DATA.samples(), [measures.get("cka"), measures.get("rsa")], "rotation", (90.0, 30.0), seeds=[0, 1]
)


def test_theory_is_a_line_and_experiments_are_dots():
    ax = Figure().subplots()
    ratio = DATA.spectrum()
    draw_sensitivity(ax, CURVES, ratio, 1, xlabel="variance", log=True)
    theory, dots, _, others, _ = ax.get_lines()
    np.testing.assert_allclose(theory.get_xdata(), np.sort(ratio))
    np.testing.assert_allclose(theory.get_ydata(), CURVES[0].theory[1][np.argsort(ratio)])
    np.testing.assert_allclose(dots.get_ydata(), CURVES[0].mean[1])
    np.testing.assert_allclose(others.get_ydata(), CURVES[1].mean[1])
    assert ax.get_legend_handles_labels()[1] == ["cka", "rsa"]


@pytest.mark.parametrize("kind", ["rotation", "noise_all"])
def test_every_strength_is_in_the_file(tmp_path, kind):
    strengths = (90.0, 30.0) if kind == "rotation" else (0.5, 1.0)
    curves = experiment(DATA.samples(), [measures.get("cka")], kind, strengths, seeds=[0])
    path = save_sensitivity(curves, DATA.spectrum(), strengths, kind, "mine (surrogate)", tmp_path / "f.svg")
    text = path.read_text()
    panels = 2 if kind == "rotation" else 1
    assert text.count("mine (surrogate)") == text.count("<!-- cka -->") == panels


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match="a figure is"):
        save_sensitivity(CURVES, DATA.spectrum(), (90.0, 30.0), "rotation", "", tmp_path / "f.doc")
