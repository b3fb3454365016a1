"""The identity of a stored result: all that changes the result and nothing else, known before any work."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import simopt
from simopt import catalogue
from simopt.app.config import requests
from simopt.datasets import Dataset
from simopt.datasets.base import Trials
from simopt.errors import InputError
from simopt.measures import FunctionMeasure
from simopt.store.hashes import FileHashes
from simopt.workflows.attribute import AttributeRequest
from simopt.workflows.compare import CompareRequest
from simopt.workflows.data import Data
from simopt.workflows.joint import JointRequest
from simopt.workflows.request import Request
from simopt.workflows.run import find_or_make
from simopt.workflows.run_request import RunRequest
from simopt.workflows.sensitivity_request import SensitivityRequest

IDS = Path(__file__).parents[1] / "data" / "ids.json"
BASE = ["dataset=ultrametric"]


def digest(*overrides: str) -> str:
    return requests.run([*BASE, *overrides]).digest


SAME = [
    "device=cpu", "force=true", "log.dir=elsewhere", "log.checkpoint_seconds=1", "measure.name=x",
    "tf32=false", "dataset.name=renamed",
]  # fmt: skip
OTHER = [
    "seeds=[1]", "target=0.9", "max_steps=10", "dtype=float64", "optimizer.lr=0.2", "optimizer=sgd",
    "init.scale=2", "measure=nbs", "measure.form=angular", "dataset.seed=1", "track=[nbs]", "log.every=2",
    "log.final=false", "tf32=true", "nulls=10", "attribute=[pcs]", "decoder=standard",
]  # fmt: skip


@pytest.mark.parametrize("override", SAME)
def test_what_does_not_change_the_result_does_not_change_the_id(override: str) -> None:
    assert digest(override) == digest()


def test_what_changes_the_result_changes_the_id() -> None:
    digests = [digest(), *map(digest, OTHER)]
    assert len(set(digests)) == len(digests)


def test_the_content_of_a_file_counts_and_its_path_does_not(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((10, 3))
    digests = []
    for folder, array in (("a", data), ("b", data), ("c", data + 1)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", array)
        digests.append(digest("dataset=file", f"dataset.path='{tmp_path / folder / 'x.npy'}'"))
    assert digests[0] == digests[1] != digests[2]


def test_the_code_of_a_users_function_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code = []
    for number in (1, 2):
        name = f"user_measure_{number}"
        (tmp_path / f"{name}.py").write_text(f"def score(X, Y):\n    return {number} * (X * Y).sum()\n")
        identity = requests.run([*BASE, f"measure._target_={name}.score"]).identity["measure"]
        code.append(identity.pop("code"))
    assert code == [f"def score(X, Y):\n    return {number} * (X * Y).sum()\n" for number in (1, 2)]
    assert catalogue.source_of("torch.dist") == ""
    assert catalogue.source_of("json.dumps").startswith("def dumps(")


def test_a_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).standard_normal((10, 3))
    np.save(tmp_path / "x.npy", data)
    hashed: list[str] = []
    digest_of = hashlib.file_digest

    def counted(handle: Any, name: str) -> Any:
        hashed.append(handle.name)
        return digest_of(handle, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    for log in (str(tmp_path / "outputs"), None):
        hashed.clear()
        request = requests.run(["dataset=file", f"dataset.path='{tmp_path / 'x.npy'}'"])
        request = replace(request, log=log)
        assert request.digest
        np.testing.assert_array_equal(request.dataset.dataset.responses, data)
        assert [Path(name).name for name in hashed] == ["x.npy"]


def test_a_file_that_changed_after_its_identity_was_asked_for_is_loaded_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    data = np.random.default_rng(0).standard_normal((10, 3))
    np.save(file, data)
    first, second = (Data.named(str(file)) for _ in range(2))
    assert first.identity(FileHashes()) == second.identity(FileHashes())
    np.save(file, np.vstack([data, data]))
    assert first.dataset.responses.shape == (20, 3)
    np.save(file, data)
    assert second.dataset.responses.shape == (10, 3)


def test_data_that_a_caller_holds_count_by_their_content() -> None:
    X = np.random.default_rng(0).standard_normal((10, 3))
    one, same, other = (RunRequest(dataset=array).digest for array in (X, X.copy(), X + 1))
    assert one == same != other


def defaults() -> dict[str, Callable[[], Request]]:
    """Return requests that name what they use, by name."""
    X = np.arange(60.0).reshape(20, 3) ** 2 % 7
    pair = {"dataset": X, "log": {"dir": "outputs"}}
    runs = {
        f"run {name}": lambda name=name: requests.run([f"dataset={name}"])
        for name in ("majaj", "mante", "siegel", "gaussian", "ultrametric")
    }
    return {
        **runs,
        "run of many options": lambda: requests.run(
            [
                "measure=procrustes_angular", "optimizer=sgd", "decoder=standard", "seeds=[0,1]", "nulls=5",
                "track=[nbs,linreg_cv5]", "attribute=[pcs]", "dataset=mante",
            ]
        ),
        "sensitivity": lambda: requests.sensitivity([]),
        "joint": lambda: requests.joint([])[0],
        "joint square": lambda: requests.joint(["mode=square", "measure=cka,nbs"])[0],
        "score": lambda: CompareRequest(**pair, Y=(X[:, :2],), measures=("cka",)),
        "attribution": lambda: AttributeRequest(**pair, Y=X[:, :2]),
        "run of an array": lambda: RunRequest(**pair),
        "sensitivity of an array": lambda: SensitivityRequest(**pair),
        "joint range of an array": lambda: JointRequest(**pair),
    }  # fmt: skip


def test_the_ids_of_stored_results_stay_as_they_are() -> None:
    """An id that changes makes stored results unfindable; where numbers change, raise a revision."""
    ids = {name: make().path.parent.name for name, make in defaults().items()}
    assert ids == json.loads(IDS.read_text())


def test_a_raised_revision_is_another_id_and_the_old_result_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*BASE, "max_steps=2", f"log.dir='{tmp_path}'"]
    before = requests.run(overrides)
    old = before.digest
    assert [find_or_make(requests.run(overrides))[1] for _ in range(2)] == ["done", "found"]
    monkeypatch.setitem(catalogue.REVISIONS, str(before.measure["_target_"]), 2)
    after = requests.run(overrides)
    assert after.digest != old
    assert find_or_make(after)[1] == "done"


def test_names_that_cannot_be_folders() -> None:
    X = np.random.default_rng(0).standard_normal((5, 2))
    with pytest.raises(InputError, match=r"dataset name '\.\./x'"):
        _ = RunRequest(dataset=Dataset("../x", X)).path
    with pytest.raises(InputError, match="measure name"):
        requests.run([*BASE, "measure.name=a/b"])


def python(folder: Path, text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_where_a_run_lies_is_known_without_torch(tmp_path: Path) -> None:
    text = (
        "import sys\n"
        "from simopt.workflows.run_request import RunRequest\n"
        "print(RunRequest(dataset={'_target_': 'simopt.datasets.mante.Mante', 'name': 'mante'}).path)\n"
        "assert not {'torch', 'scipy', 'sklearn', 'hydra', 'matplotlib'} & set(sys.modules)\n"
    )
    assert python(tmp_path, text).startswith("outputs/mante/cka/surrogate-")


def test_a_run_that_is_stored_is_found_without_torch_in_half_a_second(simopt, tmp_path: Path) -> None:
    command = ["run", "dataset=mante", "max_steps=2", "--json"]
    assert json.loads(simopt(*command).stdout)["outcome"] == "done"
    text = (
        "import json, sys, time\n"
        "from typer.testing import CliRunner\n"
        "from simopt.app.cli import app\n"
        "for _ in range(2):  # the first call imports\n"
        "    began = time.process_time()\n"
        f"    done = CliRunner().invoke(app, {command!r})\n"
        "    seconds = time.process_time() - began\n"
        "assert 'torch' not in sys.modules\n"
        "print(json.dumps([json.loads(done.stdout)['outcome'], seconds]))\n"
    )
    how, seconds = json.loads(python(tmp_path, text))
    assert how == "found"
    assert seconds < 0.5


def test_an_option_of_a_users_function_counts_whatever_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "user_option.py").write_text("def score(X, Y, center=True):\n    return (X * Y).sum()\n")
    node = {"_target_": "user_option.score"}
    X = np.random.default_rng(0).standard_normal((5, 2))
    digests = {RunRequest(dataset=X, measure={**node, **more}).digest for more in ({}, {"center": False})}
    assert len(digests) == 2


def test_numbers_that_are_equal_are_the_same_option() -> None:
    X = np.random.default_rng(0).standard_normal((5, 2))
    nodes = [{**catalogue.read("optimizer", "adam"), "lr": lr} for lr in (1, 1.0, np.float64(1))]
    assert len({RunRequest(dataset=X, optimizer=node, target=1.0).digest for node in nodes}) == 1
    assert RunRequest(dataset=X, target=1).digest == RunRequest(dataset=X, target=1.0).digest


def test_single_trials_count() -> None:
    X = np.random.default_rng(0).standard_normal((5, 2))
    trials = Trials(np.repeat(X, 2, axis=0), np.repeat(np.arange(5), 2))
    without, with_trials = (RunRequest(dataset=Dataset("X", X, trials=held)) for held in (None, trials))
    assert without.digest != with_trials.digest


def test_a_function_without_a_name_is_used_and_not_stored(tmp_path: Path) -> None:
    X = np.random.default_rng(0).standard_normal((6, 2))
    measure = FunctionMeasure(name="mine", function=lambda X, Y: -((X - Y) ** 2).sum((-1, -2)))
    assert len(simopt.optimize(X, measure, max_steps=2).score) == 3
    with pytest.raises(InputError, match="<lambda> has no name"):
        simopt.optimize(X, measure, max_steps=2, store=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_stored_under_an_alias_has_the_names_that_are_asked_for(tmp_path: Path) -> None:
    X = np.random.default_rng(0).standard_normal((20, 4)) * [4, 3, 2, 1]
    alias = ("cka-linear-gretton", "nbs")
    square = {"mode": "square", "per_side": 2, "steps": 5, "store": tmp_path}
    made, again = simopt.joint(X, ("cka", "nbs"), **square), simopt.joint(X, alias, **square)
    assert (made.how, again.how, again.names) == ("done", "found", alias)
    np.testing.assert_array_equal(made.square.end, again.square.end)
    short = {"levels": [0.3, 0.6, 0.9], "starts": 2, "rounds": 1, "steps": 5, "store": tmp_path}
    for pair, order in ((alias, 1), (alias[::-1], -1)):
        np.testing.assert_array_equal(simopt.joint(X, pair, **short).square.end, made.square.end[:, ::order])
    simopt.sensitivity(X, ("cka", "nbs"), store=tmp_path)
    again = simopt.sensitivity(X, alias, store=tmp_path)
    assert (again.how, [curve.measure for curve in again.curves]) == ("found", list(alias))


def test_labels_that_identify_samples_are_checked_though_a_score_is_stored(tmp_path: Path) -> None:
    X, Y = np.random.default_rng(0).standard_normal((2, 9, 3))
    simopt.compare(X, Y, draws=2, store=tmp_path)
    with pytest.raises(InputError, match="'bogus'"):
        simopt.compare(X, Y, draws=2, ids="bogus", store=tmp_path)


def test_a_stored_configuration_keeps_the_order_of_its_keys() -> None:
    request = RunRequest(dataset=np.random.default_rng(0).standard_normal((8, 2)))
    assert list(yaml.safe_load(str(request.about()["config"]))) == list(request.config())
