"""Groups and blocks of samples."""

from dataclasses import replace

import numpy as np
import pytest

from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.rows import Rows, codes, equal_rows, found


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


def grouped(dataset: Dataset, groups: object = None, blocks: object = None) -> Rows:
    return replace(dataset, groups=groups, blocks=blocks).structure()


def test_names_of_labels_and_values_say_the_same() -> None:
    image, session = np.arange(6) % 3, np.array(list("aabbbb"))
    dataset = Dataset("mine", data(6, 2), {"image": image, "session": session})
    np.testing.assert_array_equal(grouped(dataset, "image").groups, image)
    np.testing.assert_array_equal(grouped(dataset, image, session).blocks, [0, 0, 1, 1, 1, 1])
    both = grouped(dataset, ["image", "session"]).groups
    alike = (image[:, None] == image) & (session[:, None] == session)
    np.testing.assert_array_equal(both[:, None] == both, alike)
    with pytest.raises(InputError, match="Unknown label of mine for blocks 'day'"):
        grouped(dataset, blocks="day")
    with pytest.raises(InputError, match="rows"):
        replace(dataset, rows="sorted")


def test_labels_of_conditions_hold_at_every_time() -> None:
    dataset = Dataset("mine", data(2, 3, 4), {"side": np.array(["l", "r", "l"])})
    np.testing.assert_array_equal(grouped(dataset, "condition").groups, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(grouped(dataset, "side", [7, 7, 8]).groups, [0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(grouped(dataset, blocks=[7, 7, 8]).blocks, [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(grouped(dataset, blocks=range(6)).blocks, np.arange(6))


def test_equal_rows_are_repeats_if_there_are_many_different_ones() -> None:
    images = data(25, 3)
    image = np.arange(100) % 25
    found = equal_rows(images[image])
    assert found is not None
    np.testing.assert_array_equal(found.groups, image)
    assert equal_rows(data(100, 3)) is None
    once = images[np.concatenate([np.arange(25), np.arange(22)])]  # 3 of 25 occur once: 0.88 occur twice
    assert equal_rows(once) is None


def test_few_different_rows_are_classes_and_rows_of_zeros_do_not_count() -> None:
    found = equal_rows(np.eye(8)[np.arange(80) % 8])
    assert (found.groups, found.different) == (None, 8)
    silent = np.concatenate([data(30, 2), np.zeros((30, 2))])
    assert equal_rows(silent) is None
    repeated = np.concatenate([np.tile(data(20, 2), (2, 1)), np.zeros((5, 2))])
    groups = equal_rows(repeated).groups
    assert len(np.unique(groups)) == 25


def test_repeats_of_either_side_go_before_classes() -> None:
    image = np.arange(60) % 30
    one_hot, features = np.eye(3)[np.arange(60) % 3], data(30, 4)[image]
    rows, notes = found(Rows(), {"X": one_hot, "Y": features})
    np.testing.assert_array_equal(rows.groups, image)
    assert [note.split(" are taken")[0] for note in notes] == ["equal samples of Y"]
    rows, notes = found(Rows(), {"X": one_hot, "Y": data(60, 4)})
    assert (rows.groups, len(notes)) == (None, 1)
    assert "only 3 different samples" in notes[0]
    declared = Rows.of(60, np.arange(60))
    assert found(declared, {"X": one_hot, "Y": features}) == (declared, ())


def test_y_adds_what_x_does_not_declare() -> None:
    image, session = np.arange(6) % 3, np.array(list("aabbbb"))
    X, Y = (Dataset(name, data(6, 2), {"image": image, "session": session}) for name in "xy")
    rows = replace(X, blocks="session").structure()
    joined = rows.joined(replace(Y, groups="image", rows="time"))
    np.testing.assert_array_equal(joined.groups, image)
    np.testing.assert_array_equal(joined.blocks, rows.blocks)
    assert joined.order == "time"
    assert rows.joined(replace(Y, groups="image"), none=True).groups is None
    assert rows.joined(Y.responses).groups is None
    np.testing.assert_array_equal(rows.joined(replace(Y, blocks=[5, 5, 1, 1, 1, 1])).blocks, rows.blocks)
    with pytest.raises(InputError, match="X and Y declare different blocks"):
        rows.joined(replace(Y, blocks="image"))
    with pytest.raises(InputError, match="X and Y declare different rows"):
        joined.joined(replace(Y, rows="independent"))
