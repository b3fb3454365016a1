"""Read MAT files of version 5 to 7.2: simopt checks them, and scipy reads them.

scipy's reader trusts the sizes in a file. If a file is damaged, scipy may read beyond a buffer and crash the
process. Therefore every variable is decompressed and its structure checked before scipy reads it. Of
variables that are not requested, only the first bytes are decompressed.

A file starts with a header of 128 bytes. The header ends with the version and the letters IM or MI for the
byte order. One data element for each variable follows. An element is a tag of 8 bytes (type and number of
bytes, uint32 each) and the data, padded to a multiple of 8 bytes:

- Small elements of up to 4 bytes are stored in the tag: 2 bytes of type, 2 bytes of size, 4 bytes of data.
- An element of type miCOMPRESSED holds another element, compressed by zlib. Only this type is not padded.
- An element of type miMATRIX is an array. Its data are further elements: flags and class, dimensions, name,
  and then the content of the class, such as numbers, or arrays of cells and structs. Opaque objects have no
  dimensions.

References
----------
MathWorks, MAT-File Format.
"""

from __future__ import annotations

import io
import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from simopt import checks
from simopt.datasets.matfile.values import DEPTH, Cell, dense, lines, listed
from simopt.errors import InputError
from simopt.typing import LabelArray

_HEADER = 128
_GLANCE = 4096  # bytes: a variable's flags, dimensions and name (at most 63 characters) take fewer
# Types of data elements.
_UTF16 = {4, 17}  # text is stored as uint16 or UTF-16, both in units of 16 bits
_INT32, _UINT32, _MATRIX, _COMPRESSED = 5, 6, 14, 15
_TYPES = set(range(1, 19)) - {8, 10, 11, _COMPRESSED}  # inside a matrix; 8, 10 and 11 are reserved
# Classes of arrays: sparse, double, single and the integers are numeric.
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_NUMERIC = range(5, 16)
_COMPLEX = 0x800  # flag of an array with imaginary parts
_MOST_DIMENSIONS = 32  # the limit of scipy's reader


class _Header(NamedTuple):
    """The class, shape and name of an array, and the data elements that follow them."""

    kind: int
    imaginary: bool
    shape: tuple[int, ...]
    name: str
    parts: list[tuple[int, memoryview]]


class Mat5:
    """An open file of version 5 to 7.2."""

    def __init__(self, handle: BinaryIO, title: str) -> None:
        self.handle = handle
        self.title = title
        self.header = handle.read(_HEADER)
        self.order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(self.header[124:], "")
        if not self.order:
            raise InputError(
                f"{title}: not a MAT file of MATLAB 5 to 7.3, or cut off; write it anew with `save -v7`."
            )
        self.tag = struct.Struct(f"{self.order}II")  # type and number of bytes of an element
        self.variables = dict(self._scan())
        self.last: dict[str, Any] = {}

    def _scan(self) -> Iterator[tuple[str, tuple[_Header, int]]]:
        """Yield the name of each variable with its header and its position in the file."""
        end = self.handle.seek(0, 2)
        position = _HEADER
        while position < end:
            header = _header(memoryview(self._content(position, _GLANCE)), self.order, 3)
            if header.name:  # MATLAB stores the workspace of function handles as a variable without a name
                yield header.name, (header, position)
            self.handle.seek(position)
            position += 8 + self.tag.unpack(self.handle.read(8))[1]
            if position > end:
                raise ValueError(f"it ends {position - end} bytes too early")

    def _content(self, position: int, limit: int | None = None) -> bytes:
        """Return the data of the variable at a position, decompressed; at most its first ``limit`` bytes."""
        self.handle.seek(position)
        kind, size = self.tag.unpack(self.handle.read(8))
        packed = self.handle.read(min(size, limit or size))
        if kind == _MATRIX:
            return packed
        if kind != _COMPRESSED:
            raise ValueError(f"it has an element of type {kind} where a variable is expected")
        inflate = zlib.decompressobj()
        kind, size = self.tag.unpack(inflate.decompress(packed, 8))
        if kind != _MATRIX:
            raise ValueError(f"it has a compressed element of type {kind} where a variable is expected")
        if limit is None:
            checks.unpacked(size, len(packed), f"{self.title}: a variable")
        # One byte more than there should be: zlib compares its checksum only at the end of the stream.
        content = inflate.decompress(inflate.unconsumed_tail, limit or size + 1)
        if limit is None and not (len(content) == size and inflate.eof):
            raise ValueError("its compressed data have a wrong length or checksum")
        return content

    def _whole(self, name: str) -> Any:
        """Return a variable as scipy reads it; keep the last one, as other fields of it may be read next."""
        from scipy.io import loadmat

        if name not in self.last:
            try:
                content = self._content(self.variables[name][1])
                imaginary = _check_structure(memoryview(content), self.order)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            file = io.BytesIO(
                self.header + self.tag.pack(_MATRIX, len(content)) + content
            )  # a file of this variable alone, not compressed
            # mat_dtype: MATLAB stores doubles that are whole numbers as integers, and this makes them doubles
            # again. But with it scipy drops imaginary parts. uint16_codec: by default scipy decodes text that
            # is stored in units of 16 bits as single bytes.
            codec = {"<": "utf-16-le", ">": "utf-16-be"}[self.order]
            self.last = {name: loadmat(file, mat_dtype=not imaginary, uint16_codec=codec)[name]}
        return self.last[name]

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the name and shape of each numeric variable and each numeric field of a struct variable."""
        for name, (header, _) in self.variables.items():
            if header.kind in _NUMERIC:
                yield name, header.shape
            elif header.kind == _STRUCT:
                for field, child in _fields(self._whole(name)).items():
                    if child.dtype.kind in "fiubc":
                        yield f"{name}.{field}", child.shape

    def value(self, name: str) -> Cell:
        """Return the numbers, text or cells of a variable, or of a field with the name ``struct.field``."""
        top, *fields = name.split(".")
        if top not in self.variables:
            raise InputError(f"{self.title}: {checks.unknown(name, self.variables, 'array')}")
        value = self._whole(top)
        for field in fields:
            members = _fields(value)
            if field not in members:
                raise InputError(f"{self.title}: has no {name}{listed(members)}.")
            value = members[field]
        return _plain(value, f"{self.title}: {name}")


def _header(view: memoryview, order: str, most: int | None = None) -> _Header:
    """Return the header of an array from its data; at most ``most`` of its elements are looked at."""
    parts = list(itertools.islice(_parts(view, order), most))
    if len(parts) < 3 or parts[0][0] != _UINT32 or len(parts[0][1]) != 8:
        raise ValueError("an array lacks its flags, shape or name")
    (flags,) = struct.unpack(f"{order}I", parts[0][1][:4])
    kind, shape = flags & 0xFF, (1, 1)  # the lowest byte is the class
    if kind != _OPAQUE:  # opaque objects have no dimensions
        type_, dimensions = parts.pop(1)
        shape = tuple(np.frombuffer(dimensions, f"{order}i4").tolist())
        if type_ not in (_INT32, _UINT32) or not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
            raise ValueError(f"an array has the shape {shape}, which no array can have")
    return _Header(kind, bool(flags & _COMPLEX), shape, bytes(parts[1][1]).decode("latin-1"), parts[2:])


def _check_structure(view: memoryview, order: str, depth: int = 0) -> bool:
    """Refuse an array that does not consist of the elements that its class needs, recursively.

    This is what keeps scipy from crashing: it then never looks for an element that is not there.

    Parameters
    ----------
    view : memoryview
        The data of the array, without its own tag.
    order : {"<", ">"}
    depth : int
        How many arrays contain this one.

    Returns
    -------
    bool
        Whether this array or one inside it has imaginary parts.
    """
    if not view:
        return False  # an empty matrix
    kind, imaginary, shape, _, parts = _header(view, order)
    # After the header come ``leaves`` elements of data, then ``children`` arrays. A struct has the width of a
    # field name and the names, an object also its class; a sparse matrix has rows, column starts, and values.
    data = {_CELL: 0, _STRUCT: 2, _OBJECT: 3, _CHAR: 1, _SPARSE: 3 + imaginary, _FUNCTION: 0, _OPAQUE: 2}
    leaves = data.get(kind, 1 + imaginary)
    children = {_CELL: math.prod(shape), _FUNCTION: 1, _OPAQUE: 1}.get(kind, 0)
    if kind in (_STRUCT, _OBJECT):
        (_, width), (_, names) = parts[leaves - 2 : leaves]
        children = math.prod(shape) * (len(names) // struct.unpack(f"{order}i", width)[0])
    fits = all((type_ == _MATRIX) == (i >= leaves) for i, (type_, _) in enumerate(parts))
    if not fits or len(parts) != leaves + children or depth > DEPTH:
        raise ValueError(f"an array lacks data that its class needs, or is nested more than {DEPTH} deep")
    if kind == _CHAR and _has_surrogates(*parts[0], order):
        raise ValueError("a text holds characters beyond 16 bits, such as emoji, which scipy reads wrongly")
    # scipy makes a text of this shape, padded with blanks, however few characters there are.
    if kind == _CHAR and math.prod(max(length, 1) for length in shape) > len(view):
        raise ValueError(f"a text of shape {shape} is stored in {len(view)} bytes")
    return any([imaginary, *(_check_structure(child, order, depth + 1) for _, child in parts[leaves:])])


def _has_surrogates(type_: int, text: memoryview, order: str) -> bool:
    """Whether a text has surrogates, the pairs by which UTF-16 stores characters beyond 16 bits."""
    units = np.frombuffer(text, f"{order}u2") if type_ in _UTF16 and len(text) % 2 == 0 else np.array([])
    return bool(((units >= 0xD800) & (units < 0xE000)).any())


def _parts(view: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and bytes of the data elements in a matrix, one after the other."""
    position = 0
    while position < len(view):
        (word,) = struct.unpack_from(f"{order}I", view, position)
        if word >> 16:  # a small element: size in the upper half of the word, type in the lower
            kind, size, start, end = word & 0xFFFF, word >> 16, position + 4, position + 8
        else:
            kind, start = word, position + 8
            (size,) = struct.unpack_from(f"{order}I", view, position + 4)
            end = start + size + -size % 8  # -size % 8 bytes of padding
        position = end
        if kind not in _TYPES or start + size > min(end, len(view)):
            raise ValueError("an element has an unknown type, or is longer than the array that holds it")
        yield kind, view[start : start + size]


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a struct by name; of anything else, also of an array of structs, none."""
    names = getattr(value.dtype, "names", None)
    return {} if not names or value.size != 1 else {name: value.flat[0][name] for name in names}


def _plain(value: Any, what: str, depth: int = 0) -> Cell:
    """Return what scipy read as numbers, text or a list of them, or refuse it."""
    from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque
    from scipy.sparse import issparse

    if isinstance(value, MatlabFunction | MatlabObject | MatlabOpaque):
        kind = type(value).__name__.removeprefix("Matlab").lower()
        raise InputError(f"{what} is of class {kind}, not numbers or text; save it as a matrix.")
    if issparse(value):
        return dense(value.data, value.indices, value.indptr, value.shape, what)
    if value.dtype.names:
        raise InputError(f"{what} is a struct; give the name of a field{listed(_fields(value))}.")
    if value.dtype.kind == "O":
        return [_plain(item, what, depth + 1) for item in value.ravel(order="F")]  # MATLAB's order
    if value.dtype.kind == "U":
        return lines([str(row) for row in value]) if value.size else ""
    numbers: LabelArray = value.astype(value.dtype.newbyteorder("="), copy=False)
    return numbers
