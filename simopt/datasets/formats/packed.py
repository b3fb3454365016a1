"""Decode the numbers of netCDF and HDF5 files by the attributes that netCDF defines.

- A value is missing if it equals ``_FillValue`` or ``missing_value`` before it is unpacked, or if it is
  outside ``valid_min``, ``valid_max`` or ``valid_range``.
- Packed values are small integers q that stand for ``q * scale_factor + add_offset``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simopt.errors import InputError
from simopt.typing import LabelArray

_MISSING = ("_FillValue", "missing_value")
_VALID = ("valid_min", "valid_max", "valid_range")
_PACKED = ("scale_factor", "add_offset")


def decoded(
    stored: LabelArray, attributes: Mapping[str, Any], what: str, unwritten: float | None = None
) -> LabelArray:
    """Return the values that stored numbers stand for: unpacked, and NaN where a value is missing.

    Parameters
    ----------
    stored : array of numbers
        Numbers as the file stores them.
    attributes : mapping
        The attributes of the variable.
    what : str
        Name of the file and the variable, for error messages.
    unwritten : float, optional
        What the format stores in floats that were never written, which are missing.

    Returns
    -------
    array
        ``stored`` itself if no value is missing or packed; otherwise floats.

    Raises
    ------
    InputError
        An attribute that marks missing values, or an attribute for unpacking, is not a number.
    """
    known = (*_MISSING, *_VALID, *_PACKED)
    numbers = {name: np.ravel(attributes[name]) for name in known if name in attributes}
    for name, value in numbers.items():
        if value.dtype.kind not in "iuf":
            raise InputError(f"{what}: the attribute {name} is {attributes[name]!r}; expected a number.")
    markers = [numbers[name] for name in _MISSING if name in numbers]
    if unwritten is not None and stored.dtype.kind == "f":
        markers.append(np.array([unwritten], dtype=stored.dtype))
    # Missing values are looked for before unpacking, as the markers are stored numbers. A marker NaN matches
    # nothing, and stays NaN.
    missing = np.isin(stored, np.concatenate(markers)) if markers else np.zeros(stored.shape, dtype=bool)
    low, high = numbers.get("valid_range", (None, None))
    low, high = numbers.get("valid_min", [low])[0], numbers.get("valid_max", [high])[0]
    missing |= (stored < low) if low is not None else False
    missing |= (stored > high) if high is not None else False
    packed = any(name in numbers for name in _PACKED)
    if not missing.any() and not packed:
        return stored
    # astype also copies: the values are changed in place below. Integers have no NaN.
    values = stored if stored.dtype.kind == "f" and not packed else stored.astype(np.float64)
    if packed:
        values *= numbers.get("scale_factor", np.ones(1))[0]
        values += numbers.get("add_offset", np.zeros(1))[0]
    return np.where(missing, np.nan, values).astype(values.dtype)
