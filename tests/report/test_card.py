"""Cards as tables and as a page, from data made by hand."""

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
from simopt.report.card import (
    Card,
    Joint,
    cost_table,
    good_score_table,
    half_capture_table,
    heading,
    invariance_table,
    joint_table,
    sensitivities,
    time_worded,
)
from simopt.report.card.page import joint_plots, save_page
from simopt.report.page.analyses import sensitivity_plots
from simopt.report.page.plots import decoding_plots, half_capture_plots, score_plots
from simopt.report.style import look
from simopt.report.tables import rounded, summarize
from simopt.theory.sensitivity import Local, Sensitivity
from tests.report.runs import made

STAYS = ("permutation", "orthogonal")


def card(name="cka", **changes):
    invariances = [
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
    made = Card(
        name, "demo", "surrogate", 40, 5, facts, {"kernel": "linear"}, invariances, cost, joints=[joint]
    )
    return replace(made, missing={"run": "asked not to"}, **changes)


def test_words_and_numbers():
    one = card()
    assert heading([one, card("nbs")]) == "cka and nbs on demo (surrogate)"
    tried = {str(row[0]): [str(cell) for cell in row[1:]] for row in invariance_table([one]).rows}
    assert tried["permutation"] == ["stays", "stays"]
    assert tried["affine"] == ["changes by 0.25", "changes by 0.25"]
    assert [time_worded(Timed(s, 3)) for s in (2.5, 0.0123, 4.56e-5)] == ["2.5 s", "12 ms", "46 us"]
    costs = cost_table([one])
    assert costs.rows[:2] == [["a score", "12 ms"], ["with gradient", "2.5 s (one call)"]]
    assert costs.note == "40 x 5, float32 on cpu, 1 thread"
    joints = joint_table([one])
    assert joints.rows == [["nbs", "independent: nbs >= 0.9 leaves it 0 to 1"]]
    assert joints.note == "scores that were found by hand"
    assert one.remarks() == ["cka, run: asked not to"]
    told = json.loads(json.dumps(one.as_json(), allow_nan=False))
    assert told["joint"][0]["outline"][1] == [1.0, 0.5]
    assert told["run"] is None


def test_a_disagreement_is_shown():
    wrong = Invariance("affine", "Y", 0.3, False, True)
    one = card(invariances=[wrong])
    assert one.disagreements() == ["affine of Y: declared to leave the score, changed it by at most 3.0e-01"]
    table = invariance_table([one])
    assert [str(cell) for cell in table.rows[0]] == ["affine", "-", "changes by 0.3, declared to stay"]
    assert [cell.value for cell in table.rows[0][1:]] == [None, 0.3]


def test_regions_of_all_cards_are_in_the_same_axes():
    (plot,) = joint_plots([card(), card("nbs_squared")])
    assert plot.title == "demo (surrogate): scores found together with nbs"
    assert [trace.name for trace in plot.figure.data if trace.fill] == ["cka", "nbs_squared"]
    assert [trace.line.dash for trace in plot.figure.data].count("dash") == 4
    assert plot.tables[0][2] == [[0.0, 1.0, 1.0, 0.0], [0.0, 0.5, 1.0, 0.5]]


def test_the_page_is_written_and_text_stays_text(tmp_path):
    hostile = "<script>alert(1)</script> $x_{$"
    cards = [card(), card(hostile, notes=[hostile], sensitivity=curve(hostile, 3))]
    page = save_page(cards, tmp_path / "c.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "demo (surrogate)" in page
    assert save_page(cards, tmp_path / "d.html").read_text() == page
    with pytest.raises(InputError, match=r"c\.pdf: .*\.html"):
        save_page(cards, tmp_path / "c.pdf")


def curve(name, seeds):
    theory, experiment = np.array([[0.2, 0.8]]), np.full((1, 2, seeds), 0.5)
    local = Local(np.full(2, 2.0), np.ones(2), 1.5, 1.0, "closed form")
    curves = [Sensitivity(name, 1.0, theory, None, None, experiment, local)]
    ratio = np.array([0.75, 0.25])
    return Sensitivities("demo", "surrogate", "rotation", [90.0], seeds, ratio, curves, {}, None, "done")


def test_sensitivities_of_as_many_seeds_are_in_one_plot():
    cards = [card(sensitivity=curve("cka", 3)), card(), card("nbs", sensitivity=curve("nbs", 3))]
    assert [[c.measure for c in result.curves] for result in sensitivities(cards)] == [["cka", "nbs"]]
    other = card("rsa", sensitivity=curve("rsa", 10))
    assert [[c.measure for c in result.curves] for result in sensitivities([cards[0], other])] == [
        ["cka"],
        ["rsa"],
    ]


def test_half_captures_and_good_scores_have_a_column_a_card():
    run = made(seeds=(0, 1), K=6, decoded=("a",))
    ran = card(run=run, summary=summarize(run))
    halves = half_capture_table([card("nbs"), ran])
    assert halves.heads == ["PC", "nbs", "cka"]
    rows = {str(row[0]): row[1:] for row in halves.rows}
    assert [str(cell) for cell in rows["1 (50.0%)"]] == ["-", rounded(summarize(run).halves[:, 0]).worded()]
    assert rows["1 (50.0%)"][1].value == pytest.approx(summarize(run).halves[:, 0].mean(), abs=0.01)
    assert str(rows["last score"][1]) == "0.950 ± 0"
    assert str(rows["PCs never half captured"][0]) == "-"
    assert good_score_table([card("nbs"), ran]).rows == [["a", "-", ran.good_score("a")]]
    assert half_capture_table([card()]) is None
    assert good_score_table([card()]) is None


def test_half_captures_that_noise_has_as_well_are_called_noise():
    run = made(seeds=(0, 3))  # the second start scores 0.15
    run = replace(run, half_capture=np.array([[0.1, 0.4, 0.1, 0.4, np.nan, 0.4]] * 2))
    table = half_capture_table([card(run=run, summary=summarize(run))])
    cells = {str(row[0]).split()[0]: str(row[1]) for row in table.rows}
    assert [cells[pc] for pc in "1235"] == ["noise", "0.400 ± 0", "noise", "never"]
    assert "noise: " in table.note


def test_a_measure_has_one_color_in_every_plot_of_a_card():
    cards = [card("nbs", sensitivity=curve("nbs", 3)), card("linreg", sensitivity=curve("linreg", 3))]
    ran = [made(c.measure, decoded=("a",)) for c in cards]
    cards = [replace(c, run=run, summary=summarize(run)) for c, run in zip(cards, ran, strict=True)]
    drawn = [
        *joint_plots(cards[1:]),
        *half_capture_plots(ran),
        *decoding_plots(ran, {}),
        *score_plots(ran, 9),
    ]
    drawn += [plot for result in sensitivities(cards) for plot in sensitivity_plots(result)]
    colors = {}
    for plot in drawn:
        for trace in plot.figure.data:
            measure = trace.name.split(",")[0]
            if measure in ("nbs", "linreg"):
                colors.setdefault(measure, set()).update({trace.line.color, trace.marker.color} - {None})
    assert colors == {name: {look(name)["color"]} for name in ("nbs", "linreg")}
