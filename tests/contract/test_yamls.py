"""What every yaml promises: all options of its class, with its defaults but for the values listed here."""

import inspect
import re
import typing
from typing import Any, Literal

import pytest

from simopt import catalogue, measures
from simopt.errors import InputError

ENTRIES = [
    (group, name)
    for group in ("measure", "dataset", "decoder", "init")
    for name in catalogue.names(group)
    if (group, name) not in (("measure", "function"), ("decoder", "none"))  # the user's own; no class
]
REGRESSIONS = re.compile(r"(linreg|ridge(?P<penalty>\d+))(?P<folds>_cv5)?")
DELIBERATE = {
    "cca_angle": {"normalizer", "form"},
    "cka_angular": {"form"},
    "cka_debiased": {"estimator"},
    "cka_polynomial": {"kernel"},
    "cka_rbf": {"kernel"},
    "nbs_squared": {"form"},
    "pls25": {"fewer_components"},
    "procrustes_angle": {"form", "normalized"},
    "procrustes_angular": {"form"},
    "procrustes_normalized": {"normalized"},
    "published": {"standardize", "max_iter"},
    "ridge_cv": {"model", "splits", "folds", "aggregate"},
    "shape_euclidean": {"metric"},
    "svcca": {"normalizer", "variance"},
}
"""Options whose default in the yaml is not that of the class, which makes the entry what its name says."""


def deliberate(name: str) -> set[str]:
    """Return the options that an entry sets to another value than its class; regressions name theirs."""
    regression = REGRESSIONS.fullmatch(name)
    if regression is None:
        return DELIBERATE.get(name, set())
    return {option for option, value in regression.groupdict().items() if value}


def options(node: dict[str, Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters that an entry's class takes beside its name and aliases."""
    parameters = inspect.signature(catalogue.locate(node["_target_"], "entry")).parameters
    return {key: value for key, value in parameters.items() if key not in ("name", "aliases")}


def same(value: object, default: object) -> bool:
    """Whether a value of a yaml is a default, of the same type; tuples are lists in yaml."""
    expected = list(default) if isinstance(default, tuple) else default
    return value == expected and type(value) is type(expected)


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_an_entry_lists_every_option_of_its_class_and_no_other(group: str, name: str) -> None:
    node = catalogue.read(group, name)
    assert set(node) - {"_target_", "name", "aliases"} == set(options(node))


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_a_value_is_the_default_of_the_class_unless_it_is_listed_here(group: str, name: str) -> None:
    node = catalogue.read(group, name)
    other = {
        key
        for key, option in options(node).items()
        if option.default is not option.empty and not same(node[key], option.default)
    }
    assert other == deliberate(name)


@pytest.mark.parametrize("name", [name for group, name in ENTRIES if group == "measure"])
def test_an_alias_sets_options_of_the_class(name: str) -> None:
    node = catalogue.read("measure", name)
    for changes in node["aliases"].values():
        assert set(changes) <= set(options(node))


@pytest.mark.parametrize("name", [name for group, name in ENTRIES if group == "measure"])
def test_the_comment_of_an_option_names_its_choices(name: str) -> None:
    node = catalogue.read("measure", name)
    lines = (catalogue.config_dir() / "measure" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    for key, kind in typing.get_type_hints(catalogue.locate(node["_target_"], "measure")).items():
        if typing.get_origin(kind) is Literal:
            (comment,) = (line.partition("  # ")[2] for line in lines if line.startswith(f"{key}:"))
            assert re.split(r"[;:]", comment)[0].split(" | ") == list(typing.get_args(kind))


@pytest.mark.parametrize("name", [name for group, name in ENTRIES if group == "measure"])
def test_a_choice_that_there_is_not_is_refused_by_name(name: str) -> None:
    node = catalogue.node("measure", name)
    for option, kind in typing.get_type_hints(catalogue.locate(node["_target_"], "measure")).items():
        if typing.get_origin(kind) is Literal:
            with pytest.raises(InputError, match=f"{option} .*nonsense"):
                measures.build({**node, option: "nonsense"})
