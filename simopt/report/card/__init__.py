"""The card of a measure: what it is, and what its scores mean on a dataset, as data and as tables."""

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
from simopt.report.tables import GOOD_NOTE, Summary, rounded
from simopt.store.reader import Run
from simopt.typing import FloatArray

SHOWN_PCS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True)
class Joint:
    """Which scores occur together with those of another measure.

    Attributes
    ----------
    partner : str
    outline : array, (N, 2)
        Around the region found, scores of the partner first; of a measure that is a function of the other,
        a line there and back.
    lower, upper : array, (P, 2)
        Scores of the partner, and what is proved of the measure there; empty where nothing is.
    area : float
    verdict : str
        Independent, coupled, asymmetric, or exact: one is a function of the other; empty where none is
        given.
    sentence : str
        What one score says of the other.
    effort : str
        How hard it was looked for.
    path : Path or None
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
        """Return plain values; null for what is not finite."""
        shown = {name: value for name, value in vars(self).items() if name not in ("lower", "upper")}
        proved = {"proved_lower": self.lower, "proved_upper": self.upper}
        plain: dict[str, Any] = as_plain({**shown, **proved, "verdict": self.verdict or None})
        return plain


@dataclass(frozen=True)
class Card:
    """One measure on one dataset.

    Attributes
    ----------
    measure : str
    dataset, source : str
    samples, units : int
    facts : dict
        As :func:`simopt.measures.describe` gives them.
    options : dict
        The parameters of its form.
    invariances : list of Invariance
    cost : Cost or None
    sensitivity : Result or None
        Of this measure alone, every PC replaced in turn.
    run, summary : Run and Summary, or None
    joints : list of Joint
    missing : dict of str
        For each part that is not there, the reason.
    notes : list of str
        How it was made, and what is to be known of it.
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
        """Give what the measure is, in words, a name and a value each."""
        facts = self.facts
        low, high = facts["range"]
        # Of a function of the user's own nothing is declared, so its range and direction are not known.
        undeclared = bool(self.invariances) and all(each.declared is None for each in self.invariances)
        closer = "larger" if facts["larger_is_closer"] else "smaller"
        yield "family", facts["family"]
        yield "formula", facts["formula"]
        yield "source", facts["source"] or "none given"
        yield "range", "unknown" if undeclared else f"{low:.3g} to {high:.3g}"
        yield "closer", "larger (taken to be)" if undeclared else closer
        yield "direction", _DIRECTIONS.get(facts["direction"], facts["direction"])
        yield "form", ", ".join(f"{key} {value}" for key, value in self.options.items()) or "as it is"
        yield "aliases", ", ".join(facts["aliases"]) or "none"

    def disagreements(self) -> list[str]:
        """Return in words where what was found is not what is declared."""
        return [
            f"{each.kind.replace('_', ' ')} of {each.side}: declared to "
            f"{'leave' if each.declared else 'change'} the score, changed it by at most {each.change:.1e}"
            for each in self.invariances
            if not each.agrees
        ]

    def good_score(self, variable: str) -> str:
        """Return in words the score at which a label can be decoded."""
        if self.run is None or self.summary is None or variable not in self.run.decoding:
            return "-"
        good = self.summary.good_scores.get(variable)
        return "not defined" if good is None else good.worded()

    def joint_sentence(self, partner: str) -> str:
        """Return what is known of joint scores with another measure."""
        found = next((each for each in self.joints if each.partner == partner), None)
        if found is None:
            return "itself" if partner == self.measure else "-"
        verdict = f"{found.verdict}: " if found.verdict else ""
        return f"{verdict}{found.sentence or 'no threshold is known for it'}"

    def remarks(self) -> list[str]:
        """Return notes and the reasons for what is missing, a line each."""
        told = [f"{self.measure}: {note}" for note in self.notes]
        for part, reason in self.missing.items():
            own = reason.startswith(self.measure)
            told.append(f"{part}: {reason}" if own else f"{self.measure}, {part}: {reason}")
        return told

    def as_json(self) -> dict[str, Any]:
        """Return plain values; null for what is not there."""
        shown = {name: value for name, value in vars(self).items() if name not in ("summary", "joints")}
        plain: dict[str, Any] = as_plain(
            {
                **shown,
                "disagreements": self.disagreements(),
                "cost": None if self.cost is None else self.cost.as_json(),
                "sensitivity": None if self.sensitivity is None else Sensitivities.as_json(self.sensitivity),
                "run": None if self.summary is None else self.summary.as_json(),
                "half_capture": None if self.summary is None else self.summary.halves,
                "decoding": None if self.run is None or not self.run.decoding else _decoding(self.run),
                "joint": [joint.as_json() for joint in self.joints],
            }
        )
        return plain


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
    """Return the title of cards side by side, a surrogate marked as such."""
    return f"{' and '.join(card.measure for card in cards)} on {cards[0].dataset} ({cards[0].source})"


def about_table(cards: Sequence[Card]) -> Table:
    """Return what the measures are."""
    facts = [dict(card.about()) for card in cards]
    rows = [[key, *(each[key] for each in facts)] for key in facts[0]]
    return Table("about", heading(cards), "", _heads("", cards), rows)


def invariance_table(cards: Sequence[Card]) -> Table:
    """Return what became of each kind of transformation of each side."""
    kinds = dict.fromkeys(invariance.kind for card in cards for invariance in card.invariances)
    tried = [{(i.kind, i.side): i for i in card.invariances} for card in cards]
    rows = [
        [kind.replace("_", " "), *(_invariance_cell(of.get((kind, side))) for of in tried for side in SIDES)]
        for kind in kinds
    ]
    heads = ["transformation", *(f"{card.measure}, of {side}" for card in cards for side in SIDES)]
    note = f"largest change of the score over {DRAWS} random draws of data and transformation"
    return Table("invariances-table", "Transformations of the units, tried", note, heads, rows)


def half_capture_table(cards: Sequence[Card]) -> Table | None:
    """Return the scores at half capture of some PCs, and how the runs ended; None where there is no run."""
    ratio = next((card.run.pc_variance for card in cards if card.run is not None), None)
    if ratio is None:
        return None
    pcs = [pc for pc in SHOWN_PCS if pc <= len(ratio)]
    heads = [*(Number(f"{pc} ({ratio[pc - 1]:.1%})", pc) for pc in pcs)]
    heads += [Number("last score"), Number("PCs never half captured")]
    columns = [_half_cells(card.summary, pcs) for card in cards]
    rows = [list(row) for row in zip(heads, *columns, strict=True)]
    note = "the score at which a PC is half captured by noise that climbs the score; means over replicates"
    return Table("halves-table", "Half capture", note, _heads("PC", cards), rows)


def good_score_table(cards: Sequence[Card]) -> Table | None:
    """Return the scores at which labels can be decoded; None where none were decoded."""
    variables = dict.fromkeys(name for card in cards if card.run is not None for name in card.run.decoding)
    rows = [[name, *(card.good_score(name) for card in cards)] for name in variables]
    return Table("good-table", "Good scores", GOOD_NOTE, _heads("label", cards), rows) if rows else None


def joint_table(cards: Sequence[Card]) -> Table | None:
    """Return what is known of joint scores with other measures; None where nothing is."""
    rows = [[name, *(card.joint_sentence(name) for card in cards)] for name in partners(cards)]
    efforts = "; ".join(
        dict.fromkeys(joint.effort for card in cards for joint in card.joints if joint.verdict != "exact")
    )
    note = f"what was found, by {efforts}" if efforts else ""
    return Table("joint-table", "Joint ranges", note, _heads("with", cards), rows) if rows else None


def cost_table(cards: Sequence[Card]) -> Table:
    """Return how long a score takes, and of which data, where and how that was measured."""
    costs = [card.cost for card in cards]
    growths = [card.facts["cost"] for card in cards]
    rows = [
        ["a score", *("-" if cost is None else time_worded(cost.score) for cost in costs)],
        ["with gradient", *("-" if cost is None else time_worded(cost.gradient) for cost in costs)],
        ["growth", *("growth unknown" if each == "unknown" else f"grows as {each}" for each in growths)],
    ]
    known = next((cost for cost in costs if cost is not None), None)
    note = ""
    if known is not None:
        threads = "1 thread" if known.threads == 1 else f"{known.threads} threads"
        note = f"{known.samples} x {known.units}, {known.dtype} on {known.device}, {threads}"
    return Table("costs", "Cost", note, _heads("", cards), rows)


def partners(cards: Sequence[Card]) -> list[str]:
    """Return the measures that joint ranges are given with."""
    return list(dict.fromkeys(joint.partner for card in cards for joint in card.joints))


def time_worded(timed: Timed | None) -> str:
    """Return a time with two digits, and what it is of."""
    if timed is None:
        return "no gradient"
    unit, factor = next(each for each in _UNITS if timed.seconds * each[1] >= 1 or each[0] == "us")
    once = " (one call)" if timed.calls == 1 else ""
    return f"{float(f'{timed.seconds * factor:.2g}'):g} {unit}{once}"


def sensitivities(cards: Sequence[Card]) -> list[Sensitivities]:
    """Return the sensitivities of all cards in one; each by itself where not all are of as many seeds."""
    results = [card.sensitivity for card in cards if card.sensitivity is not None]
    if len({result.seeds for result in results}) != 1:
        return results
    return [replace(results[0], curves=[curve for result in results for curve in result.curves])]


_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6))


def _heads(first: str, cards: Sequence[Card]) -> list[str]:
    return [first, *(card.measure for card in cards)]


def _half_cells(summary: Summary | None, pcs: Sequence[int]) -> list[Number]:
    """Return the scores at half capture, the last one, and the share that never was."""
    if summary is None:
        return [Number("-")] * (len(pcs) + 2)
    cells = [
        Number(half.worded("never"), float(half.value or "nan")) if half else Number("-")
        for half in summary.rounded_halves(pcs)
    ]
    return [*cells, Number(rounded(summary.scores).worded()), Number(f"{summary.never_captured:.0%}")]


def _invariance_cell(tried: Invariance | None) -> Number:
    """Say whether the score stays, and whether that is declared."""
    if tried is None:
        return Number("-")
    if not math.isfinite(tried.change):
        text = "undefined"
    else:
        text = "stays" if tried.holds else f"changes by {tried.change:.2g}"
    if not tried.agrees:
        text += f", declared to {'stay' if tried.declared else 'change'}"
    return Number(text, tried.change)
