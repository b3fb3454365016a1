"""Whole files: read as they were written, by plain h5py too, and refused before HDF5 sees a damaged one."""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simopt.errors import InputError, StorageError
from simopt.store import image
from simopt.store.image import Array, Stored

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
CONTENT = Stored(
    {"dataset": "mine", "seeds": np.array([1, 2]), "long": "é" * 100_000},
    {
        "a/b": Array(np.arange(600.0).reshape(2, 300), "S K", {"accuracy": 0.5}, packed=True),
        "a/of/bool": Array(np.array([True, False]), "n"),
        "c": Array(np.float32(1.5), ""),
    },
    {"a": {"how": "so", "names": ["x", "", "zwölf"]}},
)
SCHEMA_1 = Path(__file__).parents[1] / "data" / "run_schema1.h5"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    image.write(path, CONTENT)
    return path


def content(path: Path, **options: tuple[str, ...]) -> Stored:
    with image.opened(path) as file:
        return image.content(file, **options)


def test_what_is_written_is_read(path: Path) -> None:
    read = content(path)
    assert read.attributes["long"] == "é" * 100_000
    assert read.attributes["dataset"] == "mine"
    assert read.attributes["seeds"].tolist() == [1, 2]
    assert read.groups == {"a": CONTENT.groups["a"], "a/of": {}}
    assert read.arrays.keys() == CONTENT.arrays.keys()
    for name, array in CONTENT.arrays.items():
        np.testing.assert_array_equal(read.arrays[name].data, array.data)
        assert read.arrays[name].data.dtype == array.data.dtype
        assert (read.arrays[name].axes, read.arrays[name].attributes) == (array.axes, array.attributes)
    assert content(path, skip=("a/o", "c")).arrays.keys() == {"a/b"}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.h5"]


@given(TEXT, st.lists(TEXT, min_size=1, max_size=3), st.integers(-(2**63), 2**63 - 1), st.floats())
@settings(max_examples=40, deadline=None)
def test_attributes_come_back(tmp_path_factory, text: str, texts: list[str], whole: int, real: float) -> None:
    path = tmp_path_factory.mktemp("attributes") / "a.h5"
    image.write(path, Stored({"text": text, "texts": texts, "whole": whole, "real": real}))
    read = content(path).attributes
    assert (read["text"], read["texts"], read["whole"]) == (text, texts, whole)
    np.testing.assert_equal(read["real"], real)


def test_a_name_that_is_no_utf8_comes_back(tmp_path: Path) -> None:
    image.write(tmp_path / "a.h5", Stored({"path": "caf\udce9"}))
    assert content(tmp_path / "a.h5").attributes == {"path": "caf\udce9"}


def test_plain_h5py_reads_the_file_and_its_text_has_a_fixed_length(path: Path) -> None:
    with h5py.File(path) as file:
        assert file["a/b"][1, 0] == 300
        assert file["a/b"].attrs["axes"] == b"S K"
        for name in ("dataset", "long"):
            assert file.attrs.get_id(name).dtype.kind == "S"
        assert file["a"].attrs.get_id("names").dtype.kind == "S"
        assert file.id.get_access_plist().get_libver_bounds()[1] >= h5py.h5f.LIBVER_V110


def test_the_seal_is_the_sha256_of_the_bytes_before_it(path: Path) -> None:
    before, mark, seal = path.read_bytes().rpartition(b"\nsimopt SHA-256 ")
    assert mark
    assert seal.decode() == hashlib.sha256(before).hexdigest() + "\n"


def test_every_turned_bit_is_refused_before_hdf5_sees_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = path.read_bytes()
    monkeypatch.setattr(image.h5py, "File", None)
    places = {*range(0, len(whole), len(whole) // 200), *range(len(whole) - 90, len(whole)), 8}
    for at in places:
        for bit in range(8) if at == 8 else (at % 8,):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            with pytest.raises(StorageError, match="damaged"):
                content(path)


def test_a_file_of_several_blocks_is_sealed_as_a_whole(path: Path) -> None:
    image.write(path, Stored({}, {"a": Array(np.arange(400_000.0), "K")}))
    assert content(path).arrays["a"].data[-1] == 399_999
    whole = path.read_bytes()
    for at in (2**20 - 1, 2**20, 2**21 + 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 128]) + whole[at + 1 :])
        with pytest.raises(StorageError, match=r"\.h5: damaged.*checksum"):
            content(path)


@pytest.mark.parametrize("end", [0, 4, 8, 9, 100, -1, -81])
def test_a_file_that_was_cut_is_refused(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(StorageError, match=r"a\.h5: damaged.*checksum is missing"):
        content(path)


@pytest.mark.parametrize("shift", [b"", b"\0"])
def test_a_file_that_lost_its_checksum_does_not_pass_for_one_of_schema_1(path: Path, shift: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(shift + whole[: 8 - len(shift)] + b"\0" + whole[9:-1])
    with pytest.raises(StorageError, match="damaged"):
        content(path)


def test_a_file_that_another_program_changed_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["c"][...] = 2
    with pytest.raises(StorageError, match=r"a\.h5: .*changed by another program"):
        content(path)


def test_a_file_of_schema_1_is_read_with_its_own_checksum_or_none(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    whole = SCHEMA_1.read_bytes()
    bare = whole.rpartition(b"\nsimopt BLAKE2b-128 ")[0] or whole
    path.write_bytes(bare)
    steps = content(path).arrays["trajectory/step"].data
    np.testing.assert_array_equal(steps, np.arange(45))
    seal = b"\nsimopt BLAKE2b-128 " + hashlib.blake2b(bare, digest_size=16).hexdigest().encode() + b"\n"
    path.write_bytes(bare + seal)
    np.testing.assert_array_equal(content(path).arrays["trajectory/step"].data, steps)
    path.write_bytes(bare[:-1] + bytes([bare[-1] ^ 1]) + seal)
    with pytest.raises(StorageError, match=r"\.h5: damaged.*checksum"):
        content(path)


def test_claims_of_size_are_refused_before_they_are_read(path: Path) -> None:
    with h5py.File(path, "w", libver="earliest") as file:  # as a file of schema 1, which needs no checksum
        file.create_dataset("a/b", (2**20, 2**20), "f8", chunks=(64, 64), compression="gzip")
    with pytest.raises(InputError, match="hardly anything was ever written"):
        content(path)


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    with pytest.raises(TypeError):
        image.write(path, Stored({}, {"x": Array(np.array([object()]), "K")}))

    def full(descriptor: int) -> None:
        raise OSError(28, "")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"a\.h5: no space left on device\."):
        image.write(path, Stored({"new": 1}))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_is_not_disturbed_by_a_file_that_is_replaced(path: Path) -> None:
    with image.opened(path) as file:
        image.write(path, Stored({"dataset": "another"}))
        assert image.attributes_of(file)["dataset"] == "mine"
    assert content(path).attributes == {"dataset": "another"}
