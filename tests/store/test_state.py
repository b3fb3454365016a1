"""Nested values as JSON and arrays: what is packed comes back, also through a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simopt.errors import StorageError
from simopt.store import image
from simopt.store.image import Stored
from simopt.store.state import build, pack, unpack

ARRAYS = arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]),
    st.sampled_from([(3,), (2, 0), (2, 2)]),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    ARRAYS,
    ARRAYS.map(torch.from_numpy),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), inner, max_size=3),
        st.dictionaries(st.integers(0, 99), inner, max_size=3),
    ),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and same(a.numpy(), b.numpy())
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_what_is_packed_comes_back(value: Any) -> None:
    assert same(value, unpack(*pack(value, "resume")))


@given(VALUES)
@settings(max_examples=25, deadline=None)
def test_what_is_packed_comes_back_through_a_file(tmp_path_factory: Any, value: Any) -> None:
    path = tmp_path_factory.mktemp("state") / "a.h5"
    structure, parts = pack([value], "resume")
    image.write(path, Stored({}, parts, {"resume": {"state": structure}}))
    with image.opened(path) as file:
        content = image.content(file)
    assert same([value], unpack(content.groups["resume"]["state"], content.arrays))


def test_an_optimizer_goes_on_from_its_packed_state() -> None:
    def steps(optimizer: torch.optim.Optimizer, Y: torch.Tensor, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            (Y**4).sum().backward()
            optimizer.step()

    Y = torch.ones(3, requires_grad=True)
    adam = torch.optim.Adam([Y], lr=0.1)
    steps(adam, Y, 3)
    unpacked = unpack(*pack({"Y": Y, "adam": adam.state_dict()}, "resume"))
    again = unpacked["Y"].clone().requires_grad_()
    other = torch.optim.Adam([again], lr=0.1)
    other.load_state_dict(unpacked["adam"])
    steps(adam, Y, 3)
    steps(other, again, 3)
    assert torch.equal(Y, again)


def test_names_that_clash_in_the_file_stay_apart() -> None:
    value = {"a/b": np.zeros(1), "a.b": np.ones(1), "a_b": np.full(1, 2.0), "": np.full(1, 3.0)}
    structure, parts = pack(value, "fields")
    assert len(parts) == 4
    assert same(value, unpack(structure, parts))


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", 1j])
def test_what_a_file_cannot_hold(value: Any) -> None:
    with pytest.raises(StorageError, match=r"resume/0 is a \w+, which a file cannot store"):
        pack([value], "resume")


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...]
    limits: tuple[float, int] = (0.5, 1)
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Outer:
    title: str
    parts: list[Inner]
    by_name: dict[str, Inner]
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    path: Path | None = None
    ratio: float = 1.0


OUTER = Outer(
    "é",
    [Inner(("a", "b")), Inner((), (1.0, 2))],
    {"x/y": Inner(("c",), weights=np.arange(3))},
    {"z": np.eye(2)},
    Path("a/b"),
    float("nan"),
)


def test_dataclasses_are_built_by_their_annotations() -> None:
    built = build(Outer, unpack(*pack(OUTER, "fields")))
    assert isinstance(built.parts[0], Inner)
    assert built.parts == OUTER.parts
    assert built.path == OUTER.path
    np.testing.assert_array_equal(built.by_name["x/y"].weights, np.arange(3))
    np.testing.assert_array_equal(built.numbers["z"], np.eye(2))
    assert np.isnan(built.ratio)
    assert build(Outer, {"title": "t", "parts": [], "by_name": {}, "ratio": 2}).ratio == 2.0


@pytest.mark.parametrize(
    "changed", [{"title": 5}, {"title": None}, {"parts": 5}, {"more": 1}, {"by_name": []}, {"ratio": "x"}],
    ids=str,
)  # fmt: skip
def test_what_is_not_of_the_annotated_type_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError)):
        build(Outer, {"title": "t", "parts": [], "by_name": {}, **changed})


@pytest.mark.parametrize(
    "structure", ["", "[]", "{}", "5", '{"dict": 5}', '{"array": "gone"}', '{"a": 1, "b": 2}']
)
def test_a_structure_that_is_none(structure: str) -> None:
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError)):
        unpack(structure, {})
