"""MAT files of MATLAB 5 to 7.3: the numbers and the text in them, and nothing else."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import h5py
import numpy as np

from simopt import checks
from simopt.errors import InputError
from simopt.typing import LabelArray

Cell: TypeAlias = "LabelArray | str | list[Cell]"

_DENSE = 50_000_000  # elements up to which a sparse matrix is made dense
_DEPTH = 16  # cells in cells; more is a circle

# Version 7.3: HDF5 after 512 bytes of text.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512

# Version 5 to 7.2, by the numbers of MathWorks' "MAT-File Format".
_HEADER = 128
_GLANCE = 4096  # bytes that hold flags, dimensions and name of a variable
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_KINDS = (
    *("none", "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16"),
    *("uint16", "int32", "uint32", "int64", "uint64", "function_handle", "opaque"),
)
_NUMERIC = {"double": "f8", "single": "f4", "logical": "?", "sparse": "f8"}
_NUMERIC |= {f"{u}int{8 * n}": f"{u or 'i'}{n}" for u in ("", "u") for n in (1, 2, 4, 8)}


def arrays(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the numeric arrays of a file, by name, mostly without reading them.

    Arrays at the top level and those one struct deep, as ``struct.field``. In MATLAB every number is a
    matrix: those with at most one dimension longer than 1 (numbers and vectors) are left out.

    Raises
    ------
    InputError
        No such file, or not a MAT file, or a broken one.
    """
    with _opened(path, str(path)) as file:
        return {name: shape for name, shape in file.shapes() if sum(n > 1 for n in shape) > 1}


def read(path: Path, name: str) -> LabelArray | str:
    """Return one array or text in MATLAB's orientation.

    Parameters
    ----------
    path : Path
    name : str
        Of a variable, or of the field of a struct: ``struct.field``.

    Returns
    -------
    array or str
        Numbers and logicals in their own type; a row of characters as str; rows of characters, and a cell
        array of texts, as an array of str.

    Raises
    ------
    InputError
        No such file or name, a broken file, or what is neither numbers nor text: a cell array, a struct, a
        MATLAB object, a function handle.
    """
    return read_all(path, [name])[0]


def read_all(source: Path | BinaryIO, names: Sequence[str], title: str = "") -> list[LabelArray | str]:
    """Return several arrays or texts as :func:`read` does, opening the file once.

    Parameters
    ----------
    source : Path or binary file
    names : sequence of str
    title : str
        How errors call the file; of a path, the path.
    """
    title = title or str(source)
    with _opened(source, title) as file:
        return [_flat(file.value(name), f"{title}: {name}") for name in names]


def cells(path: Path, name: str) -> list[Cell]:
    """Return a cell array as a list in MATLAB's order (first dimension first), cells in it as lists too.

    Raises
    ------
    InputError
        As for :func:`read`; what has this name is not a cell array.
    """
    with _opened(path, str(path)) as file:
        value = file.value(name)
    if isinstance(value, list):
        return value
    found = "text" if isinstance(value, str) else f"an array of shape {value.shape}"
    raise InputError(f"{path}: {name} is {found}; expected a cell array.")


def _flat(value: Cell, what: str) -> LabelArray | str:
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, str) for item in value):
        return np.array(value)
    raise InputError(f"{what} is a cell array of {len(value)}; expected numbers or text.")


@contextmanager
def _opened(source: Path | BinaryIO, title: str) -> Iterator[_Mat5 | _Mat73]:
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"{title}: there is no such file.")
    try:
        with ExitStack() as stack:
            handle = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            head = handle.read(_USER_BLOCK + len(_HDF5))
            handle.seek(0)
            if _HDF5 in (head[: len(_HDF5)], head[_USER_BLOCK:]):
                yield _Mat73(stack.enter_context(h5py.File(source, "r")), title)
            else:
                yield _Mat5(handle, title)
    except InputError:
        raise
    # Broken bytes lead HDF5, zlib, struct and numpy to exceptions of every kind.
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(f"{title}: not a readable MAT file ({reason}).") from error


@dataclass(frozen=True)
class _Matrix:
    """An array of a version 5 file, its header read: ``body`` is what follows."""

    name: str
    kind: str
    shape: tuple[int, ...]
    logical: bool
    complex: bool
    body: memoryview


class _Mat5:
    """Versions 5 to 7.2, read here: scipy's reader can crash the interpreter on a broken file."""

    def __init__(self, handle: BinaryIO, title: str) -> None:
        self.handle = handle
        self.title = title
        header = handle.read(_HEADER)
        self.order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(header[124:], "")
        if not self.order:
            raise InputError(
                f"{title}: not a MAT file of MATLAB 5 to 7.3 (`save -v7` writes one), or cut off."
            )
        self.variables = dict(self._scan())
        self.last: dict[str, _Matrix] = {}

    def _scan(self) -> Iterator[tuple[str, tuple[_Matrix, int]]]:
        end = self.handle.seek(0, 2)
        at = _HEADER
        while at < end:
            matrix = self._matrix(self._content(at, _GLANCE))
            if matrix.name:  # MATLAB keeps the workspace of its functions under no name
                yield matrix.name, (matrix, at)
            self.handle.seek(at)
            _, size = struct.unpack(f"{self.order}II", self.handle.read(8))
            at += 8 + size
            if at > end:
                raise ValueError(f"it ends {at - end} bytes too early")

    def _content(self, at: int, limit: int | None = None) -> memoryview:
        """Return what the variable at this place holds, or its first ``limit`` bytes, decompressed."""
        self.handle.seek(at)
        kind, size = struct.unpack(f"{self.order}II", self.handle.read(8))
        if kind == _MATRIX:
            return memoryview(self.handle.read(min(size, limit or size)))
        if kind != _COMPRESSED:
            raise ValueError(f"a variable of type {kind}")
        packed = self.handle.read(size)
        inflate = zlib.decompressobj()
        kind, size = struct.unpack(f"{self.order}II", inflate.decompress(packed, 8))
        if kind != _MATRIX:
            raise ValueError(f"a compressed variable of type {kind}")
        if limit is None:
            checks.unpacked(size, len(packed), f"{self.title}: a variable")
        content = inflate.decompress(inflate.unconsumed_tail, limit or size + 1)
        # Only at the end of the stream has its checksum been compared.
        if limit is None and not (len(content) == size and inflate.eof):
            raise ValueError("a compressed variable is broken")
        return memoryview(content)

    def _element(self, view: memoryview, at: int) -> tuple[int, memoryview, int]:
        """Return type and bytes of the element at this place, and the place of the next."""
        (word,) = struct.unpack_from(f"{self.order}I", view, at)
        if word >> 16:  # up to 4 bytes are kept in the tag
            return word & 0xFFFF, view[at + 4 : at + 4 + min(word >> 16, 4)], at + 8
        (size,) = struct.unpack_from(f"{self.order}I", view, at + 4)
        stop = at + 8 + size
        if stop > len(view):
            raise ValueError("an element is longer than what holds it")
        return word, view[at + 8 : stop], stop + -size % 8

    def _numbers(self, view: memoryview, at: int) -> tuple[LabelArray, int]:
        kind, data, after = self._element(view, at)
        return np.frombuffer(data, dtype=self.order + _TYPES[kind]), after

    def _matrix(self, view: memoryview) -> _Matrix:
        if not view:
            return _Matrix("", "double", (0, 0), False, False, view)
        flags, at = self._numbers(view, 0)
        kind = _KINDS[int(flags[0]) & 0xFF]
        shape: tuple[int, ...] = ()
        if kind != "opaque":  # which has none
            dimensions, at = self._numbers(view, at)
            shape = tuple(int(n) for n in dimensions)
            if len(shape) < 2 or min(shape) < 0:
                raise ValueError(f"an array of shape {shape}")
        _, name, at = self._element(view, at)
        logical, complex_ = (bool(flags[0] & bit) for bit in (0x200, 0x800))
        return _Matrix(bytes(name).decode("latin-1"), kind, shape, logical, complex_, view[at:])

    def _children(self, matrix: _Matrix, at: int, count: int) -> Iterator[_Matrix]:
        for _ in range(count):
            kind, data, at = self._element(matrix.body, at)
            if kind != _MATRIX:
                raise ValueError(f"an element of type {kind} in a {matrix.kind}")
            yield self._matrix(data)

    def _fields(self, matrix: _Matrix) -> dict[str, _Matrix]:
        if matrix.kind != "struct" or math.prod(matrix.shape) != 1:
            return {}
        length, at = self._numbers(matrix.body, 0)
        _, text, at = self._element(matrix.body, at)
        width = int(length[0])
        texts = (bytes(text[i : i + width]).split(b"\0")[0] for i in range(0, len(text), width))
        names = [name.decode("latin-1") for name in texts]
        return dict(zip(names, self._children(matrix, at, len(names)), strict=True))

    def _whole(self, name: str) -> _Matrix:
        """Return a variable with all it holds; the last one is kept, for the other fields of a struct."""
        if name not in self.last:
            self.last = {name: self._matrix(self._content(self.variables[name][1]))}
        return self.last[name]

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for name, (matrix, _) in self.variables.items():
            if matrix.kind in _NUMERIC:
                yield name, matrix.shape
            elif matrix.kind == "struct":
                for field, child in self._fields(self._whole(name)).items():
                    if child.kind in _NUMERIC:
                        yield f"{name}.{field}", child.shape

    def value(self, name: str) -> Cell:
        top, *fields = name.split(".")
        if top not in self.variables:
            raise InputError(f"{self.title}: {checks.unknown(name, self.variables, 'array')}")
        matrix = self._whole(top)
        for field in fields:
            known = self._fields(matrix)
            if field not in known:
                raise InputError(f"{self.title}: there is no {name}{_listed(known)}.")
            matrix = known[field]
        return self._plain(matrix, name, 0)

    def _plain(self, matrix: _Matrix, name: str, depth: int) -> Cell:
        what = f"{self.title}: {name}"
        if matrix.kind == "struct":
            raise InputError(f"{what} is a struct{_listed(self._fields(matrix))}.")
        if matrix.kind == "cell" and depth < _DEPTH:
            children = self._children(matrix, 0, math.prod(matrix.shape))
            return [self._plain(child, name, depth + 1) for child in children]
        if matrix.kind == "char":
            return self._text(matrix)
        if matrix.kind == "sparse":
            rows, at = self._numbers(matrix.body, 0)
            starts, at = self._numbers(matrix.body, at)
            return _dense(self._values(matrix, at, int(starts[-1])), rows, starts, matrix.shape, what)
        if matrix.kind not in _NUMERIC:
            raise InputError(f"{what} is neither numbers nor text ({matrix.kind}).")
        values = self._values(matrix, 0, math.prod(matrix.shape))
        return values.reshape(matrix.shape, order="F")

    def _values(self, matrix: _Matrix, at: int, count: int) -> LabelArray:
        if count == 0:
            return np.zeros(0, dtype=_NUMERIC[matrix.kind])
        values, at = self._numbers(matrix.body, at)
        if matrix.complex:
            values = values + 1j * self._numbers(matrix.body, at)[0]
        if len(values) < count:
            raise ValueError(f"{len(values)} numbers for an array of {count}")
        kept = values[:count]
        return kept if matrix.complex else kept.astype(bool if matrix.logical else _NUMERIC[matrix.kind])

    def _text(self, matrix: _Matrix) -> LabelArray | str:
        if math.prod(matrix.shape) == 0:
            return ""
        kind, data, _ = self._element(matrix.body, 0)
        wide = {"<": "-le", ">": "-be"}[self.order] if kind in (4, 17, 18) else ""
        text = bytes(data).decode(_TEXTS[kind] + wide, "replace")
        rows = matrix.shape[0]
        if rows > len(text):
            raise ValueError(f"{len(text)} characters for {rows} rows of text")
        return _lines([text[row::rows] for row in range(rows)])


class _Mat73:
    """Version 7.3, which is HDF5 with the dimensions of every array in the other order."""

    def __init__(self, file: h5py.File, title: str) -> None:
        self.file = file
        self.title = title

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for name, item in self._children(self.file):
            inner = self._children(item) if _kind(item) == "struct" else ()
            for path, array in ((name, item), *((f"{name}.{field}", child) for field, child in inner)):
                if "MATLAB_sparse" in array.attrs:
                    yield path, (int(array.attrs["MATLAB_sparse"]), array["jc"].shape[0] - 1)
                elif isinstance(array, h5py.Dataset) and _is_numeric(array):
                    yield path, _shape(array)

    def value(self, name: str) -> Cell:
        item: Any = self.file
        for part in name.split("."):
            known = dict(self._children(item)) if isinstance(item, h5py.Group) else {}
            if part not in known and item is self.file:
                raise InputError(f"{self.title}: {checks.unknown(name, known, 'array')}")
            if part not in known:
                raise InputError(f"{self.title}: there is no {name}{_listed(known)}.")
            item = known[part]
        return self._plain(item, name, 0)

    def _children(self, group: h5py.Group) -> Iterator[tuple[str, Any]]:
        for name in group:
            # Links to elsewhere are not followed; #refs# and #subsystem# are MATLAB's own.
            if isinstance(group.get(name, getlink=True), h5py.HardLink) and not name.startswith("#"):
                yield name, group[name]

    def _plain(self, item: Any, name: str, depth: int) -> Cell:
        what = f"{self.title}: {name}"
        kind = _kind(item)
        if "MATLAB_sparse" in item.attrs:
            return self._sparse(item, what)
        if isinstance(item, h5py.Group):
            raise InputError(f"{what} is a struct{_listed(list(item))}.")
        if "MATLAB_object_decode" in item.attrs or kind not in {*_NUMERIC, "char", "cell", ""}:
            raise InputError(f"{what} is neither numbers nor text ({kind or 'object'}).")
        empty = "MATLAB_empty" in item.attrs
        if kind == "cell" or h5py.check_ref_dtype(item.dtype) is h5py.Reference:
            if depth > _DEPTH:
                raise InputError(f"{what} is a cell array that holds itself, or more than {_DEPTH} deep.")
            references = () if empty else _content(item).ravel()
            return [self._plain(self.file[reference], name, depth + 1) for reference in references]
        if kind == "char":
            codes = np.atleast_2d(_content(item).T).astype("<u2")
            return "" if empty else _lines([row.tobytes().decode("utf-16-le", "replace") for row in codes])
        if not _is_numeric(item):
            raise InputError(f"{what} has dtype {item.dtype}; expected numbers.")
        return np.zeros(_shape(item)) if empty else _numbers(item).T

    def _sparse(self, group: h5py.Group, what: str) -> LabelArray:
        parts = dict(self._children(group))
        starts = _content(parts["jc"]).astype(np.int64)
        rows, values = np.zeros(0, dtype=np.int64), np.zeros(0)
        if "data" in parts:  # else there are zeros only
            rows, values = _content(parts["ir"]).astype(np.int64), _numbers(parts["data"])
        values = values.astype(bool) if _kind(group) == "logical" else values
        return _dense(values, rows, starts, (int(group.attrs["MATLAB_sparse"]), len(starts) - 1), what)


def _kind(item: Any) -> str:
    kind = item.attrs.get("MATLAB_class", b"")
    return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)


def _is_numeric(item: h5py.Dataset) -> bool:
    number = item.dtype.kind in "fiub" or item.dtype.names == ("real", "imag")
    return number and _kind(item) in {*_NUMERIC, ""} and "MATLAB_object_decode" not in item.attrs


def _shape(item: h5py.Dataset) -> tuple[int, ...]:
    """Return the shape as MATLAB shows it; an empty array holds its shape in place of numbers."""
    if "MATLAB_empty" not in item.attrs:
        return tuple(item.shape[::-1])
    shape = tuple(int(n) for n in item[()].ravel())
    if 0 not in shape:
        raise ValueError(f"an empty array of shape {shape}")
    return shape


def _content(item: h5py.Dataset) -> LabelArray:
    if item.external or item.is_virtual:
        raise ValueError("numbers kept in other files, which are not followed")
    checks.unpacked(item.nbytes, item.id.get_storage_size(), str(item.name))
    return np.asarray(item[()])


def _numbers(item: h5py.Dataset) -> LabelArray:
    values = _content(item)
    if item.dtype.names:
        return np.asarray(values["real"] + 1j * values["imag"])
    kept = np.dtype(bool) if _kind(item) == "logical" else values.dtype.newbyteorder("=")
    return values.astype(kept, copy=False)


def _dense(
    values: LabelArray, rows: LabelArray, starts: LabelArray, shape: tuple[int, ...], what: str
) -> LabelArray:
    """Return a sparse matrix in full; column j holds the elements from ``starts[j]`` to ``starts[j + 1]``."""
    if math.prod(shape) > _DENSE:
        raise InputError(f"{what} is a sparse matrix of shape {shape}, too large to be made dense.")
    counts, used = np.diff(starts), int(starts[-1])
    sound = starts[0] == 0 and counts.min(initial=0) >= 0 and used <= min(len(rows), len(values))
    if not sound or rows[:used].min(initial=0) < 0:
        raise ValueError("a sparse matrix is broken")
    dense = np.zeros(shape, dtype=values.dtype)
    dense[rows[:used], np.repeat(np.arange(shape[1]), counts)] = values[:used]
    return dense


def _lines(rows: list[str]) -> LabelArray | str:
    return rows[0] if len(rows) == 1 else np.array([row.rstrip() for row in rows])


def _listed(names: Iterable[str]) -> str:
    shown = list(names)[:8]
    return f"; there is: {', '.join(shown)}" if shown else ""
