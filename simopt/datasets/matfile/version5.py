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
from simopt.datasets.matfile.values import DEPTH, Cell, dense, lines, listed
from simopt.errors import InputError
from simopt.typing import LabelArray

# The numbers of MathWorks' "MAT-File Format".
_HEADER = 128
_GLANCE = 4096  # bytes that hold flags, dimensions and name of a variable
_UTF16 = {4, 17}  # units of 16 bits
_INT32, _UINT32, _MATRIX, _COMPRESSED = 5, 6, 14, 15
_TYPES = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14, 16, 17, 18}
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_NUMERIC = range(5, 16)
_COMPLEX = 0x800
_MOST_DIMENSIONS = 32


class _Header(NamedTuple):
    """What an array is, and the data elements that follow."""

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
                f"{title}: not a MAT file of MATLAB 5 to 7.3 (`save -v7` writes one), or cut off."
            )
        self.variables = dict(self._scan())
        self.last: dict[str, Any] = {}

    def _scan(self) -> Iterator[tuple[str, tuple[_Header, int]]]:
        """Yield the name of each variable with its header and where it lies."""
        end = self.handle.seek(0, 2)
        at = _HEADER
        while at < end:
            header = _header(memoryview(self._content(at, _GLANCE)), self.order, 3)
            if header.name:  # MATLAB keeps the workspace of its functions under no name
                yield header.name, (header, at)
            self.handle.seek(at)
            at += 8 + self._tag(self.handle.read(8))[1]
            if at > end:
                raise ValueError(f"it ends {at - end} bytes too early")

    def _tag(self, data: bytes) -> tuple[int, int]:
        kind, size = struct.unpack(f"{self.order}II", data)
        return kind, size

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
            content = self._content(self.variables[name][1])
            imaginary = _measure(memoryview(content), self.order)
            tag = struct.pack(f"{self.order}II", _MATRIX, len(content))
            # With mat_dtype, which gives numbers the type they have in MATLAB, scipy drops imaginary parts.
            file = io.BytesIO(self.header + tag + content)
            # By default scipy takes text in units of 16 bits for bytes.
            codec = {"<": "utf-16-le", ">": "utf-16-be"}[self.order]
            self.last = {name: loadmat(file, mat_dtype=not imaginary, uint16_codec=codec)[name]}
        return self.last[name]

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of the numeric arrays at the top level and one struct deep."""
        for name, (header, _) in self.variables.items():
            if header.kind in _NUMERIC:
                yield name, header.shape
            elif header.kind == _STRUCT:
                for field, child in _fields(self._whole(name)).items():
                    if child.dtype.kind in "fiubc":
                        yield f"{name}.{field}", child.shape

    def value(self, name: str) -> Cell:
        """Return numbers, text or cells by name, ``struct.field`` of a field."""
        top, *fields = name.split(".")
        if top not in self.variables:
            raise InputError(f"{self.title}: {checks.unknown(name, self.variables, 'array')}")
        value = self._whole(top)
        for field in fields:
            known = _fields(value)
            if field not in known:
                raise InputError(f"{self.title}: there is no {name}{listed(known)}.")
            value = known[field]
        return _plain(value, f"{self.title}: {name}")


def _header(view: memoryview, order: str, most: int | None = None) -> _Header:
    """Read flags, shape and name of an array; of its data elements at most ``most`` are looked at."""
    parts = list(itertools.islice(_parts(view, order), most))
    if len(parts) < 3 or parts[0][0] != _UINT32 or len(parts[0][1]) != 8:
        raise ValueError("an array without its flags, shape or name")
    (flags,) = struct.unpack(f"{order}I", parts[0][1][:4])
    kind, shape = flags & 0xFF, (1, 1)
    if kind != _OPAQUE:  # which has no shape
        type_, dimensions = parts.pop(1)
        shape = tuple(np.frombuffer(dimensions, f"{order}i4").tolist())
        if type_ not in (_INT32, _UINT32) or not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
            raise ValueError(f"an array of shape {shape}")
    return _Header(kind, bool(flags & _COMPLEX), shape, bytes(parts[1][1]).decode("latin-1"), parts[2:])


def _measure(view: memoryview, order: str, depth: int = 0) -> bool:
    """Refuse an array that is not of the parts that its class has, and return whether it has imaginary parts.

    Parameters
    ----------
    view : memoryview
        What the array holds, without its own tag.
    order : {"<", ">"}
    depth : int
        How many arrays hold this one.
    """
    if not view:
        return False  # an empty matrix
    kind, imaginary, shape, _, parts = _header(view, order)
    data = {_CELL: 0, _STRUCT: 2, _OBJECT: 3, _CHAR: 1, _SPARSE: 3 + imaginary, _FUNCTION: 0, _OPAQUE: 2}
    before = data.get(kind, 1 + imaginary)
    inside = {_CELL: math.prod(shape), _FUNCTION: 1, _OPAQUE: 1}.get(kind, 0)
    if kind in (_STRUCT, _OBJECT):
        (_, width), (_, names) = parts[before - 2 : before]
        inside = math.prod(shape) * (len(names) // struct.unpack(f"{order}i", width)[0])
    fits = all((type_ == _MATRIX) == (i >= before) for i, (type_, _) in enumerate(parts))
    if not fits or len(parts) != before + inside or depth > DEPTH:
        raise ValueError(f"an array of other parts than its class has, or more than {DEPTH} in each other")
    if kind == _CHAR and _has_surrogates(*parts[0], order):
        raise ValueError("a text with characters beyond 16 bits, which scipy reads as others")
    # An empty text may have any shape: scipy fills it with blanks.
    if kind == _CHAR and math.prod(max(n, 1) for n in shape) > len(view):
        raise ValueError(f"a text of shape {shape} in {len(view)} bytes")
    return any([imaginary, *(_measure(child, order, depth + 1) for _, child in parts[before:])])


def _has_surrogates(type_: int, text: memoryview, order: str) -> bool:
    units = np.frombuffer(text, f"{order}u2") if type_ in _UTF16 and len(text) % 2 == 0 else np.array([])
    return bool(((units >= 0xD800) & (units < 0xE000)).any())


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


def _plain(value: Any, what: str, depth: int = 0) -> Cell:
    from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque
    from scipy.sparse import issparse

    if isinstance(value, MatlabFunction | MatlabObject | MatlabOpaque):
        kind = type(value).__name__.removeprefix("Matlab").lower()
        raise InputError(f"{what} is neither numbers nor text ({kind}).")
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
