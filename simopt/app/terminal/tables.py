"""The tables of the commands. Tables that HTML pages show as well are in :mod:`simopt.report`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simopt.report.document import Number, Table
from simopt.report.tables import GOOD_NOTE

if TYPE_CHECKING:
    from simopt.workflows.attribute import AttributeResult
    from simopt.workflows.compare import CompareResult
    from simopt.workflows.explain import ExplainResult

_ORDER_SHOWN = 10  # values of a label that show the order of its averages
_ROUTES = {
    "closed form": "closed form",
    "downdate": "rank-one updates",
    "refit": "every score recomputed",
}


def number(value: float | None, style: str, none: str = "-") -> Number:
    """Return the cell of a table for a number; None and NaN are shown as ``none``."""
    return Number(none if value is None or math.isnan(value) else f"{value:{style}}")


def measures_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with a row for each measure, sorted by family."""
    heads = ("family", "measure", "range", "best", "ignores in Y", "optimizable", "aliases")
    rows = [
        [
            card["family"],
            card["name"],
            f"{card['range'][0]:.3g} to {card['range'][1]:.3g}",
            "largest" if card["larger_is_closer"] else "smallest",
            ", ".join(card["invariant_y"]) or "nothing",
            "yes" if card["differentiable"] else "no",
            Number(str(len(card["aliases"]))),
        ]
        for card in sorted(cards, key=lambda card: (card["family"], card["name"]))
    ]
    note = "`simopt measures NAME` shows the formula, the source and the aliases of a measure"
    return Table(
        "measures", "Measures", note, heads, rows, ("aliases", "family", "optimizable", "range", "best")
    )


def measure_card(card: Mapping[str, Any]) -> Table:
    """Return a table with a row for each fact of a measure."""
    rows = [[key.replace("_", " "), _worded(value)] for key, value in card.items()]
    return Table("measure", card["name"], "", ("", ""), rows)


def _worded(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_worded(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def datasets_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with a row for each dataset."""
    note = "source: what dataset=NAME now loads; `simopt datasets fetch NAME` downloads a recording"
    heads = ("dataset", "shape", "labels", "source", "size", "licence", "citation")
    rows = []
    for card in cards:
        shape = " x ".join(map(str, card["shape"])) if card["shape"] else "any"
        labels = ", ".join(card["labels"]) or ("yours" if card["name"] == "file" else "none")
        synthetic = " (synthetic)" if card["source"] == "surrogate" else ""
        rows.append([card["name"], shape, labels + synthetic, *(card[key] for key in heads[3:])])
    return Table("datasets", "Datasets", note, heads, rows, ("licence", "citation", "size", "labels"))


def dataset_table(card: Mapping[str, Any]) -> Table:
    """Return a table of the shape, the spectrum and the labels of a dataset, with decoding accuracies."""
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
    for variable, values in card.get("order", {}).items():
        more = ", ..." if len(values) > _ORDER_SHOWN else ""
        rows[f"order of {variable}"] = ", ".join(map(str, values[:_ORDER_SHOWN])) + more
    return Table("dataset", f"{card['name']} ({card['source']})", "", ("", ""), list(map(list, rows.items())))


def _decoded(facts: Mapping[str, Any]) -> str:
    if "reason" in facts:
        return f"not decoded: {facts['reason']}"
    over_time, published = facts["over_time"], f"{facts['accuracy_published']:.3f}"
    best = max(range(len(over_time)), key=over_time.__getitem__)
    peak = f", {over_time[best]:.3f} in time bin {best}" if len(over_time) > 1 else ""
    standardized = f"{facts['accuracy']:.3f} standardized{peak}"
    if not facts["classes"]:
        return f"continuous; decoded with R2 {standardized}; {published} with the published scaling"
    classes = f"{facts['classes']} classes, chance {facts['chance']:.3f}"
    return f"{classes}; decoded with accuracy {standardized}; {published} by the published decoder"


def scores_table(result: CompareResult) -> Table:
    """Return a table of the scores with their nulls and ceilings, and of the reasons for missing scores."""
    note = "\n".join(["null: mean and 95th percentile of the scores of unrelated data", *result.remarks()])
    reason = ["not computed because"] if result.skipped else []
    heads = ["measure", "score", "null mean", "null 95 %", "percentile"]
    styles = {"score": ".6f", "null_mean": ".4f", "null_95": ".4f", "percentile": ".1f"}
    for head in ("innovations", "without_course"):
        if any(row[head] is not None for row in result.table()):
            heads, styles = [*heads, head.replace("_", " ")], {**styles, head: ".1f"}
    heads, styles = [*heads, "ceiling", *reason], {**styles, "ceiling": ".4f"}
    blank = [""] * len(reason)
    rows: list[list[str]] = [
        [row["measure"], *(number(row[key], style, "") for key, style in styles.items()), *blank]
        for row in result.table()
    ]
    rows += [[name, *[Number("")] * len(styles), why] for name, why in result.skipped.items()]
    # A column without any number is left out before one with numbers or reasons.
    empty = [head for k, head in enumerate(heads) if not any(row[k] for row in rows)]
    optional = (*empty, "null mean", "ceiling", "null 95 %", *reason)
    return Table("scores", result.title, note, heads, rows, optional)


def advice_table(result: ExplainResult) -> Table:
    """Return a table of the verdict on each measure for a recording, and of its good scores."""
    variables = [name for name in result.reference if name not in result.unused_labels]
    rows: list[list[str]] = [
        [
            explained.verdict.measure,
            explained.verdict.kind,
            number(explained.verdict.gap, ".2f", ""),
            *(Number(explained.good[name].worded() if name in explained.good else "") for name in variables),
            explained.verdict.reason,
        ]
        for explained in result.explained
    ]
    heads = ["measure", "verdict", "gap", *(f"good score, {name}" for name in variables), "because"]
    note = f"good score: {GOOD_NOTE}"
    return Table("advice", "Measures on this recording", note, heads, rows, ("gap", *heads[3:-1], "because"))


def attribution_table(result: AttributeResult, top: int) -> Table:
    """Return a table of the ``top`` PCs, samples or units with the largest changes."""
    first = ["first order"] if result.first_order is not None else []
    labels = ["labels"] if result.about else []
    heads = ["rank", "part", *labels, "share of variance", "change", *first, "effect"]
    rows: list[list[str]] = []
    for rank, row in enumerate(result.table()[:top], start=1):
        change = row["change"]
        away = change if result.larger_is_closer else -change
        effect = "brings X and Y closer" if away < 0 else "keeps X and Y apart" if away > 0 else ""
        about = [", ".join(f"{key} {row[key]}" for key in result.about)] if labels else []
        predicted = [number(row["first_order"], "+.6f")] if first else []
        numbers = [number(row["share"], ".2%"), number(change, "+.6f", "undefined"), *predicted]
        rows.append([Number(str(rank)), row["part"], *about, *numbers, effect])
    count = len(result.change)
    note = f"{min(top, count)} of {count}; change = score without this part - score of all data"
    note += f"; {_ROUTES[result.route]}"
    if result.route != "refit" and result.refitted:
        note += f", {result.refitted} scores recomputed"
    note += f"\n{result.reason}" if result.reason else ""
    return Table(
        "attribution", result.title, note, heads, rows, ("rank", *first, "share of variance", *labels)
    )
