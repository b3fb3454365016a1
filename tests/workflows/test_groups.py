"""Groups, blocks and rows arrive in every function that takes X, and in every command."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simopt
from simopt.analysis import decoding
from simopt.datasets import Dataset, Trials
from simopt.errors import InputError, LabelWarning, RowsWarning

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


def test_groups_that_only_y_declares_count() -> None:
    labeled = Dataset("y", Y, {"image": IMAGE}, groups="image")
    of_x = simopt.score(X, Y, "linreg_cv5", groups=IMAGE)
    assert simopt.score(X, labeled, "linreg_cv5") == of_x
    assert float(simopt.measures.get("linreg_cv5")(X, labeled)) == of_x
    compared = simopt.compare(X, labeled, "linreg_cv5", draws=20)
    assert compared.standings[0].score == of_x
    assert compared.as_json()["measures"]["linreg_cv5"]["rows"]["kind"] == "groups"
    single = simopt.score(X, Y, "linreg_cv5")
    assert simopt.score(X, labeled, "linreg_cv5", groups="none") == single
    assert simopt.compare(X, labeled, "linreg_cv5", draws=0, groups="none").standings[0].score == single
    for call in (simopt.score, simopt.compare, simopt.attribute):
        with pytest.raises(InputError, match="X and Y declare different groups"):
            call(X, labeled, "linreg_cv5", groups=np.arange(80) // 2)


@pytest.mark.parametrize("name", ["attribute", "optimize", "card", "sensitivity", "joint"])
def test_what_is_made_of_equal_samples_is_told(name: str) -> None:
    with pytest.warns(RowsWarning, match="equal samples of .* are taken for repeats of 20"):
        CALLS[name](X[:20][IMAGE])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RowsWarning)
        CALLS[name](X[:20][IMAGE], groups="none")


def test_labels_are_decoded_with_whole_groups_left_out(recwarn: pytest.WarningsRecorder) -> None:
    # Noise of an image tells which side it has: with repeats of it in train the label is decoded by them.
    side = np.where(np.arange(20) < 10, "left", "right")[IMAGE]
    labels = {"side": side, "image": IMAGE, "rare": np.arange(80) < 3}
    wide = RNG.standard_normal((20, 40))[IMAGE] + 0.1 * RNG.standard_normal((80, 40))
    single = Dataset("x", wide, {"side": side})
    grouped = Dataset("x", wide, labels, groups="image")
    assert decoding.reference_decoding(single)["side"]["accuracy"] > 0.95
    facts = decoding.reference_decoding(grouped)
    assert facts["side"]["accuracy"] < 0.8
    assert facts["side"]["predictions"] == 20
    result = simopt.joint(grouped, ("nbs", "cka"), decode=True, **SHORT)
    assert set(result.extremes.decoding) == {"side", "rare"}
    run = simopt.optimize(grouped, "cka", max_steps=2, decoder="standard")
    assert set(run.run.decoding) == {"side"}
    said = [str(one.message) for one in recwarn if one.category is LabelWarning]
    assert [text.split()[1] for text in said] == ["image", "image", "rare"]
    assert "class True has 3" in said[-1]
    explained = simopt.explain(grouped, wide[:, :5], "cka", draws=3, seeds=(0,), max_steps=4)
    assert set(explained.unused_labels) >= {"image", "rare"}


def test_equal_samples_are_kept_together_unless_that_is_turned_off() -> None:
    repeated = Y[:20][IMAGE]
    grouped = simopt.compare(X, repeated, "linreg_cv5", draws=3, groups=IMAGE).standings[0].score
    found = simopt.compare(X, repeated, "linreg_cv5", draws=3)
    assert found.standings[0].score == grouped
    assert any("equal samples of Y are taken for repeats of 20" in line for line in found.caveats())
    alike = simopt.compare(Dataset("it", repeated), Dataset("it", X), "linreg_cv5", draws=0)  # names alike
    with pytest.warns(RowsWarning):
        assert alike.standings[0].score == simopt.score(repeated, X, "linreg_cv5")
    (note,) = found.as_json()["measures"]["linreg_cv5"]["notes"]
    assert note in found.caveats()
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
    unread = simopt("score", "x.npz", "y.npy", "dataset.groups=[image]")
    assert (unread.returncode, unread.stderr.count("\n")) == (2, 1)
    assert "add dataset.labels=[image]" in unread.stderr
    refused = simopt(*asked, "dataset.groups=[imag]")
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (2, 1)
    assert "the nearest: image" in refused.stderr
    assert simopt(*asked, "dataset.rows=sorted").returncode == 2


def test_axes_in_another_order_are_refused() -> None:
    by_time, by_condition = X.reshape(8, 10, 6), Y.reshape(10, 8, 4)
    for call in (simopt.score, simopt.compare, simopt.attribute):
        with pytest.raises(InputError, match="8 times x 10 conditions and Y has 10 x 8"):
            call(by_time, by_condition)


def test_texts_are_values_unless_they_name_labels() -> None:
    names = [f"image {i}" for i in IMAGE]
    assert simopt.score(X, Y, "linreg_cv5", groups=names) == simopt.score(X, Y, "linreg_cv5", groups=IMAGE)
    assert simopt.compare(X, Y, "linreg_cv5", draws=0, groups=names).standings[0].score == simopt.score(
        X, Y, "linreg_cv5", groups=IMAGE
    )
    with pytest.raises(InputError, match="Unknown label of X for groups 'image 0'"):
        simopt.compare(X, Y, groups=names[:3])


def test_repeats_of_a_measure_that_contradict_the_groups_are_told() -> None:
    def said(**options: Any) -> bool:
        shown = simopt.compare(X, Y, "rsa_crossnobis", draws=0, groups=IMAGE, **options).caveats()
        return any(
            "rsa_crossnobis: its option repeats or conditions makes other groups" in line for line in shown
        )

    assert not said(repeats=4)
    assert said(repeats=5)


def test_a_declaration_that_the_data_contradict_is_told() -> None:
    slow = np.random.default_rng(2).standard_normal((2, 80, 4)).cumsum(axis=1)
    rows = simopt.compare(*slow, draws=20, rows="independent").as_json()["measures"]["cka"]["rows"]
    assert "declared independent, although neighbors are alike in X and in Y" in rows["why"]
    assert rows["null"] == "samples exchanged"
    fast = np.random.default_rng(2).standard_normal((2, 80, 4))
    rows = simopt.compare(*fast, draws=20, rows="independent").as_json()["measures"]["cka"]["rows"]
    assert rows["why"] == "the samples are declared independent"
    assert "no null holds for these rows" in repr(simopt.compare(*slow, draws=20))


def test_a_ceiling_is_about_the_trials_and_says_so() -> None:
    rng = np.random.default_rng(3)
    trials = rng.standard_normal((30, 5))[np.repeat(np.arange(30), 4)] + rng.standard_normal((120, 5))
    kept = Trials(trials, np.repeat(np.arange(30), 4))
    model = rng.standard_normal((30, 3))
    whole = Dataset("whole", kept.average(), trials=kept)
    other = Dataset("other", np.median(trials.reshape(30, 4, 5), axis=1), trials=kept)
    assert not any("from which the responses" in line for line in simopt.compare(whole, model).caveats())
    assert any(
        "from which the responses of other differ" in line for line in simopt.compare(other, model).caveats()
    )
    with pytest.raises(InputError, match="whole has single trials"):
        simopt.compare(whole, model, snr=2.0)
