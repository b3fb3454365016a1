"""The one place that words errors of shape, dtype, finiteness, range and choice."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simopt.errors import InputError
from simopt.typing import ArrayLike, FloatArray

MIN_SAMPLES = 3
_SHOWN = 14
_LARGEST_SEED = 2**63 - 1
"""Files keep seeds in 64 bits."""
LARGEST_SHUFFLE_SEED = 2**32 - 1
"""The largest seed of a shuffle by scikit-learn."""
_MOST_NUMBERS = 2**44
_LARGE, _TIGHT = 2**28, 200
"""Bytes that anybody has room for, and how many times smaller than its numbers a recording may be stored."""


def responses(value: ArrayLike, name: str = "X") -> FloatArray:
    """Return a recording as a finite floating-point array, or say what is wrong with it.

    Parameters
    ----------
    value : array or tensor, (samples, units) or (time, condition, unit)
        Any real numeric dtype; integers and booleans become float64.
    name : str
        How the error calls it.

    Returns
    -------
    array, the shape of ``value``, float32 or float64

    Raises
    ------
    InputError
        Not numeric, not 2-D or 3-D, empty, fewer than 3 samples, NaN or infinite.
    """
    array = _numeric(value, name)
    if array.ndim not in (2, 3):
        raise InputError(
            f"{name} has shape {array.shape}; expected (samples, units) or (time, condition, unit)."
        )
    if array.shape[-1] == 0:
        raise InputError(f"{name} has shape {array.shape}: it has no units.")
    samples = math.prod(array.shape[:-1])
    if samples < MIN_SAMPLES:
        raise InputError(f"{name} has {samples} sample(s) in shape {array.shape}; at least 3 are needed.")
    finite = np.isfinite(array)
    if not finite.all():
        bad = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{name} holds {int((~finite).sum())} NaN or infinite value(s), the first at index {bad}; "
            "remove or replace them first."
        )
    return array


def _numeric(value: ArrayLike, name: str) -> FloatArray:
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        # numpy has no bfloat16
        value = (tensor.double() if tensor.dtype.itemsize < 4 else tensor).numpy()
    if np.ma.is_masked(value):
        raise InputError(f"{name} has masked values; remove or replace them first.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is not a rectangular array: {error}.") from error
    if array.dtype.kind == "O":
        raise InputError(f"{name} holds Python objects (dtype object); simopt reads numbers only.")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} has dtype {array.dtype}; expected real numbers.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    return array


def flatten(array: FloatArray) -> FloatArray:
    """Return (samples, units) from (samples, units) or (time, condition, unit), time outermost."""
    return array.reshape(-1, array.shape[-1])


def varying(array: FloatArray, name: str = "X") -> None:
    """Refuse responses, (samples, units), that do not vary over the samples at all."""
    if not np.ptp(array, axis=0).any():
        raise InputError(f"{name} is the same in all {array.shape[0]} samples: no score is defined.")


def spectrum(value: ArrayLike, samples: int, units: int | None = None) -> FloatArray:
    """Return the variances of the PCs of X, or eigenvalues of X'X, (K,), descending; zeros are left out.

    Parameters
    ----------
    value : array, in any order and unit
    samples : int
    units : int, optional
        Of X; None: as many as PCs at least.

    Raises
    ------
    InputError
        Not a list of finite numbers, one below zero, all zero, or more than X of this shape can have.
    """
    values = _numeric(value, "The spectrum").astype(np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError("The spectrum must be a list of finite variances, none negative and not all zero.")
    kept: FloatArray = np.sort(values[values > 0])[::-1].copy()
    most = samples - 1 if units is None else min(samples - 1, units)
    if len(kept) > most:
        of = "" if units is None else f" and {units} units"
        raise InputError(
            f"The spectrum has {len(kept)} variances above zero; X with {samples} samples{of} has at most "
            f"{most}."
        )
    return kept


def unpacked(size: int, stored: int, what: str) -> None:
    """Refuse bytes that take up hardly any of a file: a claim, or zeros packed to fill a memory.

    Parameters
    ----------
    size, stored : int
        Bytes in memory and in the file.
    what : str
    """
    if size > _LARGE and size > _TIGHT * stored:
        raise InputError(
            f"{what} says it holds {size / 2**30:.3g} GB, of which {stored / 2**20:.2g} MB are stored: "
            "hardly anything was ever written to it."
        )


def same_samples(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> None:
    """Refuse two flattened datasets, (samples, units), whose sample counts differ."""
    if x_shape[-2] != y_shape[-2]:
        raise InputError(
            f"X has {x_shape[-2]} samples and Y has {y_shape[-2]} (shapes {tuple(x_shape)} and "
            f"{tuple(y_shape)}); row i of both must be the same sample."
        )


def pair(X: ArrayLike, Y: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return two datasets that can be scored, in float64, (samples, units).

    Parameters
    ----------
    X, Y : array or tensor, (samples, units) or (time, condition, unit)

    Raises
    ------
    InputError
        As :func:`responses`; or other numbers of samples, or a dataset that does not vary.
    """
    x, y = (flatten(responses(data, name)).astype(np.float64) for data, name in ((X, "X"), (Y, "Y")))
    same_samples(x.shape, y.shape)
    varying(x, "X")
    varying(y, "Y")
    return x, y


def unknown(value: str, choices: Iterable[str], what: str) -> InputError:
    """Word the error for a name that is not among ``choices``, nearest ones first."""
    names = sorted(choices)
    nearest = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    if nearest:
        return InputError(f"Unknown {what} {value!r}; the nearest: {', '.join(nearest)}.")
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return InputError(f"Unknown {what} {value!r}; there are: {shown}.")


def one_of(value: str, choices: Iterable[str], what: str) -> None:
    """Refuse a name that is not among ``choices``."""
    names = list(choices)
    if value not in names:
        raise unknown(str(value), names, what)


def at_least(value: float, low: float, what: str, *, strict: bool = False) -> None:
    """Refuse a number that is not finite or lies below ``low`` (or at it, when ``strict``)."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not _finite(value) or value < low or (strict and value == low):
        relation = "greater than" if strict else "at least"
        raise InputError(f"{what} is {value!r}; it must be a number {relation} {low:g}.")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def numbers(values: Sequence[float], what: str) -> tuple[float, ...]:
    """Return a list of finite numbers as a tuple of floats, or refuse it."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{what} is {values!r}; expected a list of numbers, for instance {what}=[0.5].")
    return tuple(map(float, array))


def names(values: Sequence[str], what: str) -> None:
    """Refuse what is no list of names."""
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{what} is {values!r}; expected a list of names.")


def holdable(shape: Sequence[int], what: str) -> None:
    """Refuse a shape of more numbers than any machine holds."""
    if math.prod(shape) > _MOST_NUMBERS:
        raise InputError(f"{what} has shape {tuple(shape)}, more numbers than any machine holds.")


def whole(value: int, low: int, what: str, high: int | None = None) -> None:
    """Refuse what is not an integer of at least ``low``, and at most ``high``."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise InputError(f"{what} is {value!r}; it must be a whole number of at least {low}.")
    if high is not None and value > high:
        raise InputError(f"{what} is {value}; it must be at most {high}.")


def seeds(values: Sequence[int]) -> None:
    """Refuse seeds of which there is none, or one that is no whole number from 0 to 2^63 - 1."""
    if np.ndim(values) != 1:
        raise InputError(f"seeds is {values!r}; give a list, for instance seeds=[0].")
    if len(values) == 0:
        raise InputError("seeds is empty; give at least one, for instance seeds=[0].")
    for seed in values:
        whole(seed, 0, "a seed", _LARGEST_SEED)


def flag(value: bool, what: str) -> None:
    """Refuse what is neither true nor false, as a word is that stands for one of them."""
    if not isinstance(value, bool):
        raise InputError(f"{what} is {value!r}; it is true or false.")


def suffix(path: Path | None, wanted: str) -> None:
    """Refuse a file to write, if there is one, whose name ends in something else."""
    if path is not None and path.suffix.lower() != wanted:
        raise InputError(f"{path}: give a file that ends in {wanted}.")


def expanded(path: str | Path, what: str) -> Path:
    """Return a path with ``~`` written out.

    Raises
    ------
    InputError
        There is no such user, no file can have this name, or its folder may not be looked into.
    """
    try:
        found = Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{what} is {str(path)!r}; there is no such user.") from error
    try:
        found.exists()
        named = "\0" not in str(path)
    except PermissionError as error:
        raise InputError(f"{what} is {str(path)!r}; you have no permission to look there.") from error
    except (OSError, ValueError):  # too long, or not to be encoded
        named = False
    if not named:
        raise InputError(f"{what} is {str(path)!r}; no file or folder can have this name.")
    return found


def folder_name(value: str, what: str) -> None:
    """Refuse a name that would not stay one folder below another."""
    fits = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 120
    if not fits or value.startswith(".") or set(value) & set("/\\:"):
        raise InputError(f"{what} {value!r} cannot be the name of a folder.")


def as_identity(value: Any) -> Any:
    """Return a value as identities have it: numbers of numpy as Python's, and 1.0 as 1."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: as_identity(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_identity(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_plain(value: Any) -> Any:
    """Return what strict JSON holds: lists, dicts, numbers and text; None for what is not finite.

    A dataclass becomes a dict of its fields.
    """
    if isinstance(value, np.ndarray | np.generic):
        return as_plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
