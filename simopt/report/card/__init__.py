"""The card of a measure: its properties and what its scores mean on a dataset, as data and as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simopt.analysis.cost import Cost, Timed
from simopt.analysis.invariances import DRAWS, SIDES, Invariance
from simopt.analysis.sensitivity import Sensitivities
from simopt.checks import as_plain
from simopt.report.document import Number, Table
from simopt.report.pools import named
from simopt.report.tables import GOOD_NOTE, Summary, rounded
from simopt.store.reader import Run
from simopt.typing import FloatArray

SHOWN_PCS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True)
class Joint:
    """The scores of a measure that occur together with the scores of another measure, its partner.

    Attributes
    ----------
    partner : str
        The name of the other measure.
    outline : array, (N, 2)
        The corners of the region that was found; the first column has the score of the partner, the second
        that of the measure. If one measure is a function of the other, the corners run along the graph of the
        function and back.
    lower, upper : array, (P, 2)
        Proved bounds: the first column has scores of the partner, the second column the bound on the score of
        the measure at each of them. Empty if no bound is proved.
    area : float
        The area of the region.
    verdict : str
        ``independent``, ``coupled`` or ``asymmetric``; ``exact`` if one measure is a function of the other;
        empty if there is no verdict.
    sentence : str
        What the score of one measure implies about the score of the other.
    effort : str
        The options of the search for the region, for instance its number of steps.
    path : Path or None
        The file of the joint range.
    """

    partner: str
    outline: FloatArray = field(repr=False)
    lower: FloatArray = field(repr=False)
    upper: FloatArray = field(repr=False)
    area: float
    verdict: str
    sentence: str
    effort: str
    path: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON, with null in place of NaN and infinity."""
        shown = {name: value for name, value in vars(self).items() if name not in ("lower", "upper")}
        proved = {"proved_lower": self.lower, "proved_upper": self.upper}
        return dict(as_plain({**shown, **proved, "verdict": self.verdict or None}))


@dataclass(frozen=True)
class Card:
    """The card of one measure on one dataset.

    Attributes
    ----------
    measure : str
    dataset, source : str
    samples, units : int
        The shape of the recording.
    facts : dict
        The facts about the measure that :func:`simopt.measures.describe` returns.
    options : dict
        The options of the measure.
    invariances : list of Invariance
    cost : Cost or None
        The time that a score takes.
    sensitivity : Sensitivities or None
        The scores of this measure with each PC replaced in turn.
    run, summary : Run and Summary, or None
        A run that optimized noise by this measure, and its summary.
    joints : list of Joint
    missing : dict of str
        The reason for each part that the card lacks, by name.
    notes : list of str
        Remarks on how the card was made and on its limits.
    """

    measure: str
    dataset: str
    source: str
    samples: int
    units: int
    facts: Mapping[str, Any]
    options: Mapping[str, Any]
    invariances: list[Invariance] = field(default_factory=list)
    cost: Cost | None = None
    sensitivity: Sensitivities | None = None
    run: Run | None = None
    summary: Summary | None = None
    joints: list[Joint] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def about(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the value, as text, of each property of the measure."""
        facts = self.facts
        low, high = facts["range"]
        # A function of the user's own declares nothing, so its range and direction are unknown.
        undeclared = bool(self.invariances) and all(tested.declared is None for tested in self.invariances)
        closer = "larger" if facts["larger_is_closer"] else "smaller"
        yield "family", facts["family"]
        yield "formula", facts["formula"]
        yield "source", facts["source"] or "none given"
        yield "range", "unknown" if undeclared else f"{low:.3g} to {high:.3g}"
        yield "score of closer data", "larger (assumed)" if undeclared else closer
        yield "direction", _DIRECTIONS.get(facts["direction"], facts["direction"])
        yield "options", ", ".join(f"{key} {value}" for key, value in self.options.items()) or "none"
        yield "aliases", ", ".join(facts["aliases"]) or "none"

    def disagreements(self) -> list[str]:
        """Return a line for each declaration of an invariance that a test contradicts."""
        return [
            f"{tested.kind.replace('_', ' ')} of {tested.side}: declared to "
            f"{'leave' if tested.declared else 'change'} the score, changed it by at most {tested.change:.1e}"
            for tested in self.invariances
            if not tested.agrees
        ]

    def good_score(self, variable: str) -> str:
        """Return the good score of a label as text: the score from which on it can be decoded."""
        if self.run is None or self.summary is None or variable not in self.run.decoding:
            return "-"
        good = self.summary.good_scores.get(variable)
        return "not defined" if good is None else good.worded()

    def joint_sentence(self, partner: str) -> str:
        """Return the verdict and a sentence on the scores that occur together with those of ``partner``."""
        joint = next((joint for joint in self.joints if joint.partner == partner), None)
        if joint is None:
            return "itself" if partner == self.measure else "-"
        verdict = f"{joint.verdict}: " if joint.verdict else ""
        return f"{verdict}{joint.sentence or 'no threshold is known for the score'}"

    def remarks(self) -> list[str]:
        """Return a line for each note and for each part that the card lacks."""
        lines = [f"{self.measure}: {note}" for note in self.notes]
        for part, reason in self.missing.items():
            names_measure = reason.startswith(self.measure)
            lines.append(f"{part}: {reason}" if names_measure else f"{self.measure}, {part}: {reason}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON; null stands for parts that the card lacks, NaN and infinity."""
        shown = {name: value for name, value in vars(self).items() if name not in ("summary", "joints")}
        content = {
            **shown,
            "disagreements": self.disagreements(),
            "cost": None if self.cost is None else self.cost.as_json(),
            "sensitivity": None if self.sensitivity is None else Sensitivities.as_json(self.sensitivity),
            "run": None if self.summary is None else self.summary.as_json(),
            "half_capture": getattr(self.summary, "halves", None),
            "decoding": None if self.run is None or not self.run.decoding else _decoding(self.run),
            "joint": [joint.as_json() for joint in self.joints],
        }
        return dict(as_plain(content))


def _decoding(run: Run) -> dict[str, Any]:
    return {
        variable: {
            "score": run.decoding_score,
            "accuracy": accuracy,
            "recording": run.reference_decoding[variable]["accuracy"],
            "chance": run.reference_decoding[variable]["chance"],
        }
        for variable, accuracy in run.decoding.items()
    }


_DIRECTIONS = {"y_to_x": "X is predicted from Y", "x_to_y": "Y is predicted from X", "both": "both ways"}


def heading(cards: Sequence[Card]) -> str:
    """Return the common title of cards: their measures, dataset and source."""
    return f"{' and '.join(card.measure for card in cards)} on {named(cards[0])}"


def about_table(cards: Sequence[Card]) -> Table:
    """Return a table of the properties of the measures, with a column for each card."""
    columns = [dict(card.about()) for card in cards]
    rows = [[key, *(column[key] for column in columns)] for key in columns[0]]
    return Table("about", heading(cards), "", _heads("", cards), rows)


def invariance_table(cards: Sequence[Card]) -> Table:
    """Return a table of how the score changes under each kind of transformation of X and of Y."""
    kinds = dict.fromkeys(invariance.kind for card in cards for invariance in card.invariances)
    tested = [{(i.kind, i.side): i for i in card.invariances} for card in cards]
    rows = [
        [kind.replace("_", " "), *(_invariance_cell(of.get((kind, side))) for of in tested for side in SIDES)]
        for kind in kinds
    ]
    heads = ["transformation", *(f"{card.measure}, of {side}" for card in cards for side in SIDES)]
    note = f"the largest change of the score over {DRAWS} random draws of data and transformation"
    return Table("invariances-table", "Tested transformations of the units", note, heads, rows)


def half_capture_table(cards: Sequence[Card]) -> Table | None:
    """Return a table of the scores at half capture and the last scores; None if no card has a run.

    :func:`simopt.optimization.trajectory.half_capture` says what a half capture is.
    """
    ratio = next((card.run.pc_variance for card in cards if card.run is not None), None)
    if ratio is None:
        return None
    pcs = [pc for pc in SHOWN_PCS if pc <= len(ratio)]
    heads = [*(Number(f"{pc} ({ratio[pc - 1]:.1%})", pc) for pc in pcs)]
    heads += [Number("last score"), Number("PCs never half captured")]
    columns = [_half_cells(card, pcs) for card in cards]
    rows = [list(row) for row in zip(heads, *columns, strict=True)]
    note = "the score at which optimized noise first half captures a PC, mean over replicates"
    if any("noise" in row for row in rows):
        note += "; noise: noise half captures the PC without optimization, too"
    return Table("halves-table", "Half capture", note, _heads("PC", cards), rows)


def good_score_table(cards: Sequence[Card]) -> Table | None:
    """Return a table of the scores from which on labels can be decoded; None if no label was decoded."""
    variables = dict.fromkeys(name for card in cards if card.run is not None for name in card.run.decoding)
    rows = [[name, *(card.good_score(name) for card in cards)] for name in variables]
    return Table("good-table", "Good scores", GOOD_NOTE, _heads("label", cards), rows) if rows else None


def joint_table(cards: Sequence[Card]) -> Table | None:
    """Return a table of what scores of other measures imply; None without joint ranges."""
    rows = [[name, *(card.joint_sentence(name) for card in cards)] for name in partners(cards)]
    efforts = "; ".join(
        dict.fromkeys(joint.effort for card in cards for joint in card.joints if joint.verdict != "exact")
    )
    note = f"scores that were found by {efforts}" if efforts else ""
    return Table("joint-table", "Joint ranges", note, _heads("with", cards), rows) if rows else None


def cost_table(cards: Sequence[Card]) -> Table:
    """Return a table of the time that a score takes; its note names the data and the machine."""
    costs = [card.cost for card in cards]
    growths = [card.facts["cost"] for card in cards]
    rows = [
        ["a score", *("-" if cost is None else time_worded(cost.score) for cost in costs)],
        ["with gradient", *("-" if cost is None else time_worded(cost.gradient) for cost in costs)],
        ["growth", *("growth unknown" if cost == "unknown" else f"grows as {cost}" for cost in growths)],
    ]
    first = next((cost for cost in costs if cost is not None), None)
    note = ""
    if first is not None:
        threads = "1 thread" if first.threads == 1 else f"{first.threads} threads"
        note = f"{first.samples} x {first.units}, {first.dtype} on {first.device}, {threads}"
    return Table("costs", "Cost", note, _heads("", cards), rows)


def partners(cards: Sequence[Card]) -> list[str]:
    """Return the names of the other measures in the joint ranges of all cards."""
    return list(dict.fromkeys(joint.partner for card in cards for joint in card.joints))


def time_worded(timed: Timed | None) -> str:
    """Return a time as text with two digits and a unit; None is for a measure without gradient."""
    if timed is None:
        return "no gradient"
    # The largest unit of which the time has at least one; microseconds for anything shorter.
    unit, factor = next((unit for unit in _UNITS if timed.seconds * unit[1] >= 1), _UNITS[-1])
    once = " (one call)" if timed.calls == 1 else ""
    return f"{float(f'{timed.seconds * factor:.2g}'):g} {unit}{once}"


def sensitivities(cards: Sequence[Card]) -> list[Sensitivities]:
    """Return the sensitivities of all cards, merged into one if their numbers of seeds are equal."""
    results = [card.sensitivity for card in cards if card.sensitivity is not None]
    if len({result.seeds for result in results}) != 1:
        return results
    return [replace(results[0], curves=[curve for result in results for curve in result.curves])]


_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6))


def _heads(first: str, cards: Sequence[Card]) -> list[str]:
    return [first, *(card.measure for card in cards)]


def _half_cells(card: Card, pcs: Sequence[int]) -> list[Number]:
    """Return the scores at half capture, the last score, and the share of PCs never half captured."""
    run, summary = card.run, card.summary
    if run is None or summary is None:
        return [Number("-")] * (len(pcs) + 2)
    cells = []
    for half in summary.rounded_halves(pcs):
        if half is None:
            cells.append(Number("-"))
        elif half.value == "-":
            cells.append(Number("noise"))
        else:
            cells.append(Number(half.worded("never"), float(half.value or "nan")))
    return [*cells, Number(rounded(summary.scores).worded()), Number(f"{summary.never_captured:.0%}")]


def _invariance_cell(tested: Invariance | None) -> Number:
    """Return whether the score stays the same, and the declaration of the measure if that differs."""
    if tested is None:
        return Number("-")
    if not math.isfinite(tested.change):
        text = "undefined"
    else:
        text = "stays" if tested.holds else f"changes by {tested.change:.2g}"
    if not tested.agrees:
        text += f", declared to {'stay' if tested.declared else 'change'}"
    return Number(text, tested.change)
