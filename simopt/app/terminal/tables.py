"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from simopt.analysis.explanation import Explanation
    from simopt.analysis.standing import Standing
    from simopt.report.tables import Summary


def runs_table(summaries: Sequence[Summary]) -> Table:
    """Return the table of runs: one row each, means over replicates."""
    from simopt.report.tables import PCS  # loads h5py, which the other tables do not need

    table = Table(title="Stored runs", caption="half capture: the score at which a PC is half captured")
    for name in ("dataset", "measure", "run", "status"):
        table.add_column(name, overflow="fold")
    for name in ("replicates", "steps", "final score", *(f"half PC {pc}" for pc in PCS), "never captured"):
        table.add_column(name, justify="right")
    for summary in summaries:
        table.add_row(*(Text(cell) for cell in summary.cells()))
    return table


def good_scores_table(summaries: Sequence[Summary]) -> Table:
    """Return at which score the task variables of each run are decodable, median and range over seeds."""
    table = Table(
        title="Good scores",
        caption="where accuracy has risen from chance by nine tenths of the recording's rise",
    )
    for name in ("dataset", "measure", "run", "variable"):
        table.add_column(name, overflow="fold")
    for name in ("accuracy", "good score"):
        table.add_column(name, justify="right")
    for summary in summaries:
        for variable, good in summary.good_scores.items():
            dataset, measure, run = summary.cells()[:3]
            names = map(Text, (dataset, measure, run, variable))
            table.add_row(*names, f"{good.level:.3f}", good.worded())
    return table


def measures_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of measures, one row each, by family."""
    table = Table(title="Measures", caption="`simopt measures NAME` shows formula, source and aliases")
    for name in ("family", "measure", "range", "best", "ignores in Y", "optimisable", "aliases"):
        table.add_column(name, overflow="fold", justify="right" if name == "aliases" else "left")
    for card in sorted(cards, key=lambda card: (card["family"], card["name"])):
        low, high = card["range"]
        row = (
            card["family"],
            card["name"],
            f"{low:.3g} to {high:.3g}",
            "largest" if card["larger_is_closer"] else "smallest",
            ", ".join(card["invariant_y"]) or "nothing",
            "yes" if card["differentiable"] else "no",
            str(len(card["aliases"])),
        )
        table.add_row(*map(Text, row))
    return table


def measure_card(card: Mapping[str, Any]) -> Table:
    """Return one measure, a fact in each row."""
    table = Table(title=card["name"], show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in card.items():
        table.add_row(key.replace("_", " "), Text(_worded(value)))
    return table


def scores_table(standings: Sequence[Standing], skipped: Mapping[str, str], title: str) -> Table:
    """Return scores, where they stand, and the reason for each that was not computed."""
    caption = "unrelated: mean of random data with the spectrum of Y, and what 95 % of them do not pass"
    table = Table(title=Text(title), caption=caption)
    table.add_column("measure")
    for name in ("score", "unrelated", "95 %", "percentile", "ceiling"):
        table.add_column(name, justify="right")
    table.add_column("not computed because", overflow="fold")
    for each in standings:
        null = each.null.get("unrelated")
        cells = [
            f"{each.score:.6f}",
            "" if null is None else f"{null.mean:.4f}",
            "" if null is None else f"{each.end:.4f}",
            "" if null is None else f"{each.percentile:.1f}",
            "" if each.ceiling is None else f"{each.ceiling.value:.4f}",
        ]
        table.add_row(Text(each.measure), *cells, "")
    for name, reason in skipped.items():
        table.add_row(Text(name), *[""] * 5, Text(reason))
    return table


def advice_table(explanation: Explanation) -> Table:
    """Return what each measure is good for on a recording, and its good scores."""
    table = Table(
        title="Measures on this recording",
        caption="good score: accuracy has risen from chance by nine tenths of the recording's rise",
    )
    table.add_column("measure")
    table.add_column("verdict")
    table.add_column("gap", justify="right")
    for variable in explanation.reference:
        table.add_column(Text(f"good score, {variable}"), justify="right")
    table.add_column("because", overflow="fold")
    for each in explanation.explained:
        verdict = each.verdict
        gap = "" if math.isnan(verdict.gap) else f"{verdict.gap:.2f}"
        good = [each.good[name].worded() if name in each.good else "" for name in explanation.reference]
        table.add_row(Text(verdict.measure), verdict.kind, gap, *good, Text(verdict.reason))
    return table


def datasets_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of datasets, one row each."""
    table = Table(
        title="Datasets",
        caption="source: what is taken now; `simopt datasets fetch NAME` gets a recording",
    )
    for name in ("dataset", "shape", "labels", "source", "size", "licence", "citation"):
        table.add_column(name, overflow="fold")
    for card in cards:
        shape = " x ".join(map(str, card["shape"])) if card["shape"] else "any"
        labels = ", ".join(card["labels"]) or ("yours" if card["name"] == "file" else "none")
        synthetic = " (synthetic)" if card["source"] == "surrogate" else ""
        row = (
            card["name"], shape, labels + synthetic, card["source"], card["size"], card["licence"],
            card["citation"],
        )  # fmt: skip
        table.add_row(*map(Text, row))
    return table


def dataset_table(card: Mapping[str, Any]) -> Table:
    """Return one dataset: its shape, spectrum and labels, with how well each is decoded."""
    table = Table(title=Text(f"{card['name']} ({card['source']})"), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    spectrum = card["spectrum"]
    leading = ", ".join(f"{share:.1%}" for share in spectrum[:8])
    rows = {
        "shape": " x ".join(map(str, card["shape"])),
        "PCs": f"{len(spectrum)}; the first hold {leading}",
        "PCs for 80, 90, 99 %": ", ".join(str(count) for count in card["pcs_holding"].values()),
        "participation ratio": f"{card['participation_ratio']:.1f}",
        "citation": card["citation"] or "none",
    }
    synthetic = ", synthetic" if card["source"] == "surrogate" else ""
    for variable, facts in card["labels"].items():
        rows[f"label {variable}{synthetic}"] = _decoded(facts)
    for key, value in rows.items():
        table.add_row(Text(key), Text(value))
    return table


def _decoded(facts: Mapping[str, Any]) -> str:
    if "reason" in facts:
        return f"not decoded: {facts['reason']}"
    over_time = facts["over_time"]
    best = max(range(len(over_time)), key=over_time.__getitem__)
    peak = f", {over_time[best]:.3f} in time bin {best}" if len(over_time) > 1 else ""
    if not facts["classes"]:
        return (
            f"continuous; decoded with R2 {facts['accuracy']:.3f} standardised{peak}, "
            f"{facts['accuracy_published']:.3f} as the published decoder scales"
        )
    return (
        f"{facts['classes']} classes, chance {facts['chance']:.3f}; decoded with accuracy "
        f"{facts['accuracy']:.3f} standardised{peak}; {facts['accuracy_published']:.3f} by the published "
        "decoder"
    )


def _worded(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_worded(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
