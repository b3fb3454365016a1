"""Run files that went wrong: the report skips them with a line, and nothing in them is run."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simopt.report import collect
from tests.fuzz import files, watch
from tests.fuzz.apart import Apart
from tests.fuzz.watch import Yard, both, size

STORED = (Path(__file__).parents[1] / "data" / "run_schema1.h5").read_bytes()
VALUES = st.one_of(
    st.sampled_from((
        "\x1b[31m", "[red]x[/red]", "<script>", "../../x", "", "x" * 60_000, "done", "[[", "a: &a [x]\nb: *a",
        "measure: !!python/object/apply:os.mkdir [marker]", np.zeros(3), np.array([b"x"]), np.float32("nan"),
        np.uint64(2**63), np.bytes_(b"\xff"), h5py.Empty("f8"),
    )),
    st.integers(-(2**62), 2**62),
    st.floats(),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with watch.yard(tmp_path_factory.mktemp("runs")) as yard:
        yield yard


def report(path: Path) -> None:
    def collected() -> None:
        for line in collect([path]).broken:
            assert len(line.splitlines()) == 1
            assert line.isprintable()

    watch.refused(collected)


@both
def test_mutated_runs(place: Yard, many: bool) -> None:
    path = Path("run.h5")
    apart = Apart(place)

    @size(many, quick=40, long=1500)
    @given(files.CHANGES)
    def each(changes: list[files.Change]) -> None:
        path.write_bytes(files.changed(STORED, changes))
        apart.each(path, lambda: report(path))

    each()
    apart.judge()


@both
def test_crafted_attributes(place: Yard, many: bool) -> None:
    path = Path("run.h5")

    @size(many, quick=40, long=1500)
    @given(st.integers(0, 50), VALUES)
    def each(which: int, value: object) -> None:
        path.write_bytes(STORED)
        with h5py.File(path, "a") as file:
            names = sorted(file.attrs)
            file.attrs[names[which % len(names)]] = value
        with place.watched():
            report(path)

    each()
