"""Names of rows and axes: Y is put in the order of X, as pandas and xarray do it themselves, or refused."""

import numpy as np
import pytest

import simopt
from simopt.datasets import Dataset, Trials
from simopt.errors import InputError

RNG = np.random.default_rng(0)
FLAT = RNG.standard_normal((24, 5))
DEEP = RNG.standard_normal((3, 8, 5))
IDS = np.array([f"im{k}" for k in range(24)])
ORDER = RNG.permutation(24)

CALLS = {
    "score": lambda X, Y: simopt.score(X, Y),
    "measure": lambda X, Y: float(simopt.measures.get("cka")(X, Y)),
    "compare": lambda X, Y: simopt.compare(X, Y, draws=0).standings[0].score,
    "compare named": lambda X, Y: simopt.compare(X, {"y": Y}, draws=0).standings[0].score,
    "attribute": lambda X, Y: simopt.attribute(X, Y).score,
    "explain": lambda X, Y: (
        simopt.explain(X, Y, "cka", draws=1, seeds=(0,), max_steps=1).explained[0].standing.score
    ),
}
each_call = pytest.mark.parametrize("name", CALLS)


@each_call
def test_frames_are_aligned_by_their_index(name: str) -> None:
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(FLAT, index=IDS)
    Y = X.iloc[ORDER] * np.arange(1, 6)
    # pandas aligns the rows of two frames by their index when it joins them.
    joined = pandas.concat([X, Y], axis=1).to_numpy()
    expected = CALLS["score"](joined[:, :5], joined[:, 5:])
    assert CALLS[name](X, Y) == pytest.approx(expected, abs=1e-12)

    with pytest.raises(InputError, match="index of row 0 is im0 in . and other in .; 1 of 24 rows differ"):
        CALLS[name](X, X.rename(index={"im0": "other"}))


@pytest.mark.parametrize("name", [name for name in CALLS if name != "measure"])  # which takes 2-D only
def test_labeled_arrays_are_aligned_by_dims_and_coordinates(name: str) -> None:
    xarray = pytest.importorskip("xarray")
    coords = {"time": [0, 50, 100], "stimulus": IDS[:8]}
    X = xarray.DataArray(DEEP, coords, dims=("time", "stimulus", "cell"))
    Y = X.isel(time=[2, 0, 1], stimulus=ORDER[ORDER < 8]) * np.arange(1, 6)
    expected = CALLS["score"](DEEP, DEEP * np.arange(1, 6))
    for dims in (("time", "stimulus", "cell"), ("stimulus", "time", "cell"), ("cell", "stimulus", "time")):
        aligned = xarray.align(X, Y.transpose(*dims), join="left")[1].transpose(*X.dims)
        np.testing.assert_array_equal(aligned, DEEP * np.arange(1, 6))
        assert CALLS[name](X, Y.transpose(*dims)) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(InputError, match="time of row 0 is 0 in X and 1 in Y"):
        CALLS[name](X, Y.assign_coords(time=[1, 2, 3]))
    with pytest.raises(InputError, match="X has the dims .* and Y has .* another axis"):
        CALLS[name](X, Y.rename(time="cell", cell="feature"))


def test_known_dims_are_put_in_order_without_another_side() -> None:
    xarray = pytest.importorskip("xarray")
    assembly = xarray.DataArray(FLAT.T, dims=("neuroid", "presentation"))
    np.testing.assert_array_equal(Dataset("x", assembly).responses, FLAT)
    deep = xarray.DataArray(DEEP.transpose(2, 1, 0), dims=("unit", "trial", "time"))
    np.testing.assert_array_equal(Dataset("x", deep).responses, DEEP)
    groups = np.arange(8) % 6
    grouped = simopt.score(deep, DEEP, "linreg_cv5", groups=groups)
    assert grouped == simopt.score(DEEP, DEEP, "linreg_cv5", groups=groups)


def test_frames_with_a_default_index_beside_the_same_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(FLAT)
    shuffled = X.sample(frac=1, random_state=0)
    with pytest.raises(InputError, match=r"Y.loc\[X.index\].*reset_index"):
        simopt.score(X, shuffled)
    assert simopt.score(X, shuffled.loc[X.index]) == pytest.approx(1)
    assert simopt.score(shuffled.reset_index(drop=True), shuffled.to_numpy()) == pytest.approx(1)


def test_names_that_no_order_makes_equal_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    twice = pandas.DataFrame(FLAT, index=pandas.Index(np.repeat(IDS[:12], 2), name="image"))
    assert simopt.score(twice, twice) == pytest.approx(1)
    with pytest.raises(InputError, match="several rows share a value of image"):
        simopt.score(twice, twice.iloc[::-1])
    # Two levels that are unique together give an order.
    both = twice.set_index(pandas.Index(np.tile([0, 1], 12), name="repeat"), append=True)
    assert simopt.score(both, both.iloc[ORDER]) == pytest.approx(1)
    labeled = Dataset("x", FLAT, {"image": IDS})
    frame = pandas.DataFrame(FLAT[ORDER], index=pandas.Index(IDS[ORDER], name="image"))
    assert simopt.score(labeled, frame) == pytest.approx(1)
    for call in CALLS.values():
        with pytest.raises(InputError, match="image of row 0 is .* sort both datasets by image"):
            call(frame, labeled)


@each_call
def test_labels_of_conditions_are_compared_with_those_of_flattened_samples(name: str) -> None:
    ids = np.arange(8)
    X, flat = Dataset("x", DEEP, {"image": ids}), DEEP.reshape(24, 5)
    assert CALLS[name](X, Dataset("y", flat, {"image": np.tile(ids, 3)})) == pytest.approx(1)
    with pytest.raises(InputError, match="image of row 1 is 1 in x and 0 in y"):
        CALLS[name](X, Dataset("y", flat, {"image": np.repeat(ids, 3)}))


@pytest.mark.parametrize("kind", ["array", "list", "list of lists", "frame of nullable numbers"])
@each_call
def test_masked_and_missing_entries_are_refused_and_others_are_data(name: str, kind: str) -> None:
    def made(hidden: bool):
        mask = np.zeros(FLAT.shape, bool)
        mask[3, 2] = hidden
        masked = np.ma.masked_array(np.where(mask, -999, FLAT), mask)
        if kind == "frame of nullable numbers":
            pandas = pytest.importorskip("pandas")
            return pandas.DataFrame(masked.filled(np.nan)).astype("Float64")
        rows = [masked[i] for i in range(24)]
        return {"array": masked, "list": rows, "list of lists": [rows[:12], rows[12:]]}[kind]

    other = FLAT.reshape(2, 12, 5) if kind == "list of lists" else FLAT
    if name == "measure" and kind in ("list of lists", "frame of nullable numbers"):
        return  # a measure takes 2-D only, and gives NaN for NaN
    assert CALLS[name](made(False), other) == pytest.approx(1)
    assert CALLS[name](other, made(False)) == pytest.approx(1)
    for sides in ((made(True), other), (other, made(True))):
        with pytest.raises(InputError, match="masked values|1 NaN"):
            CALLS[name](*sides)


def test_a_frame_names_the_column_that_holds_text() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FLAT).assign(image=IDS)
    with pytest.raises(InputError, match="column 'image' holds .*, not numbers"):
        simopt.score(frame, FLAT)


def test_masked_labels_are_refused() -> None:
    masked = np.ma.masked_array(np.arange(24), np.arange(24) == 3)
    with pytest.raises(InputError, match="label 'image' has masked values"):
        Dataset("x", FLAT, {"image": masked})


def test_masked_entries_of_trials_are_missing() -> None:
    single = np.ma.masked_array(
        np.where(np.arange(5) == 2, -999, FLAT), np.arange(24)[:, None] // 12 == np.arange(5) - 2
    )
    condition = np.tile(np.arange(12), 2)
    trials = Trials(single, condition)
    expected = single.reshape(2, 12, 5).mean(axis=0)
    np.testing.assert_allclose(trials.average(), expected.filled(np.nan))
