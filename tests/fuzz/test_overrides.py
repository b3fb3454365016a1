"""Overrides of every kind: refused in one or two lines or taken, and nothing run on the way.

What a command line names in ``_target_`` may be imported, and is called where it is a measure, an
optimizer, an initialisation, or a class of datasets or of decoders: the user's own code.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from simopt import catalogue, datasets, measures
from simopt.app.config import requests
from simopt.app.sweep.combinations import combinations
from simopt.errors import InputError
from simopt.optimization.setup import check
from simopt.report import selection
from simopt.workflows.data import Data
from tests.fuzz import grammar, watch
from tests.fuzz.watch import Yard, both, size

X = np.random.default_rng(0).standard_normal((12, 4))
Y = X + np.random.default_rng(1).standard_normal((12, 4))

COMMANDS = {
    "run": lambda overrides: requests.run(overrides).check(),
    "sweep": combinations,
    "sensitivity": lambda overrides: requests.sensitivity(overrides).check(),
    "joint": lambda overrides: [each.check() for each in requests.joint(overrides)],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with watch.yard(tmp_path_factory.mktemp("overrides"), may_change=("outputs",)) as yard:
        np.save("x.npy", X)
        yield yard


@both
@pytest.mark.parametrize("command", COMMANDS)
def test_overrides_are_taken_or_refused(place: Yard, command: str, many: bool) -> None:
    @size(many, quick=4, long=500)
    @given(grammar.overrides(command))
    @example(["dataset._target_=..", "dataset._target_=.."])
    @example(["decoder.no_such=[[[1]]]", "~measure", "measure=[[[1]]]", "~measure"])
    @example(["optimizer._target_=builtins.exit"])
    @example(["measure._target_=simopt.app.cli.app"])
    @example(["log.dir=~nobody_of_this_name/x", "dir=~nobody_of_this_name/x"])
    @example(["max_steps=range(0,1e9)"])
    @example(["max_steps=range(0,9999)", "optimizer.lr=range(0,9999)"])
    @example(["+measure.name=[[0.0]]"])
    @example(["optimizer._target_=torch.load"])
    @example(["~track", "+track=[[3]]"])
    @example(["measure._partial_=.", "optimizer._partial_=false", "init._partial_=true"])
    @example(["++log.no_such=NULL"])
    @example(["~hydra/launcher"])
    @example(["hydra.launcher=null"])
    @example(["hydra.sweeper=5"])
    def each(overrides: list[str]) -> None:
        with place.watched():
            watch.refused(lambda: COMMANDS[command](overrides))

    each()


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.integers(2**60, 2**70),
    st.floats(),
    st.sampled_from(
        ("", "a", "cka", "nan", "0:5", "../x", "~nobody_of_this_name/x", "x" * 1000, "\x1b", "Y", "\0")
    ),
    st.text(max_size=5),
)
VALUES: Any = st.one_of(
    PLAIN,
    st.recursive(
        PLAIN,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text("abc", max_size=2), inner, max_size=2)
        ),
        max_leaves=4,
    ),
)
OPTIONS = [
    (group, name, option)
    for group in ("dataset", "optimizer", "init", "decoder", "measure")
    for name in catalogue.names(group)
    for option in catalogue.read(group, name)
    if option not in ("_target_", "aliases")
]


SMALL = np.random.default_rng(0).standard_normal((24, 4))


def built(group: str, name: str, option: str, value: object) -> None:
    node = {**catalogue.read(group, name), option: value}
    if group == "dataset":
        if name == "file" and option != "path":
            node["path"] = "x.npy"
        loader = datasets.build(node)
        if name in ("file", "gaussian", "ultrametric"):
            loader.load()
    elif group == "optimizer":
        factory = catalogue.build(node, group, partial=True)
        check(measures.get("cka"), factory, seeds=[0], target=0.9, max_steps=3)
    elif group == "measure":
        measures.build(node)(SMALL, SMALL[:, ::-1] ** 2)
    else:
        catalogue.build(node, group)


@both
def test_values_of_options_are_taken_or_refused(place: Yard, many: bool) -> None:
    @size(many, quick=60, long=6000)
    @given(st.sampled_from(OPTIONS), VALUES)
    @example(("dataset", "file", "path"), None)
    @example(("dataset", "file", "path"), "~nobody_of_this_name/x.npy")
    @example(("dataset", "gaussian", "spectrum"), "]")
    @example(("dataset", "gaussian", "spectrum"), [1e308, 1e308])
    @example(("measure", "cka_rbf", "scale"), 23116287050410)
    @example(("measure", "pls25", "per_unit"), 1.5)
    @example(("measure", "pairwise_matching", "seed"), 2**70)
    @example(("measure", "linreg_cv5", "seed"), 2**32)
    @example(("decoder", "standard", "seed"), 2**32)
    @example(("dataset", "file", "average"), [])
    @example(("measure", "gulp", "penalty"), 2**70)
    @example(("measure", "cknna", "added"), 2**70)
    @example(("measure", "ridge100", "penalty"), 10**400)
    @example(("measure", "cka_polynomial", "offset"), 2**70)
    @example(("measure", "cka_polynomial", "degree"), 2**70)
    @example(("dataset", "ultrametric", "units"), 2**61)
    @example(("dataset", "gaussian", "samples"), 2**70)
    def each(place_of: tuple[str, str, str], value: object) -> None:
        with place.watched():
            watch.refused(lambda: built(*place_of, value))

    each()


HARMLESS = (
    "max_steps",
    "dataset",
    "nulls",
    "seeds",
    "log",
    "hydra",
    "experiment",
    "defaults",
    "target",
    "init",
)
TINY = ["dataset=gaussian", "dataset.samples=12", "dataset.units=3", "max_steps=2", "track=[]"]


@both
def test_runs_end_in_an_exit_code_and_at_most_two_lines(place: Yard, many: bool) -> None:
    @size(many, quick=5, long=600)
    @given(grammar.overrides("run", without=HARMLESS))
    @example(["measure.name='../../x'"])
    @example(["dataset.name='\x1b[31m'"])
    @example(["dataset.name=[1]"])
    @example(["init._target_=pathlib.Path"])
    @example(["optimizer._target_=builtins.list"])
    @example(["measure._partial_=."])
    def each(overrides: list[str]) -> None:
        before = set(place.root.rglob("*"))
        # What a measure of the user's own raises is told as unexpected, by design.
        assume(not any("measure._target_" in override for override in overrides))
        with place.watched(writes=True):
            watch.call(["run", "--", *TINY, *overrides])
        made = set(place.root.rglob("*")) - before
        assert all((place.root / "work/outputs") in (path, *path.parents) for path in made), made

    each()


@both
def test_arguments_of_report_and_score(place: Yard, many: bool) -> None:
    @size(many, quick=60, long=3000)
    @given(
        st.lists(
            st.one_of(
                st.sampled_from(grammar.WILD),
                st.text(max_size=20),
                st.tuples(st.sampled_from((*selection.KEYS, "no", "")), grammar.VALUES).map("=".join),
                # A pattern that starts at the root, or leaves the folder, may walk through the whole disk.
                st.text("*?[]!/.x", max_size=12).filter(lambda text: text[:1] != "/" and ".." not in text),
            ),
            max_size=3,
        )
    )
    @example(["~nobody_of_this_name/x"])
    @example(["\0"])
    @example(["x" * 300 + "*"])
    def each(arguments: list[str]) -> None:
        with place.watched():
            watch.refused(lambda: selection.parse(arguments))
            for argument in arguments:
                watch.refused(lambda: Data.named(argument))  # noqa: B023, it is called here

    each()


@pytest.mark.parametrize("group", grammar.NODES)
def test_what_an_override_may_call(place: Yard, group: str) -> None:
    Path("own_code.py").write_text(
        "from pathlib import Path\n"
        "def touch(*values, **options):\n"
        f"    Path({str(place.marker)!r}).touch()\n"
        "    raise ValueError('called')\n"
    )
    overrides = [f"{group}=gaussian" if group == "dataset" else f"++{group}._target_=own_code.touch"]
    overrides += ["dataset._target_=own_code.touch"] if group == "dataset" else []
    chosen = ["dataset=ultrametric", *overrides][group == "dataset" :]
    with contextlib.suppress(ValueError):
        requests.run(chosen).check()
    called = place.marker.exists()
    place.marker.unlink(missing_ok=True)
    assert called == (group in ("optimizer", "init"))


def test_a_message_is_fit_for_a_terminal() -> None:
    said = str(InputError("a\x1b[31m\u202eb\n" + "c\n" * 5 + "d" * 10**6))
    assert said.startswith(r"a\x1b[31m\u202eb")
    assert len(said.splitlines()) == 2
    assert len(said) < 2100
    assert all(c.isprintable() or c == "\n" for c in said)
    assert str(InputError("Ünïcode ≥ 1.")) == "Ünïcode ≥ 1."
