"""Folders and files of odd names: every path that a command takes as an argument or an option."""

from pathlib import Path

import numpy as np
import pytest

FOLDER, FILE = "Anna's data", "50% #1 = (β) ${x}.npy"
QUICK = ["max_steps=3", "seeds=[0]"]


def quoted(path: str) -> str:
    """Return a path as the value of an override, with what ends quotes or begins a reference escaped."""
    return "'" + path.replace("'", "\\'").replace("${", "\\${") + "'"


X, Y = f"{FOLDER}/{FILE}", f"{FOLDER}/Y {FILE}"
STORE = f"log.dir={quoted(f'{FOLDER}/out ${{x}}')}"
DATA = ["dataset=gaussian", "dataset.samples=30", "dataset.units=4"]
CASES: dict[str, tuple[list[str], list[str]]] = {
    "score": (["score", X, Y, "--draws", "3", "--figure", f"{FOLDER}/s %1.svg"], ["s %1.svg"]),
    "stored score": (["score", X, Y, "--draws", "3", STORE], ["out ${x}"]),
    "explain": (
        ["explain", X, Y, "measure=cka", *QUICK, "--draws", "3", "--figure", f"{FOLDER}/e #.pdf"],
        ["e #.pdf"],
    ),
    "attribute": (["attribute", X, Y, "--figure", f"{FOLDER}/a=1.png", STORE], ["a=1.png", "out ${x}"]),
    "run": (["run", "dataset=file", f"dataset.path={quoted(X)}", *QUICK, STORE], ["out ${x}"]),
    "sweep": (["sweep", "dataset=file", f"dataset.path={quoted(X)}", *QUICK, STORE], ["out ${x}"]),
    "sensitivity": (
        ["sensitivity", *DATA, "seeds=[0]", STORE, "--figure", f"{FOLDER}/β.svg"],
        ["out ${x}", "β.svg"],
    ),
    "spectrum": (["sensitivity", f"spectrum={quoted(f'{FOLDER}/λ ${{x}}.csv')}", "samples=9", "units=3"], []),
    "derivation": (
        ["sensitivity", "--derivation", "measure=nbs", "--write", f"{FOLDER}/w ${{x}}"],
        ["w ${x}/derivation.tex"],
    ),
    "joint": (
        [
            "joint",
            *DATA,
            "measure=cka,nbs",
            "levels=[0.3,0.6]",
            "steps=10",
            "starts=2",
            "rounds=1",
            STORE,
            "--figure",
            f"{FOLDER}/j (1).png",
        ],
        ["out ${x}", "j (1).png"],
    ),
    "card": (
        ["card", "cka", *DATA, *QUICK, "--no-joint", STORE, "--html", f"{FOLDER}/c ${{x}}.html"],
        ["c ${x}.html"],
    ),
    "own folder": (["run", *DATA, *QUICK, "measure=mine", "--config-dir", f"{FOLDER}/my ${{x}}"], []),
    "a look": (["datasets", "show", "file", f"path={quoted(X)}", "--figure", f"{FOLDER}/d.svg"], ["d.svg"]),
}


@pytest.fixture
def here(tmp_path: Path, rng: np.random.Generator) -> Path:
    folder = tmp_path / FOLDER
    (folder / "my ${x}" / "measure").mkdir(parents=True)
    (folder / "my ${x}" / "measure" / "mine.yaml").write_text(
        "_target_: simopt.measures.regression.Regression\nname: mine\npenalty: 3.0\n"
    )
    data = rng.standard_normal((30, 4)) * [4, 3, 2, 1]
    np.save(tmp_path / X, data)
    np.save(tmp_path / Y, data + rng.standard_normal(data.shape))
    (folder / "λ ${x}.csv").write_text("3\n2\n1\n")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_command_takes_and_writes_odd_names(simopt, here: Path, case: str) -> None:
    arguments, written = CASES[case]
    done = simopt(*arguments)
    assert done.returncode == 0, done.stderr
    assert [name for name in written if not (here / name).exists()] == []


def test_a_report_takes_and_writes_odd_names(simopt, here: Path) -> None:
    assert simopt("run", *DATA, *QUICK, STORE).returncode == 0
    places = {"--figures": "f ${x}", "--csv": "t #1", "--latex": "l (β).tex", "--html": "p %.html"}
    options = [part for option, name in places.items() for part in (option, f"{FOLDER}/{name}")]
    done = simopt("report", f"{FOLDER}/out ${{x}}", *options)
    assert done.returncode == 0, done.stderr
    assert [name for name in places.values() if not (here / name).exists()] == []
