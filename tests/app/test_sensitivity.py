"""``simopt sensitivity`` as a user runs it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from simopt.app.config import requests
from simopt.datasets.twin import published_spectrum
from simopt.errors import InterruptedRunError
from simopt.workflows.sensitivity import carry_out

GAUSSIAN = ["dataset=gaussian", "dataset.samples=60", "dataset.units=6"]


def test_theory_and_experiment_in_one_table_one_figure_and_one_file(simopt, tmp_path):
    shown = simopt("sensitivity", *GAUSSIAN, "seeds=[0,1]", "--figure", "f.svg")
    assert shown.returncode == 0, shown.stderr
    assert "closed form" in shown.stdout
    (stored,) = tmp_path.glob("outputs/gaussian/sensitivity/surrogate-*/sensitivity.h5")
    assert f"done: {stored.relative_to(tmp_path)}" in shown.stdout
    assert "procrustes_angular" in (tmp_path / "f.svg").read_text()
    again = simopt("sensitivity", *GAUSSIAN, "seeds=[0,1]", "--json")
    found = json.loads(again.stdout)
    assert found["source"] == "surrogate"
    cka = found["measures"]["cka"]
    ratio = np.array(found["variance_ratio"])
    np.testing.assert_allclose(cka["theory"], 1 - ratio**2 / (ratio**2).sum(), atol=1e-9)
    assert len(cka["experiment"]) == 6
    assert cka["deviation"] == pytest.approx(np.abs(np.array(cka["experiment"]) - cka["theory"]).max())
    assert cka["effective_components"] == pytest.approx((ratio**2).sum() ** 2 / (ratio**4).sum())
    assert len(list(tmp_path.glob("outputs/gaussian/sensitivity/*"))) == 1


def test_an_interrupt_while_all_measures_are_tried_stores_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = replace(requests.sensitivity([*GAUSSIAN, "measure=[cka,nbs]"]), keep_going=True)  # as measure=all
    done = []
    with pytest.raises(InterruptedRunError, match="interrupted"):
        carry_out(asked, lambda *at: done.append(at), should_stop=lambda: len(done) > 2)
    assert not list(tmp_path.rglob("*.h5"))


def test_a_spectrum_is_enough(simopt, tmp_path):
    ratio = published_spectrum("majaj")
    lines = ["pc,explained_variance_ratio", *(f"{i + 1},{value}" for i, value in enumerate(ratio))]
    (tmp_path / "spectrum.csv").write_text("\n".join(lines))
    asked = [
        "spectrum=spectrum.csv",
        "samples=3200",
        "units=168",
        "measure=[nbs]",
        "strength=[90,45]",
        "--json",
    ]
    shown = simopt("sensitivity", *asked)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    theory = np.array(found["measures"]["nbs"]["theory"])
    np.testing.assert_allclose(theory[0], 1 - ratio / ratio.sum(), atol=1e-6)
    np.testing.assert_allclose(theory[1], 1 - ratio / ratio.sum() * (1 - math.sqrt(0.5)), atol=1e-6)
    assert found["measures"]["nbs"]["experiment"] is None
    assert found["source"] == "spectrum"


def test_a_measure_of_ones_own_and_options(simopt, tmp_path):
    (tmp_path / "mine.py").write_text("def half(X, Y):\n    return (X * Y).sum() / (X * X).sum() / 2 + 0.5\n")
    asked = [
        *GAUSSIAN,
        "measure._target_=mine.half",
        "pcs=[1,3]",
        "seeds=[0]",
        "perturbation=scaling",
        "--json",
    ]
    shown = simopt("sensitivity", *asked)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)["measures"]["half"]
    ratio = np.array(json.loads(shown.stdout)["variance_ratio"])
    assert found["theory"] is None
    assert found["experiment"][0] == pytest.approx(1 - ratio[0] / 2)
    assert found["experiment"][1] is None
    assert found["how"] == "gradient"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["strength=200"], "0 to 180"),
        (["perturbation=turn"], "Unknown perturbation 'turn'"),
        (["measure=[ckaa]"], "cka"),
        (["speed=3"], "Unknown key of sensitivity 'speed'"),
        (["seeds=[]"], "seeds is empty"),
        (["pcs=[9]"], "pcs has 9"),
        (["spectrum=nowhere.csv"], "cannot be read"),
        (["spectrum=bad.csv", "samples=9", "units=9"], "is not a number"),
        (["spectrum=good.csv"], "add samples=N and units=N"),
        (["spectrum=good.csv", "dataset=majaj"], "spectrum=FILE and dataset=NAME"),
        (["--figure", "f.txt"], "a figure is"),
    ],
)
def test_what_cannot_be_is_said_in_two_lines(simopt, tmp_path, asked, told):
    (tmp_path / "bad.csv").write_text("1\ntwo\n3\n")
    (tmp_path / "good.csv").write_text("3\n2\n1\n")
    data = [] if any("spectrum" in each for each in asked) else GAUSSIAN
    shown = simopt("sensitivity", *data, *asked)
    assert shown.returncode == 2, shown.stdout + shown.stderr
    assert told in shown.stderr
    assert len(shown.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "outputs").exists()


def test_derivations_on_screen_and_on_paper(simopt, tmp_path):
    shown = simopt("sensitivity", "--derivation", "measure=[cka,ridge100]", "perturbation=scaling")
    assert shown.returncode == 0, shown.stderr
    assert "Sensitivity of cka to" in shown.stdout
    assert "Sensitivity of ridge to" in shown.stdout
    written = simopt("sensitivity", "--derivation", "measure=[nbs]", "--write", "paper", "--json")
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["nbs"]["ratio"] == "lambda_i/lambda_j"
    assert r"\end{document}" in (tmp_path / "paper" / "derivation.tex").read_text()
    assert "$p_{i}$" in (tmp_path / "paper" / "derivation.md").read_text()


def test_learning_order_beside_a_stored_run(simopt):
    data = ["dataset=gaussian", "dataset.samples=300", "dataset.units=12"]
    assert simopt("run", "measure=nbs", *data, "seeds=[0,1]").returncode == 0
    shown = simopt("sensitivity", "--learning", *data, "measure=[nbs,rsa]", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)["measures"]
    assert found["nbs"]["first_pcs"][:2] == [1, 2]
    predicted, run = (np.array(found["nbs"][key]) for key in ("half_capture", "run_half_capture"))
    assert found["nbs"]["largest_difference"] == pytest.approx(np.abs(predicted - run)[:7].max())
    assert found["nbs"]["rank_correlation"] > 0.9
    assert len(found["nbs"]["half_capture"]) == len(found["nbs"]["run_half_capture"]) == 12
    assert found["rsa"]["half_capture"] is None
    assert "no predicted learning order" in found["rsa"]["refusal"]


@pytest.mark.slow
def test_runs_of_the_same_name_with_other_options_are_not_compared(simopt):
    data = ["dataset=gaussian", "dataset.samples=60", "dataset.units=6"]
    assert simopt("run", "measure=cka", "measure.kernel=rbf", *data, "max_steps=3").returncode == 0
    shown = simopt("sensitivity", "--learning", *data, "measure=[cka]", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["measures"]["cka"]["run"] is None


def test_bounds_on_a_spectrum(simopt):
    shown = simopt("sensitivity", "--bounds", *GAUSSIAN, "measure=[cka,nbs,procrustes_angular]", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    limits = {(pair["given"], pair["implied"]): pair for pair in found["bounds"]}
    angular = [1 - 2 / math.pi * math.acos(level) for level in found["levels"]]
    assert limits["nbs", "procrustes_angular"]["lower"] == pytest.approx(angular)
    assert limits["nbs", "procrustes_angular"]["upper"] == pytest.approx(angular)
    assert all(
        low < high for low, high in zip(*(limits["cka", "nbs"][e] for e in ("lower", "upper")), strict=True)
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--derivation", "measure=[rsa]"], "rsa has no derivation; give one of cka"),
        (["--derivation", "--learning"], "--derivation, --learning and --bounds"),
        (["--write", "d"], "--write d needs --derivation"),
        (["--bounds", "measure=[cka]"], "two measures"),
        (["--bounds", "measure=[cka,rsa]"], "Unknown measure with bounds 'rsa'"),
    ],
)
def test_other_questions_that_cannot_be_answered(simopt, asked, told):
    shown = simopt("sensitivity", *asked)
    assert shown.returncode == 2
    assert told in shown.stderr
    assert len(shown.stderr.strip().splitlines()) <= 2
