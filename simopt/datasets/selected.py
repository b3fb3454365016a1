"""What is selected of a file: responses, labels of conditions, windows of time, ids of units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simopt.datasets.preprocess import Indices
from simopt.errors import InputError
from simopt.typing import LabelArray

_UNITS_SHOWN = 8  # units that a message lists; more would not fit its line


@dataclass(frozen=True)
class Read:
    """What is read of a file.

    Attributes
    ----------
    array : array, ([time,] condition, repeat, unit)
        If the array in the file has no axis ``repeat``, this axis has length 1.
    labels : dict of array
        The labels and other names of the conditions, (condition,).
    names : frozenset of str
        Which of ``labels`` are only names.
    conditions : array of int, (condition,)
        The index of each condition in the file.
    units : array of str, (unit,)
        What messages call each unit.
    """

    array: LabelArray
    labels: dict[str, LabelArray]
    names: frozenset[str]
    conditions: Indices
    units: LabelArray

    def _missing(self) -> LabelArray:
        """Return which conditions lack a unit at a time in all repeats, (condition,)."""
        without = np.isnan(self.array).all(axis=-2)  # ([time,] condition, unit)
        return np.asarray(without.any(axis=(*range(without.ndim - 2), -1)))

    def complete(self, name: str) -> Read:
        """Return the conditions in which every unit has a value."""
        kept = ~self._missing()
        if not kept.any():
            raise InputError(f"{name}: every sample holds NaN, so dataset.drop_nan=trials leaves none.")
        labels = {key: values[kept] for key, values in self.labels.items()}
        return replace(
            self, array=self.array[..., kept, :, :], labels=labels, conditions=self.conditions[kept]
        )

    def refuse_nan(self, name: str, event: str | None) -> None:
        """Refuse conditions with NaN, and name the first; ``event`` is what an nwb counts spikes around."""
        missing = self._missing()
        if missing.any():
            first = int(self.conditions[np.argmax(missing)])
            place = f"sample {first}" if event is None else f"trial {first}, whose {event} is NaN"
            count = int(np.isnan(self.array).sum())
            raise InputError(
                f"{name} holds {count} NaN or infinite value(s) in {missing.sum()} of "
                f"{missing.size} samples, first in {place}; replace them, or leave such samples out with "
                "dataset.drop_nan=trials."
            )


def of_units(chosen: LabelArray, units: LabelArray, what: str, name: str) -> str:
    """Return the line that names the units that are NaN or constant, and the remedy."""
    listed = ", ".join(units[chosen][:_UNITS_SHOWN]) + (", ..." if chosen.sum() > _UNITS_SHOWN else "")
    remedy = "" if chosen.all() else "; dataset.constant_units=drop leaves such units out"
    return f"{name}: {chosen.sum()} of {chosen.size} units {what}: {listed}{remedy}."


def times_of(size: int, variable: Callable[[str], LabelArray]) -> LabelArray:
    """Return the times of an array, (time,): those that the file has, or 0, 1, 2, ..."""
    times = _or_none(variable, "time", size)
    return np.arange(size) if times is None or times.dtype.kind not in "iuf" else times


def names_of_units(variable: Callable[[str], LabelArray], size: int, units: Indices) -> LabelArray:
    """Return what messages call the units, (unit,): by the ``id`` that the file has, or by their columns."""
    ids = _or_none(variable, "id", size)
    return np.array([f"column {unit}" if ids is None else f"id {ids[unit]}" for unit in units])


def _or_none(variable: Callable[[str], LabelArray], name: str, size: int) -> LabelArray | None:
    try:
        values = variable(name)
    except InputError:
        return None
    return values if values.shape == (size,) else None


def windowed(
    times: LabelArray, window: Sequence[float], width: float | None, name: str
) -> tuple[Indices, list[Indices]]:
    """Return the indices of the times in a window, and which of them each bin averages, if any.

    Parameters
    ----------
    times : array, (time,)
        In any order.
    window : (start, stop)
        The times from start up to, but without, stop are taken.
    width : float or None
        The width of a bin, which divides the window. None: every time is a bin of its own.
    name : str
        Name of the responses, for error messages.

    Raises
    ------
    InputError
        The window is outside the times, or a bin has no time.
    """
    start, stop = window
    step = float(np.median(np.diff(np.sort(times)))) if len(times) > 1 else 1.0
    # Times may be the starts, the ends or the centres of bins. A window far outside is one in another unit.
    if start < times.min() - step or stop > times.max() + step:
        raise InputError(
            f"{name} has times from {times.min():g} to {times.max():g}, which the window "
            f"[{start:g}, {stop:g}] leaves; give it in the unit of these times."
        )
    inside = np.flatnonzero((times >= start) & (times < stop))
    if width is None and len(inside):
        return inside, []
    edges = np.linspace(start, stop, 2 if width is None else round((stop - start) / width) + 1)
    of_time = np.searchsorted(edges, times[inside], side="right") - 1
    bins = [np.flatnonzero(of_time == number) for number in range(len(edges) - 1)]
    empty = next((number for number, part in enumerate(bins) if not len(part)), None)
    if empty is not None:
        raise InputError(
            f"{name} has no time from {edges[empty]:g} to {edges[empty + 1]:g}; its times run from "
            f"{times.min():g} to {times.max():g}."
        )
    return inside, bins
