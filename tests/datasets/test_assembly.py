"""Assemblies: every layout gives the same averages; nothing broken gives a traceback."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from simopt.datasets import assembly, preprocess
from simopt.datasets.assembly import column, opened
from simopt.errors import InputError
from tests.datasets.assembly_files import table, write

TIMES, UNITS = 6, 5
IDS = np.array(["b7", "a1", "é9"])
SHOWN = np.array([0, 1, 2, 2, 0, 1, 0, 2, 0])  # ragged: 4, 2 and 3 repetitions
BINS = [(0, 2), (2, 3), (3, 6)]


def recording(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((TIMES, len(SHOWN), UNITS))


def coordinates() -> dict:
    return {
        "image_id": ("presentation", IDS[SHOWN]),
        "repetition": ("presentation", np.arange(len(SHOWN))),
        "kind": ("presentation", np.array(["noise", "texture", "noise"])[SHOWN]),
        "neuroid_id": ("neuroid", np.array([f"unit{k}" for k in range(UNITS)])),
        "region": ("neuroid", np.array(["V1", "V2", "V1", "V2", "V2"])),
        "time_bin_start": ("time_bin", np.arange(TIMES)),
    }


def expected(values: np.ndarray, units: list[int], bins: list[tuple[int, int]]) -> np.ndarray:
    """Nothing but loops: conditions in the order of their sorted ids."""
    order = np.argsort(IDS)
    result = np.zeros((len(bins), len(IDS), len(units)))
    for b, (start, stop) in enumerate(bins):
        for c, identity in enumerate(order):
            for u, unit in enumerate(units):
                at_times = [np.nanmean(values[t, identity == SHOWN, unit]) for t in range(start, stop)]
                result[b, c, u] = np.mean(at_times)
    return result


def read(path: Path, region: str = "all", bins: list = BINS, **options):
    with opened(path) as file:
        return file.responses(file.units(region), bins, **options)


@pytest.mark.parametrize(
    "order", [("neuroid", "time_bin", "presentation"), ("presentation", "neuroid", "time_bin")]
)
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"name": "__xarray_dataarray_variable__", "text": "fixed", "chunks": (2, 3, 2), "compression": 1},
        {"name": "movshon.FreemanZiemba2013.public", "text": "chars", "listed": False},
        {"group": "test", "chunks": True, "shuffle": True},
    ],
    ids=["contiguous", "chunks", "chars", "group"],
)
@pytest.mark.parametrize("block", [1, 7, 2**21])
def test_every_layout_gives_the_averages(
    tmp_path: Path, rng: np.random.Generator, monkeypatch, order: tuple, layout: dict, block: int
) -> None:
    monkeypatch.setattr(assembly, "_BLOCK", block)
    monkeypatch.setattr(preprocess, "_BLOCK", block)
    values = recording(rng)
    path = write(tmp_path / "a.nc", values, coordinates(), order=order, **layout)
    with opened(path) as file:
        assert file.stimuli[0].tolist() == ["a1", "b7", "é9"]
        assert file.dims == order
        assert [file.length(name) for name in order] == list(file.content.array.shape)
    responses, trials = read(path)
    assert trials is None
    np.testing.assert_allclose(responses, expected(values, list(range(UNITS)), BINS), rtol=1e-12)
    window, _ = read(path, "V2", [(1, 3), (3, 5)])
    np.testing.assert_allclose(window, expected(values, [1, 3, 4], [(1, 3), (3, 5)]), rtol=1e-12)
    again, trials = read(path, "V2", BINS[1:], keep=True)
    np.testing.assert_array_equal(again, read(path, "V2", BINS[1:])[0])
    np.testing.assert_allclose(trials.average(), again, rtol=1e-12)
    np.testing.assert_allclose(trials.responses[1], values[3:6, :, [1, 3, 4]].mean(axis=0))
    assert [half.shape for half in trials.halves(0)] == [again.shape] * 2


def test_a_file_without_time(tmp_path: Path, rng: np.random.Generator) -> None:
    values = recording(rng)[:1]
    path = tmp_path / "a.nc"
    timeless = {name: value for name, value in coordinates().items() if value[0] != "time_bin"}
    write(path, values, timeless)
    with h5py.File(path, "r+") as file:
        flat, scales = file["data"][:, 0], [file["neuroid"], file["presentation"]]
        del file["data"]
        file["data"] = flat
        for axis, scale in enumerate(scales):
            file["data"].dims[axis].attach_scale(scale)
    np.testing.assert_allclose(read(path, bins=[(0, 1)])[0], expected(values, list(range(UNITS)), [(0, 1)]))


@pytest.mark.parametrize(
    ("dtype", "attributes", "value"),
    [
        ("<f4", {"_FillValue": np.array([-9.0], "<f4")}, -9),
        (">f8", {"missing_value": np.array([-9.0, -8.0])}, -8),
        ("<f8", {"_FillValue": np.array([np.nan])}, np.nan),
        ("<i2", {"_FillValue": np.array([-9], "<i2"), "scale_factor": 0.5, "add_offset": 3.0}, -9),
        ("|u1", {"_FillValue": np.array([255], "|u1"), "scale_factor": 2.0}, 255),
        ("<f4", {}, 9.969209968386869e36),  # netCDF's own, where nothing was written
    ],
    ids=str,
)
def test_fill_values_are_left_out_and_scales_applied(
    tmp_path: Path, rng: np.random.Generator, dtype: str, attributes: dict, value: float
) -> None:
    stored = rng.integers(0, 9, size=(TIMES, len(SHOWN), UNITS)).astype(dtype)
    meant = stored * attributes.get("scale_factor", 1.0) + attributes.get("add_offset", 0.0)
    for cell in [(0, 4, 2), (1, 4, 2), (5, 0, 0), (5, 8, 0)]:
        stored[cell], meant[cell] = value, np.nan
    path = write(tmp_path / "a.nc", stored, coordinates(), attributes=attributes)
    np.testing.assert_allclose(read(path)[0], expected(meant, list(range(UNITS)), BINS), rtol=1e-6)
    assert np.isnan(read(path, bins=[(5, 6)], keep=True)[1].responses).sum() == 2
    stored[3, SHOWN == 1, 4] = value
    write(path, stored, coordinates(), attributes=attributes)
    with pytest.raises(InputError, match="a.nc: .*unit4 .*a1"):
        read(path)
    assert read(path, bins=[(0, 3)])[0].shape == (1, 3, UNITS)


def test_trials_of_a_float32_file_stay_float32(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "a.nc", recording(rng).astype(">f4"), coordinates())
    responses, trials = read(path, keep=True)
    assert (responses.dtype, trials.responses.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(trials.average(), responses, rtol=1e-4, atol=1e-6)


def test_labels_come_from_the_assembly_then_from_the_table(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "a.nc", recording(rng), coordinates())
    rows = [{"id": 3, "image_id": "é9", "size": 7}, {"id": 4, "image_id": "b7", "size": 5}]
    csv = table(
        tmp_path / "s.csv",
        [*rows, {"id": 5, "image_id": "a1", "size": 6}, {"id": 6, "image_id": "x", "size": 6}],
    )
    with opened(path) as file:
        labels = file.labels([("type", "kind"), ("size", "size")], csv)
        assert {name: values.tolist() for name, values in labels.items()} == {
            "type": ["texture", "noise", "noise"],
            "size": ["6", "5", "7"],
        }
        assert list(file.labels([("type", "kind")], tmp_path / "none.csv")) == ["type"]
        with pytest.raises(InputError, match="a.nc: 'repetition' .*é9"):
            file.labels([("type", "repetition")], csv)
        with pytest.raises(InputError, match="s.csv: .*'shape'.*: id, image_id, size"):
            file.labels([("type", "shape")], csv)
        with pytest.raises(InputError, match="a.nc: .*V4.*V1, V2"):
            file.units("V4")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"image_id,kind\na,x\n", "no kind .*'b'"),
        (b"image_id,kind\na,x\nb,\n", "no kind .*'b'"),
        (b"image_id,kind\na,x\nb\n", "row 3 .*1 cells.* 2"),
        (b"image_id,kind\na,x\nb,y\nb,y\n", "2 rows .*'b'"),
        (b"image_id,other\na,x\n", "'kind'.*: image_id, other"),
        (b"name,kind\na,x\n", "'image_id'.*: name, kind"),
        (b"", "is empty"),
        (b"image_id,kind\n\xff\xfe,x\n", "not a readable .csv"),
        (b'image_id,kind\na,"' + b"x" * 200_000 + b'"\n', "not a readable .csv"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"s.csv: .*{says}"):
        column(path, "kind", np.array(["a", "b"]))


def test_tables_with_a_mark_and_newer_names(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("\ufeffstimulus_id,image_id,kind\n2,b,y\n1,a,x\n".encode())
    assert column(path, "kind", np.array([1, 2])).tolist() == ["x", "y"]
    with pytest.raises(InputError, match="none.csv: there is no such file"):
        column(tmp_path / "none.csv", "kind", np.array(["a"]))


def drop_dimensions(file: h5py.File) -> None:
    del file["data"].attrs["DIMENSION_LIST"]


def drop_data(file: h5py.File) -> None:
    del file["data"]


def break_references(file: h5py.File) -> None:
    kind = h5py.vlen_dtype(h5py.ref_dtype)
    nowhere = np.empty(3, dtype=object)
    for axis in range(3):
        nowhere[axis] = np.array([h5py.Reference()], dtype=h5py.ref_dtype)
    file["data"].attrs.create("DIMENSION_LIST", nowhere, dtype=kind)


def rename_dimension(file: h5py.File) -> None:
    file.move("presentation", "event")


def second_data(file: h5py.File) -> None:
    file["other"] = np.zeros((3, 3))


def text_data(file: h5py.File) -> None:
    del file["data"]
    file.create_dataset("data", data=[["a", "b"]] * 3, dtype=h5py.string_dtype())


def flat_identities(file: h5py.File) -> None:
    del file["image_id"]
    file["image_id"] = np.arange(3)


def other_dimension(file: h5py.File) -> None:
    file["image_id"].dims[0].detach_scale(file["presentation"])
    file["image_id"].dims[0].attach_scale(file["neuroid"])


def odd_identities(file: h5py.File) -> None:
    del file["image_id"]
    file["image_id"] = np.zeros(len(SHOWN), dtype=[("a", "f4")])


def bad_text(file: h5py.File) -> None:
    file["image_id"][2] = b"\xff\xfe"


def group_for_identities(file: h5py.File) -> None:
    del file["image_id"]
    file.create_group("image_id")


def outside_identities(file: h5py.File) -> None:
    shutil.copy(file.filename, Path(file.filename).with_name("other.nc"))
    del file["image_id"]
    file["image_id"] = h5py.ExternalLink("other.nc", "image_id")


def text_fill(file: h5py.File) -> None:
    file["data"].attrs["_FillValue"] = "nothing"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop_dimensions, r"has dimensions \(, , \)"),
        (drop_data, "no array of shape"),
        (break_references, "not a readable .nc file"),
        (rename_dimension, r"has dimensions \(neuroid, time_bin, event\)"),
        (second_data, r"holds 2 arrays \(data, other\)"),
        (text_data, "no array of shape"),
        (
            flat_identities,
            r"'image_id' has shape \(3,\).* 9 .*'presentation'",
        ),
        (other_dimension, "'image_id' .*'presentation'"),
        (odd_identities, "'image_id' has dtype .*f4"),
        (bad_text, "not a readable .nc file"),
        (group_for_identities, "'image_id' .*'presentation'"),
        (outside_identities, "'image_id' .*'presentation'"),
        (text_fill, "data: .*_FillValue is 'nothing'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_layouts_that_cannot_be_used(tmp_path: Path, rng: np.random.Generator, change, says: str) -> None:
    path = write(tmp_path / "a.nc", recording(rng), coordinates())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=f"a.nc: .*{says}") as error:
        read(path)
    assert len(str(error.value).splitlines()) <= 2


def test_arrays_that_lie_outside_the_file_are_not_read(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "secret").write_bytes(bytes(8 * 9 * UNITS * TIMES))
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.create_dataset("data", (9, 5), "<f8", external=[(str(tmp_path / "secret"), 0, 360)])
    with pytest.raises(InputError, match="a.nc: /data .*other files"):
        read(tmp_path / "a.nc")


def test_a_second_array_that_only_describes_is_no_data(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "a.nc", recording(rng), coordinates())
    with h5py.File(path, "r+") as file:
        file["places"] = np.zeros((UNITS, 2))
        file["data"].attrs["coordinates"] = "image_id places"
    assert read(path)[0].shape == (3, 3, UNITS)


@pytest.mark.parametrize("part", [0, 0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("storage", [{}, {"chunks": (2, 3, 2), "compression": 1}], ids=["plain", "chunks"])
def test_truncated_files(tmp_path: Path, rng: np.random.Generator, part: float, storage: dict) -> None:
    path = write(tmp_path / "a.nc", recording(rng), coordinates(), **storage)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match="a.nc: not a readable .nc file"):
        read(path)


@pytest.mark.parametrize("storage", [{"compression": 1}, {"fletcher32": True}], ids=str)
def test_corrupted_chunks_are_refused(tmp_path: Path, rng: np.random.Generator, storage: dict) -> None:
    path = write(tmp_path / "a.nc", recording(rng), coordinates(), chunks=(5, 6, 9), **storage)
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(0)
    content = path.read_bytes()
    for place in range(0, chunk.size, chunk.size // 20):
        at = chunk.byte_offset + place
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        with pytest.raises(InputError, match="a.nc: not a readable .nc file"):
            read(path)


@pytest.mark.parametrize("place", [0, 3, 8])
def test_corrupted_headers_are_refused(tmp_path: Path, rng: np.random.Generator, place: int) -> None:
    path = write(tmp_path / "a.nc", recording(rng), coordinates())
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="a.nc: not a readable .nc file"):
        read(path)


def test_no_file_and_no_hdf5(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a.nc: there is no such file"):
        read(tmp_path / "a.nc")
    (tmp_path / "a.nc").write_bytes(b"CDF\x01 classic netCDF")
    with pytest.raises(InputError, match="a.nc: not a readable .nc file"):
        read(tmp_path / "a.nc")
