"""The command line and Python give the same results: ``--json`` prints what ``as_json`` returns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import simopt as package
from simopt.workflows.result import Result

FILE = ["dataset=file", "dataset.path=recording.h5"]
PAIR = ["recording.h5", "model.npy"]
WIDE = np.random.default_rng(1).standard_normal((40, 45))
QUICK = {"levels": [0.3, 0.6], "steps": 3, "starts": 2, "rounds": 1}
CASES: dict[str, tuple[list[str], Callable[[Any, Any], Result]]] = {
    "score": (
        ["score", *PAIR, "measure=cka,nbs", "--draws", "5"],
        lambda X, Y: package.compare(X, Y, ("cka", "nbs"), draws=5),
    ),
    "score with options": (
        ["score", *PAIR, "measure=cka", "measure.form=angular", "--draws", "5", "--snr", "2"],
        lambda X, Y: package.compare(X, Y, draws=5, snr=2.0, form="angular"),
    ),
    "score that the shapes decide": (
        ["score", "recording.h5", "wide.npy", "measure=linreg", "--draws", "5"],
        lambda X, Y: package.compare(X, WIDE, "linreg", draws=5),
    ),
    "run": (
        ["run", *FILE, "max_steps=3", "seeds=[0,1]", "track=[nbs]", "nulls=3", "decoder=standard"],
        lambda X, Y: package.optimize(
            X, max_steps=3, seeds=(0, 1), track=["nbs"], nulls=3, decoder="standard"
        ),
    ),
    "explain": (
        ["explain", *PAIR, "measure=cka", "seeds=[0]", "max_steps=20", "--draws", "5"],
        lambda X, Y: package.explain(X, Y, "cka", seeds=(0,), max_steps=20, draws=5),
    ),
    "attribute": (
        ["attribute", *PAIR, "measure=nbs", "--by", "samples"],
        lambda X, Y: package.attribute(X, Y, "nbs", by="samples"),
    ),
    "sensitivity": (
        ["sensitivity", *FILE, "measure=cka,linreg", "seeds=[0,1]", "strength=[30,90]"],
        lambda X, Y: package.sensitivity(X, ("cka", "linreg"), seeds=(0, 1), strength=[30, 90]),
    ),
    "learning": (
        ["sensitivity", *FILE, "--learning", "measure=cka,rsa"],
        lambda X, Y: package.sensitivity(X, ("cka", "rsa"), what="learning"),
    ),
    "bounds": (
        ["sensitivity", *FILE, "--bounds", "measure=cka,nbs"],
        lambda X, Y: package.sensitivity(X, ("cka", "nbs"), what="bounds"),
    ),
    "derivation": (
        ["sensitivity", "--derivation", "measure=nbs"],
        lambda X, Y: package.sensitivity(None, "nbs", what="derivation"),
    ),
    "joint": (
        ["joint", *FILE, "measure=cka,nbs", "levels=[0.3,0.6]", "steps=3", "starts=2", "rounds=1"],
        lambda X, Y: package.joint(X, ("cka", "nbs"), **QUICK),
    ),
    "card": (
        ["card", "cka", *FILE, "--no-joint"],
        lambda X, Y: package.card("cka", X, partners=()),
    ),
}
ELSEWHERE = {"path", "wall_seconds", "created", "finished", "run", "cost"}
"""Keys that differ by where and when a result is made. Of a run, ``run`` is its file."""


def compared(value: Any) -> Any:
    """Return JSON without what differs by place and time; the contents of a run inside a card stay."""
    if isinstance(value, dict):
        return {
            key: compared(item)
            for key, item in value.items()
            if key not in ELSEWHERE or (key == "run" and isinstance(item, dict))
        }
    return [compared(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(40) % 2
    X = rng.standard_normal((40, 6)) * [6, 5, 4, 3, 2, 1] + 2 * labels[:, None]
    Y = X[:, :4] + rng.standard_normal((40, 4))
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["responses"], file["labels/side"] = X, labels
    np.save(tmp_path / "model.npy", Y)
    np.save(tmp_path / "wide.npy", WIDE)
    return X, Y


@pytest.mark.filterwarnings("ignore::simopt.errors.DegenerateWarning")
@pytest.mark.parametrize("case", CASES)
def test_json_of_the_command_is_json_of_the_call(simopt, tmp_path: Path, files, case: str) -> None:
    arguments, call = CASES[case]
    done = simopt(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    X = package.load_dataset("file", path=str(tmp_path / "recording.h5"), constant_units="keep")
    values = call(X, files[1]).as_json()
    assert values["schema"] == 1
    assert compared(json.loads(done.stdout)) == compared(values)


def test_a_score_that_the_shapes_decide_is_noted_under_the_table(simopt, files) -> None:
    assert "R2 is 1" in simopt("score", "recording.h5", "wide.npy", "measure=linreg,cka").stdout
    assert "R2 is 1" not in simopt("score", "recording.h5", "model.npy", "measure=linreg,cka").stdout
