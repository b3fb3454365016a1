"""Recipes of several commands: composed, changed by overrides, carried out by a sweep beside runs."""

import json
from pathlib import Path

import pytest

from simopt import catalogue
from simopt.app.sweep import launch, plan
from simopt.app.sweep.combinations import combinations
from simopt.errors import InputError
from simopt.workflows.request import name_of
from tests.app.runs import interrupted_once

NAMES = sorted(path.stem for path in (catalogue.config_dir() / "experiment").glob("*.yaml"))
DATA = "dataset=gaussian dataset.samples=40 dataset.units=5"
RECIPE = f"""# @package _global_
hydra:
  sweeper:
    params:
      parts:
        - run {DATA} measure=cka,nbs max_steps=3
        - sensitivity {DATA} measure=[cka,nbs] seeds=[0,1]
        - joint {DATA} measures=[cka,nbs,linreg] mode=square per_side=2 steps=4
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    write(tmp_path / "mine", RECIPE)
    return tmp_path / "mine"


def subject(run) -> tuple[str, str]:
    return run.dataset.name, name_of(run.measure)


def write(folder: Path, text: str) -> None:
    (folder / "experiment" / "all.yaml").write_text(text)


def titles(overrides: list[str], folder: Path | None = None) -> list[str]:
    return [title for title, _ in combinations(overrides, folder)[0]]


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_can_be_carried_out(name: str) -> None:
    titled, _ = combinations([f"+experiment={name}", "dataset=majaj"])
    requests = [request for _, request in titled]
    for request in [requests[0], *(each for each in requests if each.kind != "run")]:
        request.check()
        assert launch.request_of(launch.text_of(request)) == request


@pytest.mark.slow
def test_the_paper_holds_what_its_figures_show() -> None:
    requests = [request for _, request in combinations(["+experiment=paper"])[0]]
    of = {kind: [each for each in requests if each.kind == kind] for kind in ("run", "sensitivity")}
    runs = [subject(each) for each in of["run"]]
    for figure in ("decoding_vs_score", "pcs_vs_score", "half_capture_vs_variance", "ridge_lambda"):
        assert {subject(each) for _, each in combinations([f"+experiment={figure}"])[0]} <= set(runs)
    assert len(set(runs)) == len(runs)
    assert all(each.decoder for each in of["run"])
    assert len(of["sensitivity"]) == 5


def test_overrides_go_to_the_parts_that_know_them(mine: Path) -> None:
    given = [
        "+experiment=all",
        "dataset=majaj",
        "log.dir=there",
        "measure=rsa,linreg",
        "max_steps=9",
        "steps=2",
    ]
    titled, _ = combinations(given, mine)
    run, _, sensitivity, *joints = [request for _, request in titled]
    assert (*subject(run), run.max_steps, run.log.dir) == ("majaj", "rsa", 9, "there")
    assert [name_of(node) for node in sensitivity.measures] == ["rsa", "linreg"]
    assert (sensitivity.seeds, sensitivity.log.dir) == ((0, 1), "there")
    assert [each.names for each in joints] == [("cka", "nbs"), ("cka", "linreg"), ("nbs", "linreg")]
    assert {(each.dataset.name, each.log.dir, each.steps) for each in joints} == {("majaj", "there", 2)}


@pytest.mark.parametrize(
    ("recipe", "override", "says"),
    [
        (RECIPE, "max_stepz=3", "Unknown key of the experiment's parts 'max_stepz'; the nearest: max_steps"),
        (
            RECIPE.replace("joint g", "joined g").replace("- joint", "- joined"),
            "seed=1",
            "Unknown command of a part 'joined'",
        ),
        (RECIPE.replace("- joint", "- ''\n        - joint"), "seed=1", "Unknown command of a part ''"),
        (RECIPE.partition("parts:")[0] + "parts: []", "seed=1", "parts of the experiment"),
        (RECIPE.replace("[cka,nbs,linreg]", "[cka,rsa_kendall]"), "seed=1", "rsa_kendall"),
        (
            RECIPE.replace(f"sensitivity {DATA}", "sensitivity spectrum=a.csv samples=9 units=9"),
            "seed=1",
            "spectrum=FILE",
        ),
    ],
)
def test_bad_recipes_are_refused_before_anything_runs(
    mine: Path, recipe: str, override: str, says: str
) -> None:
    write(mine, recipe)
    with pytest.raises(InputError, match=says.replace("[", r"\[")):
        plan.plan(["+experiment=all", override], mine)
    assert not Path("outputs").exists()


def test_runs_and_analyses_are_done_and_found_again(simopt, mine: Path) -> None:
    asked = ["+experiment=all", "--config-dir", "mine", "log.dir=there"]
    done = simopt("sweep", *asked)
    assert done.returncode == 0, done.stderr
    again = json.loads(simopt("sweep", *asked, "--json").stdout)
    assert [row["outcome"] for row in again] == ["found"] * 6
    kinds = [Path(row["path"]).name for row in again]
    assert kinds == ["run.h5"] * 2 + ["sensitivity.h5"] + ["joint.h5"] * 3
    alone = json.loads(
        simopt(
            "sensitivity", *DATA.split(), "measure=[cka,nbs]", "seeds=[0,1]", "log.dir=there", "--json"
        ).stdout
    )
    assert alone["measures"].keys() == {"cka", "nbs"}
    assert len(list(Path("there").rglob("sensitivity.h5"))) == 1
    assert not list(Path("there").rglob(".sweeps"))


@pytest.mark.slow
def test_an_analysis_that_fails_is_listed_and_the_others_go_on(simopt, mine: Path) -> None:
    write(mine, RECIPE.replace("measure=[cka,nbs]", "measure=[rsa_crossnobis]"))
    done = simopt("sweep", "+experiment=all", "--config-dir", "mine", "hydra/launcher=joblib", "--json")
    assert done.returncode == 1
    ended = {row["job"]: row["outcome"] for row in json.loads(done.stdout)}
    assert [how for job, how in ended.items() if job.startswith("sensitivity")] == ["failed"]
    assert [how for job, how in ended.items() if not job.startswith("sensitivity")] == ["done"] * 5
    assert "repeats" in done.stderr


def test_an_interrupted_search_goes_on(simopt, mine: Path) -> None:
    write(mine, RECIPE.replace("steps=4", "steps=100000 checkpoint_seconds=0"))
    with interrupted_once(lambda: list(Path().rglob("joint/*/joint.h5"))):
        done = simopt("sweep", "+experiment=all", "--config-dir", "mine")
    assert done.returncode == 130, done.stderr
    jobs = plan.plan(["+experiment=all"], mine).jobs
    assert [job.todo for job in jobs] == ["found"] * 3 + ["resume"] + ["run"] * 2
