"""Cards as a page and as a sheet, from data made by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from simopt import measures
from simopt.analysis.cost import Cost, Timed
from simopt.analysis.invariances import Invariance
from simopt.analysis.sensitivity import Sensitivities
from simopt.errors import InputError
from simopt.measures.base import INVARIANCES
from simopt.report.card import Card, Joint, costs, heading, sheet, time_worded, tried, tried_worded
from simopt.report.card.page import joint_plots, save_page
from simopt.report.card.sheet import save_sheet
from simopt.theory.sensitivity import Local, Sensitivity

STAYS = ("permutation", "orthogonal")


def card(name="cka", **changes):
    found = [
        Invariance(kind, side, 0.0 if kind in STAYS else 0.25, kind in STAYS, kind in STAYS)
        for side in ("X", "Y")
        for kind in INVARIANCES
    ]
    square = np.array([[0, 0], [1, 0.5], [1, 1], [0, 0.5]], dtype=float)
    joint = Joint(
        "nbs", square, square[:2], square[2:], 0.5, "independent", "nbs >= 0.9 leaves it 0 to 1", "hand"
    )
    facts = measures.describe(measures.get("cka"))
    cost = Cost(Timed(0.0123, 7), Timed(2.5, 1), 40, 5, "cpu", "float32", 1)
    made = Card(name, "demo", "surrogate", 40, 5, facts, {"kernel": "linear"}, found, cost, joints=[joint])
    return replace(made, missing={"run": "asked not to"}, **changes)


def test_words_and_numbers():
    one = card()
    assert heading([one, card("nbs")]) == "cka and nbs on demo (surrogate)"
    assert tried_worded(tried(one, "permutation", "X")) == "stays"
    assert tried_worded(tried(one, "affine", "Y")) == "changes by 0.25"
    assert [time_worded(Timed(s, 3)) for s in (2.5, 0.0123, 4.56e-5)] == ["2.5 s", "12 ms", "46 us"]
    assert costs([one])[:2] == [("a score", ["12 ms"]), ("with gradient", ["2.5 s (one call)"])]
    assert one.joint_sentence("nbs") == "independent: nbs >= 0.9 leaves it 0 to 1"
    assert one.remarks() == ["cka, run: asked not to"]
    told = json.loads(json.dumps(one.as_json(), allow_nan=False))
    assert told["joint"][0]["outline"][1] == [1.0, 0.5]
    assert told["run"] is None


def test_a_disagreement_is_shown():
    wrong = Invariance("affine", "Y", 0.3, False, True)
    one = card(invariances=[wrong])
    assert one.disagreements() == ["affine of Y: declared to leave the score, changed it by at most 3.0e-01"]
    assert tried_worded(wrong) == "changes by 0.3, declared to stay"


def test_regions_of_all_cards_are_in_the_same_axes():
    (plot,) = joint_plots([card(), card("nbs_squared")])
    assert plot.title == "demo (surrogate): scores found together with nbs"
    assert [each["name"] for each in plot.traces if each.get("fill")] == ["cka", "nbs_squared"]
    assert [each.get("dash") for each in plot.traces].count("dash") == 4
    assert plot.blocks[0][2] == [[0.0, 1.0, 1.0, 0.0], [0.0, 0.5, 1.0, 0.5]]


def test_page_and_sheet_are_written_and_text_stays_text(tmp_path):
    hostile = "<script>alert(1)</script> $x_{$"
    cards = [card(), card(hostile, notes=[hostile])]
    page = save_page(cards, tmp_path / "c.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "demo (surrogate)" in page
    first = save_sheet(cards, tmp_path / "c.pdf").read_bytes()
    assert first.count(b"/Type /Page ") == 1
    assert save_sheet(cards, tmp_path / "d.pdf").read_bytes() == first


def curve(name, seeds):
    theory, experiment = np.array([[0.2, 0.8]]), np.full((1, 2, seeds), 0.5)
    local = Local(np.full(2, 2.0), np.ones(2), 1.5, 1.0, "closed form")
    curves = [Sensitivity(name, 1.0, theory, None, None, experiment, local)]
    ratio = np.array([0.75, 0.25])
    return Sensitivities("demo", "surrogate", "rotation", [90.0], seeds, ratio, curves, {}, None, "done")


def test_each_card_has_one_colour_on_the_sheet(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(sheet, "save", lambda figure, path: saved.append(figure))
    cards = [card(), card("nbs", sensitivity=curve("nbs", 10)), card("rsa", sensitivity=curve("rsa", 3))]
    save_sheet(cards, tmp_path / "c.pdf")
    drawn = saved[0].subfigs[2]
    shown = {line.get_label(): line.get_color() for line in drawn.axes[0].get_lines()}
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    colors = [line.get_color() for line in drawn.legends[0].get_lines()]
    assert names == ["cka", "nbs", "rsa"]
    assert {name: shown[name] for name in names[1:]} == dict(zip(names[1:], colors[1:], strict=True))


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.pdf"):
        save_sheet([card()], tmp_path / "c.png")
    with pytest.raises(InputError, match=r"ends in \.html"):
        save_page([card()], tmp_path / "c.pdf")
    with pytest.raises(InputError, match="at most 4"):
        save_sheet([card(str(at)) for at in range(5)], tmp_path / "c.pdf")
