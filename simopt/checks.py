"""Checks of data and options: shape, dtype, finiteness, range, choice. Every check raises InputError."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from simopt import sides
from simopt.errors import InputError
from simopt.typing import ArrayLike, FloatArray, Responses

MIN_SAMPLES = 3
_NAMES_SHOWN = 14
"""How many valid names an error lists if no valid name is similar to the unknown one."""
_LARGEST_SEED = 2**63 - 1
"""The largest seed: run files store seeds as signed 64-bit integers."""
LARGEST_SHUFFLE_SEED = 2**32 - 1
"""The largest seed of scikit-learn's shuffles, an unsigned 32-bit integer."""
_MOST_NUMBERS = 2**44
"""The most numbers of a dataset, 128 TiB in float64. A shape with more numbers is a mistake."""
_ALWAYS_LOADED, _MOST_COMPRESSED = 2**28, 200
"""Arrays of up to 256 MiB are always read, larger arrays only up to 200 times their stored size."""

_DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "hpu", "npu", "mtia", "xla")
"""The kinds of devices that torch, or a package that extends it, can compute on."""


def samples_of(value: Responses) -> ArrayLike:
    """Return ``value.samples()``, (samples, units), for a Dataset or any object with this method.

    Any other value is returned unchanged.
    """
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
        The name of the data in error messages.

    Returns
    -------
    array of float32 or float64
        It has the shape of ``value``.

    Raises
    ------
    InputError
        The data are not numeric, not 2-D or 3-D, empty or not finite, or they have fewer than 3 samples.
    """
    array = numeric(samples_of(value), name)
    if array.ndim not in (2, 3):
        raise InputError(
            f"{name} has shape {array.shape}; give an array (samples, units) or (time, condition, unit)."
        )
    if array.shape[-1] == 0:
        raise InputError(f"{name} has shape {array.shape}, so it has no units; give at least one.")
    samples = math.prod(array.shape[:-1])
    if samples < MIN_SAMPLES:
        raise InputError(f"{name} of shape {array.shape} has {samples} sample(s); give at least 3.")
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{name} holds {int((~finite).sum())} NaN or infinite value(s), the first at index {first}; "
            "remove or replace them first."
        )
    return array


def numeric(value: ArrayLike, name: str) -> FloatArray:
    """Return data of any shape as an array of float32 or float64; refuse masked values, text and objects."""
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        # numpy has no bfloat16, so half precision is widened before the conversion.
        value = (tensor.double() if tensor.dtype.itemsize < 4 else tensor).numpy()
    if _masked(value):
        raise InputError(f"{name} has masked values; remove or replace them first.")
    sides.refuse_undecoded(value, name)
    if sides.is_frame(value):
        value = sides.numbers_of_frame(value, name)
    array: FloatArray = as_array(sides.in_order(value), name)
    # An object array may hold numbers beside text; numpy cannot tell them apart.
    if array.dtype.kind == "O":
        raise InputError(f"{name} holds Python objects (dtype object); convert them to numbers.")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} has dtype {array.dtype}; give real numbers.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    return array


def as_array(value: Any, name: str) -> Any:
    """Return a list of lists, or what else numpy reads, as an array.

    Raises
    ------
    InputError
        The lists have different lengths.
    """
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is not a rectangular array ({error}); give equally long rows.") from error


def _masked(value: Any) -> bool:
    # numpy asks a list for no mask, and would take what its masked arrays hide for data.
    if isinstance(value, list | tuple) and any(isinstance(item, np.ma.MaskedArray | list) for item in value):
        return any(map(_masked, value))
    return bool(np.ma.is_masked(value))


def flatten(array: FloatArray) -> FloatArray:
    """Reshape an array (time, condition, unit) to (samples, units), all conditions of the first time first.

    An array (samples, units) is returned unchanged.
    """
    return array.reshape(-1, array.shape[-1])


def varying(array: FloatArray, name: str = "X") -> None:
    """Raise an error if responses (samples, units) are the same in all samples."""
    if not np.ptp(array, axis=0).any():
        raise InputError(f"{name} is the same in all {array.shape[0]} samples; give data that vary.")


def spectrum(value: ArrayLike, samples: int, units: int | None = None) -> FloatArray:
    """Check the variances of the PCs of X, and return the positive ones, (K,), in descending order.

    Parameters
    ----------
    value : array
        The variances, or the eigenvalues of X'X, in any order and unit.
    samples : int
        The number of samples of X.
    units : int, optional
        The number of units of X. If it is None, the samples alone limit the number of PCs.

    Raises
    ------
    InputError
        A variance is negative or not finite, all are zero, or there are more than X can have.
    """
    values = numeric(value, "The spectrum").astype(np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError("The spectrum must be a list of finite variances, none negative and not all zero.")
    positive: FloatArray = np.sort(values[values > 0])[::-1].copy()
    # Centering takes one dimension, so n samples have at most n - 1 PCs.
    most = samples - 1 if units is None else min(samples - 1, units)
    if len(positive) > most:
        and_units = "" if units is None else f" and {units} units"
        raise InputError(
            f"The spectrum has {len(positive)} variances above zero; X with {samples} samples{and_units} has "
            f"at most {most}. Give fewer variances or more samples."
        )
    return positive


def unpacked(size: int, stored: int, what: str) -> None:
    """Raise an error if an array would be far larger in memory than it is in its file.

    Then its shape is wrong, or the file holds compressed zeros that are meant to exhaust the memory.

    Parameters
    ----------
    size, stored : int
        The number of bytes of the array in memory, and in its file.
    what : str
        The name of the array in error messages.
    """
    if size > _ALWAYS_LOADED and size > _MOST_COMPRESSED * stored:
        raise InputError(
            f"{what} says it holds {size / 2**30:.3g} GB, but only {stored / 2**20:.2g} MB are stored: "
            "hardly anything was ever written to it. Correct its shape, or write its values."
        )


def same_samples(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> None:
    """Raise an error if X and Y, both (..., samples, units), differ in their number of samples."""
    if x_shape[-2] != y_shape[-2]:
        raise InputError(
            f"X has {x_shape[-2]} samples and Y has {y_shape[-2]} (shapes {tuple(x_shape)} and "
            f"{tuple(y_shape)}); both must have the same samples in the same order."
        )


def in_float64(samples: FloatArray) -> FloatArray:
    """Return samples (n, p) in float64, without directions that hold nothing but rounding errors.

    Data of low rank have as many PCs as units once their entries are rounded to float32, and measures that
    count directions of any size (least squares, CCA) would use these PCs.
    """
    exact: FloatArray = samples.astype(np.float64)
    if samples.dtype == np.float64:
        return exact
    n, p = exact.shape
    mean = exact.mean(axis=0)
    centered = exact - mean
    values, axes = np.linalg.eigh(centered @ centered.T if n <= p else centered.T @ centered)
    # Rounding errors are independent, so their largest singular value is about their size times
    # sqrt(n) + sqrt(p). The second term is the rounding of the products in float64.
    errors = np.finfo(samples.dtype).eps * np.sqrt(np.square(exact).mean()) * (np.sqrt(n) + np.sqrt(p))
    keep = values > errors**2 + 16 * np.finfo(np.float64).eps * values[-1]
    if np.count_nonzero(~keep) <= (n <= p):  # of n <= p samples that have mean 0, one direction is empty
        return exact
    axes = axes[:, keep]
    if n <= p:  # from directions of samples to those of units, (p, r)
        axes = centered.T @ axes / np.sqrt(values[keep])
    outside = mean - axes @ (axes.T @ mean)
    if np.linalg.norm(outside) * np.sqrt(n) <= errors:  # the mean, too, is in the kept directions
        mean = mean - outside
    cleaned: FloatArray = centered @ axes @ axes.T + mean
    return cleaned


def pair(X: Responses, Y: Responses) -> tuple[FloatArray, FloatArray]:
    """Check X and Y, and return them as arrays (samples, units) of float64.

    Parameters
    ----------
    X, Y : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The rows of a pandas or xarray Y are put in the order of X; see :func:`simopt.sides.aligned`.

    Raises
    ------
    InputError
        X and Y differ in their number of samples or in the names of these, X or Y is constant, or
        :func:`responses` refuses X or Y.
    """
    both = responses(X, "X"), responses(sides.aligned(X, Y), "Y")
    x, y = (in_float64(flatten(side)) for side in both)
    same_samples(x.shape, y.shape)
    varying(x, "X")
    varying(y, "Y")
    return x, y


def unknown(value: str, choices: Iterable[str], what: str, also: Iterable[str] = ()) -> InputError:
    """Return the error for a name that is not among ``choices``.

    The message lists similar names, also those in ``also``; if none is similar, it lists the choices.
    """
    listed = sorted(choices)
    names = [*listed, *also]
    nearest = [name for name in names if name.lower() == value.lower()]
    nearest = nearest or difflib.get_close_matches(value.lower(), names, n=3, cutoff=0.5)
    if nearest:
        return InputError(f"Unknown {what} {value!r}; the nearest: {', '.join(nearest)}.")
    more = f" and {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
    shown = ", ".join(listed[:_NAMES_SHOWN]) + more
    return InputError(f"Unknown {what} {value!r}; there are: {shown}.")


def one_of(value: str, choices: Iterable[str], what: str) -> None:
    """Raise an error if a name is not among ``choices``."""
    names = list(choices)
    if value not in names:
        raise unknown(str(value), names, what)


def at_least(value: float, low: float, what: str, high: float = math.inf, *, strict: bool = False) -> None:
    """Raise an error unless ``value`` is a finite number from ``low`` to ``high``.

    If ``strict`` is true the value must be greater than ``low``.
    """
    # bool is a subclass of int: True would pass as 1.
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not _finite(value) or not low <= value <= high or (strict and value == low):
        least = f"{'greater than' if strict else 'at least'} {low:g}"
        most = f", at most {high:g}" if high < math.inf else ""
        raise InputError(f"{what} is {value!r}; give a number that is {least}{most}.")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer larger than any float
        return False


def numbers(values: Sequence[float], what: str) -> tuple[float, ...]:
    """Return a list of finite numbers as a tuple of floats; raise an error for anything else."""
    array = as_array(values, what)
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{what} is {values!r}; give a list of finite numbers, for instance {what}=[0.5].")
    return tuple(map(float, array))


def names(values: Sequence[str], what: str) -> None:
    """Raise an error unless ``values`` is a list of names."""
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{what} is {values!r}; give a list of names, for instance [NAME].")


def holdable(shape: Sequence[int], what: str) -> None:
    """Raise an error if a shape has more numbers than any machine can hold."""
    if math.prod(shape) > _MOST_NUMBERS:
        raise InputError(f"{what} has shape {tuple(shape)}, which no machine can hold; give a smaller shape.")


def whole(value: int, low: int, what: str, high: int | None = None) -> None:
    """Raise an error unless ``value`` is an integer from ``low`` to ``high``."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < low:
        raise InputError(f"{what} is {value!r}; give a whole number of at least {low}.")
    if high is not None and value > high:
        raise InputError(f"{what} is {value}; give a number of at most {high}.")


def seeds(values: Sequence[int]) -> None:
    """Raise an error unless ``values`` is a list of one or more seeds: integers from 0 to 2^63 - 1."""
    if as_array(values, "seeds").ndim != 1:
        raise InputError(f"seeds is {values!r}; give a list of seeds, for instance seeds=[0].")
    if len(values) == 0:
        raise InputError("seeds is empty; give at least one seed, for instance seeds=[0].")
    for seed in values:
        whole(seed, 0, "a seed", _LARGEST_SEED)


def device(name: str) -> None:
    """Raise an error for a name that no device can have; whether the device exists is not checked."""
    kind, colon, index = str(name).partition(":")
    if kind not in _DEVICES or (colon and not index.isdecimal()):
        raise InputError(f"device={name} is no device; choose among {', '.join(_DEVICES)}, or write cuda:1.")


def flag(value: bool, what: str) -> None:
    """Raise an error unless ``value`` is a bool; the text "no", for instance, is refused."""
    if not isinstance(value, bool):
        raise InputError(f"{what} is {value!r}; choose true or false.")


def options(owner: Any, **bounds: float | tuple[float, float]) -> None:
    """Raise an error if a field of a dataclass has a value that its annotation or ``bounds`` rules out.

    A field annotated as bool must be true or false, and one annotated as Literal must be one of the choices.
    A field named in ``bounds`` must be a number within its bounds, and a whole number unless the annotation
    contains float. None is valid where the annotation contains None.

    Parameters
    ----------
    owner : dataclass
        The object whose fields are checked. Error messages contain its ``name``.
    **bounds
        For each option its lowest value, or its lowest and highest value as a tuple.
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
    """Raise an error if the path of an output file does not end in ``required``; None is valid."""
    if path is not None and path.suffix.lower() != required:
        raise InputError(f"{path}: the name of the output file must end in {required}.")


def expanded(path: str | Path, what: str) -> Path:
    """Return a path as it is if it exists, or else with ``~`` expanded.

    Raises
    ------
    InputError
        The user after ``~`` does not exist, no file can have this name, or permission is denied.
    """
    try:
        # A file called "~x" goes before the home folder of a user x.
        full = Path(path) if os.path.exists(path) else Path(path).expanduser()  # noqa: PTH110, never raises
    except RuntimeError as error:
        raise InputError(
            f"{what} is {str(path)!r}, but this machine has no such user; give a path without ~."
        ) from error
    try:
        full.exists()
        possible = "\0" not in str(path)
    except PermissionError as error:
        raise InputError(f"{what} is {str(path)!r}; you have no permission to read that folder.") from error
    except (OSError, ValueError):  # too long, or not encodable
        possible = False
    if not possible:
        raise InputError(f"{what} is {str(path)!r}; no file or folder can have this name.")
    return full


def folder_name(value: str, what: str) -> None:
    """Raise an error if ``value`` cannot be the name of one folder, for instance if it contains a slash."""
    valid = isinstance(value, str) and value.isprintable() and 0 < len(value) <= 120
    if not valid or value.startswith(".") or set(value) & set("/\\:"):
        raise InputError(f"{what} {value!r} cannot be the name of a folder; use letters, digits, - and _.")


def as_folder_name(name: str) -> str:
    """Return the name of a file with a line in place of what the name of a folder cannot hold."""
    text = "".join("_" if c in "/\\:" or not c.isprintable() else c for c in name)[:120]
    return f"_{text[1:]}" if text.startswith(".") else text


def as_identity(value: Any) -> Any:
    """Return a value in the form that is hashed to ids of results.

    Numpy numbers become Python numbers, and a float without a fraction becomes an integer: 1.0 becomes 1.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: as_identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_identity(item) for item in value]
    # A yaml, the command line and Python may each write 1 or 1.0 for the same option.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_plain(value: Any) -> Any:
    """Return a value in types that strict JSON can store: lists, dicts, numbers and text.

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
