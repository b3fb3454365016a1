"""What is refused, and in which words."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from simopt import checks
from simopt.errors import InputError

GOOD = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros(5), "give an array .samples, units."),
        (np.zeros((2, 2, 2, 2)), "give an array .samples, units."),
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros((1, 3)), "1 sample"),
        (np.zeros((2, 3)), "at least 3"),
        (np.zeros((2, 1, 3)), "2 sample"),
        (np.zeros((5, 0)), "no units"),
        (np.array([["a", "b"]] * 5), "dtype <U1"),
        (np.array([[1, "b"]] * 5, dtype=object), "Python objects"),
        (np.ones((5, 2)) * 1j, "complex128"),
        ([[1.0, 2.0], [3.0]], "rectangular"),
        (np.where(GOOD == 5, np.nan, GOOD), r"1 NaN or infinite value.*\(2, 1\)"),
        (np.where(GOOD == 5, -np.inf, GOOD), "infinite"),
    ],
)
def test_responses_that_cannot_be_used(value, says: str) -> None:
    with pytest.raises(InputError, match=says):
        checks.responses(value)


@pytest.mark.parametrize(
    "value",
    [
        GOOD.astype(int), GOOD > 3, GOOD.tolist(), torch.tensor(GOOD), GOOD.astype("f2"),
        torch.tensor(GOOD).half(), torch.tensor(GOOD).bfloat16(), torch.tensor(GOOD) > 3,
    ],
)  # fmt: skip
def test_responses_become_floats(value) -> None:
    array = checks.responses(value)
    assert array.dtype == np.float64
    assert array.shape == (6, 2)


def test_float32_is_kept() -> None:
    assert checks.responses(GOOD.astype(np.float32)).dtype == np.float32


def test_flatten_puts_time_outermost() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(checks.flatten(array)[4], array[1, 1])


def test_names_and_numbers() -> None:
    with pytest.raises(InputError, match="Unknown measure 'ckaa'; the nearest: cka"):
        checks.one_of("ckaa", ["cka", "nbs"], "measure")
    with pytest.raises(InputError, match="there are: cka, nbs"):
        checks.one_of("zzz", ["nbs", "cka"], "measure")
    for bad in (-1, float("nan"), float("inf"), True, "1", None):
        with pytest.raises(InputError, match="at least 0"):
            checks.at_least(bad, 0, "x")
    with pytest.raises(InputError, match="greater than 0"):
        checks.at_least(0.0, 0, "x", strict=True)
    for bad in (0, 1.0, True, "2"):
        with pytest.raises(InputError, match="whole number of at least 1"):
            checks.whole(bad, 1, "x")
    for bad in ("yes", 1, None):
        with pytest.raises(InputError, match="x is .*true or false"):
            checks.flag(bad, "x")
    for bad in ("", ".hidden", "a/b", "..", "a\\b", "x" * 200):
        with pytest.raises(InputError, match="cannot be the name of a folder"):
            checks.folder_name(bad, "name")


@dataclass(frozen=True)
class Owner:
    name: str = "x"
    kind: Literal["a", "b"] = "a"
    deep: bool = False
    share: float = 0.5
    count: int = 2
    limit: float | None = None
    folds: int | None = None


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("kind", "c", "Unknown kind of x 'c'; there are: a, b"),
        ("deep", "no", "deep of x is 'no'; .*true or false"),
        ("share", 1.5, "share of x is 1.5; .*at least 0, at most 1"),
        ("share", None, "share of x is None"),
        ("count", 1.0, "count of x is 1.0; .*whole number of at least 1"),
        ("count", None, "count of x is None"),
        ("limit", -1, "limit of x is -1; .*at least 0"),
        ("folds", 2.5, "folds of x is 2.5; .*whole number of at least 2"),
    ],
)
def test_options_are_checked_by_annotation_and_bounds(option: str, value: object, says: str) -> None:
    bounds = {"share": (0, 1), "count": 1, "limit": 0, "folds": 2}
    checks.options(Owner(), **bounds)
    checks.options(Owner(share=1, count=1, limit=0.5, folds=2), **bounds)
    with pytest.raises(InputError, match=says):
        checks.options(Owner(**{option: value}), **bounds)


def test_a_spectrum_is_sorted_and_zeros_are_left_out() -> None:
    assert checks.spectrum([1, 0, 3], samples=9).tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([1.0, -1.0], "none negative"),
        ([0.0], "not all zero"),
        ([[1.0]], "list of finite"),
        ([np.nan], "list of finite"),
        ([1.0, 1.0, 1.0, 1.0], "4 variances above zero; X with 4 samples and 9 units has at most 3"),
    ],
)
def test_what_is_no_spectrum_is_refused(value, says) -> None:
    with pytest.raises(InputError, match=says):
        checks.spectrum(value, samples=4, units=9)


def test_a_folder_that_may_not_be_looked_into_is_not_called_a_bad_name(monkeypatch) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(InputError, match="file is '/closed/x.npy'; you have no permission to read"):
        checks.expanded("/closed/x.npy", "file")


def test_a_pair_is_flat_and_in_float64() -> None:
    X = np.arange(24, dtype=np.int8).reshape(2, 4, 3)
    x, y = checks.pair(X, torch.ones(8, 2, dtype=torch.float16).cumsum(0))
    assert (x.dtype, y.dtype) == (np.float64, np.float64)
    np.testing.assert_array_equal(x[4:], X[1])
    assert y.shape == (8, 2)


@pytest.mark.parametrize(
    ("X", "Y", "says"),
    [
        (GOOD, GOOD[:5], "X has 6 samples and Y has 5"),
        (GOOD, np.ones((6, 2)), "Y is the same in all 6 samples"),
        (np.ones((6, 2)), GOOD, "X is the same in all 6 samples"),
        (GOOD, GOOD[0], "Y has shape"),
    ],
)
def test_a_pair_that_cannot_be_scored(X, Y, says: str) -> None:
    with pytest.raises(InputError, match=says):
        checks.pair(X, Y)


@dataclass(frozen=True)
class Holder:
    number: float
    inner: object


def test_plain_values_are_json() -> None:
    value = {
        1: np.array([[1.5, np.nan], [np.inf, 2.0]], dtype=np.float32),
        "scalars": (np.int64(3), np.float64(-np.inf), np.bool_(True), None, "text"),
        "inner": {"path": Path("a") / "b", "list": [float("nan"), 2**70]},
        "empty": np.empty((0, 2)),
        "of a class": [Holder(math.nan, [Holder(1.0, np.array([math.inf]))])],
    }
    expected = {
        "1": [[1.5, None], [None, 2.0]],
        "scalars": [3, None, True, None, "text"],
        "inner": {"path": str(Path("a/b")), "list": [None, 2**70]},
        "empty": [],
        "of a class": [{"number": None, "inner": [{"number": 1.0, "inner": [None]}]}],
    }
    plain = checks.as_plain(value)
    assert plain == expected
    assert json.loads(json.dumps(plain, allow_nan=False)) == expected


def test_masked_values_are_refused_and_an_empty_mask_is_not() -> None:
    values = np.arange(12.0).reshape(6, 2)
    with pytest.raises(InputError, match="X has masked values"):
        checks.responses(np.ma.masked_greater(values, 10))
    np.testing.assert_array_equal(checks.responses(np.ma.masked_array(values)), values)
