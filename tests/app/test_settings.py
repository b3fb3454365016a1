"""What the words of a command say: files are values, options find their measures."""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simopt as package
from simopt.app.config import requests, settings
from simopt.app.sweep import launch
from simopt.app.sweep.combinations import combinations
from simopt.errors import InputError

SPECIAL = "\\'\"${}a,=[]()~:?*#%+ β"
"""Characters that the grammar of Hydra, OmegaConf, YAML or a shell reads, and one letter."""
NAMES = [
    "O'Brien",
    "a\\'b",
    "r-${oc.env:OMP_NUM_THREADS}",
    "\\${x}",
    "50% #1, (β) = [x]",
    "choice(1,2)",
    "measure=cka",
    "null",
    "1",
    "x" * 130,
    *map("".join, itertools.product("\\'${}a", repeat=2)),
    *SPECIAL,
]
SMALL = ["max_steps=1"]


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((30, 4)) * [4, 3, 2, 1]
    return X, X + rng.standard_normal(X.shape)


@pytest.fixture
def here(tmp_path: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", data[0])
    np.save("y.npy", data[1])
    return tmp_path


READERS: dict[str, Callable[[str], Any]] = {
    "run": lambda name: requests.run([name, *SMALL]),
    "sensitivity": lambda name: requests.sensitivity([name]),
    "joint": lambda name: requests.joint(["measure=cka,nbs", name])[0],
    "card": lambda name: requests.cards(["cka", name])[0].run,
    "sweep": lambda name: combinations([name, *SMALL])[0][0][1],
    "score": lambda name: requests.score(name, Path("y.npy"), []),
    "explain": lambda name: requests.explain(name, Path("y.npy"), ["measure=cka"]).scores,
    "attribute": lambda name: requests.attribute(name, Path("y.npy"), [], "pcs"),
}


@pytest.mark.parametrize("command", READERS)
def test_a_file_is_a_value_in_every_command(here: Path, rng: np.random.Generator, command: str) -> None:
    for name in NAMES if command == "run" else NAMES[:7]:
        own = rng.standard_normal((30, 4))
        np.save(f"{name}.npy", own)
        request = READERS[command](f"{name}.npy")
        np.testing.assert_array_equal(request.dataset.dataset.responses, own)
        assert request.path is not None  # the name of the file makes the name of a folder
        if command == "sweep":  # what the process of a job reads
            np.testing.assert_array_equal(
                launch.request_of(launch.text_of(request)).dataset.dataset.responses, own
            )


@pytest.mark.filterwarnings("ignore:.* never vary:simopt.errors.UnitsWarning")
def test_a_file_of_a_command_is_the_one_that_score_reads(here: Path) -> None:
    np.save("constant.npy", np.column_stack([np.load("x.npy"), np.ones(30)]))
    of_run = requests.run(["constant.npy", "dataset.units='0:5'"]).dataset
    of_score = requests.score("constant.npy", Path("y.npy"), ["dataset.units='0:5'"]).dataset
    assert of_run.node == of_score.node
    loaded = package.load_dataset("constant.npy", units="0:5")
    np.testing.assert_array_equal(loaded.responses, of_run.dataset.responses)
    assert loaded.responses.shape == (30, 5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x.npy", "y.npy"], "x.npy and y.npy: only one recording"),
        (["x.npy", "dataset=gaussian"], "dataset=NAME is not allowed"),
        (["x.npy", "dataset.path=y.npy"], "leave path=y.npy out"),
        (["none.npy"], "none.npy: there is no such file"),
        (["dataset=file", "dataset.path=O'Brien.npy"], r"\"dataset.path='O\\'Brien.npy'\".*simopt run FILE"),
        (["dataset=file", "dataset.path=a,b.npy"], r"\"dataset.path='a,b.npy'\".*simopt run FILE"),
        (["dataset=file", "dataset.path=r-${nothing}.npy"], "simopt run FILE"),
    ],
)
def test_files_that_are_refused(here: Path, words: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        requests.run(words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "path", ["O'Brien.npy", "a\\'b.npy", "a,b.npy", "a=[b.npy", "b${x}\\'.npy", "a\\\\'"]
)
def test_the_quoted_form_that_an_error_shows_is_the_path(path: str) -> None:
    with pytest.raises(InputError) as refused:
        requests.run(["dataset=file", f"dataset.path={path}'["])
    shown = str(refused.value).split('Write "')[1].rpartition('", or')[0]
    assert requests.run(["dataset=file", shown]).dataset.node["path"] == f"{path}'["


@pytest.mark.parametrize(
    "label", ["image id", "a,b", "it's", "β", "choice (L/R)", "1", "true", "null", "${x}", "a\\'b"]
)
def test_a_label_of_an_option_is_a_value(simopt, tmp_path: Path, label: str) -> None:
    X = np.random.default_rng(0).standard_normal((20, 3))
    for name in ("x", "y"):
        np.savez(tmp_path / f"{name}.npz", responses=X, **{label: np.arange(20)})
    for command in ("score", "explain"):
        quick = [] if command == "score" else ["measure=cka", *SMALL]
        draws = "0" if command == "score" else "2"
        done = simopt(command, "x.npz", "y.npz", *quick, "--ids", label, "--draws", draws, "--json")
        assert done.returncode == 0, done.stderr
    np.savez(tmp_path / "y.npz", responses=X, **{label: np.arange(20)[::-1]})
    refused = simopt("score", "x.npz", "y.npz", "--ids", label)
    assert refused.returncode == 2
    assert f"sort both datasets by {label}" in refused.stderr


def scores(simopt, *words: str) -> dict[str, float]:
    done = simopt("score", "x.npy", "y.npy", *words, "--draws", "0", "--json")
    assert done.returncode == 0, done.stderr
    return {name: facts["score"] for name, facts in json.loads(done.stdout)["measures"].items()}


OPTIONS = {
    "to every measure that has it": (
        ["measure=ridge100,ridge_cv,cka", "measure.penalty=3", "measure.form=angular"],
        {
            "ridge100": ("ridge100", {"penalty": 3, "form": "angular"}),
            "ridge_cv": ("ridge_cv", {}),
            "cka": ("cka", {"form": "angular"}),
        },
    ),
    "to one": (
        ["measure=cka,nbs", "measure.cka.form=angular"],
        {"cka": ("cka", {"form": "angular"}), "nbs": ("nbs", {})},
    ),
    "to one of the default": (["measure.cka.form=angular"], {"cka": ("cka", {"form": "angular"})}),
    "of two variants": (
        ["measure=a:cka,b:cka", "measure.a.form=angular", "measure.b.estimator=debiased"],
        {"a": ("cka", {"form": "angular"}), "b": ("cka", {"estimator": "debiased"})},
    ),
    "written as a list": (
        ["measures=[a:cka,nbs]", "measure.a.form=angular"],
        {"a": ("cka", {"form": "angular"}), "nbs": ("nbs", {})},
    ),
    "beside a function of one's own": (
        ["measure=cka,own_power.power", "measure.exponent=3", "measure.form=angular"],
        {"cka": ("cka", {"form": "angular"}), "power": ("cka", {})},
    ),
    "of a function of one's own": (
        ["measure=cka", "measure._target_=own_power.power", "measure.power.exponent=3"],
        {"cka": ("cka", {}), "power": ("cka", {})},
    ),
}
OWN = """
import simopt

def power(X, Y, exponent=1):
    return simopt.measures.get("cka")(X, Y) ** exponent
"""


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_goes(simopt, here: Path, data, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "own_power.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.delitem(sys.modules, "own_power", raising=False)
    words, expected = OPTIONS[case]
    found = scores(simopt, *words)
    right = {label: package.score(*data, name, **options) for label, (name, options) in expected.items()}
    if "power" in right:
        right["power"] **= 3
    assert list(found) == list(right)
    assert found == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["measure=ridge100,cka", "measure.penaltyy=1"], "None of ridge100, cka has an option 'penaltyy'"),
        (["measure=ridge100,cka", "measure.cka.penalty=1"], "measure cka has no option 'penalty'"),
        (["measure=cka,cka"], "cka is named twice.*measure=NAME:cka"),
        (["measure=nbs:cka"], "nbs is another measure"),
        (["measure=a/b:cka"], "cannot be the name of a folder"),
        (["measure=a:ckaa"], "Unknown measure 'ckaa'"),
        (["measure=cka", "measure.center_units=true", "measure.centre_units=true"], "are the same option"),
    ],
)
def test_measures_that_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        settings.measures(words, [])


def test_a_run_has_the_name_and_the_options_of_a_variant(here: Path) -> None:
    request = requests.run(["x.npy", "measure=a:ridge100", "measure.a.penalty=3"])
    assert (request.measure["name"], request.measure["penalty"]) == ("a", 3)
    assert request.folder == "a"
    assert request.digest == requests.run(["x.npy", "measure=ridge100", "measure.penalty=3"]).digest


def test_the_jobs_of_a_sweep_share_options(here: Path) -> None:
    words = ["x.npy", "measure=a:cka,ridge100", "measure.penalty=3", "measure.a.form=angular"]
    jobs = [(title, job.measure) for title, job in combinations(words)[0]]
    assert [title for title, _ in jobs] == ["measure=a:cka", "measure=ridge100"]
    assert (jobs[0][1]["name"], jobs[0][1]["form"]) == ("a", "angular")
    assert (jobs[1][1]["penalty"], jobs[1][1]["form"]) == (3, package.measures.get("ridge100").form)
    with pytest.raises(InputError, match="has one measure"):
        combinations(["measure=[cka,nbs]"])
    with pytest.raises(InputError, match="None of cka, nbs has an option 'penalty'"):
        combinations(["measure=cka,nbs", "measure.penalty=3"])


def test_options_of_y_are_those_of_its_file(simopt, here: Path, data) -> None:
    np.savez("two.npz", a=data[0], b=data[1])
    refused = simopt("score", "x.npy", "two.npz")
    assert refused.returncode == 2
    assert "y.key=NAME" in refused.stderr
    assert "dataset.key" in simopt("score", "two.npz", "x.npy").stderr
    done = simopt("score", "x.npy", "two.npz", "y.key=b", "--draws", "0", "--json")
    found = json.loads(done.stdout)["measures"]["cka"]["score"]
    assert found == pytest.approx(package.score(*data), rel=1e-12)
    for command, more in (("attribute", []), ("explain", ["measure=cka", *SMALL, "--draws", "2"])):
        done = simopt(command, "x.npy", "two.npz", "y.key=b", *more)
        assert done.returncode == 0, done.stderr


def test_every_command_knows_the_entries_of_an_own_folder(simopt, here: Path) -> None:
    for group in ("measure", "dataset"):
        (here / "own" / group).mkdir(parents=True)
    (here / "own/measure/ridge3.yaml").write_text(
        "_target_: simopt.measures.regression.Regression\nname: ridge3\npenalty: 3.0\naliases: {}\n"
    )
    (here / "own/dataset/mine.yaml").write_text(
        "_target_: simopt.datasets.file.File\nname: file\ntitle: mine\npath: x.npy\n"
    )
    own = ("--config-dir", "own")
    done = simopt("score", "mine", "y.npy", "measure=ridge3", "--draws", "0", "--json", *own)
    right = scores(simopt, "measure=ridge100", "measure.penalty=3")["ridge100"]
    assert json.loads(done.stdout)["measures"]["ridge3"]["score"] == pytest.approx(right, rel=1e-12)
    assert simopt("attribute", "mine", "y.npy", "measure=ridge3", *own).returncode == 0
    assert "ridge3" in simopt("measures", *own).stdout
    assert json.loads(simopt("measures", "ridge3", "--json", *own).stdout)["name"] == "ridge3"
    assert json.loads(simopt("datasets", "show", "mine", "--json", *own).stdout)["shape"] == [30, 4]
    assert "Unknown measure 'ridge4'; the nearest: ridge3" in simopt("measures", "ridge4", *own).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "--measure", "cka"], "measure=cka"),
        (["score", "x.npy", "y.npy", "--dataset.key=a"], "dataset.key=a"),
        (["card", "--max_steps", "3"], "max_steps=3"),
    ],
)
def test_a_setting_that_is_written_as_an_option(simopt, words: list[str], says: str) -> None:
    done = simopt(*words)
    assert done.returncode == 2
    assert f"settings have no dashes: {says}" in done.stderr
    assert "settings have" not in simopt("run", "--mesure", "cka").stderr


def test_an_experiment_and_the_words_agree_on_the_measure(here: Path) -> None:
    (here / "own" / "experiment").mkdir(parents=True)
    experiment = here / "own" / "experiment"
    (experiment / "plain.yaml").write_text("# @package _global_\nmax_steps: 7\n")
    (experiment / "angular.yaml").write_text("# @package _global_\nmeasure:\n  form: angular\n")

    def measures(*words: str) -> list[tuple[str, str]]:
        jobs = combinations(["dataset=ultrametric", *words], here / "own")[0]
        return [(job.measure["name"], job.measure["form"]) for _, job in jobs]

    assert measures("+experiment=plain", "measure=a:cka,cka-angular-score") == [
        ("a", "score"),
        ("cka-angular-score", package.measures.get("cka-angular-score").form),
    ]
    assert measures("+experiment=angular") == [("cka", "angular")]
    assert measures("+experiment=angular", "measure=cka,nbs") == [("cka", "angular"), ("nbs", "angular")]
    assert measures("+experiment=angular", "measure.form=squared") == [("cka", "squared")]


def test_the_dataset_file_needs_a_path(here: Path) -> None:
    with pytest.raises(InputError, match="'file' needs a path"):
        requests.score("file", Path("y.npy"), [])
