"""Every format against everything that can be wrong with data at the door: what happens in each case.

A cell says ``aligned`` (Y is put in the order of X), ``as given`` (nothing in this format says what is wrong,
and the score is that of the plain arrays), or the words of the refusal or of the warning.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

import simopt
from simopt.errors import InputError, UnitsWarning
from tests.datasets.mat_files import mat73 as write_mat73

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(6, (24, 5)).astype(float)  # whole numbers, so that an nwb can hold them as spikes
TIMED = RNG.poisson(6, (3, 8, 5)).astype(float)
IDS = np.array([f"im{k}" for k in range(24)])
ORDER = RNG.permutation(24)


def load(path: Path, **options: Any) -> simopt.Dataset:
    return simopt.load_dataset("file", path=str(path), **options)


def npy(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> simopt.Dataset:
    np.save(stem.with_suffix(".npy"), values)
    if ids is not None:
        stem.with_suffix(".csv").write_text("\n".join(["image", *ids]) + "\n")
        options["labels"] = str(stem.with_suffix(".csv"))
    return load(stem.with_suffix(".npy"), **options)


def npz(
    stem: Path, values: Any, ids: Any = None, fill: Any = None, times: Any = None, **options: Any
) -> simopt.Dataset:
    content = {"responses": values, "image": ids, "time": times}
    np.savez(stem.with_suffix(".npz"), **{k: v for k, v in content.items() if v is not None})
    return load(stem.with_suffix(".npz"), **options)


def h5(
    stem: Path, values: Any, ids: Any = None, fill: Any = None, times: Any = None, **options: Any
) -> simopt.Dataset:
    with h5py.File(stem.with_suffix(".h5"), "w") as file:
        text = np.asarray(values).dtype.kind == "U"
        file["responses"] = np.asarray(values).astype(h5py.string_dtype()) if text else values
        if times is not None:
            file["time"] = times
        if ids is not None:
            file["image"] = [str(name) for name in ids]
        if fill is not None:
            file["responses"].attrs["_FillValue"] = fill
    return load(stem.with_suffix(".h5"), **options)


def mat5(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> simopt.Dataset:
    named = {} if ids is None else {"image": np.array(ids, dtype=object)}
    scipy.io.savemat(stem.with_suffix(".mat"), {"responses": values, **named})
    return load(
        stem.with_suffix(".mat"), key="responses", **({"labels": ["image"]} if named else {}), **options
    )


def mat73(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> simopt.Dataset:
    values = np.asarray(values)
    text = (
        {"responses": [str(v) for v in values.ravel()]} if values.dtype.kind == "U" else {"responses": values}
    )
    named = {} if ids is None else {"image": [str(name) for name in ids]}
    write_mat73(stem.with_suffix(".mat"), **text, **named)
    return load(
        stem.with_suffix(".mat"), key="responses", **({"labels": ["image"]} if named else {}), **options
    )


def nwb(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> simopt.Dataset:
    """Each count n becomes n spikes, 0.1 s apart bins, from 1 s after the start of its trial."""
    values = np.asarray(values)
    unit = options.pop("unit", 1)  # 1000 writes ms
    text = values.dtype.kind == "U"
    counts = COUNTS if text else np.atleast_3d(values.T).T if values.ndim == 2 else values
    counts = counts[None] if counts.ndim == 2 else counts
    start = 10.0 * np.arange(counts.shape[1]) + 5
    spikes = []
    for cell in range(counts.shape[2]):
        times = [np.zeros(0)]
        for time, trial in np.ndindex(counts.shape[:2]):
            n = 0 if np.isnan(counts[time, trial, cell]) else int(counts[time, trial, cell])
            times.append(start[trial] + 0.1 * time + 0.1 * (np.arange(n) + 0.5) / max(n, 1))
        spikes.append(np.sort(np.concatenate(times)))
    event = np.where(np.isnan(counts).any(axis=(0, 2)), np.nan, start)
    with h5py.File(stem.with_suffix(".nwb"), "w") as file:
        file["units/id"] = np.arange(len(spikes)) + 100
        joined = np.concatenate([*spikes, np.zeros(0)]) * unit
        file["units/spike_times"] = joined.astype("S") if text else joined
        file["units/spike_times_index"] = np.cumsum([len(times) for times in spikes])
        file["intervals/trials/start_time"] = event * unit
        if ids is not None:
            file["intervals/trials/image"] = [str(name) for name in ids]
    bins = {"window": [0, 100 * len(counts)], "bin": 100}
    return load(stem.with_suffix(".nwb"), **{**bins, **options})


def pandas(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> Any:
    module = pytest.importorskip("pandas")
    values = np.asarray(values)
    if values.ndim == 3:  # a frame has two axes
        values = values[0]
    frame = module.DataFrame(values, index=ids)
    return frame if fill is None else frame.mask(frame == fill).astype("Float64")


def xarray(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> Any:
    module = pytest.importorskip("xarray")
    values = np.asarray(values)
    dims = options.get("dims", ("time", "stimulus", "cell")[-values.ndim :])
    coords = {} if ids is None else {"stimulus": np.asarray(ids)}
    if "times" in options:
        coords["time"] = options["times"]
    return module.DataArray(values, coords, dims, attrs={} if fill is None else {"_FillValue": fill})


def masked(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> Any:
    return np.ma.masked_array(values, False if fill is None else np.asarray(values) == fill)


def lists(stem: Path, values: Any, ids: Any = None, fill: Any = None, **options: Any) -> Any:
    rows = [np.ma.masked_array(row) for row in values]
    return rows if fill is None else [np.ma.masked_equal(row, fill) for row in rows]


FORMATS: dict[str, Callable[..., Any]] = {
    "npy": npy,
    "npz": npz,
    "h5": h5,
    "mat5": mat5,
    "mat73": mat73,
    "nwb": nwb,
    "pandas": pandas,
    "xarray": xarray,
    "masked": masked,
    "lists": lists,
}
FILES = ("npy", "npz", "h5", "mat5", "mat73", "nwb")
LEFT = tuple(set(FORMATS) - set(FILES))


def cells(**outcomes: str) -> list[Any]:
    """One parameter for each format: its outcome, or that of ``others``."""
    return [pytest.param(kind, outcomes.get(kind, outcomes["others"]), id=kind) for kind in FORMATS]


def expect(outcome: str, X: Callable[[], Any], Y: Callable[[], Any], plain: tuple[Any, Any]) -> None:
    """Score Y against X, both made on demand, and compare with what the table says."""
    if outcome not in ("as given", "aligned"):
        with pytest.raises(InputError, match=outcome):
            simopt.score(X(), Y())
        return
    score = simopt.score(X(), Y())
    assert score == pytest.approx(1 if outcome == "aligned" else simopt.score(*plain), abs=1e-9)


def test_formats_hold_the_same(tmp_path: Path) -> None:
    for kind, made in FORMATS.items():
        side = made(tmp_path / kind, COUNTS, IDS)
        responses = side.responses if isinstance(side, simopt.Dataset) else side
        np.testing.assert_array_equal(np.squeeze(np.asarray(responses)), COUNTS, err_msg=kind)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(
        others="X has 3 times x 8 conditions and Y has 8 x 3",
        nwb="X has 3 times x 8 conditions and Y has 8 x 3",
        xarray="aligned",
        pandas="at least 3|samples",  # its columns are units: a transposed frame has other samples
    ),
)
def test_order_of_axes(tmp_path: Path, kind: str, outcome: str) -> None:
    made, turned = FORMATS[kind], TIMED.transpose(1, 0, 2)
    dims = {"dims": ("stimulus", "time", "cell")} if kind == "xarray" else {}
    if kind == "pandas":
        turned = TIMED[0].T[None]
    expect(
        outcome,
        lambda: made(tmp_path / "x", TIMED),
        lambda: made(tmp_path / "y", turned, **dims),
        (TIMED, TIMED),
    )


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(
        others="image of row 0 is im0 in x and im.* sort both datasets by image",
        pandas="aligned",
        xarray="aligned",
        masked="as given",
        lists="as given",
    ),
)
def test_order_of_names(tmp_path: Path, kind: str, outcome: str) -> None:
    made = FORMATS[kind]
    expect(
        outcome,
        lambda: made(tmp_path / "x", COUNTS, IDS),
        lambda: made(tmp_path / "y", COUNTS[ORDER], IDS[ORDER]),
        (COUNTS, COUNTS[ORDER]),
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_names_of_one_side_alone_say_nothing(tmp_path: Path, kind: str) -> None:
    made = FORMATS[kind]
    for of_x, of_y in ((IDS, None), (None, IDS)):
        x, y = made(tmp_path / "x", COUNTS, of_x), made(tmp_path / "y", COUNTS[ORDER], of_y)
        assert simopt.score(x, y) == pytest.approx(simopt.score(COUNTS, COUNTS[ORDER]), abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(
        others="label 'image' has shape .23,.; expected one value for each of the 24",
        npz="as given",  # a vector of another length names no samples
        h5="as given",
        pandas="index of row 23 is im23 in X and (None|nan)",
        xarray="stimulus of row 23 is im23 in X and (None|nan)",
        masked="as given",
        lists="as given",
    ),
)
def test_missing_names(tmp_path: Path, kind: str, outcome: str) -> None:
    made = FORMATS[kind]
    ids = np.array([*IDS[:-1], None], object) if kind in ("pandas", "xarray") else IDS[:-1]
    expect(
        outcome,
        lambda: made(tmp_path / "x", COUNTS, IDS),
        lambda: made(tmp_path / "y", COUNTS, ids),
        (COUNTS, COUNTS),
    )


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_missing_names_among_labels_that_are_asked_for(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match="label 'image' has shape .23,."):
        FORMATS[kind](tmp_path / "x", COUNTS, IDS[:-1], labels=["image"])


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(
        others="as given",  # npy, npz and mat cannot mark a number as missing
        h5="1 NaN",
        nwb="as given",  # which stores spikes
        pandas="1 NaN",
        xarray="attribute _FillValue, -999",
        masked="masked values",
        lists="masked values",
    ),
)
def test_fill_values(tmp_path: Path, kind: str, outcome: str) -> None:
    values = COUNTS.copy()
    values[7, 2] = 0 if kind == "nwb" else -999
    made = FORMATS[kind]
    expect(outcome, lambda: made(tmp_path / "x", values, fill=-999.0), lambda: COUNTS, (values, COUNTS))
    # Without an entry that is marked, all of them are data.
    assert simopt.score(made(tmp_path / "y", COUNTS, fill=-999.0), COUNTS) == pytest.approx(1)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(others="1 NaN", nwb="5 NaN .* first in trial 7, whose start_time is NaN; .*drop_nan=trials"),
)
def test_nan(tmp_path: Path, kind: str, outcome: str) -> None:
    values, made = COUNTS.copy(), FORMATS[kind]
    values[7, 2] = np.nan
    expect(outcome, lambda: made(tmp_path / "x", values), lambda: COUNTS, (values, COUNTS))
    if kind in FILES:
        left = made(tmp_path / "y", values, IDS, drop_nan="trials")
        np.testing.assert_array_equal(left.samples(), np.delete(COUNTS, 7, axis=0))
        assert "im7" not in {**left.labels, **left.names}.get("image", [])


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(
        others="as given",  # these have no times
        npy="times from 0 to 2, which the window .0, 300. leaves",
        npz="times from 0 to 0.2, which the window .0, 300. leaves",
        h5="times from 0 to 0.2, which the window .0, 300. leaves",
        mat5="times from 0 to 2, which the window .0, 300. leaves",
        mat73="times from 0 to 2, which the window .0, 300. leaves",
        nwb="times are not in s",
        xarray="time of row 1 is 100.0 in X and 0.1 in Y",
    ),
)
def test_units_of_time(tmp_path: Path, kind: str, outcome: str) -> None:
    made, in_ms, in_s = FORMATS[kind], 100.0 * np.arange(3), 0.1 * np.arange(3)
    wrong: dict[str, Any] = {"window": [0, 300]} if kind in FILES else {}
    if kind in ("npz", "h5", "xarray"):
        wrong["times"] = in_s
    if kind == "nwb":
        wrong["unit"] = 1000
    right = {"times": in_ms} if kind == "xarray" else {}
    plain = TIMED[0] if kind == "pandas" else TIMED
    expect(
        outcome,
        lambda: made(tmp_path / "x", TIMED, **right) if kind not in FILES else TIMED,
        lambda: made(tmp_path / "y", TIMED, **wrong),
        (plain, plain),
    )
    if kind in ("npz", "h5"):
        timed = made(tmp_path / "z", TIMED, times=in_ms, window=[0, 200], bin=200)
        np.testing.assert_allclose(timed.responses, TIMED[:2].mean(axis=0, keepdims=True))
        timed = made(tmp_path / "z", TIMED, times=in_ms, window=[100, 300])
        np.testing.assert_array_equal(timed.responses, TIMED[1:])


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(
        others="never vary: column 2; dataset.constant_units=drop",
        nwb="never vary: id 102; dataset.constant_units=drop",
        **dict.fromkeys(LEFT, "as given"),
    ),
)
def test_silent_units(tmp_path: Path, kind: str, outcome: str) -> None:
    values, made = COUNTS.copy(), FORMATS[kind]
    values[:, 2] = 0
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UnitsWarning)
        side = made(tmp_path / "x", values)
    assert [outcome in str(line.message) for line in told] == ([] if outcome == "as given" else [True])
    assert simopt.score(side, COUNTS) == pytest.approx(simopt.score(values, COUNTS))
    if kind in FILES:
        dropped = made(tmp_path / "x", values, constant_units="drop")
        np.testing.assert_array_equal(dropped.samples(), np.delete(values, 2, axis=1))


@pytest.mark.parametrize(
    ("kind", "outcome"),
    cells(
        others="dtype <U",
        h5="dtype object",
        mat5="dtype|text|str",
        mat73="dtype|cell|str|shape",
        nwb="units/spike_times does not hold numbers",
        pandas="column 0 holds .*, not numbers",
    ),
)
def test_text_where_numbers_are_expected(tmp_path: Path, kind: str, outcome: str) -> None:
    text = np.where(COUNTS > 5, "high", "low")
    made = FORMATS[kind]
    expect(outcome, lambda: made(tmp_path / "x", text), lambda: COUNTS, (COUNTS, COUNTS))


@pytest.mark.parametrize(
    ("kind", "outcome"), cells(others="0 sample|shape .0,|not a rectangular|no arr|sample")
)
def test_empty(tmp_path: Path, kind: str, outcome: str) -> None:
    made = FORMATS[kind]
    expect(outcome, lambda: made(tmp_path / "x", COUNTS[:0]), lambda: COUNTS, (COUNTS, COUNTS))


@pytest.mark.parametrize(("kind", "outcome"), cells(others="1 sample"))
def test_one_sample(tmp_path: Path, kind: str, outcome: str) -> None:
    made = FORMATS[kind]
    expect(outcome, lambda: made(tmp_path / "x", COUNTS[:1]), lambda: COUNTS[:1], (COUNTS, COUNTS))


def netcdf(path: Path, values: np.ndarray, ids: Any = None, dims: tuple[str, ...] = (), **marks: Any) -> Path:
    """A netCDF of version 4 if the name of its file starts with four, else of version 3."""
    dims = dims or ("time", "presentation", "neuroid")[-values.ndim :]
    if path.stem.startswith("four"):
        with h5py.File(path, "w") as file:
            file["rates"] = values
            file["rates"].attrs.update(marks)
            for axis, (dim, size) in enumerate(zip(dims, values.shape, strict=True)):
                named = ids is not None and dim == "presentation"
                file[dim] = np.asarray(ids) if named else np.zeros(size, ">f4")
                file[dim].make_scale(
                    dim if named else "This is a netCDF dimension but not a netCDF variable."
                )
                file["rates"].dims[axis].attach_scale(file[dim])
        return path
    with scipy.io.netcdf_file(path, "w") as file:
        for dim, size in zip(dims, values.shape, strict=True):
            file.createDimension(dim, size)
        rates = file.createVariable("rates", values.dtype, dims)
        rates[:] = values
        for name, value in marks.items():
            setattr(rates, name, value)
        if ids is not None:
            file.createVariable("presentation", "i4", ("presentation",))[:] = ids
    return path


@pytest.mark.parametrize("version", ["three", "four"])
def test_coordinates_and_dimensions_of_netcdf(tmp_path: Path, version: str) -> None:
    numbers = np.arange(24)
    x = load(netcdf(tmp_path / f"{version}x.nc", COUNTS, numbers))
    same = load(netcdf(tmp_path / f"{version}y.nc", COUNTS.T, numbers, dims=("neuroid", "presentation")))
    assert not x.labels
    assert simopt.score(x, same) == pytest.approx(1)
    bare = load(netcdf(tmp_path / f"{version}b.nc", COUNTS))
    assert simopt.score(x, bare) == simopt.score(bare, bare) == pytest.approx(1)
    other = load(netcdf(tmp_path / f"{version}z.nc", COUNTS[ORDER], numbers[ORDER]))
    for call in (simopt.score, simopt.compare, simopt.attribute):
        with pytest.raises(InputError, match="presentation of row 0 is 0 .* sort both datasets by presenta"):
            call(x, other)


MARKS = [
    {"_FillValue": -9.0},
    {"missing_value": -9.0},
    {"valid_min": 0.0},
    {"valid_range": np.array([0.0, 99])},
]


@pytest.mark.parametrize("marks", MARKS, ids=str)
@pytest.mark.parametrize("kind", ["three", "four", "h5"])
def test_marks_of_missing_values_are_those_of_masked_arrays(tmp_path: Path, kind: str, marks: dict) -> None:
    trials = np.stack([COUNTS, COUNTS + 2, COUNTS + 1])
    trials[1, 7, 2] = -9
    expected = np.ma.masked_equal(trials, -9).mean(axis=0)
    if kind == "h5":
        path = tmp_path / "x.h5"
        with h5py.File(path, "w") as file:
            file["rates"] = trials
            file["rates"].attrs.update(marks)
    else:
        path = netcdf(tmp_path / f"{kind}.nc", trials, **marks)
    averaged = load(path, axes=["repeat", "condition", "unit"])
    np.testing.assert_allclose(averaged.responses, expected)
    np.testing.assert_array_equal(load(path, axes="repeat,condition,unit", repeats=[0]).responses, COUNTS)
    with pytest.raises(InputError, match="1 NaN .* first in sample 7"):
        load(path)


def test_the_content_says_whether_matlab_wrote_an_hdf5_file(tmp_path: Path) -> None:
    square = np.random.default_rng(1).standard_normal((12, 12))
    write_mat73(tmp_path / "block.mat", X=square)
    (tmp_path / "block.mat").rename(tmp_path / "block.h5")
    for name, array in (("class.h5", square.T), ("own.mat", square), ("own.h5", square)):
        with h5py.File(tmp_path / name, "w") as file:
            file["X"] = array
            if name == "class.h5":
                file["X"].attrs["MATLAB_class"] = np.bytes_("double")
    for name in ("block.h5", "class.h5", "own.mat", "own.h5"):
        np.testing.assert_array_equal(load(tmp_path / name).responses, square, err_msg=name)


def test_times_of_an_nwb_in_one_unit_only(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        start = 10.0 * np.arange(12) + 5
        spikes = np.sort((start[:, None] + RNG.uniform(0, 1, (12, 20))).ravel())
        file["units/id"], file["units/spike_times_index"] = [0], [len(spikes)]
        file["units/spike_times"], file["intervals/trials/start_time"] = spikes, start * 1000
    with pytest.raises(InputError, match="12 of 12 times of start_time are outside the spikes, .* in s"):
        load(tmp_path / "x.nwb", window=[0, 500])


@pytest.mark.parametrize("rate", [0.2, 2, 80])
@pytest.mark.parametrize("per_second", [1, 1000])
def test_poisson_units_of_any_rate_tell_seconds_from_ms(tmp_path: Path, rate: float, per_second: int) -> None:
    rng = np.random.default_rng(3)
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        spikes = [np.cumsum(rng.exponential(1 / rate, 2000)) * per_second for _ in range(4)]
        last = min(times[-1] for times in spikes)
        file["units/id"], file["units/spike_times_index"] = np.arange(4), 2000 * np.arange(1, 5)
        file["units/spike_times"] = np.concatenate(spikes)
        file["intervals/trials/start_time"] = np.linspace(0.05, 0.9, 30) * last
    if per_second == 1:
        assert load(tmp_path / "x.nwb", window=[0, 20_000]).responses.shape == (1, 30, 4)
    else:
        with pytest.raises(InputError, match="the times are not in s"):
            load(tmp_path / "x.nwb", window=[0, 20_000])


def test_names_of_plain_arrays_with_a_slash(tmp_path: Path) -> None:
    for stem, ids in (("x", IDS), ("y", IDS[::-1])):
        np.savez(tmp_path / f"{stem}.npz", responses=COUNTS, **{"choice (L/R)": ids})
    with pytest.raises(InputError, match=r"choice \(L/R\) of row 0 is im0 in x"):
        simopt.score(load(tmp_path / "x.npz", labels=["choice (L/R)"]), load(tmp_path / "y.npz"))


def test_a_label_in_the_group_of_labels_is_compared_with_a_plain_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", responses=COUNTS, **{"labels/image": IDS, "labels/rest": IDS})
    np.savez(tmp_path / "y.npz", responses=COUNTS, rest=IDS[::-1])
    for options in ({}, {"labels": ["image"]}):  # labels that are not asked for name samples, too
        with pytest.raises(InputError, match="rest of row 0 is im0 in x"):
            simopt.score(load(tmp_path / "x.npz", **options), load(tmp_path / "y.npz"))
