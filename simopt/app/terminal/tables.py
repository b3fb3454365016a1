"""What tables of the terminal hold; those that pages show as well are in :mod:`simopt.report`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simopt.report.document import Number, Table

if TYPE_CHECKING:
    from simopt.workflows.attribute import AttributeResult
    from simopt.workflows.compare import CompareResult
    from simopt.workflows.explain import ExplainResult

_ROUTES = {
    "closed form": "all by formula",
    "downdate": "all by downdates",
    "refit": "each scored anew",
}


def number(value: float | None, style: str, none: str = "-") -> Number:
    """Return the cell of a number, or of what stands for None and NaN."""
    return Number(none if value is None or math.isnan(value) else f"{value:{style}}")


def measures_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Return the measures, one row each, by family."""
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
    return Table(
        "measures", "Measures", "`simopt measures NAME` shows formula, source and aliases", heads, rows
    )


def measure_card(card: Mapping[str, Any]) -> Table:
    """Return one measure, a fact in each row."""
    rows = [[key.replace("_", " "), _worded(value)] for key, value in card.items()]
    return Table("measure", card["name"], "", ("", ""), rows)


def _worded(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_worded(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def datasets_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Return the datasets, one row each."""
    note = "source: what is taken now; `simopt datasets fetch NAME` gets a recording"
    heads = ("dataset", "shape", "labels", "source", "size", "licence", "citation")
    rows = []
    for card in cards:
        shape = " x ".join(map(str, card["shape"])) if card["shape"] else "any"
        labels = ", ".join(card["labels"]) or ("yours" if card["name"] == "file" else "none")
        synthetic = " (synthetic)" if card["source"] == "surrogate" else ""
        rows.append([card["name"], shape, labels + synthetic, *(card[key] for key in heads[3:])])
    return Table("datasets", "Datasets", note, heads, rows)


def dataset_table(card: Mapping[str, Any]) -> Table:
    """Return one dataset: its shape, spectrum and labels, with how well each is decoded."""
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
    return Table("dataset", f"{card['name']} ({card['source']})", "", ("", ""), list(map(list, rows.items())))


def _decoded(facts: Mapping[str, Any]) -> str:
    if "reason" in facts:
        return f"not decoded: {facts['reason']}"
    over_time, published = facts["over_time"], f"{facts['accuracy_published']:.3f}"
    best = max(range(len(over_time)), key=over_time.__getitem__)
    peak = f", {over_time[best]:.3f} in time bin {best}" if len(over_time) > 1 else ""
    told = f"{facts['accuracy']:.3f} standardized{peak}"
    if not facts["classes"]:
        return f"continuous; decoded with R2 {told}, {published} as the published decoder scales"
    classes = f"{facts['classes']} classes, chance {facts['chance']:.3f}"
    return f"{classes}; decoded with accuracy {told}; {published} by the published decoder"


def scores_table(result: CompareResult) -> Table:
    """Return scores, where they stand, and the reason for each that was not computed."""
    note = "unrelated: mean of random data with the spectrum of Y, and what 95 % of them do not pass"
    for standing in result.standings:
        note += f"\n{standing.measure}: {standing.degenerate}" if standing.degenerate else ""
    heads = ("measure", "score", "unrelated", "95 %", "percentile", "ceiling", "not computed because")
    styles = {"score": ".6f", "null_mean": ".4f", "null_95": ".4f", "percentile": ".1f", "ceiling": ".4f"}
    rows: list[list[str]] = [
        [row["measure"], *(number(row[key], style, "") for key, style in styles.items()), ""]
        for row in result.table()
    ]
    rows += [[name, *[Number("")] * len(styles), reason] for name, reason in result.skipped.items()]
    return Table("scores", result.title, note, heads, rows)


def advice_table(result: ExplainResult) -> Table:
    """Return what each measure is good for on a recording, and its good scores."""
    variables = list(result.reference)
    rows: list[list[str]] = [
        [
            each.verdict.measure,
            each.verdict.kind,
            number(each.verdict.gap, ".2f", ""),
            *(Number(each.good[name].worded() if name in each.good else "") for name in variables),
            each.verdict.reason,
        ]
        for each in result.explained
    ]
    heads = ["measure", "verdict", "gap", *(f"good score, {name}" for name in variables), "because"]
    note = "good score: accuracy has risen from chance by nine tenths of the recording's rise"
    return Table("advice", "Measures on this recording", note, heads, rows)


def attribution_table(result: AttributeResult, top: int) -> Table:
    """Return the parts with the largest changes, so many rows."""
    first = ["first order"] if result.first_order is not None else []
    known = ["what it is"] if result.about else []
    heads = ["rank", "part", *known, "share of variance", "change", *first, "what it does"]
    rows: list[list[str]] = []
    for rank, row in enumerate(result.table()[:top], start=1):
        change = row["change"]
        away = change if result.larger_is_closer else -change
        about = ", ".join(f"{key} {row[key]}" for key in result.about)
        rows.append(
            [
                Number(str(rank)),
                row["part"],
                *(about for _ in known),
                number(row["share"], ".2%"),
                number(change, "+.6f", "undefined"),
                *(number(row["first_order"], "+.6f") for _ in first),
                "brings X and Y closer" if away < 0 else "keeps X and Y apart" if away > 0 else "",
            ]
        )
    count = len(result.change)
    note = f"{min(top, count)} of {count}; change: the score without it, less the score"
    note += f"; {_ROUTES[result.route]}"
    if result.route != "refit" and result.refitted:
        note += f", but {result.refitted} scored anew"
    note += f"\n{result.reason}" if result.reason else ""
    return Table("attribution", result.title, note, heads, rows)
