"""Broken and crafted files of recordings: refused in one or two lines, and nothing in them is run."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array

from simopt import datasets
from tests.datasets import test_formats as formats
from tests.fuzz import files, watch
from tests.fuzz.apart import Apart
from tests.fuzz.watch import Yard, both, size


def all_classes(folder: Path) -> Path:
    """A version 5 file of every class that scipy writes, uncompressed: no checksum tells of changes."""
    cells = np.empty((1, 3), dtype=object)
    cells[0] = [np.eye(2), "text", np.array(formats.WORDS, dtype=object)]
    group = {
        "responses": formats.FLAT,
        "sparse": csc_array(np.eye(3)),
        "cells": cells,
        "imaginary": 1j * np.eye(2),
    }
    return formats.mat5(
        folder, group=group, text=np.array(["car", "faces"]), mask=np.eye(3) > 0, sparse=csc_array(np.eye(4))
    )


NAMED = {"labels": ["object"]}
SEEDS: dict[str, tuple[Callable, dict]] = {
    "npz": (lambda d: formats.npz(d, responses=formats.FLAT, object=np.array(formats.WORDS)), NAMED),
    "h5": (lambda d: formats.h5(d, axes="time,condition,unit", responses=formats.X), {}),
    "mat": (formats.mat5, NAMED),
    "mat of all classes": (all_classes, {"key": "group.responses"}),
    "mat 7.3": (formats.mat73, {"labels": ["trial"]}),
    "nc": (formats.nc3, NAMED),
    "nc 4": (formats.nc4, NAMED),
    "csv": (lambda d: formats.table(d, formats.csv_rows()), NAMED),
    "tsv": (lambda d: formats.table(d, formats.csv_rows("\t"), ".tsv"), NAMED),
    "parquet": (formats.parquet, NAMED),
    "nwb": (formats.nwb, {"window": [0, 200], "conditions": "0:2", "constant_units": "keep"}),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with watch.yard(tmp_path_factory.mktemp("files")) as yard:
        yield yard


@both
@pytest.mark.parametrize("kind", SEEDS)
def test_mutated_files(place: Yard, tmp_path: Path, kind: str, many: bool) -> None:
    write, options = SEEDS[kind]
    seed = write(tmp_path)
    content = seed.read_bytes()
    path = Path("x" + seed.suffix)
    apart = Apart(place) if content.startswith(files.HDF5) or seed.suffix == ".mat" else None

    def load() -> None:
        watch.refused(lambda: datasets.load("file", path=str(path), **options))

    @size(many, quick=15, long=500)
    @given(files.CHANGES, st.booleans())
    def each(changes: list[files.Change], inside: bool) -> None:
        zipped = inside and seed.suffix == ".npz"
        path.write_bytes((files.changed_inside if zipped else files.changed)(content, changes))
        if apart:
            apart.each(path, load)
            return
        with place.watched():
            load()

    each()
    if apart:
        apart.judge()


def crafted(marker: Path) -> dict[str, bytes]:
    payload = np.array([[files.Payload(marker)]], dtype=object)
    code = pickle.dumps(payload)
    shapes = ("(1000000000000, 8)", "(-1, 8)", "(0, 8)", "(8,)", "()", "(2**70, 8)", "('a', 8)", "[8, 8]")
    head = "{{'descr': {0}, 'fortran_order': False, 'shape': {1}}}"
    found = {f"shape {shape}.npy": files.npy(head.format("'<f8'", shape), bytes(512)) for shape in shapes}
    for descr in ("'|O'", "'|V8'", "'<c16'", "'<M8[s]'", "[('a', '<f8')]", "'nonsense'", "__import__('os')"):
        found[f"dtype {descr.replace('/', '')}.npy"] = files.npy(
            head.format(descr, "(8, 8)"), code + bytes(512)
        )
    found["a pickle.npy"] = found["a pickle.npz"] = code
    found["unwritten.h5"] = files.hdf5(lambda f: files.unwritten(f, (2**20, 2**20)))
    found["somewhat unwritten.h5"] = files.hdf5(lambda f: files.unwritten(f, (2**14, 2**14)))
    found["unwritten.nc"] = files.hdf5(lambda f: files.unwritten(f, (2**14, 2**14)))
    found["a bomb.h5"] = files.hdf5(files.bomb)

    def link(file: h5py.File) -> None:
        file["responses"] = h5py.ExternalLink("other.h5", "responses")
        file["loop"] = h5py.SoftLink("/loop")

    found["links.h5"] = files.hdf5(link)
    return found


def test_crafted_files(place: Yard) -> None:
    for name, content in crafted(place.marker).items():
        path = Path(name)
        path.write_bytes(content)
        with place.watched():
            assert watch.refused(lambda: datasets.load("file", path=str(path))) is not None, name  # noqa: B023
