"""Groups and blocks of samples."""

import numpy as np
import pytest

from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.rows import Rows, codes


def test_values_are_numbered_in_the_order_of_first_appearance() -> None:
    np.testing.assert_array_equal(codes(["b", "a", "b", "c"], 4, "groups"), [0, 1, 0, 2])
    np.testing.assert_array_equal(codes([2.5, -1.0, 2.5], 3, "groups"), [0, 1, 0])
    np.testing.assert_array_equal(codes(np.array(["x", 3], dtype=object), 2, "groups"), [0, 1])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 2], r"groups has shape \(2,\)"),
        ([[1], [2], [3]], "groups has shape"),
        ([1.0, np.nan, 2], "sample 1"),
    ],
)
def test_what_is_not_one_value_a_sample_is_refused(values: list, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Rows.of(3, groups=values)


def test_rows_of_some_samples_are_numbered_anew() -> None:
    rows = Rows.of(5, groups=list("abcab"), blocks=[1, 1, 2, 2, 2]).take(np.array([2, 3, 4]))
    np.testing.assert_array_equal(rows.groups, [0, 1, 2])
    np.testing.assert_array_equal(rows.blocks, [0, 0, 0])
    assert Rows().take(np.array([0])).groups is None


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def test_names_of_labels_and_values_say_the_same() -> None:
    image, session = np.arange(6) % 3, np.array(list("aabbbb"))
    dataset = Dataset("mine", data(6, 2), {"image": image, "session": session})
    np.testing.assert_array_equal(dataset.rows("image").groups, image)
    np.testing.assert_array_equal(dataset.rows(image, session).blocks, [0, 0, 1, 1, 1, 1])
    both = dataset.rows(groups=["image", "session"]).groups
    alike = (image[:, None] == image) & (session[:, None] == session)
    np.testing.assert_array_equal(both[:, None] == both, alike)
    with pytest.raises(InputError, match="Unknown label of mine for blocks 'day'"):
        dataset.rows(blocks="day")


def test_labels_of_conditions_hold_at_every_time() -> None:
    dataset = Dataset("mine", data(2, 3, 4), {"side": np.array(["l", "r", "l"])})
    np.testing.assert_array_equal(dataset.rows("condition").groups, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(dataset.rows("side", [7, 7, 8]).groups, [0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(dataset.rows(blocks=[7, 7, 8]).blocks, [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(dataset.rows(blocks=range(6)).blocks, np.arange(6))
