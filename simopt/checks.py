"""Checks of data and options: shape, dtype, finiteness, range, choice. Every one raises InputError."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from simopt.errors import InputError
from simopt.typing import ArrayLike, FloatArray, Responses

MIN_SAMPLES = 3
_NAMES_SHOWN = 14
"""How many valid names an error lists if none is close to the unknown one."""
_LARGEST_SEED = 2**63 - 1
"""Run files store seeds as signed 64-bit integers."""
LARGEST_SHUFFLE_SEED = 2**32 - 1
"""scikit-learn seeds its shuffles with unsigned 32-bit integers."""
_MOST_NUMBERS = 2**44
"""128 TiB in float64: above this a shape is a mistake, not a dataset."""
_ALWAYS_LOADED, _MOST_COMPRESSED = 2**28, 200
"""Up to 256 MiB are read whatever a file's compression; above, at most 200 bytes for each byte stored."""


def samples_of(value: Responses) -> ArrayLike:
    """Return the (samples, units) of a Dataset or other object with ``samples()``; all else unchanged."""
    # A column called "samples" of a table is an attribute too, but not a method.
    samples = getattr(value, "samples", None)
    array: ArrayLike = samples() if callable(samples) else value  # type: ignore[assignment]
    return array


def responses(value: Responses, name: str = "X") -> FloatArray:
    """Return responses as a finite floating-point array.

    Parameters
    ----------
    value : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        Any real numeric dtype; integers and booleans become float64. A Dataset becomes (samples, units).
    name : str
        What the error calls it.

    Returns
    -------
    array, the shape of ``value``, float32 or float64

    Raises
    ------
    InputError
        The data is not numeric, not 2-D or 3-D, empty, of fewer than 3 samples, or not finite.
    """
    array = _numeric(samples_of(value), name)
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
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{name} holds {int((~finite).sum())} NaN or infinite value(s), the first at index {first}; "
            "remove or replace them first."
        )
    return array


def _numeric(value: ArrayLike, name: str) -> FloatArray:
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        # numpy has no bfloat16, so half precision is widened before the conversion.
        value = (tensor.double() if tensor.dtype.itemsize < 4 else tensor).numpy()
    if np.ma.is_masked(value):
        raise InputError(f"{name} has masked values; remove or replace them first.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is not a rectangular array: {error}.") from error
    # An object array may hold numbers beside text; numpy cannot tell them apart.
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
    """Refuse responses (samples, units) that are the same in all samples."""
    if not np.ptp(array, axis=0).any():
        raise InputError(f"{name} is the same in all {array.shape[0]} samples: no score is defined.")


def spectrum(value: ArrayLike, samples: int, units: int | None = None) -> FloatArray:
    """Return the variances of the PCs of X, or the eigenvalues of X'X, (K,), descending, without zeros.

    Parameters
    ----------
    value : array
        Variances in any order and unit.
    samples : int
        Number of samples of X.
    units : int, optional
        Number of units of X; None sets no limit.

    Raises
    ------
    InputError
        A value is not finite or negative, all are zero, or there are more than X of this shape can have.
    """
    values = _numeric(value, "The spectrum").astype(np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError("The spectrum must be a list of finite variances, none negative and not all zero.")
    positive: FloatArray = np.sort(values[values > 0])[::-1].copy()
    # Centering takes one dimension, so n samples have at most n - 1 PCs.
    most = samples - 1 if units is None else min(samples - 1, units)
    if len(positive) > most:
        and_units = "" if units is None else f" and {units} units"
        raise InputError(
            f"The spectrum has {len(positive)} variances above zero; X with {samples} samples{and_units} has "
            f"at most {most}."
        )
    return positive


def unpacked(size: int, stored: int, what: str) -> None:
    """Refuse an array that would be far larger in memory than it is in its file.

    Its shape is then wrong, or it is zeros that were compressed to exhaust the memory of whoever reads them.

    Parameters
    ----------
    size, stored : int
        Bytes in memory and in the file.
    what : str
        What the error calls it.
    """
    if size > _ALWAYS_LOADED and size > _MOST_COMPRESSED * stored:
        raise InputError(
            f"{what} says it holds {size / 2**30:.3g} GB, but only {stored / 2**20:.2g} MB are stored: "
            "hardly anything was ever written to it."
        )


def same_samples(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> None:
    """Refuse X and Y (..., samples, units) that differ in their number of samples."""
    if x_shape[-2] != y_shape[-2]:
        raise InputError(
            f"X has {x_shape[-2]} samples and Y has {y_shape[-2]} (shapes {tuple(x_shape)} and "
            f"{tuple(y_shape)}); both must have the same samples in the same order."
        )


def pair(X: Responses, Y: Responses) -> tuple[FloatArray, FloatArray]:
    """Return X and Y ready to be scored: float64, (samples, units).

    Parameters
    ----------
    X, Y : array, tensor or Dataset, (samples, units) or (time, condition, unit)

    Raises
    ------
    InputError
        As :func:`responses`; or X and Y differ in their number of samples, or one of them is constant.
    """
    x, y = (flatten(responses(data, name)).astype(np.float64) for data, name in ((X, "X"), (Y, "Y")))
    same_samples(x.shape, y.shape)
    varying(x, "X")
    varying(y, "Y")
    return x, y


def unknown(value: str, choices: Iterable[str], what: str) -> InputError:
    """Return the error for a name that is not among ``choices``; it lists the nearest names, or all."""
    names = sorted(choices)
    nearest = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    if nearest:
        return InputError(f"Unknown {what} {value!r}; the nearest: {', '.join(nearest)}.")
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    shown = ", ".join(names[:_NAMES_SHOWN]) + more
    return InputError(f"Unknown {what} {value!r}; there are: {shown}.")


def one_of(value: str, choices: Iterable[str], what: str) -> None:
    """Refuse a name that is not among ``choices``."""
    names = list(choices)
    if value not in names:
        raise unknown(str(value), names, what)


def at_least(value: float, low: float, what: str, high: float = math.inf, *, strict: bool = False) -> None:
    """Refuse what is not a finite number from ``low`` (greater than it if ``strict``) to ``high``."""
    # bool is a subclass of int: True would pass as 1.
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not _finite(value) or not low <= value <= high or (strict and value == low):
        least = f"{'greater than' if strict else 'at least'} {low:g}"
        most = f", at most {high:g}" if high < math.inf else ""
        raise InputError(f"{what} is {value!r}; it must be a number {least}{most}.")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer larger than any float
        return False


def numbers(values: Sequence[float], what: str) -> tuple[float, ...]:
    """Return a list of finite numbers as a tuple of floats; refuse anything else."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{what} is {values!r}; expected a list of numbers, for instance {what}=[0.5].")
    return tuple(map(float, array))


def names(values: Sequence[str], what: str) -> None:
    """Refuse what is not a list of names."""
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{what} is {values!r}; expected a list of names.")


def holdable(shape: Sequence[int], what: str) -> None:
    """Refuse a shape with more numbers than any machine can hold."""
    if math.prod(shape) > _MOST_NUMBERS:
        raise InputError(f"{what} has shape {tuple(shape)}, more numbers than any machine can hold.")


def whole(value: int, low: int, what: str, high: int | None = None) -> None:
    """Refuse what is not an integer from ``low`` to ``high``."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise InputError(f"{what} is {value!r}; it must be a whole number of at least {low}.")
    if high is not None and value > high:
        raise InputError(f"{what} is {value}; it must be at most {high}.")


def seeds(values: Sequence[int]) -> None:
    """Refuse what is not a list of at least one seed, whole numbers from 0 to 2^63 - 1."""
    if np.ndim(values) != 1:
        raise InputError(f"seeds is {values!r}; give a list, for instance seeds=[0].")
    if len(values) == 0:
        raise InputError("seeds is empty; give at least one, for instance seeds=[0].")
    for seed in values:
        whole(seed, 0, "a seed", _LARGEST_SEED)


def flag(value: bool, what: str) -> None:
    """Refuse what is not a bool, such as the text "no"."""
    if not isinstance(value, bool):
        raise InputError(f"{what} is {value!r}; it must be true or false.")


def options(owner: Any, **bounds: float | tuple[float, float]) -> None:
    """Refuse options of a dataclass that its annotations or ``bounds`` rule out.

    A bool must be true or false, and a Literal one of its choices. An option in ``bounds`` must be a whole
    number, or any number if its annotation has float; None passes where the annotation has it.

    Parameters
    ----------
    owner : dataclass
        Its ``name`` is in the errors.
    **bounds
        The lowest value of an option, or (lowest, highest).
    """
    for option, kind in get_type_hints(type(owner)).items():
        value: Any = getattr(owner, option, None)
        what = f"{option} of {owner.name}"
        if kind is bool:
            flag(value, what)
        elif get_origin(kind) is Literal:
            one_of(value, get_args(kind), what)
        elif option in bounds and not (value is None and type(None) in get_args(kind)):
            limits = bounds[option]
            low, *high = limits if isinstance(limits, tuple) else (limits,)
            check: Callable[..., None] = at_least if float in (kind, *get_args(kind)) else whole
            check(value, low, what, *high)


def suffix(path: Path | None, required: str) -> None:
    """Refuse the path of a file to write that does not end in ``required``; None passes."""
    if path is not None and path.suffix.lower() != required:
        raise InputError(f"{path}: give a file that ends in {required}.")


def expanded(path: str | Path, what: str) -> Path:
    """Return a path with ``~`` expanded.

    Raises
    ------
    InputError
        There is no such user, no file can have this name, or permission is denied.
    """
    try:
        full = Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{what} is {str(path)!r}; there is no such user.") from error
    try:
        full.exists()
        possible = "\0" not in str(path)
    except PermissionError as error:
        raise InputError(f"{what} is {str(path)!r}; you have no permission to look there.") from error
    except (OSError, ValueError):  # too long, or not encodable
        possible = False
    if not possible:
        raise InputError(f"{what} is {str(path)!r}; no file or folder can have this name.")
    return full


def folder_name(value: str, what: str) -> None:
    """Refuse a name that cannot name a single folder, for instance because it holds a slash."""
    valid = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 120
    if not valid or value.startswith(".") or set(value) & set("/\\:"):
        raise InputError(f"{what} {value!r} cannot be the name of a folder.")


def as_identity(value: Any) -> Any:
    """Return a value as it enters the hash of a request: numpy numbers as Python's, and 1.0 as 1."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: as_identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_identity(item) for item in value]
    # A yaml, the command line and Python may each write 1 or 1.0 for the same option.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_plain(value: Any) -> Any:
    """Return a value as strict JSON can store it: lists, dicts, numbers and text.

    A dataclass becomes a dict of its fields. NaN and infinity become None.
    """
    if isinstance(value, np.ndarray | np.generic):
        return as_plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
