"""``simopt measures`` and ``simopt score``."""

import json
from pathlib import Path

import numpy as np
import pytest

import simopt as package
from simopt import measures


@pytest.fixture
def pair(tmp_path: Path, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X, Y = rng.standard_normal((40, 6)), rng.standard_normal((40, 5))
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "Y.npy", Y)
    return X, Y


def test_the_table_lists_every_measure(simopt) -> None:
    done = simopt("measures")
    assert done.returncode == 0
    assert all(name in done.stdout for name in measures.names())
    cards = json.loads(simopt("measures", "--json").stdout)
    assert [card["name"] for card in cards] == measures.names()


def test_one_measure_is_shown_with_its_formula_and_aliases(simopt) -> None:
    shown = simopt("measures", "cka").stdout
    for part in (
        "||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F)",
        "Kornblith et al. 2019",
        "cka-linear-gretton",
        "orthogonal",
    ):
        assert part in shown
    assert simopt("measures", "ckaa").returncode == 2


def test_scores_of_two_files(simopt, pair) -> None:
    result = json.loads(simopt("score", "X.npy", "Y.npy", "measure=cka,linreg-r2-no_cv", "--json").stdout)
    assert result["skipped"] == {}
    for name in ("cka", "linreg-r2-no_cv"):
        assert result["measures"][name]["score"] == pytest.approx(package.score(*pair, name), rel=1e-12)
    assert "cka" in simopt("score", "X.npy", "Y.npy").stdout


def test_all_measures_are_scored_or_a_reason_is_given(simopt, pair) -> None:
    done = simopt("score", "X.npy", "Y.npy", "measure=all", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert set(measures.distinct()) == result["measures"].keys() | result["skipped"].keys()
    assert "25 components need" in result["skipped"]["brainscore-pls25"]
    assert all(np.isfinite(value["score"]) for value in result["measures"].values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["X.npy", "Y.npy", "measure=nbz"], "the nearest: nbs"),
        (["X.npy", "Y.npy", "mesure=nbs"], "measure=NAME"),
        (["X.npy", "short.npy"], "X has 40 samples and Y has 39"),
        (["X.npy", "none.npy"], "no such file"),
        (["X.npy", "Y.npy", "measure=brainscore-pls25"], "25 components need"),
    ],
)
def test_bad_input(simopt, pair, tmp_path: Path, arguments: list[str], says: str) -> None:
    np.save(tmp_path / "short.npy", pair[1][1:])
    done = simopt("score", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_measures_of_one_formula_keep_their_names_though_they_are_stored_once(simopt, pair) -> None:
    arguments = ("score", "X.npy", "Y.npy", "measure=cka,rsa_correlation_corr", "--draws", "3", "--json")
    for _ in range(2):
        told = json.loads(simopt(*arguments).stdout)["measures"]
        assert list(told) == ["cka", "rsa_correlation_corr"]
        assert told["cka"] == told["rsa_correlation_corr"]
