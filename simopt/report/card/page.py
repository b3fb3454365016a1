"""Cards as one HTML page: the tables have a column for each card, and plots show the curves of all cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from simopt.report import card as tables
from simopt.report.card import Card
from simopt.report.document import Document, Facts, Paragraph, Part
from simopt.report.page import render
from simopt.report.page.analyses import sensitivity_plots
from simopt.report.page.plots import Plot, decoding_plots, half_capture_plots, trace_look
from simopt.report.pools import named


def save_page(cards: Sequence[Card], path: Path) -> Path:
    """Write an HTML page with the cards of some measures on one dataset side by side, and return its path.

    Raises
    ------
    InputError
        The path does not end in .html, plotly or jinja2 is not installed, or the file cannot be written.
    """
    document = Document(f"simopt: {tables.heading(cards)}")
    sources = [card.source for card in cards]
    document.add("what", "What it is", [tables.about_table(cards)])
    document.add("invariances", "What leaves the score as it is", [tables.invariance_table(cards)])
    plots = [plot for result in tables.sensitivities(cards) for plot in sensitivity_plots(result)]
    document.add("sensitivity", "Sensitivity to single PCs", plots, sources)
    runs = [card.run for card in cards if card.run is not None]
    scores = {id(card.run): card.summary.good_scores for card in cards if card.summary is not None}
    for section, title, drawn, table in (
        ("half-capture", "Half capture of PCs", half_capture_plots(runs), tables.half_capture_table(cards)),
        ("decoding", "Decoding against score", decoding_plots(runs, scores), tables.good_score_table(cards)),
        ("joint", "Joint ranges", joint_plots(cards), tables.joint_table(cards)),
    ):
        parts: list[Part] = [*drawn, *([] if table is None else [table])]
        document.add(section, title, parts, sources)
    document.add("cost", "Cost", [tables.cost_table(cards)])
    parts = [Paragraph(f"{c.measure}: {line}", alarm=True) for c in cards for line in c.disagreements()]
    parts += [Paragraph(line) for card in cards for line in card.remarks()]
    files = list(_files(cards))
    document.add("remarks", "Remarks", [*parts, *([Facts("Files", files)] if files else [])])
    return render.save(document, path)


def joint_plots(cards: Sequence[Card]) -> Iterator[Plot]:
    """Yield a plot for each partner in joint ranges: the regions of all cards, with their proved bounds."""
    for partner in tables.partners(cards):
        plot = Plot(f"{named(cards[0])}: scores found together with {partner}", partner, "score")
        sentences = []
        for card in cards:
            color, name = trace_look(card.measure)[0], f"{card.measure} with {partner}"
            for joint in (joint for joint in card.joints if joint.partner == partner):
                x, y = joint.outline.T
                plot.table(f"{name}, outline", {partner: x, card.measure: y})
                plot.area(card.measure, joint.outline, color)
                for side, limit in (("least", joint.lower), ("largest", joint.upper)):
                    if len(limit) and joint.verdict != "exact":
                        x, y = limit.T
                        plot.table(f"{name}, proved {side}", {partner: x, card.measure: y})
                        proved = f"{card.measure}, proved"
                        plot.trace(proved, x, y, color, dash="dash", legend=side == "least", group=proved)
                sentences.append(f"{card.measure}: {card.joint_sentence(partner)} ({joint.effort})")
        plot.sentence = f"{'; '.join(sentences)}."
        yield plot


def _files(cards: Sequence[Card]) -> Iterator[tuple[str, object]]:
    for card in cards:
        if card.sensitivity is not None:
            yield f"{card.measure}, sensitivity", card.sensitivity.path
        if card.run is not None:
            seeds = ", ".join(map(str, np.ravel(card.run.attributes["seeds"])))
            yield f"{card.measure}, run of seeds {seeds}", card.run.path
        for joint in card.joints:
            yield f"{card.measure} with {joint.partner}", joint.path or joint.effort
