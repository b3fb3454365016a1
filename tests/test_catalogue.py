"""The yaml catalogue."""

import pytest
import yaml

from simopt import catalogue
from simopt.errors import InputError

GROUPS = ["measure", "dataset", "optimizer", "init", "decoder"]


@pytest.mark.parametrize("group", GROUPS)
def test_every_yaml_reads_and_names_itself(group: str) -> None:
    for name in catalogue.names(group):
        node = catalogue.read(group, name)
        if group in ("measure", "dataset"):
            assert node["name"] == name


def test_names_and_aliases_of_measures_are_unique() -> None:
    taken = list(catalogue.names("measure"))
    for name in catalogue.names("measure"):
        taken += catalogue.read("measure", name)["aliases"]
    assert len(taken) == len(set(taken))


def test_an_alias_is_its_measure_with_other_options() -> None:
    node, alias = catalogue.read("measure", "cka"), catalogue.read("measure", "cka-linear-gretton")
    assert alias == {**node, "name": "cka-linear-gretton"}


def test_every_yaml_begins_by_saying_what_it_is() -> None:
    for group in ("measure", "dataset"):
        for path in (catalogue.config_dir() / group).glob("*.yaml"):
            assert path.read_text().startswith("# "), path


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({}, "_target_ is None"),
        ({"_target_": "nodots"}, "dotted path"),
        ({"_target_": "simopt.nowhere.Thing"}, "cannot be imported"),
        ({"_target_": "simopt.measures.kernel.Nothing"}, "cannot be imported"),
        ({"_target_": "simopt.measures.base.INVARIANCES"}, "not a class"),
        (
            {"_target_": "simopt.measures.kernel.KernelSimilarity", "name": "x", "typo": 1},
            "it has: comparison, ",
        ),
        ({"_target_": "simopt.measures.kernel.KernelSimilarity", "name": "x"}, "missing"),
        ({"_target_": "torch.optim.Adam", "_partial_": True, "typo": 1}, "it has: lr, betas"),
    ],
)
def test_nodes_that_cannot_be_built(node: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        catalogue.build(node, "thing", partial="_partial_" in node)


@pytest.mark.parametrize("said", [True, "."])
def test_only_what_is_called_later_may_be_partial(said: object) -> None:
    node = {"_target_": "collections.Counter", "_partial_": said}
    with pytest.raises(InputError, match=f"_partial_ is {said!r}"):
        catalogue.build(node, "measure")
    assert catalogue.build({**node, "_partial_": False}, "measure") == {}
    assert catalogue.build(node, "optimizer", partial=True)() == {}


def test_unknown_names_say_the_nearest() -> None:
    with pytest.raises(InputError, match="Unknown optimizer 'adm'; the nearest: adam"):
        catalogue.read("optimizer", "adm")


def test_the_primary_config_is_plain_yaml() -> None:
    assert yaml.safe_load((catalogue.config_dir() / "run.yaml").read_text())["target"] == 0.99
