"""MAT files of version 5 to 7.2, of which little is read before it is wanted.

They are read here and not by scipy, whose reader trusts the sizes in a file and ends the process on some
that are wrong.

Source: MathWorks, "MAT-File Format".
"""

from __future__ import annotations

import functools
import itertools
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from simopt import checks
from simopt.datasets.matfile.values import DEPTH, Cell, MatFile, dense, lines, listed
from simopt.errors import InputError
from simopt.typing import LabelArray

_HEADER = 128
_GLANCE = 4096  # bytes that hold flags, dimensions and name of a variable
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR, _SPARSE, _DOUBLE, _OPAQUE = 1, 2, 4, 5, 6, 17
_NUMERIC = {_SPARSE: "f8", _DOUBLE: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4"}
_NUMERIC |= {14: "i8", 15: "u8"}
_OTHER = {3: "object", 16: "function", _OPAQUE: "opaque"}
_COMPLEX, _LOGICAL = 0x800, 0x200
_MOST_DIMENSIONS = 32


class _Array(NamedTuple):
    """What an array is; ``content`` returns its data elements, the header among them."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    content: Callable[[], bytes | memoryview]


class Mat5(MatFile):
    """An open file of version 5 to 7.2."""

    def __init__(self, handle: BinaryIO, title: str) -> None:
        self.handle = handle
        self.title = title
        self.order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(handle.read(_HEADER)[124:], "")
        if not self.order:
            raise InputError(
                f"{title}: not a MAT file of MATLAB 5 to 7.3 (`save -v7` writes one), or cut off."
            )
        self.content = functools.lru_cache(1)(self._content)  # read again for every field of a struct
        # MATLAB keeps the workspace of its functions under no name.
        self.variables = {array.name: array for array in self._scan() if array.name}

    def children(self, item: _Array | None) -> dict[str, _Array]:
        """Return the fields of a single struct, of the file for None."""
        if item is None:
            return self.variables
        if item.kind != _STRUCT or math.prod(item.shape) != 1:
            return {}
        (_, width), (_, names), *fields = self._data(item)
        (step,) = struct.unpack(f"{self.order}i", width)
        known = (bytes(names[at : at + step]).partition(b"\0")[0] for at in range(0, len(names), step))
        arrays = (self._array(view) for _, view in fields)
        return {name.decode("latin-1"): array for name, array in zip(known, arrays, strict=True)}

    def shape(self, item: _Array) -> tuple[int, ...] | None:
        """Return the shape of an array of numbers."""
        return item.shape if item.kind in _NUMERIC else None

    def plain(self, item: _Array, what: str, depth: int = 0) -> Cell:
        """Return numbers, text or cells."""
        if item.kind in _OTHER:
            raise InputError(f"{what} is neither numbers nor text ({_OTHER[item.kind]}).")
        if item.kind == _STRUCT:
            raise InputError(f"{what} is a struct{listed(self.children(item))}.")
        if not item.content():
            return np.zeros((0, 0))
        parts, size, pair = self._data(item), math.prod(item.shape), bool(item.flags & _COMPLEX)
        count = {_CELL: size, _CHAR: 1, _SPARSE: 3 + pair}.get(item.kind, 1 + pair)
        types = {_CELL: {_MATRIX: ""}, _CHAR: _ENCODINGS}.get(item.kind, _DTYPES)
        fits = all(type_ in types for type_, _ in parts)
        if not fits or len(parts) != count or depth > DEPTH:
            raise ValueError(
                f"an array of other parts than its class has, or more than {DEPTH} in each other"
            )
        if item.kind == _CELL:
            return [self.plain(self._array(view), what, depth + 1) for _, view in parts]
        if item.kind == _CHAR:
            return self._text(*parts[0], item.shape) if size else ""
        *places, values = map(self._numbers, parts[:-1] if pair else parts)
        values = values.astype(bool if item.flags & _LOGICAL else _NUMERIC[item.kind])
        if pair:
            values = values + 0j
            values.imag = self._numbers(parts[-1])
        return (
            dense(values, places[0], places[1], item.shape, what)
            if places
            else values.reshape(item.shape, order="F")
        )

    def _scan(self) -> Iterator[_Array]:
        """Yield the variables of the file."""
        end = self.handle.seek(0, 2)
        at = _HEADER
        while at < end:
            yield self._array(self._content(at, _GLANCE), functools.partial(self.content, at))
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
        inflate = zlib.decompressobj()
        if kind == _COMPRESSED:
            kind, size = self._tag(inflate.decompress(packed, 8))
        if kind != _MATRIX:
            raise ValueError(f"a variable of type {kind}")
        if limit is None:
            checks.unpacked(size, len(packed), f"{self.title}: a variable")
        content = inflate.decompress(inflate.unconsumed_tail, limit or size + 1)
        # Only at the end of the stream has its checksum been compared.
        if limit is None and not (len(content) == size and inflate.eof):
            raise ValueError("a compressed variable is broken")
        return content

    def _array(
        self, view: bytes | memoryview, content: Callable[[], bytes | memoryview] | None = None
    ) -> _Array:
        """Read flags, shape and name of an array, of which no more than these need be in view."""
        content = content or (lambda: view)
        if not view:
            return _Array(_DOUBLE, 0, (0, 0), "", content)
        (_, flags), second, third = itertools.islice(self._parts(view), 3)
        (word,) = struct.unpack(f"{self.order}I4x", flags)
        kind, shape, name = word & 0xFF, (1, 1), second[1]
        if kind != _OPAQUE:  # which has no shape
            shape, name = tuple(np.frombuffer(second[1], f"{self.order}i4").tolist()), third[1]
        if not 2 <= len(shape) <= _MOST_DIMENSIONS or min(shape) < 0:
            raise ValueError(f"an array of shape {shape}")
        return _Array(kind, word, shape, bytes(name).decode("latin-1"), content)

    def _data(self, item: _Array) -> list[tuple[int, memoryview]]:
        """Return type and bytes of the data elements of an array that come after its name."""
        return list(self._parts(item.content()))[3:]

    def _parts(self, content: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield type and bytes of the data elements in an array, one after the other."""
        view, at = memoryview(content), 0
        while at < len(view):
            (word,) = struct.unpack_from(f"{self.order}I", view, at)
            if word >> 16:  # up to 4 bytes are kept in the tag
                kind, size, start, end = word & 0xFFFF, word >> 16, at + 4, at + 8
            else:
                kind, start = word, at + 8
                (size,) = struct.unpack_from(f"{self.order}I", view, at + 4)
                end = start + size + -size % 8
            at = end
            if start + size > min(end, len(view)):
                raise ValueError("an element is longer than what holds it")
            yield kind, view[start : start + size]

    def _numbers(self, part: tuple[int, memoryview]) -> LabelArray:
        kind, view = part
        return np.frombuffer(view, self.order + _DTYPES[kind])

    def _text(self, kind: int, view: memoryview, shape: tuple[int, ...]) -> LabelArray | str:
        """Return a row of characters as text, several as an array of text."""
        order = {"<": "-le", ">": "-be"}[self.order] if _ENCODINGS[kind] in ("utf-16", "utf-32") else ""
        text = bytes(view).decode(_ENCODINGS[kind] + order, "replace")
        rows = [text] if shape[0] == 1 else np.array(list(text)).reshape(shape, order="F")
        return lines(["".join(row) for row in rows])
