"""The workflow of cards: which stored results a card takes, and what it says of those it makes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simopt
from simopt.workflows import card
from simopt.workflows.card import CardRequest
from simopt.workflows.run_request import RunRequest

X = np.random.default_rng(0).standard_normal((30, 4)) * [4, 3, 2, 1]
STEPS = {"max_steps": 5, "seeds": (0, 1)}
QUICK: dict[str, Any] = {"levels": [0.3, 0.6], "starts": 2, "rounds": 1}


def made(store: Path, *, search: dict[str, Any] | None = None, **options: Any) -> Any:
    run = RunRequest(dataset=X, **{"measure": "cka", "log": store, **STEPS, **options})
    partners = ("nbs",) if search is not None else ()
    return card.carry_out(CardRequest(run=run, partners=partners, search=search or {}))


@pytest.mark.parametrize("order", [("nbs", "cka"), ("cka", "nbs")])
def test_the_longest_stored_joint_range_is_taken(tmp_path: Path, order: tuple[str, str]) -> None:
    for steps in (20, 30, 15):
        simopt.joint(X, order, steps=steps, store=tmp_path, **QUICK)
    simopt.joint(X, order, steps=50, units=3, store=tmp_path, **QUICK)  # of other Y
    simopt.joint(X, order, mode="square", per_side=2, steps=50, store=tmp_path)
    before = set(tmp_path.rglob("joint.h5"))
    (joint,) = made(tmp_path, search={}).joints
    assert set(tmp_path.rglob("joint.h5")) == before
    taken = simopt.load_result(joint.path)
    assert "steps=30" in joint.effort
    outline = np.concatenate([taken.region.lower, taken.region.upper[::-1]])
    np.testing.assert_array_equal(joint.outline, outline if order == ("nbs", "cka") else outline[:, ::-1])
    assert (joint.partner, joint.area) == ("nbs", taken.region.area)


def test_a_search_that_was_asked_for_is_made_and_then_found(tmp_path: Path) -> None:
    simopt.joint(X, ("nbs", "cka"), steps=20, store=tmp_path, **QUICK)
    search = {**QUICK, "steps": 6}
    (first,) = made(tmp_path, search=search).joints
    assert "steps=6" in first.effort
    assert len(list(tmp_path.rglob("joint.h5"))) == 2
    (again,) = made(tmp_path, search=search).joints
    assert again.path == first.path
    np.testing.assert_array_equal(again.outline, first.outline)


def test_a_stored_run_of_more_replicates_is_taken_and_one_of_fewer_is_not(tmp_path: Path) -> None:
    three = simopt.optimize(X, "cka", seeds=(0, 1, 2), max_steps=5, store=tmp_path)
    assert made(tmp_path).run.path == three.path
    more = made(tmp_path, seeds=(0, 1, 2, 3)).run
    assert more.score.shape[1] == 4
    assert more.path != three.path
    longer = made(tmp_path, max_steps=6).run
    assert longer.path not in (three.path, more.path)
    chosen = CardRequest(
        run=RunRequest(dataset=X, measure="cka", log=tmp_path, **STEPS),
        chosen=frozenset({"seeds"}),
        partners=(),
    )
    assert card.carry_out(chosen).run.score.shape[1] == 2


def test_a_measure_with_options_has_cards_of_its_own(tmp_path: Path) -> None:
    rbf = simopt.measures.get("cka", kernel="rbf")
    run = RunRequest(dataset=X, measure=rbf, log=tmp_path, **STEPS)
    plain = CardRequest(run=RunRequest(dataset=X, measure="cka", log=tmp_path, **STEPS))
    optioned = CardRequest(run=run)
    assert (plain.plain, optioned.plain) == (True, False)
    assert plain.key == "cka"
    assert optioned.key.startswith("cka-")
    assert plain.joint_with("nbs").names == ("nbs", "cka")


def test_progress_names_the_measure_and_ends_each_part(tmp_path: Path) -> None:
    told: dict[str, tuple[int, int]] = {}

    def observe(title: str, done: int, total: int) -> None:
        told[title] = (done, total)

    run = RunRequest(dataset=X, measure="cka", log=tmp_path, **STEPS)
    card.carry_out(CardRequest(run=run, partners=("nbs",), search={**QUICK, "steps": 4}), observe)
    assert list(told) == ["cka: cost", "cka: sensitivity", "cka: run", "cka: joint range with nbs"]
    assert {done == total for done, total in told.values()} == {True}


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    result = made(tmp_path)
    assert result.missing["joint"] == "left out as requested"
    assert "no labels" in result.missing["decoding"]
    assert (result.samples, result.units) == X.shape
    unfollowed = simopt.card("rsa_spearman", X, partners=("nbs",))
    for part in ("run", "joint"):
        assert "no gradient" in unfollowed.missing[part]
    assert (unfollowed.run, unfollowed.summary, unfollowed.joints) == (None, None, [])


def test_functions_of_one_measure_lie_on_a_curve_over_their_whole_range() -> None:
    run = RunRequest(dataset=X, measure="procrustes_angular", **STEPS)
    (joint,) = card.carry_out(CardRequest(run=run, partners=("nbs",))).joints
    nbs, angular = joint.outline.T
    np.testing.assert_allclose(angular, 1 - 2 / np.pi * np.arccos(nbs), atol=1e-12)
    assert (nbs.min(), nbs.max(), joint.verdict, joint.area) == (0, 1, "exact", 0)
