"""MAT files of version 5 to 7.2, read here: scipy's reader can crash the interpreter on a broken file."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from simopt import checks
from simopt.datasets.matfile.values import DEPTH, NUMERIC, Cell, dense, lines, listed
from simopt.errors import InputError
from simopt.typing import LabelArray

# The numbers of MathWorks' "MAT-File Format".
_HEADER = 128
_GLANCE = 4096  # bytes that hold flags, dimensions and name of a variable
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_KINDS = (
    *("none", "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16"),
    *("uint16", "int32", "uint32", "int64", "uint64", "function_handle", "opaque"),
)


@dataclass(frozen=True)
class _Matrix:
    """An array of a version 5 file, its header read: ``body`` is what follows."""

    name: str
    kind: str
    shape: tuple[int, ...]
    logical: bool
    complex: bool
    body: memoryview


class Mat5:
    """An open file of version 5 to 7.2."""

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
        """Return what the variable at this place holds, or the start of it: at most ``limit`` bytes."""
        self.handle.seek(at)
        kind, size = struct.unpack(f"{self.order}II", self.handle.read(8))
        if kind == _MATRIX:
            return memoryview(self.handle.read(min(size, limit or size)))
        if kind != _COMPRESSED:
            raise ValueError(f"a variable of type {kind}")
        packed = self.handle.read(min(size, limit or size))
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
        """Yield name and shape of the numeric arrays at the top level and one struct deep."""
        for name, (matrix, _) in self.variables.items():
            if matrix.kind in NUMERIC:
                yield name, matrix.shape
            elif matrix.kind == "struct":
                for field, child in self._fields(self._whole(name)).items():
                    if child.kind in NUMERIC:
                        yield f"{name}.{field}", child.shape

    def value(self, name: str) -> Cell:
        """Return numbers, text or cells by name, ``struct.field`` of a field."""
        top, *fields = name.split(".")
        if top not in self.variables:
            raise InputError(f"{self.title}: {checks.unknown(name, self.variables, 'array')}")
        matrix = self._whole(top)
        for field in fields:
            known = self._fields(matrix)
            if field not in known:
                raise InputError(f"{self.title}: there is no {name}{listed(known)}.")
            matrix = known[field]
        return self._plain(matrix, name, 0)

    def _plain(self, matrix: _Matrix, name: str, depth: int) -> Cell:
        what = f"{self.title}: {name}"
        if matrix.kind == "struct":
            raise InputError(f"{what} is a struct{listed(self._fields(matrix))}.")
        if matrix.kind == "cell" and depth < DEPTH:
            children = self._children(matrix, 0, math.prod(matrix.shape))
            return [self._plain(child, name, depth + 1) for child in children]
        if matrix.kind == "char":
            return self._text(matrix)
        if matrix.kind == "sparse":
            rows, at = self._numbers(matrix.body, 0)
            starts, at = self._numbers(matrix.body, at)
            return dense(self._values(matrix, at, int(starts[-1])), rows, starts, matrix.shape, what)
        if matrix.kind not in NUMERIC:
            raise InputError(f"{what} is neither numbers nor text ({matrix.kind}).")
        values = self._values(matrix, 0, math.prod(matrix.shape))
        return values.reshape(matrix.shape, order="F")

    def _values(self, matrix: _Matrix, at: int, count: int) -> LabelArray:
        if count == 0:
            return np.zeros(0, dtype=NUMERIC[matrix.kind])
        values, at = self._numbers(matrix.body, at)
        if matrix.complex:
            values = values + 1j * self._numbers(matrix.body, at)[0]
        if len(values) < count:
            raise ValueError(f"{len(values)} numbers for an array of {count}")
        kept = values[:count]
        return kept if matrix.complex else kept.astype(bool if matrix.logical else NUMERIC[matrix.kind])

    def _text(self, matrix: _Matrix) -> LabelArray | str:
        if math.prod(matrix.shape) == 0:
            return ""
        kind, data, _ = self._element(matrix.body, 0)
        wide = {"<": "-le", ">": "-be"}[self.order] if kind in (4, 17, 18) else ""
        text = bytes(data).decode(_TEXTS[kind] + wide, "replace")
        rows = matrix.shape[0]
        if rows > len(text):
            raise ValueError(f"{len(text)} characters for {rows} rows of text")
        return lines([text[row::rows] for row in range(rows)])
