"""What was found of one pair of measures, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simopt.analysis.extremes import Extremes as Inspected
from simopt.ranges.boundary import Extremes
from simopt.ranges.pair import Implied
from simopt.ranges.region import Region
from simopt.ranges.square import Reached, Settled
from simopt.store import analysis
from simopt.store.analysis import Array, Stored
from simopt.theory.bounds import Range
from simopt.typing import FloatArray

ANALYSIS = "joint"
_REGION = {"levels": "L", "b_min": "L", "b_max": "L", "feasibility": "L 2", "spread": "L 2", "points": "N 2"}
_EXTREMES = {
    "levels": "L k",
    "value": "L 2",
    "feasibility": "L 2",
    "spread": "L 2",
    "gain": "L 2",
    "points": "N k+1",
}
_SQUARE = {
    "targets": "T 2",
    "start": "T 2",
    "end": "T 2",
    "closest": "T 2",
    "steps": "T",
    "path": "S T 2",
    "points": "N 2",
}


@dataclass(frozen=True)
class JointRange:
    """What was found of one pair of measures; which parts there are depends on the mode.

    Attributes
    ----------
    dataset, source, mode : str
    names : pair of str
    path : Path
    region : Region or None
    gain : array, (L, 2), or None
        By how much the last round bettered the extremes.
    across : Extremes or None
        Of a at the thresholds of b.
    proved : array, (P, 3), or None
        Levels of a, and the proved limits of b.
    extremes : Inspected or None
        What the extreme Y captured.
    Y : array, (L, 2, n, q), or None
    implied : list of Implied
    square : Reached or None
        Of ``mode=boundary``: of a stored square search of the same pair.
    third : str
    third_range : Extremes or None
    stored : array, (N, 2)
        Pairs of scores of stored runs and square searches on the same data.
    outside : int
        How many of them widened the region.
    how : str
        ``done`` or ``found``.
    data_hash : str
    """

    dataset: str
    source: str
    names: tuple[str, str]
    mode: str
    path: Path
    region: Region | None = None
    gain: FloatArray | None = None
    across: Extremes | None = None
    proved: FloatArray | None = None
    extremes: Inspected | None = None
    Y: FloatArray | None = None
    implied: list[Implied] = field(default_factory=list)
    square: Reached | None = None
    third: str = ""
    third_range: Extremes | None = None
    stored: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    outside: int = 0
    how: str = "done"
    data_hash: str = ""

    @property
    def verdict(self) -> str | None:
        """Independent, coupled or asymmetric at the first thresholds, by :meth:`Region.verdict`."""
        first = {each.given: each.threshold for each in reversed(self.implied)}
        if self.region is None or set(first) != set(self.names):
            return None
        return self.region.verdict(first[self.names[0]], first[self.names[1]])

    def _beyond(self, told: Implied) -> str:
        signs = (1, 1) if self.region is None else self.region.signs
        relation = ">=" if signs[self.names.index(told.given)] > 0 else "<="
        return f"{told.given} {relation} {told.threshold:g}"

    def thresholds(self) -> tuple[list[float], list[float]]:
        """Return the thresholds of a and of b."""
        a, b = ([each.threshold for each in self.implied if each.given == name] for name in self.names)
        return a, b

    def proved_range(self) -> tuple[FloatArray, Range] | None:
        """Return levels of a and the proved limits of b there; None where nothing is proved."""
        if self.proved is None:
            return None
        levels, lower, upper = self.proved.T
        return levels, Range(lower, upper)

    def sentence(self) -> str:
        """Return in words what each measure implies for the other."""
        return "; ".join(f"{self._beyond(each)} {_clause(each)}" for each in self.implied)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; null for what was not found."""
        told: dict[str, Any] = {
            "dataset": self.dataset,
            "source": self.source,
            "measures": list(self.names),
            "mode": self.mode,
            "path": str(self.path),
        }
        if self.region is not None:
            told |= self._region_json(self.region)
        if self.mode != "boundary" and self.square is not None:
            told["square"] = {
                "targets": self.square.targets.tolist(),
                "closest": _plain(self.square.closest),
                "end": _plain(self.square.end),
                "settled": [each.name.lower() for each in self.square.settled],
                "steps": self.square.steps.tolist(),
            }
        if self.third_range is not None:
            told["third"] = {
                "measure": self.third,
                "at": self.third_range.levels.tolist(),
                "min": _plain(self.third_range.value[:, 0]),
                "max": _plain(self.third_range.value[:, 1]),
                "feasibility": _plain(self.third_range.feasibility),
            }
        return told

    def _region_json(self, region: Region) -> dict[str, Any]:
        inspected = self.extremes
        return {
            "area": region.area,
            "boundary": {
                "a_level": region.levels.tolist(),
                "b_min": _plain(region.b_min),
                "b_max": _plain(region.b_max),
                "feasibility": _plain(region.feasibility),
                "spread": _plain(region.spread),
                "gain": None if self.gain is None else _plain(self.gain),
            },
            "outline": {"lower": region.lower.tolist(), "upper": region.upper.tolist()},
            "proved": None if self.proved is None else _plain(self.proved),
            "implied": {self._beyond(each): _interval(each) for each in self.implied},
            "verdict": self.verdict,
            "sentence": self.sentence(),
            "stored_pairs": len(self.stored),
            "outside": self.outside,
            "captured": None if inspected is None else _plain(inspected.captured),
            "decoding": None if inspected is None else {k: _plain(v) for k, v in inspected.decoding.items()},
        }


def _interval(told: Implied) -> dict[str, Any]:
    proved = None if told.proved is None else list(told.proved)
    return {"measure": told.implied, "low": _plain(told.low), "high": _plain(told.high), "proved": proved}


def _clause(told: Implied) -> str:
    if np.isnan(told.low):
        return "was never reached"
    left = f"leaves {told.implied} {told.low:.2f} to {told.high:.2f}"
    return left if told.proved is None else f"{left} (proved: {told.proved[0]:.2f} to {told.proved[1]:.2f})"


def content(result: JointRange, about: Mapping[str, Any]) -> Stored:
    """Return the file of a result, with more attributes: provenance, ``config`` and ``data_hash``."""
    arrays: dict[str, Array] = {}
    groups: dict[str, dict[str, Any]] = {}

    def put(group: str, content: Any, axes: dict[str, str]) -> None:
        if content is not None:
            for name, shape in axes.items():
                arrays[f"{group}/{name}"] = Array(np.asarray(getattr(content, name)), shape)

    put("boundary", result.region, _REGION)
    put("across", result.across, _EXTREMES)
    put("third", result.third_range, _EXTREMES)
    put("square", result.square, _SQUARE)
    if result.region is not None:
        groups["boundary"] = {"signs": list(result.region.signs)}
    if result.square is not None:
        arrays["square/settled"] = Array(np.array(result.square.settled, dtype=np.int64), "T")
    for name, values, axes in (
        ("boundary/gain", result.gain, "L 2"),
        ("proved", result.proved, "P 3"),
        ("extremes/Y", result.Y, "L 2 n q"),
    ):
        if values is not None:
            arrays[name] = Array(values, axes)
    if result.extremes is not None:
        arrays["extremes/captured_variance"] = Array(result.extremes.captured, "L 2 K")
        for label, accuracy in result.extremes.decoding.items():
            arrays[f"extremes/decoding/{label}"] = Array(accuracy, "L 2")
    for at, told in enumerate(result.implied):
        facts = {key: value for key, value in asdict(told).items() if value is not None}
        groups[f"implied/{at}"] = facts
    attributes = {
        **about,
        "dataset": result.dataset,
        "source": result.source,
        "mode": result.mode,
        "names": list(result.names),
        "third": result.third,
    }
    return Stored(attributes, arrays, groups)


def read(path: Path) -> JointRange:
    """Return a stored result.

    Raises
    ------
    StorageError
        Not a readable result.
    """
    return analysis.read(path, ANALYSIS, lambda stored: _result(stored, path))


def _result(stored: Stored, path: Path) -> JointRange:
    about, arrays = stored.attributes, {name: array.data for name, array in stored.arrays.items()}
    names = tuple(map(str, about["names"]))
    a, b = names

    def get(group: str, axes: dict[str, str]) -> dict[str, Any] | None:
        if f"{group}/points" not in arrays:
            return None
        return {name: arrays[f"{group}/{name}"] for name in axes}

    region, across, third, square = (
        get(group, axes)
        for group, axes in (
            ("boundary", _REGION),
            ("across", _EXTREMES),
            ("third", _EXTREMES),
            ("square", _SQUARE),
        )
    )
    told = sorted(
        (int(k.partition("/")[2]), facts) for k, facts in stored.groups.items() if k.startswith("implied/")
    )
    settled = tuple(map(Settled, arrays.get("square/settled", np.empty(0, np.int64)).tolist()))
    captured = arrays.get("extremes/captured_variance")
    decoding = {k.rpartition("/")[2]: v for k, v in arrays.items() if k.startswith("extremes/decoding/")}
    return JointRange(
        dataset=analysis.text(about["dataset"]),
        source=analysis.text(about["source"]),
        names=(a, b),
        mode=analysis.text(about["mode"]),
        path=path,
        region=None
        if region is None
        else Region(
            (a, b), _signs(stored.groups["boundary"]["signs"]), **region, limits=arrays.get("proved")
        ),
        gain=arrays.get("boundary/gain"),
        across=None if across is None else Extremes(**across),
        proved=arrays.get("proved"),
        extremes=None if captured is None else Inspected(captured, decoding),
        Y=arrays.get("extremes/Y"),
        implied=[_told(facts) for _, facts in told],
        square=None if square is None else Reached(settled=settled, **square),
        third=analysis.text(about["third"]),
        third_range=None if third is None else Extremes(**third),
        how="found",
        data_hash=analysis.text(about["data_hash"]),
    )


def _told(facts: dict[str, Any]) -> Implied:
    proved = facts.get("proved")
    return Implied(**{**facts, "proved": None if proved is None else (float(proved[0]), float(proved[1]))})


def _signs(values: Any) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def _plain(value: Any) -> Any:
    """Return lists and numbers, with null for what is not finite."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
