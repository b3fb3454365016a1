"""One reader per format: what each gives, and that no file ends in a traceback."""

import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file, savemat

import simopt
from simopt.datasets import formats
from simopt.errors import InputError, UnitsWarning

X = np.random.default_rng(0).standard_normal((3, 8, 4))
FLAT = X[0]
WORDS = ["car", "face"] * 4


def load(path: Path, **options) -> simopt.Dataset:
    return simopt.load_dataset("file", path=str(path), **options)


def mat5(path: Path, **content) -> Path:
    savemat(path / "x.mat", content or {"responses": X, "object": np.array(WORDS, dtype=object)})
    return path / "x.mat"


def mat73(path: Path) -> Path:
    with h5py.File(path / "x.mat", "w", userblock_size=512) as file:
        file["responses"] = X.T  # MATLAB's order of dimensions
        file["responses"].attrs["MATLAB_class"] = np.bytes_("double")
        file["trial"] = np.arange(8.0)[:, None]
        file["trial"].attrs["MATLAB_class"] = np.bytes_("double")
    with (path / "x.mat").open("r+b") as handle:
        handle.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path / "x.mat"


def nc3(path: Path, dims: tuple[str, ...] = ("time", "condition", "unit"), array: np.ndarray = X) -> Path:
    with netcdf_file(path / "x.nc", "w") as file:
        for name, size in zip(dims, array.shape, strict=True):
            file.createDimension(name, size)
        file.createDimension("letters", 4)
        file.createVariable("rates", array.dtype, dims)[:] = array
        if 8 in array.shape:
            named = file.createVariable("object", "S1", (dims[array.shape.index(8)], "letters"))
            named[:] = np.array([list(word.ljust(4, "\0")) for word in WORDS], dtype="S1")
    return path / "x.nc"


def nc4(path: Path, dims: tuple[str, ...] = ("unit", "condition", "time")) -> Path:
    with h5py.File(path / "x.nc", "w") as file:
        file["rates"] = X.T
        for axis, (name, size) in enumerate(zip(dims, X.T.shape, strict=True)):
            file[name] = np.zeros(size, ">f4")
            file[name].make_scale("This is a netCDF dimension but not a netCDF variable.")
            file["rates"].dims[axis].attach_scale(file[name])
        file.create_dataset("object", data=WORDS, dtype=h5py.string_dtype())
    return path / "x.nc"


def table(path: Path, text: str, suffix: str = ".csv", encoding: str = "utf-8") -> Path:
    (path / f"x{suffix}").write_bytes(text.encode(encoding))
    return path / f"x{suffix}"


def csv_rows(separator: str = ",") -> str:
    head = separator.join(["a", "object", "b", "c", "d"])
    rows = [
        separator.join([repr(float(row[0])), word, *(repr(float(v)) for v in row[1:])])
        for row, word in zip(FLAT, WORDS, strict=True)
    ]
    return "\n".join([head, *rows]) + "\n"


def parquet(path: Path, columns: dict | None = None) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    columns = columns or {**{f"u{i}": FLAT[:, i] for i in range(4)}, "object": WORDS}
    pq.write_table(pyarrow.table(columns), path / "x.parquet")
    return path / "x.parquet"


EVENTS = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
SPIKES = [np.array([4.15, 0.99, 1.05, 1.0, 1.1, 2.05]), np.array([5.1, 5.19, 5.2]), np.zeros(0)]


def nwb(path: Path, **changed) -> Path:
    content = {
        "units/spike_times": np.concatenate(SPIKES),
        "units/spike_times_index": np.cumsum([len(times) for times in SPIKES]),
        "units/quality": np.array([b"good", b"good", b"mua"]),
        "units/id": np.arange(3),
        "intervals/trials/start_time": EVENTS,
        "intervals/trials/go_time": EVENTS + 0.1,
        "intervals/trials/choice": np.array([0, 1, 0, 1, 1]),
        "intervals/trials/cue": np.array([b"left", b"left", b"right", b"right", b"left"]),
        "intervals/trials/block_index": np.array([7, 7, 8, 8, 9]),  # a column like others, of no other one
        "intervals/trials/id": np.arange(5),
        "intervals/trials/sources": np.array([h5py.Reference()] * 5, dtype=h5py.ref_dtype),
        "intervals/trials/touches": np.arange(6.0),
        "intervals/trials/touches_index": np.array([1, 2, 3, 4, 6]),
        **changed,
    }
    with h5py.File(path / "x.nwb", "w") as file:
        for name, value in content.items():
            if value is not None:
                file[name] = value
    return path / "x.nwb"


@pytest.mark.parametrize("write", [mat5, mat73, nc3, nc4])
def test_three_dimensions_come_in_their_order(tmp_path: Path, write: Callable) -> None:
    dataset = load(write(tmp_path))
    np.testing.assert_array_equal(dataset.responses, X)
    assert not dataset.labels


@pytest.mark.parametrize("write", [mat5, nc3, nc4])
def test_variables_of_text_are_labels_when_named(tmp_path: Path, write: Callable) -> None:
    assert load(write(tmp_path), labels=["object"]).labels["object"].tolist() == WORDS
    assert load(write(tmp_path), labels="object").labels["object"].tolist() == WORDS


def test_numbers_and_structs_of_mat_files(tmp_path: Path) -> None:
    assert load(mat73(tmp_path), labels=["trial"]).labels["trial"].tolist() == list(range(8))
    path = mat5(
        tmp_path, d={"rates": FLAT, "side": np.arange(8.0), "area": np.array([1, 1, 2, 2])}, other=FLAT
    )
    dataset = load(path, key="d.rates", labels=["d.side"], units={"d.area": 2})
    np.testing.assert_array_equal(dataset.responses, FLAT[:, 2:])
    assert dataset.labels["side"].tolist() == list(range(8))


def test_netcdf_dimensions_of_other_names_are_taken_in_order(tmp_path: Path) -> None:
    path = nc3(tmp_path, ("bin", "condition", "neuron"))
    np.testing.assert_array_equal(load(path).responses, X)
    turned = load(nc4(tmp_path, ("neuron", "condition", "bin")), axes=["unit", "condition", "time"])
    np.testing.assert_array_equal(turned.responses, X)


def test_packed_and_missing_values_of_netcdf(tmp_path: Path) -> None:
    with netcdf_file(tmp_path / "x.nc", "w") as file:
        for name, size in (("repeat", 2), ("sample", 4), ("unit", 3)):
            file.createDimension(name, size)
        packed = file.createVariable("rates", "i2", ("repeat", "sample", "unit"))
        packed[:] = np.arange(24).reshape(2, 4, 3)
        packed[1, 2] = -99
        packed.scale_factor, packed.add_offset, packed._FillValue = 0.5, 1.0, np.int16(-99)
    expected = 1 + 0.5 * np.arange(24).reshape(2, 4, 3)
    expected[1, 2] = expected[0, 2]
    np.testing.assert_allclose(load(tmp_path / "x.nc").responses, expected.mean(axis=0))
    with h5py.File(tmp_path / "x.nc", "w") as file:
        file["rates"] = np.where(FLAT > 2, FLAT, 9.969209968386869e36)
    with pytest.raises(InputError, match="NaN"):
        load(tmp_path / "x.nc")


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_columns_of_labels_and_of_units(tmp_path: Path, suffix: str, separator: str) -> None:
    path = table(tmp_path, "\ufeff" + csv_rows(separator).replace("\n", "\r\n") + "\r\n", suffix)
    dataset = load(path, labels=["object"])
    np.testing.assert_array_equal(dataset.responses, FLAT)
    assert dataset.labels["object"].tolist() == WORDS


@pytest.mark.parametrize(
    ("head", "labels"),
    [("", None), ("a,b,c,d\n", None), ("0,1,2,3\n", None), ("0,1,2,d\n", ["d"]), ("u 1,,3x,d\n", "d")],
)
@pytest.mark.filterwarnings("ignore::simopt.errors.UnitsWarning")
def test_headers_of_a_csv(tmp_path: Path, head: str, labels: object) -> None:
    body = "".join(",".join(map(repr, [*row[:3].tolist(), 7])) + "\n" for row in FLAT)
    dataset = load(table(tmp_path, head + body), labels=labels, constant_units="keep")
    assert dataset.responses.shape == (8, 3 if labels else 4)
    assert all(values.tolist() == [7] * 8 for values in dataset.labels.values())
    np.testing.assert_array_equal(dataset.responses[:, :3], FLAT[:, :3])


def test_cells_left_empty_are_missing_repetitions(tmp_path: Path) -> None:
    path = table(tmp_path, "c,u,v\n1,1,4\n1,3,\n2,5,6\n3,7,nan\n3,7,9\n")
    dataset = load(path, labels=["c"], average="c")
    np.testing.assert_array_equal(dataset.responses, [[2, 4], [5, 6], [7, 9]])


def test_parquet_columns_and_the_index_of_pandas(tmp_path: Path) -> None:
    dataset = load(parquet(tmp_path), labels=["object"])
    np.testing.assert_array_equal(dataset.responses, FLAT)
    assert dataset.labels["object"].tolist() == WORDS
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FLAT, columns=list("abcd"), index=np.arange(8) * 10)
    frame["side"] = pandas.Categorical(WORDS)
    frame.to_parquet(tmp_path / "x.parquet")
    np.testing.assert_array_equal(load(tmp_path / "x.parquet", labels="side").responses, FLAT)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r'x.parquet: .*pyarrow; run pip install "simopt\[formats\]"'):
        load(tmp_path / "x.parquet")


def test_spikes_of_an_nwb_are_counted_around_events(tmp_path: Path) -> None:
    path = nwb(tmp_path)
    with pytest.warns(UnitsWarning, match="2 of 3 units never vary: id 1, id 2; "):
        dataset = load(path, window=[0, 200], bin=100, conditions="0:2")
    assert dataset.responses.shape == (2, 2, 3)
    np.testing.assert_array_equal(
        dataset.responses[..., 0], [[2, 1], [1, 0]]
    )  # 1.1 s falls in the second bin
    assert {name: values.tolist() for name, values in dataset.labels.items()} == {
        "block_index": [7, 7],
        "choice": [0, 1],
        "cue": ["left", "left"],
    }
    good = load(path, window=[-100, 100], align="go_time", units={"quality": "good"}, conditions=[3, 0, 4])
    np.testing.assert_array_equal(good.responses, [[[1, 0], [3, 0], [0, 2]]])
    averaged = load(path, window=[0, 200], labels="cue", average="cue", bin=50, constant_units="drop")
    assert averaged.responses.shape[1:] == (2, 2)
    assert averaged.responses[:, 0].sum(axis=0).tolist() == [pytest.approx(4 / 3), pytest.approx(2 / 3)]
    with pytest.raises(InputError, match="x.nwb holds .*NaN.* in trial ., whose start_time is NaN"):
        load(path, window=[0, 200])
    with h5py.File(path, "a") as file:
        file["processing/rates"] = FLAT
    np.testing.assert_array_equal(load(path, key="processing/rates").responses, FLAT)


def label_file(path: Path, kind: str) -> Path:
    file = path / f"labels.{kind}"
    if kind in ("csv", "tsv"):
        separator = "," if kind == "csv" else "\t"
        rows = [f"{word}{separator}{i}" for i, word in enumerate(WORDS)]
        file.write_text("\n".join([f"object{separator}trial", *rows]), encoding="utf-8")
    elif kind == "npz":
        np.savez(file, object=np.array(WORDS), trial=np.arange(8))
    elif kind in ("h5", "grouped.h5"):
        with h5py.File(file, "w") as opened:
            group = opened.create_group("labels") if kind == "grouped.h5" else opened
            group["object"] = np.array(WORDS, dtype="S")
            group["trial"] = np.arange(8.0)
            opened["matrix"] = FLAT
    else:
        return parquet(path, {"object": WORDS, "trial": list(range(8))})
    return file


@pytest.mark.parametrize("kind", ["csv", "tsv", "npz", "h5", "grouped.h5", "parquet"])
def test_labels_in_a_second_file(tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "x.npy", X)
    dataset = load(tmp_path / "x.npy", labels=str(label_file(tmp_path, kind)))
    assert list(dataset.labels) == ["object", "trial"]
    assert dataset.labels["object"].tolist() == WORDS
    assert dataset.labels["trial"].tolist() == list(range(8))


def test_an_npy_of_labels_is_called_like_its_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "side.npy", np.arange(8))
    assert load(tmp_path / "x.npy", labels=str(tmp_path / "side.npy")).labels["side"].tolist() == list(
        range(8)
    )


def npz(path: Path, **content) -> Path:
    np.savez(path / "x.npz", **content)
    return path / "x.npz"


def test_labels_and_masks_of_an_npz(tmp_path: Path) -> None:
    mixed = {"rates": FLAT, "object": np.array(WORDS), "names": np.array(["a", None], dtype=object)}
    path = npz(tmp_path, **mixed, spikes=np.array([0, 1, 1, 0]))
    dataset = load(path, labels=["object"], units="spikes")
    np.testing.assert_array_equal(dataset.responses, FLAT[:, 1:3])
    assert dataset.labels["object"].tolist() == WORDS
    np.savez(path, **{"responses": FLAT, "labels/object": WORDS})
    assert load(path).labels["object"].tolist() == WORDS
    assert load(path, labels=["object"]).labels["object"].tolist() == WORDS


def encrypted(path: Path) -> Path:
    content = bytearray(npz(path, responses=FLAT).read_bytes())
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + offset] |= 1
    (path / "x.npz").write_bytes(content)
    return path / "x.npz"


def huge(path: Path) -> Path:
    with h5py.File(path / "x.h5", "w") as file:
        file.create_dataset("responses", shape=(1 << 40, 1 << 20), chunks=(64, 64), dtype="f8")
    return path / "x.h5"


def external(path: Path) -> Path:
    (path / "secret.bin").write_bytes(FLAT.tobytes())
    with h5py.File(path / "x.h5", "w") as file:
        file.create_dataset(
            "responses", shape=FLAT.shape, dtype="f8", external=[(str(path / "secret.bin"), 0, FLAT.nbytes)]
        )
    return path / "x.h5"


def virtual(path: Path) -> Path:
    layout = h5py.VirtualLayout(shape=FLAT.shape, dtype="f8")
    layout[:] = h5py.VirtualSource(str(path / "other.h5"), "responses", shape=FLAT.shape)
    with h5py.File(path / "x.h5", "w") as file:
        file.create_virtual_dataset("responses", layout)
    return path / "x.h5"


def ragged_h5(path: Path) -> Path:
    with h5py.File(path / "x.h5", "w") as file:
        ragged = file.create_dataset("responses", (8, 2), dtype=h5py.vlen_dtype(np.float64))
        ragged[0, 0] = [1.0, 2.0]
    return path / "x.h5"


def h5(path: Path, axes: object = None, **content) -> Path:
    with h5py.File(path / "x.h5", "w") as file:
        for name, value in content.items():
            file[name.replace("__", "/")] = value
        if axes is not None:
            file["responses"].attrs["axes"] = axes
    return path / "x.h5"


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path / "x.npy", array)
    return path / "x.npy"


def folder(path: Path) -> Path:
    (path / "x.npy").mkdir()
    return path / "x.npy"


def renamed(path: Path, suffix: str) -> Path:
    return npy(path, FLAT).rename(path / f"x{suffix}")


NAN = np.where(np.arange(4) == 1, np.nan, FLAT)
BAD = {
    "folder": (folder, {}, "folder"),
    "npy named npz": (lambda p: renamed(p, ".npz"), {}, "not a readable .npz"),
    "npy named mat": (lambda p: renamed(p, ".mat"), {}, "x.mat: not a"),
    "npy named nc": (lambda p: renamed(p, ".nc"), {}, "not a readable .nc"),
    "npy named csv": (lambda p: renamed(p, ".csv"), {}, "not a readable .csv"),
    "npy named parquet": (lambda p: renamed(p, ".parquet"), {}, "not a readable .parquet"),
    "npy named nwb": (lambda p: renamed(p, ".nwb"), {}, "not a readable .nwb"),
    "password": (encrypted, {}, "not a readable .npz.*encrypted"),
    "one dimension": (lambda p: npy(p, FLAT[0]), {}, r"shape \(4,\); .*.samples, units"),
    "no units": (lambda p: npy(p, FLAT[:, :0]), {}, r"shape \(8, 0\)"),
    "complex": (lambda p: npy(p, FLAT + 1j), {}, "complex128"),
    "complex mat": (lambda p: mat5(p, responses=FLAT + 1j), {}, "complex128"),
    "NaN": (lambda p: npy(p, NAN), {}, "1 of 4 units are NaN throughout"),
    "dates": (lambda p: npy(p, FLAT.astype("M8[s]")), {}, "datetime64"),
    "too large": (huge, {}, "/responses .* 0 MB"),
    "external": (external, {}, "/responses .*other files"),
    "virtual": (virtual, {}, "/responses .*other files"),
    "ragged h5": (ragged_h5, {}, "Python objects"),
    "axes attribute": (lambda p: h5(p, "x,y", responses=FLAT), {}, "'x'.*dataset.axes"),
    "axes attribute, count": (lambda p: h5(p, "time,condition,unit", responses=FLAT), {}, " has 3 names"),
    "axes option": (lambda p: npy(p, FLAT), {"axes": ["time", "condition", "unit"]}, " has 3 names"),
    "label one too few": (
        lambda p: h5(p, responses=FLAT, labels__x=np.arange(7)),
        {},
        r"x.h5: label 'x' has shape \(7,\).* 8 ",
    ),
    "label NaN": (lambda p: h5(p, responses=FLAT, labels__x=NAN[:, 1]), {}, "label 'x' holds NaN"),
    "label of an npy": (lambda p: npy(p, FLAT), {"labels": ["x"]}, "dataset.labels=FILE.csv"),
    "label not there": (lambda p: npz(p, responses=FLAT), {"labels": ["x"]}, "label 'x'.* responses"),
    "mat label not there": (mat5, {"labels": ["objct"]}, "array 'objct'.* object"),
    "key of an npy": (lambda p: npy(p, FLAT), {"key": "x"}, "dataset.key=x"),
    "two in an npz": (
        lambda p: npz(p, a=FLAT, b=FLAT, c=WORDS),
        {},
        r"2 arrays \(a, b\); .*dataset.key=NAME",
    ),
    "two in a mat": (lambda p: mat5(p, a=FLAT, b=FLAT), {}, r"2 arrays \(a, b\); .*dataset.key=NAME"),
    "none in a mat": (lambda p: mat5(p, a="text", b=3.0), {}, "no array of shape"),
    "cells in a mat": (lambda p: mat5(p, a=np.array([FLAT, "x"], dtype=object)), {"key": "a"}, "cell"),
    "empty csv": (lambda p: table(p, ""), {}, "x.csv: .*empty"),
    "header only": (lambda p: table(p, "a,b\n"), {}, "header .*no rows"),
    "ragged csv": (lambda p: table(p, "a,b\n1,2\n1,2,3\n"), {}, "row 3 .*3 cells.* 2"),
    "text cell": (lambda p: table(p, "a,b\n1,2\n1,x\n"), {}, r"row 3, column b is 'x'.*dataset.labels=\[b\]"),
    "text in the first row": (lambda p: table(p, "1,x\n1,2\n"), {}, "row 1, column 2 is 'x'"),
    "semicolons": (lambda p: table(p, "a;b\n1;2\n"), {}, "semicolons.*commas"),
    "decimal commas": (lambda p: table(p, "a;b\n1,5;2,5\n"), {}, "semicolons.*commas"),
    "tabs in a csv": (lambda p: table(p, "a\tb\n1\t2\n"), {}, "tabs.*commas"),
    "no such column": (lambda p: table(p, csv_rows()), {"labels": ["objects"]}, "nearest: object"),
    "a column twice": (lambda p: table(p, "a,a,b\n1,2,3\n"), {"labels": ["a"]}, "2 columns .*'a'"),
    "all columns labels": (lambda p: table(p, "a\n1\n2\n3\n"), {"labels": ["a"]}, r"shape \(0, 0\)"),
    "utf-16": (lambda p: table(p, csv_rows(), encoding="utf-16"), {}, "not a readable .csv"),
    "no names": (lambda p: table(p, "1,2\n3,4\n"), {"labels": ["a"]}, "no column 'a'"),
    "a row left empty": (lambda p: table(p, "a,b\n1,2\n,\n3,5\n4,4\n"), {}, "2 NaN or infinite"),
    "zeros": (lambda p: table(p, "a,b\n\0,\0\n"), {}, "not"),
    "parquet text": (parquet, {}, r"column object holds string.*labels=\[object\]"),
    "parquet label": (parquet, {"labels": ["objct"]}, "nearest: object"),
    "parquet missing label": (
        lambda p: parquet(p, {"a": [1.0, 2, 3], "b": ["x", None, "y"]}),
        {"labels": ["b"]},
        "label 'b' has dtype object; .*missing",
    ),
    "nc text only": (lambda p: nc3(p, ("a", "b"), np.full((2, 2), b"x")), {}, "no array of shape"),
    "nc label": (nc3, {"labels": ["objct"]}, "nearest: object"),
    "nwb without window": (nwb, {}, r"dataset.window=\[START,STOP\], in ms"),
    "nwb without spikes": (
        lambda p: nwb(p, **{"units/spike_times": None}),
        {},
        "no units/spike_times.*dataset.key=NAME",
    ),
    "nwb without units": (
        lambda p: nwb(p, **{"units/spike_times": np.zeros(0), "units/spike_times_index": np.zeros(0)}),
        {"window": [0, 1]},
        r"shape \(1, 1, 0\)",
    ),
    "nwb index": (
        lambda p: nwb(p, **{"units/spike_times_index": np.array([6, 3, 9])}),
        {"window": [0, 1]},
        "units/spike_times_index does not divide units/spike_times",
    ),
    "nwb column": (nwb, {"window": [0, 1], "align": "go_tim"}, "column of trials 'go_tim'.*go_time"),
    "nwb label": (nwb, {"window": [0, 1], "labels": ["chioce"]}, "nearest: choice"),
    "nwb mask": (nwb, {"window": [0, 1], "units": {"qualty": "good"}}, "nearest: quality"),
    "unit mask of an npy": (lambda p: npy(p, FLAT), {"units": "it"}, "units of .*'it'.*0:50"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_cannot_be_used_are_named_with_what_is_wrong(tmp_path: Path, name: str) -> None:
    write, options, says = BAD[name]
    path = write(tmp_path)
    with pytest.raises(InputError, match=says) as raised:
        load(path, **options)
    assert path.name in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.csv", None, "none.csv: there is no such file"),
        (
            "l.csv",
            b"object\ncar\n",
            r"l.csv: label 'object' has shape \(1,\).* 8 ",
        ),
        ("l.csv", b"a,a\n1,2\n", r"l.csv: .*different name; .*\['a', 'a'\]"),
        ("l.csv", b"1,2\n3,4\n", "l.csv: .*different name; .*'', ''"),
        ("l.npz", b"PK\x03\x04", "l.npz: not a readable"),
        ("l.h5", b"\x89HDF\r\n\x1a\n", "l.h5: not a readable"),
    ],
)
def test_label_files_that_cannot_be_used(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    np.save(tmp_path / "x.npy", X)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        load(tmp_path / "x.npy", labels=str(tmp_path / name))


@pytest.mark.parametrize("write", [mat5, mat73, nc3, nc4, parquet, nwb], ids=lambda write: write.__name__)
def test_files_cut_short_or_damaged_never_end_in_a_traceback(
    tmp_path: Path, write: Callable, rng: np.random.Generator
) -> None:
    path = write(tmp_path)
    options = {"window": [0, 200], "conditions": "0:2"} if write is nwb else {}
    options |= {"labels": ["object"]} if write is parquet else {}
    whole = path.read_bytes()
    for part in (0.02, 0.2, 0.5, 0.8):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(InputError, match=path.name):
            load(path, **options)
    for _ in range(60):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 4):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        with suppress(InputError):
            load(path, **options)


def test_objects_in_a_file_of_labels_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "l.npy", np.array([{}] * 8, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="l.npy: not a readable .npy file.*Python objects"):
        load(tmp_path / "x.npy", labels=str(tmp_path / "l.npy"))


def test_an_npy_is_mapped_and_an_h5_not_read_before_it_is_selected(tmp_path: Path) -> None:
    with formats.opened(npy(tmp_path, X), formats.Options()) as content:
        assert isinstance(content.array, np.memmap)
    with formats.opened(h5(tmp_path, responses=X), formats.Options()) as content:
        assert isinstance(content.array, h5py.Dataset)


def test_a_zip_bomb_is_no_reason_to_die(tmp_path: Path) -> None:
    header = np.lib.format.magic(1, 0) + b"\x76\x00"
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 99999999), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("responses.npy", header + text)
    with pytest.raises(InputError, match="x.npz: not a readable .npz"):
        load(tmp_path / "x.npz")
