"""Turn the responses in a file into the responses of a dataset.

The order of the steps is fixed, because another order would give other responses:

1. Select units and conditions while the file is read. Units and conditions that are not selected may hold NaN
   or never vary, and need not fit into memory.
2. Order the axes as (time, condition, repeat, unit). 3. Average repeats, and trials of equal labels. NaN
marks missing trials and is left out of averages. An average over NaN alone is refused. 4. Drop units whose
averages are constant, even if their single trials vary. 5. Standardize units by the mean and standard
deviation of their averages, so that noise of single trials does not affect the scale. 6. Reduce the result to
its principal components, in which standardized units have equal weights.

If single trials are kept, steps 4 to 6 change them in the same way as the averages, so that the averages of
the trials remain equal to the responses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from simopt import checks
from simopt.datasets.base import check_length
from simopt.datasets.trials import Trials, condition_means
from simopt.errors import InputError
from simopt.rows import codes
from simopt.sides import SYNONYMS
from simopt.typing import FloatArray, LabelArray

Selection: TypeAlias = str | Sequence[int] | Mapping[str, Any]
Indices: TypeAlias = npt.NDArray[np.intp]

AXES = ("time", "condition", "repeat", "unit")
_BLOCK = 1 << 22  # bytes read at once of an array of which a part is selected; the peak is a few blocks
_LONGEST = 1e12  # ms of a window, 30 years; larger numbers are mistakes, and could overflow later
_SLICE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?")


def named_axes(axes: object, shape: tuple[int, ...], name: str) -> tuple[str, ...]:
    """Return the names of an array's axes, in the order of the array; each is a name in :data:`AXES`.

    Parameters
    ----------
    axes : str or sequence of str
        The names to check, for instance ``"time,condition,unit"`` or ``[time, condition, unit]``, or their
        :data:`~simopt.sides.SYNONYMS`, such as ``sample`` and ``trial`` for ``condition``.
    shape : tuple of int
        Shape of the array.
    name : str
        Name of the array, for error messages.

    Raises
    ------
    InputError
        A name is unknown or occurs twice, ``condition`` or ``unit`` is missing, or the number of names is not
        the number of axes of the array.
    """
    entries = axes.split(",") if isinstance(axes, str) else axes
    if not isinstance(entries, Iterable) or not all(isinstance(entry, str) for entry in entries):
        raise InputError(f"{name}: axes is {axes!r}; expected names such as [time,condition,unit].")
    parts = [entry.strip() for entry in entries]
    for part in parts:
        checks.one_of(part, (*AXES, *SYNONYMS), f"axis of {name}:")
    names = tuple(SYNONYMS.get(part, part) for part in parts)
    if len(set(names)) < len(names):
        raise InputError(
            f"{name}: axes {parts} name an axis twice (sample and trial both mean condition); an axis of "
            "repetitions is called repeat."
        )
    for needed in ("unit", "condition"):
        if needed not in names:
            raise InputError(
                f"{name}: axes {parts} lack {needed}; if there are no conditions, name the time axis sample."
            )
    if len(names) != len(shape):
        raise InputError(f"{name} has shape {shape}, {len(shape)} axes; dataset.axes has {len(names)} names.")
    return names


def check_window(window: Any, width: Any, name: str, *, whole: bool = False) -> None:
    """Refuse a window that is not (start, stop) in ms with start < stop, or a bin that does not divide it.

    Parameters
    ----------
    window : any
        The value to check.
    width : float or None
        Width of a bin in ms. None makes the whole window one bin.
    name : str
        Name of the dataset, for error messages.
    whole : bool
        Whether start and stop must be whole numbers.
    """
    kinds = int if whole else int | float
    pair = isinstance(window, list | tuple) and len(window) == 2
    if not pair or not all(isinstance(end, kinds) and abs(end) < _LONGEST for end in window):
        raise InputError(
            f"window of {name} is {window!r}; expected [START,STOP] in {'whole ' if whole else ''}ms."
        )
    start, stop = window
    checks.at_least(stop, start, f"stop of window of {name}", strict=True)
    if whole:
        checks.whole(width, 1, f"bin of {name}")
    elif width is not None:
        checks.at_least(width, 0, f"bin of {name}", strict=True)
    bins = (stop - start) / (stop - start if width is None else width)
    # Relative tolerance: widths such as 0.1 ms have no exact binary representation.
    if abs(bins - round(bins)) > 1e-9 * bins or round(bins) < 1:
        widths = range(1, min(stop - start, 1000) + 1) if whole else ()
        fitting = ", ".join(str(k) for k in widths if not (stop - start) % k)
        choices = f"; these widths do: {fitting}" if whole else ""
        raise InputError(
            f"bin of {name} is {width}; it does not divide the window of {stop - start:g} ms{choices}."
        )


def select(
    selection: Selection | None, size: int, variable: Callable[[str], LabelArray], what: str
) -> Indices:
    """Return the indices along an axis that a selection describes, an array of shape (selected,).

    Parameters
    ----------
    selection : str, sequence of int, mapping, or None
        One of: a list of indices, which is returned in its order; a slice such as ``"0:50"``; the name of a
        mask, which is a variable with 1 for selected and 0 for other indices; or a mapping ``{variable:
        values}``, which selects the indices at which every variable has one of its values. None selects all.
    size : int
        Length of the axis.
    variable : callable
        Maps the name of a variable to its values along the axis, (size,).
    what : str
        Name of the selected things in error messages, for instance ``units of data.npy``.

    Raises
    ------
    InputError
        An index, value or variable does not exist, or nothing is selected.
    """
    if selection is None:
        return np.arange(size)
    if isinstance(selection, Mapping):
        keep = np.ones(size, dtype=bool)
        for name, accepted in selection.items():
            keep &= _is_among(_along(variable, str(name), size, what), accepted, f"{name} of {what}")
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
                raise InputError(f"{what}: there is no index {index}; indices run from 0 to {size - 1}.")
        if len(set(selection)) < len(selection):
            raise InputError(f"{what}: {list(selection)!r} holds an index twice; give each index once.")
        chosen = np.array(selection, dtype=np.intp)
    if chosen.size == 0:
        raise InputError(f"{what}: {selection!r} selects none of the {size}; select at least one.")
    return chosen


def _along(variable: Callable[[str], LabelArray], name: str, size: int, what: str) -> LabelArray:
    """Return the values of a variable; an error names ``what`` they should have selected."""
    try:
        values = variable(name)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    check_length(values, size, name, what)
    return values


def _is_among(values: LabelArray, accepted: object, what: str) -> npt.NDArray[np.bool_]:
    """Return for each value whether it is accepted, (size,); refuse an accepted value that does not occur."""
    listed = (
        list(accepted) if isinstance(accepted, Sequence) and not isinstance(accepted, str) else [accepted]
    )
    sought = [_as_text(value) for value in listed]
    present = np.array([_as_text(value) for value in values.tolist()])
    for value in sought:
        if value not in present:
            raise checks.unknown(value, set(present.tolist()), f"value for {what}:")
    return np.isin(present, sought)


def _as_text(value: object) -> str:
    """Return a value as text, so that ``depth: 3`` finds 3, 3.0 and "3", whatever the file stores."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _named(selection: str, size: int, variable: Callable[[str], LabelArray], what: str) -> Indices:
    """Return the indices that a slice or the name of a mask selects."""
    match = _SLICE.fullmatch(selection)
    if match is None:
        mask = _along(variable, selection, size, what)
        if not np.isin(mask, (0, 1)).all():
            raise InputError(
                f"{what}: {selection} is no mask of 0 and 1; select by its values: {{{selection}: VALUE}}."
            )
        return np.flatnonzero(mask)
    parts = slice(*(None if part is None else int(part) for part in match.groups()))
    if parts.step == 0:
        raise InputError(f"{what}: the slice {selection!r} has step 0; expected a step other than 0.")
    return np.arange(size)[parts]


def take(array: Any, chosen: Sequence[Indices]) -> LabelArray:
    """Return a copy of the selected part of an array, ``array[np.ix_(*chosen)]``.

    Hardly more than the selected part is read or held in memory.

    Parameters
    ----------
    array : array, memory map or HDF5 dataset
    chosen : sequence of array of int
        For each axis the selected indices: at least one, in any order.

    Returns
    -------
    array, (len(chosen[0]), len(chosen[1]), ...)
    """
    shape = tuple(indices.size for indices in chosen)
    bounds = [slice(int(indices.min()), int(indices.max()) + 1) for indices in chosen]
    if all((np.diff(indices) == 1).all() for indices in chosen):
        return np.array(array[tuple(bounds)])
    # h5py's own indexing by lists is slow for many indices and wants them ascending. Instead read the
    # bounding box of the selection in blocks along one axis, and select in memory. HDF5 decompresses a chunk
    # as a whole, so a block consists of whole chunks, each of which is read once. The axis with most chunks
    # gives the smallest blocks. An array without chunks is in C order: its first axis is the one to cut.
    chunks = getattr(array, "chunks", None) or (1, *array.shape[1:])
    along = int(np.argmax([-(-length // chunk) for length, chunk in zip(array.shape, chunks, strict=True)]))
    others = math.prod(bound.stop - bound.start for axis, bound in enumerate(bounds) if axis != along)
    step = max(1, _BLOCK // (array.dtype.itemsize * others * chunks[along])) * chunks[along]
    out = np.empty(shape, dtype=array.dtype)
    for start in range(bounds[along].start // step * step, bounds[along].stop, step):
        # Which rows of the result are in this block; the selection may be in any order.
        rows = np.flatnonzero((chosen[along] >= start) & (chosen[along] < start + step))
        if rows.size == 0:
            continue
        bounds[along] = slice(start, start + step)
        block = array[tuple(bounds)]
        for axis, indices in enumerate(chosen):
            block = np.take(block, (indices[rows] if axis == along else indices) - bounds[axis].start, axis)
        out[(slice(None),) * along + (rows,)] = block
    return out


def as_labels(values: Any, what: str) -> LabelArray:
    """Return labels in one common form, an array of shape (conditions,), whatever format stored them.

    Floats that are whole numbers become int64, and bytes and characters become text. Other numbers, booleans
    and text keep their type.

    Parameters
    ----------
    values : array or sequence
        Numbers, booleans, text, bytes in UTF-8, or a matrix of single characters (one row for each label).
    what : str
        Name of the file and the label, for error messages.

    Raises
    ------
    InputError
        A value is missing, or is neither a number nor text.
    """
    array = np.asarray(values)
    if array.dtype == "S1" and array.ndim == 2:  # netCDF 3 has no strings: a row of characters is a text
        array = np.ascontiguousarray(array).view(f"S{array.shape[1]}")
    if array.dtype.kind == "O":  # text of variable length, as HDF5 and parquet give it
        array = np.array(
            [item.decode() if isinstance(item, bytes) else item for item in array.ravel().tolist()]
        )
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "iufbU":
        raise InputError(f"{what} has dtype {array.dtype}; expected numbers or text, with no value missing.")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"{what} holds NaN or infinite values; every condition needs a label.")
        # MATLAB and csv files hold whole numbers as doubles. Beyond 2^53 doubles skip whole numbers.
        if (array == np.rint(array)).all() and (np.abs(array) < 2**53).all():
            array = array.astype(np.int64)
    # A vector in MATLAB is a matrix with one row or column.
    return array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array


def combine(labels: Mapping[str, LabelArray]) -> Indices:
    """Return the index of the combination of labels of each trial, (trial,).

    The combinations are counted from 0 in the order of their first appearance. Sorted by text, im10 would
    come before im2, and the rows of a model that has no labels would be those of other samples.
    """
    columns = [codes(values, len(values), f"label {name}") for name, values in labels.items()]
    combined = np.unique(np.stack(columns), axis=1, return_inverse=True)[1].reshape(-1)
    return codes(combined, len(combined), "labels")


def average(responses: FloatArray, condition: Indices, name: str) -> FloatArray:
    """Return the mean over the trials of each condition; NaN is left out.

    Parameters
    ----------
    responses : array, (..., trial, unit)
    condition : array of int, (trial,)
        The index of each trial's condition, counted from 0. Every index up to the largest must occur.
    name : str
        Name of the responses, for error messages.

    Returns
    -------
    array, (..., condition, unit)
        Its dtype is that of ``responses``.

    Raises
    ------
    InputError
        All trials of a condition are NaN in a unit.
    """
    mean, counts = condition_means(responses, condition)
    if not counts.all():
        *_, empty, unit = (int(index) for index in np.argwhere(counts == 0)[0])
        raise InputError(
            f"{name}: every trial of condition {empty} is NaN in unit {unit}; drop this unit or condition."
        )
    return mean.astype(responses.dtype)


def constant(responses: FloatArray) -> npt.NDArray[np.bool_]:
    """Return whether the responses of each unit are the same in all samples, (unit,)."""
    # Not the variance: rounding of the mean makes that of a constant such as 0.1 greater than 0.
    unchanged: npt.NDArray[np.bool_] = np.ptp(checks.flatten(responses), axis=0) == 0
    return unchanged


def standardize(responses: FloatArray, trials: Trials | None = None) -> tuple[FloatArray, Trials | None]:
    """Return responses with mean 0 and standard deviation 1 over samples in each unit, and the trials.

    The responses of constant units become 0.

    Parameters
    ----------
    responses : array, (samples, units) or (time, condition, unit)
    trials : Trials, optional
        Single trials. They are shifted and scaled like the responses, so that their averages remain equal to
        the responses.
    """
    flat = checks.flatten(responses)
    mean = flat.mean(axis=0, dtype=np.float64)
    deviation = flat.std(axis=0, dtype=np.float64)
    deviation[constant(responses)] = np.inf  # (x - mean) / inf = 0
    return both(lambda x: ((x - mean) / deviation).astype(x.dtype), responses, trials)


def reduce(
    responses: FloatArray, components: int | float, name: str, trials: Trials | None = None
) -> tuple[FloatArray, Trials | None]:
    """Project responses and their trials onto the first principal components of the responses.

    Parameters
    ----------
    responses : array, (samples, units) or (time, condition, unit)
    components : int, or float up to 1
        An int is the number of components. A float is a share of the variance: the fewest components that
        explain this share are taken.
    name : str
        Name of the responses, for error messages.
    trials : Trials, optional
        Single trials, which are projected onto the same components.

    Returns
    -------
    projected : array, (samples, components) or (time, condition, component)
        Each component has mean 0 over samples.
    trials : Trials or None

    Raises
    ------
    InputError
        The responses have fewer components than ``components``, or a unit lacks a value in some trials.
    """
    from simopt.components import principal_components  # which imports torch

    if trials is not None and np.isnan(trials.responses).any():
        raise InputError(
            f"{name}: some repetitions are NaN in some units or times, so they have no components; set "
            "dataset.repetitions=average, or leave out dataset.components."
        )
    flat = checks.flatten(responses)
    checks.varying(flat, name)
    pcs = principal_components(flat)
    if isinstance(components, float):
        share = np.cumsum(pcs.values**2)
        # The share that exactly k components hold must give k, also when the sum is rounded down. The last
        # value is left out: a share of 1 takes all components even if they add up to slightly less.
        count = int(np.searchsorted(share[:-1], components - 1e-12)) + 1
    else:
        count = components
    if count > len(pcs.values):
        raise InputError(f"{name} has {len(pcs.values)} PCs, but dataset.components is {count}; lower it.")
    mean = flat.mean(axis=0, dtype=np.float64)
    # X = U diag(s) V' and scores = U diag(s), up to a factor: X' scores = V diag(s^2) is V, (units, count),
    # once its columns are divided by their lengths.
    axes = (flat - mean).T @ pcs.scores[:, :count]
    axes /= np.linalg.norm(axes, axis=0)
    # The sign of a component is arbitrary. Make its largest loading positive: the same on every machine.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
    return both(lambda x: ((x - mean) @ axes).astype(x.dtype), responses, trials)


def both(
    change: Callable[[FloatArray], FloatArray], responses: FloatArray, trials: Trials | None
) -> tuple[FloatArray, Trials | None]:
    """Apply ``change`` to the responses and, unless ``trials`` is None, to the responses of the trials."""
    changed = None if trials is None else replace(trials, responses=change(trials.responses))
    return change(responses), changed
