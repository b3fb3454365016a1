"""Groups, blocks and rows arrive in every function that takes X, and in every command."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simopt
from simopt.datasets import Dataset

RNG = np.random.default_rng(0)
IMAGE = np.tile(np.arange(20), 4)  # one repeat after the other: contiguous folds split every image
X = RNG.standard_normal((20, 6))[IMAGE] + RNG.standard_normal((80, 6))
Y = 0.5 * X[:, :4] + RNG.standard_normal((20, 4))[IMAGE] + RNG.standard_normal((80, 4))
SHORT: dict[str, Any] = {"levels": [0.2, 0.4], "steps": 10, "starts": 2, "rounds": 1}

CALLS: dict[str, Callable[..., Any]] = {
    "score": lambda data, **rows: simopt.score(data, Y, "linreg_cv5", **rows),
    "compare": lambda data, **rows: simopt.compare(data, Y, "linreg_cv5", draws=3, **rows).standings[0].score,
    "explain": lambda data, **rows: (
        simopt.explain(data, Y, "linreg_cv5", draws=3, seeds=(0,), max_steps=4, **rows)
        .explained[0]
        .standing.score
    ),
    "attribute": lambda data, **rows: simopt.attribute(data, Y, "linreg_cv5", **rows).score,
    "optimize": lambda data, **rows: simopt.optimize(data, "linreg_cv5", max_steps=3, **rows).score.tolist(),
    "card": lambda data, **rows: simopt.card("linreg_cv5", data, partners=(), **rows).run.score.tolist(),
    "sensitivity": lambda data, **rows: (
        simopt.sensitivity(data, "linreg_cv5", seeds=(0,), pcs=[1], **rows)
        .curves[0]
        .experiment[0, 0]
        .tolist()
    ),
    "joint": lambda data, **rows: simopt.joint(data, ("ridge100_cv5", "cka"), **SHORT, **rows).region.area,
}


@pytest.mark.parametrize("name", CALLS)
def test_folds_keep_groups_together(name: str) -> None:
    call, named = CALLS[name], Dataset("x", X, {"image": IMAGE})
    single, grouped = call(X), call(X, groups=IMAGE)
    assert single != grouped
    assert call(replace(named, groups="image")) == grouped
    if name != "score":
        assert call(named, groups=["image"]) == grouped


def test_equal_samples_are_kept_together_unless_that_is_turned_off() -> None:
    repeated = Y[:20][IMAGE]
    grouped = simopt.compare(X, repeated, "linreg_cv5", draws=3, groups=IMAGE).standings[0].score
    found = simopt.compare(X, repeated, "linreg_cv5", draws=3)
    assert found.standings[0].score == grouped
    assert any("equal samples of Y are taken for repeats of 20" in line for line in found.caveats())
    off = simopt.compare(X, repeated, "linreg_cv5", draws=3, groups="none")
    assert off.standings[0].score != grouped
    assert not any("equal samples" in line for line in off.caveats())


def test_a_score_says_what_its_null_exchanged() -> None:
    blocks = np.arange(80) // 16
    for options, kind in (
        ({"groups": IMAGE}, "groups"),
        ({"blocks": blocks}, "blocks"),
        ({"rows": "independent"}, "independent"),
    ):
        values = simopt.compare(X, Y, "cka", draws=20, **options).as_json()["measures"]["cka"]
        assert values["rows"]["kind"] == kind
        assert 0 < values["percentile"] < 100
        assert "percentile_innovations" not in values
    timed = simopt.compare(*RNG.standard_normal((2, 80, 4)), draws=20, rows="time").as_json()["measures"][
        "cka"
    ]
    assert timed["rows"]["kind"] == "time"
    assert 0 < timed["percentile_innovations"] < 100
    three = simopt.compare(X.reshape(8, 10, 6), Y.reshape(8, 10, 4), "linreg_cv5", draws=20)
    values = three.as_json()["measures"]["linreg_cv5"]
    assert values["rows"]["kind"] == "conditions"
    assert {"score_without_course", "percentile_without_course"} <= values.keys()
    assert any("dataset.groups=condition" in line for line in three.caveats())


def test_a_percentile_that_does_not_hold_has_a_reason() -> None:
    walks = np.random.default_rng(1).standard_normal((2, 200, 10)).cumsum(axis=1)
    values = simopt.compare(*walks, draws=20).as_json()["measures"]["cka"]
    assert values["percentile"] is None
    assert values["rows"]["null"] is None
    assert values["percentile_reason"] == values["rows"]["why"]
    assert 0 < values["percentile_innovations"] < 100


def test_the_command_takes_them_and_refuses_unknown_ones(simopt, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", responses=X, image=IMAGE)
    np.save(tmp_path / "y.npy", Y)
    asked = ["score", "x.npz", "y.npy", "measure=linreg_cv5", "dataset.labels=[image]", "--draws", "20"]
    shown = simopt(*asked, "dataset.groups=[image]", "--json")
    values = json.loads(shown.stdout)["measures"]["linreg_cv5"]
    assert values["rows"] == {
        "kind": "groups",
        "null": "groups exchanged",
        "why": "the samples of a group belong together",
    }
    assert values["score"] == CALLS["score"](X, groups=IMAGE)
    assert "null: groups exchanged" in " ".join(simopt(*asked, "dataset.groups=[image]").stdout.split())
    refused = simopt(*asked, "dataset.groups=[imag]")
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (2, 1)
    assert "the nearest: image" in refused.stderr
    assert simopt(*asked, "dataset.rows=sorted").returncode == 2
