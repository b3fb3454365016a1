"""What is done to responses between a file and a dataset: order, select, average, standardize, reduce."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from simopt import checks
from simopt.datasets.base import Trials, check_length, condition_means
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

Selection: TypeAlias = str | Sequence[int] | Mapping[str, Any]
Indices: TypeAlias = npt.NDArray[np.intp]

AXES = ("time", "condition", "repeat", "unit")
_SYNONYMS = {"sample": "condition", "trial": "condition"}
_BLOCK = 1 << 22  # bytes read at once of an array that is not wanted whole
_LONGEST = 1e12  # ms of a window
_SLICE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?")


def named_axes(axes: object, shape: tuple[int, ...], name: str) -> tuple[str, ...]:
    """Return the axes of an array by their names in :data:`AXES`, in the array's own order.

    Parameters
    ----------
    axes : str or sequence of str
        ``"time,condition,unit"`` or ``[time, condition, unit]``; ``sample`` and ``trial`` are conditions.
    shape : tuple of int
        Of the array.
    name : str
        How errors call the array.

    Raises
    ------
    InputError
        An unknown axis, one named twice, no ``condition`` or ``unit``, or another number of axes.
    """
    given = axes.split(",") if isinstance(axes, str) else axes
    if not isinstance(given, Iterable) or not all(isinstance(part, str) for part in given):
        raise InputError(f"{name}: axes is {axes!r}; expected names, such as [time,condition,unit].")
    parts = [part.strip() for part in given]
    for part in parts:
        checks.one_of(part, (*AXES, *_SYNONYMS), f"axis of {name}:")
    names = tuple(_SYNONYMS.get(part, part) for part in parts)
    if len(set(names)) < len(names):
        raise InputError(
            f"{name}: axes {parts} name an axis twice (sample and trial mean condition; the repetitions of a "
            "condition are called repeat)."
        )
    for needed in ("unit", "condition"):
        if needed not in names:
            raise InputError(
                f"{name}: axes {parts} lack {needed}; the time bins of one long recording are called sample."
            )
    if len(names) != len(shape):
        raise InputError(f"{name} has shape {shape}, {len(shape)} axes; dataset.axes names {len(names)}.")
    return names


def check_window(window: Any, width: float | None, name: str, *, whole: bool = False) -> None:
    """Refuse a window that is not (start, stop) in ms, ascending, or a bin that does not divide it.

    Parameters
    ----------
    window : any
    width : float or None
        Of a bin in ms; None: the window is one bin.
    name : str
        How errors call the dataset.
    whole : bool
        Whether all must be whole numbers.
    """
    kinds = int if whole else int | float
    pair = isinstance(window, list | tuple) and len(window) == 2
    if not pair or not all(isinstance(end, kinds) and abs(end) < _LONGEST for end in window):
        raise InputError(
            f"window of {name} is {window!r}; expected [START,STOP] in {'whole ' if whole else ''}ms."
        )
    start, stop = window
    checks.at_least(stop, start, f"stop of window of {name}", strict=True)
    bins = (stop - start) / (stop - start if width is None else width)
    if abs(bins - round(bins)) > 1e-9 * bins or round(bins) < 1:
        widths = range(1, min(stop - start, 1000) + 1) if whole else ()
        fitting = ", ".join(str(k) for k in widths if not (stop - start) % k)
        these = f"; these do: {fitting}" if whole else ""
        raise InputError(
            f"bin of {name} is {width}; it does not divide the window of {stop - start:g} ms{these}."
        )


def select(
    selection: Selection | None, size: int, variable: Callable[[str], LabelArray], what: str
) -> Indices:
    """Return the indices along an axis that a selection means, (chosen,).

    Parameters
    ----------
    selection : str, sequence of int, mapping, or None
        Indices, in the order wanted; a slice, ``"0:50"``; the name of a variable that is true for those
        wanted; or ``{variable: values}``, several of which must all hold. None takes all.
    size : int
        Length of the axis.
    variable : callable
        From a name to the values of a variable along the axis, (size,).
    what : str
        How errors call what is selected, for instance ``units of data.npy``.

    Raises
    ------
    InputError
        An index, value or variable that is not there, or nothing is left.
    """
    if selection is None:
        return np.arange(size)
    if isinstance(selection, Mapping):
        keep = np.ones(size, dtype=bool)
        for name, wanted in selection.items():
            keep &= _holds(_along(variable, str(name), size, what), wanted, f"{name} of {what}")
        chosen = np.flatnonzero(keep)
    elif isinstance(selection, str):
        chosen = _named(selection, size, variable, what)
    else:
        if not isinstance(selection, Sequence) or any(type(index) is not int for index in selection):
            raise InputError(
                f"{what}: cannot select {selection!r}; expected indices [0,2], a quoted slice '0:50', the "
                "name of a mask, or {variable: [values]}."
            )
        for index in selection:
            if index not in range(size):
                raise InputError(f"{what}: there is no index {index}; they run from 0 to {size - 1}.")
        if len(set(selection)) < len(selection):
            raise InputError(f"{what}: {list(selection)!r} holds an index twice.")
        chosen = np.array(selection, dtype=np.intp)
    if chosen.size == 0:
        raise InputError(f"{what}: {selection!r} selects none of the {size}.")
    return chosen


def _along(variable: Callable[[str], LabelArray], name: str, size: int, what: str) -> LabelArray:
    try:
        values = variable(name)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    check_length(values, size, name, what)
    return values


def _holds(values: LabelArray, wanted: object, what: str) -> npt.NDArray[np.bool_]:
    listed = list(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
    present = np.array([_key(value) for value in values.tolist()])
    for value in listed:
        if _key(value) not in present:
            raise checks.unknown(_key(value), set(present.tolist()), f"value for {what}:")
    return np.isin(present, [_key(value) for value in listed])


def _key(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _named(selection: str, size: int, variable: Callable[[str], LabelArray], what: str) -> Indices:
    match = _SLICE.fullmatch(selection)
    if match is None:
        mask = _along(variable, selection, size, what)
        if not np.isin(mask, (0, 1)).all():
            raise InputError(
                f"{what}: {selection} is no mask (0 or 1, false or true); say {{{selection}: VALUE}}."
            )
        return np.flatnonzero(mask)
    parts = slice(*(None if part is None else int(part) for part in match.groups()))
    if parts.step == 0:
        raise InputError(f"{what}: the slice {selection!r} has step 0.")
    return np.arange(size)[parts]


def take(array: Any, chosen: Sequence[Indices]) -> LabelArray:
    """Return a copy of what indices along each axis select, reading little more than that.

    Parameters
    ----------
    array : array, memory map or HDF5 dataset
    chosen : sequence of array of int
        One for each axis.
    """
    shape = tuple(indices.size for indices in chosen)
    if 0 in shape:
        return np.zeros(shape)
    bounds = [slice(int(indices.min()), int(indices.max()) + 1) for indices in chosen]
    if all((np.diff(indices) == 1).all() for indices in chosen):
        return np.array(array[tuple(bounds)])
    # Blocks are whole chunks of an HDF5 dataset, each read once.
    chunks = getattr(array, "chunks", None) or (1, *array.shape[1:])
    along = int(np.argmax([-(-n // c) for n, c in zip(array.shape, chunks, strict=True)]))
    others = math.prod(b.stop - b.start for axis, b in enumerate(bounds) if axis != along)
    step = max(1, _BLOCK // (array.dtype.itemsize * others * chunks[along])) * chunks[along]
    out = np.empty(shape, dtype=array.dtype)
    for start in range(bounds[along].start // step * step, bounds[along].stop, step):
        inside = np.flatnonzero((chosen[along] >= start) & (chosen[along] < start + step))
        if inside.size == 0:
            continue
        bounds[along] = slice(start, start + step)
        part = array[tuple(bounds)]
        for axis, indices in enumerate(chosen):
            part = np.take(part, (indices[inside] if axis == along else indices) - bounds[axis].start, axis)
        out[(slice(None),) * along + (inside,)] = part
    return out


def as_labels(values: Any, what: str) -> LabelArray:
    """Return labels as whole numbers where they are, else as text or numbers, (conditions,).

    Raises
    ------
    InputError
        Missing values, or what is neither numbers nor text.
    """
    array = np.asarray(values)
    if array.dtype == "S1" and array.ndim == 2:
        array = np.ascontiguousarray(array).view(f"S{array.shape[1]}")
    if array.dtype.kind == "O":
        array = np.array(
            [item.decode() if isinstance(item, bytes) else item for item in array.ravel().tolist()]
        )
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "iufbU":
        raise InputError(f"{what} has dtype {array.dtype}; expected numbers or text, and none missing.")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"{what} holds NaN or infinite values; every condition needs one.")
        if (array == np.rint(array)).all() and (np.abs(array) < 2**53).all():
            array = array.astype(np.int64)
    return array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array


def combine(labels: Mapping[str, LabelArray]) -> Indices:
    """Return which combination of labels each trial has, (trial,), numbered in sorted order from 0."""
    codes = [np.unique(values, return_inverse=True)[1] for values in labels.values()]
    return np.unique(np.stack(codes), axis=1, return_inverse=True)[1].reshape(-1)


def average(responses: FloatArray, condition: Indices, name: str) -> FloatArray:
    """Return the mean over the trials of each condition, NaN left out, (..., condition, unit).

    Parameters
    ----------
    responses : array, (..., trial, unit)
    condition : array of int, (trial,)
        From 0, each at least once.
    name : str
        How errors call the responses.

    Raises
    ------
    InputError
        All trials of a condition are NaN in a unit.
    """
    mean, counts = condition_means(responses, condition)
    if not counts.all():
        *_, group, unit = (int(i) for i in np.argwhere(counts == 0)[0])
        raise InputError(f"{name}: every repetition of condition {group} is NaN in unit {unit}.")
    averaged: FloatArray = mean.astype(responses.dtype)
    return averaged


def constant(responses: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which units never vary over samples, (unit,)."""
    still: npt.NDArray[np.bool_] = np.ptp(checks.flatten(responses), axis=0) == 0
    return still


def standardize(responses: FloatArray, trials: Trials | None = None) -> tuple[FloatArray, Trials | None]:
    """Return responses of mean 0 and standard deviation 1 over samples in each unit; constant ones become 0.

    Parameters
    ----------
    responses : array, (samples, units) or (time, condition, unit)
    trials : Trials, optional
        Shifted and scaled as the responses are, so that their average stays the responses.
    """
    flat = checks.flatten(responses)
    mean = flat.mean(axis=0, dtype=np.float64)
    deviation = flat.std(axis=0, dtype=np.float64)
    deviation[constant(responses)] = np.inf
    return both(lambda x: ((x - mean) / deviation).astype(x.dtype), responses, trials)


def reduce(
    responses: FloatArray, components: int | float, name: str, trials: Trials | None = None
) -> tuple[FloatArray, Trials | None]:
    """Return the coordinates along the first principal components, centered, (..., component).

    Parameters
    ----------
    responses : array, (samples, units) or (time, condition, unit)
    components : int, or float up to 1
        How many, or the least share of the variance that they hold together.
    name : str
        How errors call the responses.
    trials : Trials, optional
        Taken along the same components.

    Raises
    ------
    InputError
        More components than there are.
    """
    from simopt.components import principal_components  # which imports torch

    flat = checks.flatten(responses)
    checks.varying(flat, name)
    pcs = principal_components(flat)
    if isinstance(components, float):
        share = np.cumsum(pcs.values**2)
        count = int(np.searchsorted(share[:-1], components - 1e-12)) + 1
    else:
        count = components
    if count > len(pcs.values):
        raise InputError(f"{name} has {len(pcs.values)} principal components; dataset.components is {count}.")
    mean = flat.mean(axis=0, dtype=np.float64)
    axes = (flat - mean).T @ pcs.scores[:, :count]
    axes /= np.linalg.norm(axes, axis=0)
    # A component has no sign of its own: the unit that weighs most is made positive.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
    return both(lambda x: ((x - mean) @ axes).astype(x.dtype), responses, trials)


def both(
    change: Callable[[FloatArray], FloatArray], responses: FloatArray, trials: Trials | None
) -> tuple[FloatArray, Trials | None]:
    """Return responses and their trials, if there are any, changed alike."""
    changed = None if trials is None else Trials(change(trials.responses), trials.condition)
    return change(responses), changed
