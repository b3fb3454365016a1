"""What happens to responses between a file and a dataset."""

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from simopt import checks
from simopt.datasets import preprocess
from simopt.datasets.base import Trials
from simopt.errors import InputError

REGION = np.array(["V4", "IT", "IT", "V1", "IT"])
TABLE = {"region": REGION, "mask": REGION == "IT", "depth": np.array([1, 2, 2, 3, 3]), "short": REGION[:2]}


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ("time, condition,unit", ("time", "condition", "unit")),
        (["unit", "sample", "time"], ("unit", "condition", "time")),
        (("repeat", "trial", "unit"), ("repeat", "condition", "unit")),
    ],
)
def test_axes_by_name(axes: object, expected: tuple[str, ...]) -> None:
    assert preprocess.named_axes(axes, (2, 3, 4), "x") == expected


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ("time,condition,neuron", "axis of x: 'neuron'"),
        ("time,condition,uint", "the nearest: unit"),
        ("condition,condition,unit", r"\['condition', 'condition', 'unit'\] .*twice"),
        ("condition,trial,unit", r"\['condition', 'trial', 'unit'\] .*repeat"),
        ("time,unit", "lack condition; .*sample"),
        ("time,repeat,condition", "lack unit"),
        ("condition,unit", r"x has shape \(2, 3, 4\), 3 axes; dataset.axes has 2 names"),
        ("", "axis of x: ''"),
        ([0, 1, 2], r"axes is \[0, 1, 2\]; .*\[time,condition,unit\]"),
        (3, r"axes is 3; .*\[time,condition,unit\]"),
    ],
)
def test_axes_that_make_no_sense(axes: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        preprocess.named_axes(axes, (2, 3, 4), "x")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (None, [0, 1, 2, 3, 4]),
        ([3, 0], [3, 0]),
        ("1:3", [1, 2]),
        (":", [0, 1, 2, 3, 4]),
        ("-2:", [3, 4]),
        ("::2", [0, 2, 4]),
        ("::-1", [4, 3, 2, 1, 0]),
        ("mask", [1, 2, 4]),
        ({"region": "IT"}, [1, 2, 4]),
        ({"region": ["IT", "V4"], "depth": [1, 3.0]}, [0, 4]),
        ({"depth": "2"}, [1, 2]),
        ({"mask": False}, [0, 3]),
    ],
)
def test_selections(selection: object, expected: list[int]) -> None:
    assert preprocess.select(selection, 5, TABLE.__getitem__, "units of x").tolist() == expected


def lookup(name: str) -> np.ndarray:
    if name not in TABLE:
        raise checks.unknown(name, TABLE, "variable")
    return TABLE[name]


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ([5], "index 5; .*0 to 4"),
        ([-1], "index -1; .*0 to 4"),
        ([1, 1], r"\[1, 1\] .*twice"),
        ([0.5], r"\[0.5\]; .*\[0,2\]"),
        ([True], r"\[True\]; .*\[0,2\]"),
        (50, r" 50; .*\[0,2\]"),
        ([], r"\[\] selects none of the 5"),
        ("3:3", "'3:3' selects none of the 5"),
        ("::0", "'::0' has step 0"),
        ("regoin", "variable 'regoin'.* region"),
        ("depth", "depth .*mask.*{depth: VALUE}"),
        ("region", "region .*mask.*{region: VALUE}"),
        ("short", r"short has shape \(2,\).* 5 units of x"),
        ({"region": "V2"}, "region of units of x: 'V2'.* V"),
        ({"region": "V1", "depth": 1}, "'V1', .*1} selects none of the 5"),
        ({"layer": 4}, "variable 'layer'"),
    ],
)
def test_selections_that_cannot_be(selection: object, says: str) -> None:
    with pytest.raises(InputError, match=says) as raised:
        preprocess.select(selection, 5, lookup, "units of x")
    assert "units of x" in str(raised.value)


@pytest.mark.parametrize("chunks", [None, (7, 50, 3), (20, 1, 60), (1, 50, 60)])
def test_taking_from_hdf5_is_numpy_indexing(
    tmp_path: Path, chunks: tuple | None, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(preprocess, "_BLOCK", 2000)
    whole = rng.standard_normal((20, 50, 60))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = file.create_dataset("x", data=whole, chunks=chunks)
        for chosen in (
            (np.arange(20), np.arange(50), np.arange(60)),
            (np.arange(3, 9), np.array([40, 2, 30]), np.arange(60)[::7]),
            (np.array([19, 0]), np.arange(50), np.array([59])),
        ):
            expected = whole[np.ix_(*chosen)]
            for source in (stored, whole):
                np.testing.assert_array_equal(preprocess.take(source, chosen), expected)


@pytest.mark.parametrize("chunks", [None, (100, 100), (4000, 10)], ids=str)
def test_a_selection_costs_no_more_memory_than_a_few_blocks(tmp_path: Path, chunks: tuple | None) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = file.create_dataset("x", shape=(4000, 2000), dtype="f4", chunks=chunks, fillvalue=1)
        stored[17, 3] = 5
        tracemalloc.start()
        taken = preprocess.take(stored, (np.arange(4000), np.array([3, 1500, 700])))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert taken[17, 0] == 5
    assert peak < 10e6  # of 32 MB; a block is 4


def test_averages_over_unsorted_conditions_leave_nan_out() -> None:
    responses = np.array([[1.0, 10], [2, np.nan], [3, 30], [6, 60]])
    condition = np.array([1, 0, 1, 0])
    with pytest.raises(InputError, match="x: .*condition 0 is NaN in unit 1"):
        preprocess.average(responses[:3], condition[:3], "x")
    np.testing.assert_array_equal(preprocess.average(responses, condition, "x"), [[4, 60], [2, 20]])
    timed = np.stack([responses, 2 * responses]).astype(np.float32)
    averaged = preprocess.average(timed, condition, "x")
    assert averaged.dtype == np.float32
    np.testing.assert_array_equal(averaged[1], [[8, 120], [4, 40]])


def test_combinations_are_numbered_in_the_order_of_their_first_appearance() -> None:
    labels = {"object": np.array(["im2", "im10", "im2", "im10"]), "position": np.array([10, 9, 9, 9])}
    assert preprocess.combine(labels).tolist() == [0, 1, 2, 1]


def trials(rng: np.random.Generator) -> tuple[np.ndarray, Trials]:
    single = rng.standard_normal((2, 12, 6)) * np.arange(1, 7) + 5
    condition = np.repeat(np.arange(4), 3)
    return preprocess.average(single, condition, "x"), Trials(single, condition)


def test_standardized_units_and_their_trials(rng: np.random.Generator) -> None:
    responses, single = trials(rng)
    responses[..., 2] = 0.1
    single.responses[..., 2] = 0.1
    scaled, kept = preprocess.standardize(responses, single)
    flat = scaled.reshape(-1, 6)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(flat.std(axis=0), [1, 1, 0, 1, 1, 1])
    np.testing.assert_allclose(kept.average(), scaled, atol=1e-12)
    assert preprocess.standardize(responses.astype(np.float32))[0].dtype == np.float32


def test_components_keep_distances_variance_and_the_average_of_trials(rng: np.random.Generator) -> None:
    responses, single = trials(rng)
    flat = responses.reshape(-1, 6)
    everything, _ = preprocess.reduce(responses, 1.0, "x")
    assert everything.shape == (2, 4, 6)
    distances = np.linalg.norm(flat[:, None] - flat, axis=-1)
    rotated = everything.reshape(-1, 6)
    np.testing.assert_allclose(np.linalg.norm(rotated[:, None] - rotated, axis=-1), distances, atol=1e-10)
    variance = rotated.var(axis=0)
    assert (np.diff(variance) < 0).all()
    few, kept = preprocess.reduce(responses, 3, "x", single)
    np.testing.assert_allclose(few, everything[..., :3])
    np.testing.assert_allclose(kept.average(), few, atol=1e-12)
    loadings = (flat - flat.mean(axis=0)).T @ rotated
    assert (loadings[np.abs(loadings).argmax(axis=0), np.arange(6)] > 0).all()
    share = np.cumsum(variance) / variance.sum()
    for k in range(6):
        assert preprocess.reduce(responses, float(share[k]), "x")[0].shape[-1] == k + 1
        assert preprocess.reduce(responses, float(share[k]) - 1e-6, "x")[0].shape[-1] == k + 1
    with pytest.raises(InputError, match="x has 6 PCs.*dataset.components is 7"):
        preprocess.reduce(responses, 7, "x")
    with pytest.raises(InputError, match="x .*8 samples"):
        preprocess.reduce(np.ones((2, 4, 6)), 1, "x")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0], [1, 2]),
        ([0.5, 2.0], [0.5, 2.0]),
        ([b"car", "fac\u00e9".encode()], ["car", "fac\u00e9"]),
        (np.array(["a", b"b"], dtype=object), ["a", "b"]),
        (np.array([[b"n", b"o"], [b"i", b"t"]]), ["no", "it"]),
        (np.array([[1], [2]]), [1, 2]),
        (np.array([[True, False]]), [True, False]),
    ],
)
def test_labels_are_whole_numbers_or_text(values: object, expected: list) -> None:
    labels = preprocess.as_labels(values, "label")
    assert labels.tolist() == expected
    assert labels.dtype.kind == np.asarray(expected).dtype.kind


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1.0, np.nan], "holds NaN"),
        ([1j, 2], "dtype complex128"),
        (["a", None], "dtype object"),
        (np.zeros(2, dtype=[("a", "f4")]), "dtype .*f4"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "datetime64"),
    ],
)
def test_labels_that_cannot_be(values: object, says: str) -> None:
    with pytest.raises(InputError, match=f"label.*{says}"):
        preprocess.as_labels(values, "label")
