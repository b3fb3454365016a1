"""Cards as one HTML page that loads nothing: a column for each card, their curves in the same axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from simopt.analysis.invariances import DRAWS, SIDES
from simopt.report.card import (
    SHOWN_PCS,
    Card,
    cost_setting,
    costs,
    disagreements,
    efforts,
    heading,
    kinds,
    partners,
    remarks,
    sensitivities,
    summarised,
    tried,
    tried_worded,
    variables,
)
from simopt.report.page.analyses import sensitivity_plots
from simopt.report.page.document import Document
from simopt.report.page.markup import Cell, facts, marked, table, text
from simopt.report.page.plots import COLORS, Plot, decoding_plots, half_capture_plots


def save_page(cards: Sequence[Card], path: Path) -> Path:
    """Write cards on one dataset, side by side, and return the path.

    Raises
    ------
    InputError
        Another suffix than .html, plotly is not installed, or the file cannot be written.
    """
    document = Document()
    sources = [card.source for card in cards]
    names = [card.measure for card in cards]
    told = [dict(card.about()) for card in cards]
    rows: list[list[Cell]] = [[key, *(each[key] for each in told)] for key in told[0]]
    document.section("what", "What it is", table("about", heading(cards), "", ["", *names], rows))
    document.section("invariances", "What leaves the score as it is", _invariances(cards))
    document.drawn(
        "sensitivity",
        marked("Sensitivity to single PCs", sources),
        (plot for result in sensitivities(cards) for plot in sensitivity_plots(result)),
    )
    _run(document, cards, sources)
    document.drawn("joint", marked("Joint ranges", sources), joint_plots(cards))
    rows = [[name, *cells] for name, cells in costs(cards)]
    document.section("cost", "Cost", table("costs", "Cost", cost_setting(cards), ["", *names], rows))
    alarms = "".join(f'<p class="broken">{text(line)}</p>' for line in disagreements(cards))
    told_of = "".join(f"<p>{text(line)}</p>" for line in remarks(cards))
    document.section("remarks", "Remarks", f"{alarms}{told_of}{_files(cards)}")
    return document.save(f"simopt: {heading(cards)}", path)


def joint_plots(cards: Sequence[Card]) -> Iterator[Plot]:
    """Yield, for each partner, the regions of all cards with what is proved of them."""
    dataset = f"{cards[0].dataset} ({cards[0].source})"
    for partner in partners(cards):
        plot = Plot(f"{dataset}: scores found together with {partner}", partner, "score")
        said = []
        for index, card in enumerate(cards):
            color = f"c{index % COLORS}"
            for joint in card.joints:
                if joint.partner != partner:
                    continue
                columns = {partner: joint.outline[:, 0], card.measure: joint.outline[:, 1]}
                x, y = plot.add(f"{card.measure} with {partner}, outline", columns)
                plot.trace(card.measure, x, y, color, fill="toself", legend=True, group=card.measure)
                for side, limit in (("least", joint.lower), ("largest", joint.upper)):
                    if len(limit) and joint.verdict != "exact":
                        columns = {partner: limit[:, 0], card.measure: limit[:, 1]}
                        x, y = plot.add(f"{card.measure} with {partner}, proved {side}", columns)
                        name = f"{card.measure}, proved"
                        shown = side == "least"
                        plot.trace(
                            name, x, y, color, dash="dash", legend=shown, group=f"{card.measure} proved"
                        )
                said.append(f"{card.measure}: {card.joint_sentence(partner)} ({joint.effort})")
        plot.sentence = f"{'; '.join(said)}."
        yield plot


def _invariances(cards: Sequence[Card]) -> str:
    heads = ["transformation", *(f"{card.measure}, of {side}" for card in cards for side in SIDES)]
    rows: list[list[Cell]] = []
    for kind in kinds(cards):
        cells: list[Cell] = [kind.replace("_", " ")]
        for card in cards:
            for side in SIDES:
                found = tried(card, kind, side)
                change = math.nan if found is None else found.change
                cells.append((tried_worded(found), change if math.isfinite(change) else None))
        rows.append(cells)
    note = f"largest change of the score over {DRAWS} random draws of data and transformation"
    return table("invariances-table", "Transformations of the units, tried", note, heads, rows)


def _run(document: Document, cards: Sequence[Card], sources: Sequence[str]) -> None:
    chosen = summarised(cards)
    if not chosen:
        return
    names = [card.measure for card in cards]
    content = "".join(map(document.figure, half_capture_plots(chosen)))
    ratio = chosen[0][0].pc_variance
    rows: list[list[Cell]] = []
    for pc in (pc for pc in SHOWN_PCS if pc <= len(ratio)):
        cells: list[Cell] = [(f"{pc} ({ratio[pc - 1]:.1%})", pc)]
        for card in cards:
            half = card.halves(pc)
            mean = None if half is None or not half.count else float(half.value)
            cells.append(("-" if half is None else half.worded("never"), mean))
        rows.append(cells)
    note = "the score at which a PC is half captured by noise that climbs the score; means over replicates"
    content += table("halves-table", marked("Half capture", sources), note, ["PC", *names], rows)
    document.section("half-capture", marked("Half capture of PCs", sources), content)
    content = "".join(map(document.figure, decoding_plots(chosen)))
    if content:
        note = "where accuracy has risen from chance by nine tenths of the recording's rise"
        goods: list[list[Cell]] = [
            [name, *(card.good_score(name) for card in cards)] for name in variables(cards)
        ]
        content += table("good-table", marked("Good scores", sources), note, ["label", *names], goods)
        document.section("decoding", marked("Decoding against score", sources), content)


def _files(cards: Sequence[Card]) -> str:
    pairs: list[tuple[str, object]] = []
    for card in cards:
        if card.sensitivity is not None:
            pairs.append((f"{card.measure}, sensitivity", card.sensitivity.path))
        if card.run is not None:
            seeds = ", ".join(map(str, np.ravel(card.run.attributes["seeds"])))
            pairs.append((f"{card.measure}, run of seeds {seeds}", card.run.path))
        pairs += [
            (f"{card.measure} with {joint.partner}", joint.path or joint.effort) for joint in card.joints
        ]
    effort = efforts(cards)
    if effort:
        pairs.append(("joint ranges", effort))
    return facts("Files", pairs) if pairs else ""
