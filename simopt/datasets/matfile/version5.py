"""MAT files of version 5 to 7.2, of which little is read before it is wanted: scipy reads what is sound.

scipy's reader trusts the sizes in a file, and ends the process on some that are wrong. So every variable is
unpacked and its parts are measured before scipy sees it.
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
from simopt.datasets.matfile.values import DEPTH, NUMERIC, Cell, dense, lines, listed
from simopt.errors import InputError
from simopt.typing import LabelArray

# The numbers of MathWorks' "MAT-File Format".
_HEADER = 128
_GLANCE = 4096  # bytes that hold flags, dimensions and name of a variable
_INT32, _UINT32, _MATRIX, _COMPRESSED = 5, 6, 14, 15
_TYPES = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14, 16, 17, 18}
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_COMPLEX = 0x800
_MOST_DIMENSIONS = 32


class _Variable(NamedTuple):
    """A variable at the top level: its name, shape and class as scipy words it, and where it lies."""

    name: str
    shape: tuple[int, ...]
    kind: str
    at: int


class Mat5:
    """An open file of version 5 to 7.2."""

    def __init__(self, handle: BinaryIO, title: str) -> None:
        self.handle = handle
        self.title = title
        self.header = handle.read(_HEADER)
        self.order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(self.header[124:], "")
        if not self.order:
            raise InputError(
                f"{title}: not a MAT file of MATLAB 5 to 7.3 (`save -v7` writes one), or cut off."
            )
        # MATLAB keeps the workspace of its functions under no name.
        self.variables = {each.name: each for each in self._scan() if each.name != "__function_workspace__"}
        self.last: dict[str, Any] = {}

    def _scan(self) -> Iterator[_Variable]:
        from scipy.io import whosmat

        end = self.handle.seek(0, 2)
        at = _HEADER
        while at < end:
            head = self._content(at, _GLANCE)
            _measure(memoryview(head), self.order, 3)
            for name, shape, kind in whosmat(self._file(head)):
                yield _Variable(name, tuple(map(int, shape)), kind, at)
            self.handle.seek(at)
            at += 8 + self._tag(self.handle.read(8))[1]
            if at > end:
                raise ValueError(f"it ends {at - end} bytes too early")

    def _tag(self, data: bytes) -> tuple[int, int]:
        kind, size = struct.unpack(f"{self.order}II", data)
        return kind, size

    def _file(self, content: bytes) -> BinaryIO:
        """Return a file that holds one variable."""
        return io.BytesIO(self.header + struct.pack(f"{self.order}II", _MATRIX, len(content)) + content)

    def _content(self, at: int, limit: int | None = None) -> bytes:
        """Return what the variable at this place holds, or the start of it: at most ``limit`` bytes."""
        self.handle.seek(at)
        kind, size = self._tag(self.handle.read(8))
        packed = self.handle.read(min(size, limit or size))
        if kind == _MATRIX:
            return packed
        if kind != _COMPRESSED:
            raise ValueError(f"a variable of type {kind}")
        inflate = zlib.decompressobj()
        kind, size = self._tag(inflate.decompress(packed, 8))
        if kind != _MATRIX:
            raise ValueError(f"a compressed variable of type {kind}")
        if limit is None:
            checks.unpacked(size, len(packed), f"{self.title}: a variable")
        content = inflate.decompress(inflate.unconsumed_tail, limit or size + 1)
        # Only at the end of the stream has its checksum been compared.
        if limit is None and not (len(content) == size and inflate.eof):
            raise ValueError("a compressed variable is broken")
        return content

    def _whole(self, name: str) -> Any:
        """Return a variable with all it holds; the last one is kept, for the other fields of a struct."""
        from scipy.io import loadmat

        if name not in self.last:
            content = self._content(self.variables[name].at)
            # With mat_dtype, which gives numbers the type they have in MATLAB, scipy drops imaginary parts.
            real = not _measure(memoryview(content), self.order)
            self.last = {name: loadmat(self._file(content), mat_dtype=real)[name]}
        return self.last[name]

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of the numeric arrays at the top level and one struct deep."""
        for name, shape, kind, _ in self.variables.values():
            if kind in NUMERIC:
                yield name, shape
            elif kind == "struct":
                for field, child in _fields(self._whole(name)).items():
                    if _is_numeric(child):
                        yield f"{name}.{field}", child.shape

    def value(self, name: str) -> Cell:
        """Return numbers, text or cells by name, ``struct.field`` of a field."""
        top, *fields = name.split(".")
        if top not in self.variables:
            raise InputError(f"{self.title}: {checks.unknown(name, self.variables, 'array')}")
        kind = self.variables[top].kind
        if kind not in {*NUMERIC, "cell", "struct", "char"}:
            raise InputError(f"{self.title}: {name} is neither numbers nor text ({kind}).")
        value = self._whole(top)
        for field in fields:
            known = _fields(value)
            if field not in known:
                raise InputError(f"{self.title}: there is no {name}{listed(known)}.")
            value = known[field]
        return _plain(value, f"{self.title}: {name}")


def _measure(view: memoryview, order: str, most: int | None = None, depth: int = 0) -> bool:
    """Refuse a matrix that is not of the parts that its class has, and return whether it has imaginary parts.

    Parameters
    ----------
    view : memoryview
        What the matrix holds, without its own tag.
    order : {"<", ">"}
    most : int, optional
        How many parts are looked at; None: all, and the matrices among them.
    depth : int
        How many matrices hold this one.
    """
    if not view:
        return False  # an empty matrix
    parts = list(itertools.islice(_parts(view, order), most))
    if depth > DEPTH or len(parts) < 3 or parts[0][0] != _UINT32 or len(parts[0][1]) != 8:
        raise ValueError("an array without its flags, shape or name")
    (flags,) = struct.unpack(f"{order}I", parts[0][1][:4])
    kind, imaginary = flags & 0xFF, bool(flags & _COMPLEX)
    shape, rest = [1, 1], parts[2:]
    if kind != _OPAQUE:  # which has no shape
        shape, rest = np.frombuffer(parts[1][1], f"{order}i4").tolist(), parts[3:]
        if parts[1][0] not in (_INT32, _UINT32) or not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
            raise ValueError(f"an array of shape {tuple(shape)}")
    if most:
        return imaginary
    data = {_CELL: 0, _STRUCT: 2, _OBJECT: 3, _CHAR: 1, _SPARSE: 3 + imaginary, _FUNCTION: 0, _OPAQUE: 2}
    before = data.get(kind, 1 + imaginary)
    inside = {_CELL: math.prod(shape), _FUNCTION: 1, _OPAQUE: 1}.get(kind, 0)
    if kind in (_STRUCT, _OBJECT):
        (_, width), (_, names) = rest[before - 2 : before]
        inside = math.prod(shape) * (len(names) // struct.unpack(f"{order}i", width)[0])
    fits = all((type_ == _MATRIX) == (i >= before) for i, (type_, _) in enumerate(rest))
    if not fits or len(rest) != before + inside:
        raise ValueError("an array of other parts than its class has")
    if kind == _CHAR and math.prod(max(n, 1) for n in shape) > len(view):
        raise ValueError(f"a text of shape {tuple(shape)} in {len(view)} bytes")
    return any([imaginary, *(_measure(child, order, None, depth + 1) for _, child in rest[before:])])


def _parts(view: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and bytes of the data elements in a matrix, one after the other."""
    at = 0
    while at < len(view):
        (word,) = struct.unpack_from(f"{order}I", view, at)
        if word >> 16:  # up to 4 bytes are kept in the tag
            kind, size, start, end = word & 0xFFFF, word >> 16, at + 4, at + 8
        else:
            kind, start = word, at + 8
            (size,) = struct.unpack_from(f"{order}I", view, at + 4)
            end = start + size + -size % 8
        at = end
        if kind not in _TYPES or start + size > min(end, len(view)):
            raise ValueError("an element is of no known type, or longer than what holds it")
        yield kind, view[start : start + size]


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a single struct."""
    names = getattr(value.dtype, "names", None)
    return {} if not names or value.size != 1 else {name: value.flat[0][name] for name in names}


def _is_numeric(value: Any) -> bool:
    return value.dtype.kind in "fiubc"


def _plain(value: Any, what: str, depth: int = 0) -> Cell:
    from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque
    from scipy.sparse import issparse

    if isinstance(value, MatlabFunction | MatlabObject | MatlabOpaque):
        raise InputError(f"{what} is neither numbers nor text ({type(value).__name__}).")
    if issparse(value):
        return dense(value.data, value.indices, value.indptr, value.shape, what)
    if value.dtype.names:
        raise InputError(f"{what} is a struct{listed(_fields(value))}.")
    if value.dtype.kind == "O":
        return [_plain(item, what, depth + 1) for item in value.ravel(order="F")]
    if value.dtype.kind == "U":
        return lines([str(row) for row in value]) if value.size else ""
    numbers: LabelArray = value.astype(value.dtype.newbyteorder("="), copy=False)
    return numbers
