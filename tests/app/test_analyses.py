"""What a run file keeps beside the trajectory, against the functions on arrays."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import simopt
from simopt import measures
from simopt.analysis.attribution import leave_one_pc
from simopt.analysis.ceilings import from_trials
from simopt.analysis.good_score import good_score
from simopt.analysis.nulls import nulls
from simopt.errors import InputError
from simopt.rows import Rows
from tests.app.runs import execute


def run(folder: Path, *overrides: str) -> Path:
    return execute([f"log.dir={folder}", "max_steps=30", *overrides]).path


def test_good_scores_nulls_and_attributions_are_in_the_file(tmp_path: Path) -> None:
    given = ["dataset=ultrametric", "measure=nbs", "seeds=[0,1]", "decoder=standard"]
    path = run(tmp_path, *given, "nulls=12", "attribute=[pcs,units]")
    X = simopt.load_dataset("ultrametric").samples()
    with h5py.File(path) as file:
        Y, score = file["final/Y"][()], file["trajectory/score"][()]
        expected = nulls(X, X, [measures.get("nbs")], draws=12)["nbs"]["unrelated"]
        np.testing.assert_allclose(file["reference/null/unrelated"], expected.scores)
        assert file["reference/null/unrelated"].attrs["why"].decode() == expected.why
        for r in range(2):
            change = leave_one_pc(X, Y[r], "nbs").change
            np.testing.assert_allclose(file["final/attribution/pcs"][r], change, atol=1e-12)
        assert file["final/attribution/pcs"].attrs["route"].decode() == "closed form"
        assert file["final/attribution/units"].shape == (2, Y.shape[2])
        at = np.searchsorted(file["trajectory/step"], file["trajectory/decoding/step"])
        for variable, accuracy in file["trajectory/decoding"].items():
            if variable == "step":
                continue
            facts = file[f"reference/decoding/{variable}"].attrs
            good = good_score(score[at], accuracy[()], facts["chance"], facts["accuracy"])
            np.testing.assert_allclose(file[f"summary/good_score/{variable}"], good)


@pytest.mark.parametrize("rows", ["independent", "time"])
def test_a_run_says_what_its_null_exchanges(rows: str, tmp_path: Path, rng: np.random.Generator) -> None:
    walk = np.cumsum(rng.standard_normal((60, 3)), axis=0)
    result = simopt.optimize(walk, "cka", max_steps=2, nulls=20, rows=rows, store=tmp_path)
    expected = nulls(walk, walk, [measures.get("cka")], draws=20, rows=Rows(order=rows))["cka"]["unrelated"]
    (line,) = result.caveats()
    assert expected.why in line
    assert (f"{expected.mean:.4f}" in line) == (expected.exchanged is not None)
    about = {"kind": expected.rows, "null": expected.exchanged, "why": expected.why}
    assert result.as_json()["rows"] == about


def test_the_ceiling_of_a_recording_with_trials(tmp_path: Path, rng: np.random.Generator) -> None:
    signal = rng.standard_normal((40, 1, 6))
    np.save(tmp_path / "trials.npy", signal + 0.5 * rng.standard_normal((40, 4, 6)))
    given = [
        "dataset=file",
        f"dataset.path='{tmp_path / 'trials.npy'}'",
        "dataset.axes=[condition,repeat,unit]",
        "dataset.repetitions=keep",
    ]
    path = run(tmp_path, *given, "nulls=5")
    options = {"path": str(tmp_path / "trials.npy"), "axes": ["condition", "repeat", "unit"]}
    trials = simopt.load_dataset("file", **options, repetitions="keep").trials
    expected = from_trials(trials, [measures.get("cka")])["cka"]
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["reference/ceiling"], expected.halves)
        assert file["reference/ceiling"].attrs["value"] == pytest.approx(expected.value)
        assert file["reference/ceiling"].attrs["correction"].decode() == expected.correction


def test_a_plain_run_has_none_of_it(tmp_path: Path) -> None:
    with h5py.File(run(tmp_path, "dataset=ultrametric")) as file:
        assert "null" not in file["reference"]
        assert "attribution" not in file["final"]
        assert "good_score" not in file["summary"]


def test_parts_that_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attribute 'pc'; the nearest: pcs"):
        run(tmp_path, "dataset=ultrametric", "attribute=[pc]")
