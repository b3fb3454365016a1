"""Files that went wrong: valid ones mutated, and others crafted to mislead."""

import io
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
from hypothesis import strategies as st

Change = Callable[[bytes], bytes]

HDF5 = b"\x89HDF\r\n\x1a\n"

_PATTERNS = (
    b"\x00" * 8,
    b"\xff" * 8,
    b"\xff" * 4,
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\x7f",
    b"\x7f",
    b"\x80",
    b"\n",
    b"\x00",
    b"\x00\x00\x00\x00\x00\x00\x00\x80",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x00\x00\x00\x40\x00\x00\x00\x00",
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f",
    b"1e999",
    b"nan",
    b",,,",
    b"'|O'",
    b"<f8",
    b"\x1b[31m",
    b"../../x",
)


def _at(content: bytes, where: float) -> int:
    return int(where * max(0, len(content) - 1))


def _flip(where: float, bit: int) -> Change:
    def change(content: bytes) -> bytes:
        some = bytearray(content)
        if some:
            some[_at(content, where)] ^= 1 << bit
        return bytes(some)

    return change


def _put(where: float, what: bytes) -> Change:
    return lambda c: c[: _at(c, where)] + what + c[_at(c, where) + len(what) :]


def _insert(where: float, what: bytes) -> Change:
    return lambda c: c[: _at(c, where)] + what + c[_at(c, where) :]


def _cut(where: float, length: int) -> Change:
    return lambda c: c[: _at(c, where)] + c[_at(c, where) + length :]


def _truncate(where: float, length: int) -> Change:
    return lambda c: c[: _at(c, where)]


def _repeat(where: float, length: int) -> Change:
    return lambda c: c[: _at(c, where) + length] + c[_at(c, where) :]


_where = st.one_of(
    st.floats(0, 1),
    st.floats(0, 0.1),
    st.floats(0, 0.02),
    st.floats(0.95, 1),
)
_what = st.one_of(st.sampled_from(_PATTERNS), st.binary(min_size=1, max_size=8))

CHANGES: st.SearchStrategy[list[Change]] = st.lists(
    st.one_of(
        st.builds(_flip, _where, st.integers(0, 7)),
        st.builds(_flip, _where, st.integers(0, 7)),
        st.builds(_put, _where, _what),
        st.builds(_put, _where, _what),
        st.builds(_insert, _where, _what),
        st.builds(_cut, _where, st.integers(1, 64)),
        st.builds(_truncate, _where, st.just(0)),
        st.builds(_repeat, _where, st.integers(1, 256)),
    ),
    min_size=1,
    max_size=4,
)
"""What happens to a valid file: bits and bytes changed, numbers made huge, parts gone or doubled."""


def changed(content: bytes, changes: list[Change]) -> bytes:
    """Apply changes one after the other."""
    for change in changes:
        content = change(content)
    return content


def changed_inside(archive: bytes, changes: list[Change]) -> bytes:
    """Change the first member of a zip file, whose checksum is then right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for at, name in enumerate(old.namelist()):
            new.writestr(name, old.read(name) if at else changed(old.read(name), changes))
    return out.getvalue()


class Payload:
    """What a pickle would run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def npy(header: str, data: bytes, version: bytes = b"\x01\x00") -> bytes:
    """An npy file with any header."""
    text = header.encode("utf-8", "surrogatepass") + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text + data


def hdf5(fill: Callable[[h5py.File], object]) -> bytes:
    """The bytes of an HDF5 file."""
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        return bytes(file.id.get_file_image())


def unwritten(file: h5py.File, shape: tuple[int, ...], dtype: object = "f8", name: str = "responses") -> None:
    """A dataset that takes no space and says that it is large."""
    file.create_dataset(name, shape, dtype, chunks=tuple(min(64, n) for n in shape), compression="gzip")


def bomb(file: h5py.File) -> None:
    """Two gigabytes of zeros in two megabytes."""
    data = file.create_dataset("responses", (2**14, 2**14), "f8", chunks=(2**10, 2**10), compression="gzip")
    packed = zlib.compress(bytes(8 * 2**20))
    for row in range(0, 2**14, 2**10):
        for column in range(0, 2**14, 2**10):
            data.id.write_direct_chunk((row, column), packed)
