"""The joint range of two measures as a result, and how it is stored in a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from simopt import checks
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
# Names of the axes of each array: L levels, T targets, N points, S steps. A field that is not listed here is
# stored elsewhere: a Region's names and signs as attributes, its limits as the array "proved".
_AXES = {
    **dict.fromkeys(("levels", "b_min", "b_max"), "L"),
    **dict.fromkeys(("value", "feasibility", "spread", "gain"), "L 2"),
    **dict.fromkeys(("targets", "start", "end", "closest"), "T 2"),
    **dict.fromkeys(("settled", "steps"), "T"),
    "points": "N 2",
    "path": "S T 2",
}
# Groups of the file, and the fields of a class that are their arrays.
_PARTS = {
    group: [field.name for field in fields(part) if field.name in _AXES]
    for group, part in (("boundary", Region), ("across", Extremes), ("square", Reached))
}
_ABOUT = ("dataset", "source", "mode")


@dataclass(frozen=True)
class JointRange:
    """The joint range of two measures a and b. The mode decides which fields are not None.

    The second axis of an array (L, 2, ...) is (minimum, maximum) of the score that is searched at a level.

    Attributes
    ----------
    dataset, source : str
        Name of the dataset, and whether its data is ``real`` or ``surrogate``.
    names : pair of str
        Names of a and b.
    mode : {"boundary", "square"}
        ``boundary``: extremes at levels were searched. ``square``: Y were optimized to targets.
    path : Path
        Path of the file of this result.
    region : Region or None
        The region of score pairs that can occur together.
    gain : array, (L, 2), or None
        Improvement of each extreme by the last round.
    across : Extremes or None
        Extremes of a at the thresholds of b.
    proved : array, (P, 3), or None
        Each row holds a score of a and the proved lower and upper limit of b at this score.
    extremes : Inspected or None
        Captured variance and decoding of the Y of each extreme.
    Y : array, (L, 2, n, q), or None
        The Y of each extreme.
    implied : list of Implied
        For each threshold, the range of the other measure over all Y that reach it.
    square : Reached or None
        The result of the search of targets, or with ``mode=boundary`` a stored one of the same measures.
    stored : array, (N, 2)
        Score pairs of stored runs and square searches on the same data.
    outside : int
        Number of pairs of ``stored`` that lay outside of the region and widened it.
    how : {"done", "found"}
        Whether the result was computed now, or read from a file.
    data_hash : str
        Hash of the data.
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
    stored: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    outside: int = 0
    how: str = "done"
    data_hash: str = ""

    def renamed(self, names: tuple[str, ...]) -> Self:
        """Return the same range with new names of a and b."""
        new = dict(zip(self.names, names, strict=True))
        implied = [replace(one, given=new[one.given], implied=new[one.implied]) for one in self.implied]
        pair = (names[0], names[1])
        region = None if self.region is None else replace(self.region, names=pair)
        return replace(self, names=pair, region=region, implied=implied)

    @property
    def verdict(self) -> str | None:
        """The :meth:`Region.verdict` at the first thresholds of a and b; None if a or b has none."""
        of_a, of_b = self.thresholds()
        if self.region is None or not of_a or not of_b:
            return None
        return self.region.verdict(of_a[0], of_b[0])

    def thresholds(self) -> tuple[list[float], list[float]]:
        """Return the thresholds of a and of b."""
        a, b = ([one.threshold for one in self.implied if one.given == name] for name in self.names)
        return a, b

    def proved_range(self) -> tuple[FloatArray, Range] | None:
        """Return scores of a, and the proved limits of b at each of them; None if no limits are proved."""
        if self.proved is None:
            return None
        levels, lower, upper = self.proved.T
        return levels, Range(lower, upper)

    def sentence(self) -> str:
        """Return text that says what each measure implies for the other."""
        return "; ".join(f"{self._condition(one)} {_clause(one)}" for one in self.implied)

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values for JSON, with None for missing values."""
        shown = {name: getattr(self, name) for name in _ABOUT}
        shown |= {"measures": self.names, "path": str(self.path)}
        if self.region is not None:
            shown |= self._region_json(self.region)
        if self.mode != "boundary" and self.square is not None:
            settled = [state.name.lower() for state in self.square.settled]
            pursued = {name: getattr(self.square, name) for name in ("targets", "closest", "end", "steps")}
            shown["square"] = pursued | {"settled": settled}
        plain: dict[str, Any] = checks.as_plain(shown)
        return plain

    def _region_json(self, region: Region) -> dict[str, Any]:
        inspected = self.extremes
        extremes = {name: getattr(region, name) for name in ("b_min", "b_max", "feasibility", "spread")}
        return {
            "area": region.area,
            "boundary": {"a_level": region.levels, **extremes, "gain": self.gain},
            "outline": {"lower": region.lower, "upper": region.upper},
            "proved": self.proved,
            "implied": {
                self._condition(one): {
                    "measure": one.implied,
                    **{name: getattr(one, name) for name in ("low", "high", "proved")},
                }
                for one in self.implied
            },
            "verdict": self.verdict,
            "sentence": self.sentence(),
            "stored_pairs": len(self.stored),
            "outside": self.outside,
            "captured": None if inspected is None else inspected.captured,
            "decoding": None if inspected is None else inspected.decoding,
        }

    def _condition(self, one: Implied) -> str:
        signs = (1, 1) if self.region is None else self.region.signs
        relation = ">=" if signs[self.names.index(one.given)] > 0 else "<="
        return f"{one.given} {relation} {one.threshold:g}"


def _clause(one: Implied) -> str:
    if np.isnan(one.low):
        return "was never reached"
    left = f"leaves {one.implied} {one.low:.2f} to {one.high:.2f}"
    return left if one.proved is None else f"{left} (proved: {one.proved[0]:.2f} to {one.proved[1]:.2f})"


def content(result: JointRange) -> Stored:
    """Return the content of the file that stores a result."""
    arrays: dict[str, Array] = {}
    for group, part in zip(_PARTS, (result.region, result.across, result.square), strict=True):
        for name in _PARTS[group] if part is not None else ():
            arrays[f"{group}/{name}"] = Array(np.asarray(getattr(part, name)), _AXES[name])
    # Arrays of JointRange itself; those that are None are left out of the file.
    optional = [("boundary/gain", result.gain, "L 2"), ("proved", result.proved, "P 3")]
    optional.append(("extremes/Y", result.Y, "L 2 n q"))
    if result.extremes is not None:
        optional.append(("extremes/captured_variance", result.extremes.captured, "L 2 K"))
        for label, accuracy in result.extremes.decoding.items():
            optional.append((f"extremes/decoding/{label}", accuracy, "L 2"))
    arrays |= {name: Array(data, axes) for name, data, axes in optional if data is not None}
    groups: dict[str, dict[str, Any]] = {}
    if result.region is not None:
        groups["boundary"] = {"signs": list(result.region.signs)}
    for at, one in enumerate(result.implied):
        # An attribute cannot be empty: a missing proof is a missing attribute.
        groups[f"implied/{at}"] = {key: value for key, value in asdict(one).items() if value is not None}
    attributes: dict[str, Any] = {name: getattr(result, name) for name in (*_ABOUT, "data_hash")}
    return Stored({**attributes, "names": list(result.names)}, arrays, groups)


def read(path: Path) -> JointRange:
    """Return the stored result at a path.

    Raises
    ------
    StorageError
        The file cannot be read, or does not hold a joint range.
    """
    return analysis.read(path, ANALYSIS, lambda stored: _result(stored, path))


def _result(stored: Stored, path: Path) -> JointRange:
    about, arrays = stored.attributes, {name: array.data for name, array in stored.arrays.items()}
    a, b = map(str, about["names"])
    boundary, across, square = (_part(arrays, group) for group in _PARTS)
    region = None
    if boundary is not None:
        signs = stored.groups["boundary"]["signs"]
        limits = arrays.get("proved")
        region = Region(names=(a, b), signs=(int(signs[0]), int(signs[1])), limits=limits, **boundary)
    if square is not None:
        square["settled"] = tuple(map(Settled, square["settled"].tolist()))
    captured = arrays.get("extremes/captured_variance")
    decoding = {k.rpartition("/")[2]: v for k, v in arrays.items() if k.startswith("extremes/decoding/")}
    count = sum(name.startswith("implied/") for name in stored.groups)
    texts: dict[str, Any] = {name: analysis.text(about[name]) for name in (*_ABOUT, "data_hash")}
    return JointRange(
        **texts,
        names=(a, b),
        path=path,
        region=region,
        gain=arrays.get("boundary/gain"),
        across=None if across is None else Extremes(**across),
        proved=arrays.get("proved"),
        extremes=None if captured is None else Inspected(captured, decoding),
        Y=arrays.get("extremes/Y"),
        implied=[_implied(stored.groups[f"implied/{at}"]) for at in range(count)],
        square=None if square is None else Reached(**square),
        how="found",
    )


def _part(arrays: dict[str, FloatArray], group: str) -> dict[str, Any] | None:
    # Every part has points, so a file without them does not have the part.
    if f"{group}/points" not in arrays:
        return None
    return {name: arrays[f"{group}/{name}"] for name in _PARTS[group]}


def _implied(facts: dict[str, Any]) -> Implied:
    proved = facts.get("proved")
    return Implied(**{**facts, "proved": None if proved is None else (float(proved[0]), float(proved[1]))})
