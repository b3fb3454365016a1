"""The card of a measure: what it is, and what its scores mean on a dataset. Data, drawn by its neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simopt.analysis.cost import Cost, Timed
from simopt.analysis.invariances import Invariance
from simopt.analysis.sensitivity import Sensitivities
from simopt.report.tables import Rounded, Summary, rounded
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
        return {
            "partner": self.partner,
            "outline": _plain(self.outline),
            "proved_lower": _plain(self.lower),
            "proved_upper": _plain(self.upper),
            "area": self.area,
            "verdict": self.verdict or None,
            "sentence": self.sentence,
            "effort": self.effort,
            "path": None if self.path is None else str(self.path),
        }


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

    @property
    def own(self) -> bool:
        """Whether nothing is declared of the measure: a function of the user's own."""
        return all(each.declared is None for each in self.invariances) and bool(self.invariances)

    def about(self) -> Iterator[tuple[str, str]]:
        """Give what the measure is, in words, a name and a value each."""
        facts = self.facts
        low, high = facts["range"]
        yield "family", facts["family"]
        yield "formula", facts["formula"]
        yield "source", facts["source"] or "none given"
        yield "range", "unknown" if self.own else f"{low:.3g} to {high:.3g}"
        yield (
            "closer",
            "larger (taken to be)" if self.own else "larger" if facts["larger_is_closer"] else "smaller",
        )
        yield "direction", _DIRECTIONS.get(facts["direction"], facts["direction"])
        yield "form", ", ".join(f"{key} {value}" for key, value in self.options.items()) or "as it is"
        yield "aliases", ", ".join(facts["aliases"]) or "none"

    def grows(self) -> str:
        """Return how the time of a score grows."""
        return f"grows as {self.facts['cost']}" if self.facts["cost"] != "unknown" else "growth unknown"

    def disagreements(self) -> list[str]:
        """Return in words where what was found is not what is declared."""
        return [
            f"{each.kind.replace('_', ' ')} of {each.side}: declared to "
            f"{'leave' if each.declared else 'change'} the score, changed it by at most {each.change:.1e}"
            for each in self.invariances
            if not each.agrees
        ]

    def halves(self, pc: int) -> Rounded | None:
        """Return the score at half capture of a PC, from 1; None where there is no run or no such PC."""
        return None if self.summary is None else self.summary.rounded_halves([pc])[0]

    def final(self) -> Rounded | None:
        """Return the last score of the run."""
        return None if self.summary is None else rounded(self.summary.scores)

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
        low, high = self.facts["range"]
        facts = {**self.facts, "range": [_finite(low), _finite(high)]}
        return {
            "measure": self.measure,
            "dataset": self.dataset,
            "source": self.source,
            "samples": self.samples,
            "units": self.units,
            "facts": facts,
            "options": dict(self.options),
            "invariances": [each.as_json() for each in self.invariances],
            "disagreements": self.disagreements(),
            "cost": None if self.cost is None else self.cost.as_json(),
            "sensitivity": None if self.sensitivity is None else self.sensitivity.as_json(),
            "run": None if self.summary is None else self.summary.as_json(),
            "half_capture": None if self.summary is None else _plain(self.summary.halves),
            "decoding": self._decoding(),
            "joint": [each.as_json() for each in self.joints],
            "missing": self.missing,
            "notes": self.notes,
        }

    def _decoding(self) -> dict[str, Any] | None:
        if self.run is None or not self.run.decoding:
            return None
        return {
            variable: {
                "score": _plain(self.run.decoding_score),
                "accuracy": _plain(values),
                "recording": float(self.run.reference_decoding[variable]["accuracy"]),
                "chance": float(self.run.reference_decoding[variable]["chance"]),
            }
            for variable, values in self.run.decoding.items()
        }


_DIRECTIONS = {"y_to_x": "X is predicted from Y", "x_to_y": "Y is predicted from X", "both": "both ways"}


def heading(cards: Sequence[Card]) -> str:
    """Return the title of cards side by side, a surrogate marked as such."""
    return f"{' and '.join(card.measure for card in cards)} on {cards[0].dataset} ({cards[0].source})"


def kinds(cards: Sequence[Card]) -> list[str]:
    """Return the kinds of transformations that were tried."""
    return list(dict.fromkeys(each.kind for card in cards for each in card.invariances))


def partners(cards: Sequence[Card]) -> list[str]:
    """Return the measures that joint ranges are given with."""
    return list(dict.fromkeys(joint.partner for card in cards for joint in card.joints))


def variables(cards: Sequence[Card]) -> list[str]:
    """Return the labels that were decoded along the runs."""
    return list(dict.fromkeys(name for card in cards if card.run is not None for name in card.run.decoding))


def tried(card: Card, kind: str, side: str) -> Invariance | None:
    """Return what became of one kind of transformation of one side."""
    return next((each for each in card.invariances if (each.kind, each.side) == (kind, side)), None)


def tried_worded(found: Invariance | None) -> str:
    """Return in a few words whether the score stays, and whether that is declared."""
    if found is None:
        return "-"
    told = (
        "stays"
        if found.holds
        else "undefined"
        if math.isnan(found.change)
        else f"changes by {found.change:.2g}"
    )
    return told if found.agrees else f"{told}, declared to {'stay' if found.declared else 'change'}"


def tried_short(found: Invariance | None) -> str:
    """Return the change alone, 0 where the score stays, with a mark where that is not what is declared."""
    if found is None:
        return "-"
    told = "0" if found.holds else "undefined" if math.isnan(found.change) else f"{found.change:.2g}"
    return told if found.agrees else f"{told} !"


def time_worded(timed: Timed | None) -> str:
    """Return a time with two digits, and what it is of."""
    if timed is None:
        return "no gradient"
    unit, factor = next(each for each in _UNITS if timed.seconds * each[1] >= 1 or each[0] == "us")
    once = " (one call)" if timed.calls == 1 else ""
    return f"{float(f'{timed.seconds * factor:.2g}'):g} {unit}{once}"


_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6))


def sensitivities(cards: Sequence[Card]) -> list[Sensitivities]:
    """Return the sensitivities of all cards in one; each by itself where not all are of as many seeds."""
    found = [card.sensitivity for card in cards if card.sensitivity is not None]
    if not found:
        return []
    first = found[0]
    if any(each.seeds != first.seeds for each in found):
        return found
    curves = [curve for each in found for curve in each.curves]
    return [replace(first, curves=curves)]


def summarised(cards: Sequence[Card]) -> list[tuple[Run, Summary]]:
    """Return the runs with their summaries."""
    return [(card.run, card.summary) for card in cards if card.run is not None and card.summary is not None]


def costs(cards: Sequence[Card]) -> list[tuple[str, list[str]]]:
    """Return the rows of the table of costs, a name and a cell for each card."""
    known = [card.cost for card in cards]
    return [
        ("a score", ["-" if each is None else time_worded(each.score) for each in known]),
        ("with gradient", ["-" if each is None else time_worded(each.gradient) for each in known]),
        ("growth", [card.grows() for card in cards]),
    ]


def cost_setting(cards: Sequence[Card]) -> str:
    """Return of which data, where and how the times were taken; empty where there are none."""
    known = next((card.cost for card in cards if card.cost is not None), None)
    if known is None:
        return ""
    threads = "1 thread" if known.threads == 1 else f"{known.threads} threads"
    return f"{known.samples} x {known.units}, {known.dtype} on {known.device}, {threads}"


def disagreements(cards: Sequence[Card]) -> list[str]:
    """Return where what was found is not what is declared, a line each."""
    return [f"{card.measure}: {line}" for card in cards for line in card.disagreements()]


def remarks(cards: Sequence[Card]) -> list[str]:
    """Return notes and the reasons for what is missing, a line each."""
    return [line for card in cards for line in card.remarks()]


def efforts(cards: Sequence[Card]) -> str:
    """Return how hard joint ranges were looked for."""
    found = dict.fromkeys(joint.effort for card in cards for joint in card.joints if joint.verdict != "exact")
    return "; ".join(found)


def _plain(values: FloatArray) -> list[Any]:
    listed: list[Any] = values.astype(object).tolist()
    return [[_finite(value) for value in row] for row in listed]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
