"""MAT files of both kinds: MATLAB's orientation and types; every broken one is refused, none crashes."""

import io
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from simopt.datasets import matfile
from simopt.errors import InputError
from tests.datasets.mat_files import mat5, mat73

RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((5, 7))
CUBE = RNG.integers(-9, 9, (2, 3, 4)).astype("i4")
NESTED = [np.arange(3.0)[None], [np.ones((2, 2)), "hi"], [], np.zeros((0, 0))]
VARIABLES = {
    "x": MATRIX,
    "cube": CUBE,
    "single": MATRIX.astype("f4"),
    "mask": MATRIX > 0,
    "vector": np.arange(4.0)[None],
    "text": "héllo",
    "group": {"data": MATRIX.T, "deep": {"n": np.array([[3.0]])}, "text": "z"},
    "names": ["car", "face"],
    "nested": NESTED,
    "empty": np.zeros((0, 3)),
}


def cell(items: list) -> np.ndarray:
    array = np.empty((1, len(items)), dtype=object)
    for i, item in enumerate(items):
        array[0, i] = cell(item) if isinstance(item, list) else item
    return array


def written(folder: Path, kind: str, **variables) -> Path:
    path = folder / f"{kind}.mat"
    if kind == "7.3":
        return mat73(path, **variables)
    content = {name: cell(value) if isinstance(value, list) else value for name, value in variables.items()}
    scipy.io.savemat(path, content, do_compression=kind == "7")
    return path


KINDS = pytest.mark.parametrize("kind", ["5", "7", "7.3"])


@KINDS
def test_arrays_come_as_matlab_shows_them(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, **VARIABLES)
    for name in ("x", "cube", "single", "mask", "vector", "empty"):
        array = matfile.read(path, name)
        np.testing.assert_array_equal(array, VARIABLES[name])
        assert array.dtype == VARIABLES[name].dtype
    np.testing.assert_array_equal(matfile.read(path, "group.data"), MATRIX.T)
    assert matfile.read(path, "group.deep.n") == 3
    assert matfile.read(path, "text") == "héllo"
    assert matfile.read(path, "group.text") == "z"
    assert matfile.read(path, "names").tolist() == ["car", "face"]


@KINDS
def test_shapes_of_matrices_at_the_top_and_one_struct_deep(tmp_path: Path, kind: str) -> None:
    assert matfile.arrays(written(tmp_path, kind, **VARIABLES)) == {
        "x": (5, 7),
        "cube": (2, 3, 4),
        "single": (5, 7),
        "mask": (5, 7),
        "group.data": (7, 5),
    }


@KINDS
def test_cells_nest(tmp_path: Path, kind: str) -> None:
    first, (ones, text), nothing, empty = matfile.cells(written(tmp_path, kind, **VARIABLES), "nested")
    np.testing.assert_array_equal(first, NESTED[0])
    np.testing.assert_array_equal(ones, np.ones((2, 2)))
    assert text == "hi"
    assert nothing == []
    assert empty.shape == (0, 0)


def test_a_cell_matrix_comes_first_dimension_first(tmp_path: Path) -> None:
    square = np.empty((2, 2), dtype=object)
    square[:] = [[1.0, 3.0], [2.0, 4.0]]
    (tmp_path / "a.mat").write_bytes(mat5(c=square))
    assert [float(item.item()) for item in matfile.cells(tmp_path / "a.mat", "c")] == [1, 2, 3, 4]


def test_complex_sparse_and_rows_of_text(tmp_path: Path) -> None:
    sparse = scipy.sparse.random_array((6, 4), density=0.4, rng=np.random.default_rng(1)).tocsc()
    zeros = scipy.sparse.csc_array((3, 3))
    path = tmp_path / "a.mat"
    path.write_bytes(mat5(z=MATRIX + 1j, s=sparse, o=zeros, rows=np.array(["car", "faces"])))
    np.testing.assert_array_equal(matfile.read(path, "z"), MATRIX + 1j)
    np.testing.assert_array_equal(matfile.read(path, "s"), sparse.toarray())
    np.testing.assert_array_equal(matfile.read(path, "o"), np.zeros((3, 3)))
    assert matfile.read(path, "rows").tolist() == ["car", "faces"]
    assert matfile.arrays(path)["s"] == (6, 4)
    mat73(path, x=MATRIX)
    with h5py.File(path, "r+") as file:
        for name, matrix in (("s", sparse), ("o", zeros)):
            group = file.create_group(name)
            group.attrs.update(
                {"MATLAB_class": np.bytes_("double"), "MATLAB_sparse": np.uint64(matrix.shape[0])}
            )
            group["jc"] = matrix.indptr.astype("u8")
            if matrix.nnz:
                group["ir"], group["data"] = matrix.indices.astype("u8"), matrix.data
        file["z"] = np.zeros((2, 3), dtype=[("real", "f8"), ("imag", "f8")])
    np.testing.assert_array_equal(matfile.read(path, "s"), sparse.toarray())
    np.testing.assert_array_equal(matfile.read(path, "o"), np.zeros((3, 3)))
    assert matfile.arrays(path) == {"x": (5, 7), "s": (6, 4), "o": (3, 3), "z": (3, 2)}
    assert matfile.read(path, "z").dtype == np.complex128


def test_big_endian_files_give_native_numbers(tmp_path: Path) -> None:
    numbers = np.arange(6.0).astype(">f8").tobytes()
    contents = ((6, struct.pack(">II", 6, 0)), (5, struct.pack(">ii", 2, 3)), (1, b"x"), (9, numbers))
    body = b"".join(element(kind, data, ">") for kind, data in contents)
    path = tmp_path / "big.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + element(14, body, ">"))
    array = matfile.read(path, "x")
    np.testing.assert_array_equal(array, scipy.io.loadmat(path)["x"])
    assert array.dtype == np.float64


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_and_text_as_matlab_stores_them(tmp_path: Path, order: str) -> None:
    """Doubles that are small whole numbers are stored as bytes, text as units of UTF-16."""

    def stored(flags: int, columns: int, name: bytes, *parts: tuple[int, bytes]) -> bytes:
        header = (6, struct.pack(f"{order}II", flags, 0)), (5, struct.pack(f"{order}ii", 1, columns))
        elements = (element(kind, data, order) for kind, data in (*header, (1, name), *parts))
        return element(14, b"".join(elements), order)

    infinite = np.array([np.inf, 2.0]).astype(f"{order}f8").tobytes()
    short, wide = (text.encode("utf-16-le" if order == "<" else "utf-16-be") for text in ("éß", "é😀"))
    mark = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    path = tmp_path / "a.mat"
    path.write_bytes(
        b"MATLAB 5.0 MAT-file".ljust(124)
        + mark
        + stored(6, 3, b"whole", (2, bytes([1, 0, 255])))
        + stored(9 | 0x200, 3, b"mask", (2, bytes([1, 0, 1])))
        + stored(6 | 0x800, 2, b"pair", (2, bytes([1, 2])), (9, infinite))
        + stored(4, 2, b"text", (4, short))
        + stored(4, 3, b"wide", (4, wide))
    )
    by_scipy = scipy.io.loadmat(path, mat_dtype=True, variable_names=["whole", "mask"])
    for name in ("whole", "mask"):
        np.testing.assert_array_equal(matfile.read(path, name), by_scipy[name])
        assert matfile.read(path, name).dtype == by_scipy[name].dtype.newbyteorder("=")
    assert matfile.read(path, "whole").tolist() == [[1.0, 0.0, 255.0]]
    assert matfile.read(path, "pair").tolist() == [[complex(1, np.inf), 2 + 2j]]
    assert matfile.read(path, "text") == "éß"
    with pytest.raises(InputError, match="a.mat: .*wide: .*16 bits"):
        matfile.read(path, "wide")


@KINDS
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nah", "array 'nah'"),
        ("xx", "array 'xx'.* x"),
        ("group", "group is a struct.*: data, deep, text"),
        ("group.nah", "no group.nah.*: data"),
        ("x.y", "no x.y"),
        ("nested", "nested .*cell array of 4"),
    ],
)
def test_names_that_lead_nowhere(tmp_path: Path, kind: str, name: str, says: str) -> None:
    with pytest.raises(InputError, match=f"{kind}.mat: .*{says}"):
        matfile.read(written(tmp_path, kind, **VARIABLES), name)


@KINDS
def test_cells_refuses_what_is_none(tmp_path: Path, kind: str) -> None:
    for name, says in (("x", r".*\(5, 7\)"), ("text", "text")):
        with pytest.raises(InputError, match=f"{kind}.mat: {name} is {says}.*cell array"):
            matfile.cells(written(tmp_path, kind, **VARIABLES), name)


def test_objects_functions_and_links_are_refused(tmp_path: Path) -> None:
    path = mat73(tmp_path / "a.mat", x=MATRIX, f=MATRIX, t=MATRIX, c=[MATRIX], huge=MATRIX)
    mat73(tmp_path / "secret.mat", x=MATRIX)
    with h5py.File(path, "r+") as file:
        file["f"].attrs["MATLAB_class"] = np.bytes_("function_handle")
        file["t"].attrs["MATLAB_class"] = np.bytes_("string")
        file["c"][0, 0] = file["c"].ref
        file["link"] = h5py.ExternalLink("secret.mat", "x")
        file.create_dataset("raw", (2, 2), dtype="f8", external=[("secret.mat", 0, 32)])
        huge = file.create_group("sparse")
        huge.attrs["MATLAB_sparse"], huge["jc"] = np.uint64(10**9), np.zeros(1001, dtype="u8")
    for name, says in (
        ("f", "f .*function_handle"),
        ("t", "t .*string"),
        ("c", "c .*cell array .*itself"),
        ("link", "array 'link'"),
        ("raw", "raw .*other files"),
        ("sparse", "sparse .*1000000000, 1000"),
    ):
        with pytest.raises(InputError, match=f"a.mat: .*{says}"):
            matfile.read(path, name)


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind: int, name: bytes, *parts: bytes) -> bytes:
    flags, shape = element(6, struct.pack("<II", kind, 0)), element(5, struct.pack("<ii", 1, 1))
    return element(14, b"".join([flags, shape, element(1, name), *parts]))


def test_functions_and_objects_of_version_5_are_refused(tmp_path: Path) -> None:
    number = matrix(6, b"", element(9, bytes(8)))
    fields = element(5, struct.pack("<i", 8)), element(1, b"a".ljust(8, b"\0")), number
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path = tmp_path / "a.mat"
    for content, says in (
        (matrix(16, b"x", number), "x .*function"),
        (matrix(3, b"x", element(1, b"mine"), *fields), "x .*object"),
        (matrix(16, b"x", element(9, bytes(8))), "not a readable MAT file .x: "),
        (matrix(1, b"x", number, number), "not a readable MAT file .x: "),
        (matrix(6, b"x", number), "not a readable MAT file .x: "),
        (matrix(200, b"x", element(9, bytes(8))), "not a readable MAT file"),
    ):
        path.write_bytes(header + content)
        with pytest.raises(InputError, match=f"a.mat: .*{says}"):
            matfile.read(path, "x")
    path.write_bytes(header + matrix(2, b"x", *fields))
    assert matfile.read(path, "x.a") == 0


def scipy_file(**variables) -> bytes:
    handle = io.BytesIO()
    scipy.io.savemat(handle, variables)
    return handle.getvalue()


@KINDS
def test_truncated_files(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, x=MATRIX, c=NESTED)
    whole = path.read_bytes()
    for length in {0, 1, 127, 128, 129, 140, 300, 512, 520, 600, len(whole) // 2, len(whole) - 1}:
        if length >= len(whole):
            continue
        path.write_bytes(whole[:length])
        if kind != "7.3" and length == 128:
            assert matfile.arrays(path) == {}  # a whole file without variables
            continue
        with pytest.raises(InputError, match=r"\.mat: not a"):
            matfile.arrays(path)


def test_a_compressed_variable_without_its_checksum_is_refused(tmp_path: Path) -> None:
    whole = mat5(x=MATRIX)
    shorter = struct.pack("<I", struct.unpack_from("<I", whole, 132)[0] - 2)
    (tmp_path / "a.mat").write_bytes(whole[:132] + shorter + whole[136:-2])
    with pytest.raises(InputError, match="a.mat: not a readable MAT file .x: .*checksum"):
        matfile.read(tmp_path / "a.mat", "x")


def test_text_of_more_rows_than_characters_is_refused(tmp_path: Path) -> None:
    whole = scipy_file(x="hello")
    (tmp_path / "a.mat").write_bytes(whole.replace(struct.pack("<ii", 1, 5), struct.pack("<ii", 2000, 5)))
    with pytest.raises(InputError, match=r"a.mat: not a readable MAT file .x: .*\(2000, 5\)"):
        matfile.read(tmp_path / "a.mat", "x")


# HDF5 takes ten times as long to open a file.
@pytest.mark.parametrize(
    ("kind", "flips"), [("5", 300), ("7", 300), ("7.3", 60), pytest.param("7.3", 300, marks=pytest.mark.slow)]
)
def test_flipped_bytes_never_end_in_anything_but_an_input_error(
    tmp_path: Path, kind: str, flips: int
) -> None:
    variables = {"x": MATRIX, "c": NESTED, "group": {"data": MATRIX}, "text": "hello"}
    if kind != "7.3":
        variables["s"] = scipy.sparse.csc_array(np.eye(4))
    path = written(tmp_path, kind, **variables)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(flips):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(broken)
        for name in variables:
            try:
                matfile.cells(path, name) if name == "c" else matfile.read(path, name)
            except InputError:
                refused += 1
    assert refused > flips


@pytest.mark.parametrize(
    "content", [b"hello " * 100, b"\x80\x04N.", bytes(1000)], ids=["text", "bytes", "zeros"]
)
def test_what_is_no_mat_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match="a.mat: not a MAT file"):
        matfile.read(tmp_path / "a.mat", "x")
    with pytest.raises(InputError, match="not a readable MAT file .*directory"):
        matfile.read(tmp_path, "x")
    with pytest.raises(InputError, match="none.mat: there is no such file"):
        matfile.read(tmp_path / "none.mat", "x")
