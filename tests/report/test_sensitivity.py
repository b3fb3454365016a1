"""Figures of sensitivity."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import simopt
from simopt import measures
from simopt.analysis.sensitivity import Sensitivities
from simopt.errors import InputError
from simopt.report.sensitivity import draw_sensitivity, save_sensitivity
from simopt.theory.sensitivity import experiment

DATA = simopt.load_dataset("gaussian", samples=50, units=5)
CURVES = experiment(
    DATA.samples(), [measures.get("cka"), measures.get("rsa")], "rotation", (90.0, 30.0), seeds=[0, 1]
)


def result(curves, kind="rotation", strengths=(90.0, 30.0)) -> Sensitivities:
    about = ("mine", "surrogate", kind, list(strengths), 2, DATA.spectrum())
    return Sensitivities(*about, curves, {}, None, "done")


def test_theory_is_a_line_and_experiments_are_dots():
    ax = draw_sensitivity(result(CURVES), Figure().subplots(), strength=1)
    ratio = DATA.spectrum()
    theory, dots, _, others, _ = ax.get_lines()
    np.testing.assert_allclose(theory.get_xdata(), np.sort(ratio))
    np.testing.assert_allclose(theory.get_ydata(), CURVES[0].theory[1][np.argsort(ratio)])
    np.testing.assert_allclose(dots.get_ydata(), CURVES[0].mean[1])
    np.testing.assert_allclose(others.get_ydata(), CURVES[1].mean[1])
    assert ax.get_legend_handles_labels()[1] == ["cka", "rsa"]
    assert ax.get_title() == "mine (surrogate)\nrotation 30°"
    assert ax.get_xscale() == "log"


def test_noise_on_all_is_drawn_over_its_strengths():
    strengths = (1.0, 0.5)
    curves = experiment(DATA.samples(), [measures.get("cka")], "noise_all", strengths, seeds=[0, 1])
    ax = draw_sensitivity(result(curves, "noise_all", strengths), Figure().subplots())
    theory, dots, _ = ax.get_lines()
    assert theory.get_xdata().tolist() == [0.5, 1.0]
    np.testing.assert_allclose(theory.get_ydata(), curves[0].theory[::-1, 0])
    np.testing.assert_allclose(dots.get_xydata(), np.c_[strengths, curves[0].mean[:, 0]])
    assert ax.get_xscale() == "linear"


@pytest.mark.parametrize("kind", ["rotation", "noise_all"])
def test_every_strength_is_in_the_file(tmp_path, kind):
    strengths = (90.0, 30.0) if kind == "rotation" else (0.5, 1.0)
    curves = experiment(DATA.samples(), [measures.get("cka")], kind, strengths, seeds=[0])
    text = save_sensitivity(result(curves, kind, strengths), tmp_path / "f.svg").read_text()
    panels = 2 if kind == "rotation" else 1
    assert text.count("mine (surrogate)") == text.count("<!-- cka -->") == panels


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"f\.doc: .*\.svg"):
        save_sensitivity(result(CURVES), tmp_path / "f.doc")
