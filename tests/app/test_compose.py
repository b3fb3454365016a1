"""Overrides: what they do, and how bad ones are refused."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from simopt import catalogue, measures
from simopt.app.config import requests
from simopt.app.config.compose import literal, parse, quoted, request_type
from simopt.errors import InputError


def test_the_defaults_are_the_published_settings() -> None:
    config = requests.run([])
    assert config.measure["name"] == "cka"
    assert config.dataset.name == "majaj"
    assert config.optimizer == {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1, "fused": True}
    assert (config.target, config.max_steps, config.seeds) == (0.99, 1000, (0,))
    assert (config.device, config.dtype, config.force, config.track) == ("auto", "float32", False, ())


@pytest.mark.parametrize(
    "group", [pytest.param("measure", marks=pytest.mark.slow), "dataset", "optimizer", "init", "decoder"]
)
def test_every_option_of_every_group_composes(group: str) -> None:
    for name in catalogue.names(group):
        extra = {"file": ["dataset.path=x.npy"], "function": ["measure._target_=math.dist"]}.get(name, [])
        request = requests.run([f"{group}={name}", *extra])
        if not measures.build(request.measure).differentiable:
            with pytest.raises(InputError, match=f"^{name} has no gradient"):
                request.check()
        else:
            request.check()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("max_step=1", "Unknown key of sensitivity 'max_step'"),
        ("hydra.jobb.name=x", "Could not override 'hydra.jobb.name'"),
    ],
)
def test_bad_keys_of_an_analysis_are_refused_by_its_own_keys(override: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        requests.sensitivity([override])
    assert "\n" not in str(refused.value)


def test_overrides_reach_their_node() -> None:
    overrides = [
        "optimizer=sgd",
        "optimizer.momentum=0.9",
        "seeds=[1,2]",
        "dataset=gaussian",
        "dataset.spectrum=[2,1]",
    ]
    config = requests.run(overrides)
    assert config.optimizer["momentum"] == 0.9  # not in the yaml: the class says whether it exists
    assert config.seeds == (1, 2)
    assert config.dataset.node["spectrum"] == [2, 1]


def test_paths_with_blanks_and_equal_signs() -> None:
    for path in ("a b.npy", "x=y.npy"):
        assert requests.run(["dataset=file", f"dataset.path='{path}'"]).dataset.node["path"] == path


def test_a_quoted_text_is_read_as_it_was() -> None:
    """Against the parsers of Hydra and OmegaConf themselves."""
    for parts in itertools.product("\\'${}a", repeat=4):
        text = "".join(parts)
        (read,) = parse([f"x={quoted(text)}"])
        assert read.value() == text
        assert OmegaConf.to_container(OmegaConf.create({"x": literal(text)}), resolve=True) == {"x": text}


@pytest.mark.parametrize("name", ["my ${x}", "a\\b", "a\\${x}", "it's", "a\\'b", "a,b", "[x]", "a\\"])
def test_a_folder_of_an_odd_name_is_searched(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "measure").mkdir(parents=True)
    text = "_target_: simopt.measures.regression.Regression\nname: mine\npenalty: 3.0\n"
    (tmp_path / name / "measure" / "mine.yaml").write_text(text)
    assert requests.run(["measure=mine"], tmp_path / name).measure["penalty"] == 3.0


def test_a_folder_of_ones_own_yamls(tmp_path: Path) -> None:
    (tmp_path / "measure").mkdir()
    text = "_target_: simopt.measures.regression.Regression\nname: ridge3\npenalty: 3.0\n"
    (tmp_path / "measure" / "ridge3.yaml").write_text(text)
    assert requests.run(["measure=ridge3"], tmp_path).measure["penalty"] == 3.0
    with pytest.raises(InputError, match="Unknown measure 'ridge4'; the nearest: .*ridge3"):
        requests.run(["measure=ridge4"], tmp_path)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        requests.run([], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("measure=ckaa", "Unknown measure 'ckaa'; the nearest: cka"),
        ("measure=", "'measure=' names no measure"),
        ("dataset=majah", "Unknown dataset 'majah'; the nearest: majaj"),
        ("optimizer=adm", "Unknown optimizer"),
        ("sead=1", "Unknown key of run 'sead'; the nearest: seeds"),
        ("+sead=1", "Unknown key of run 'sead'"),
        ("log.evry=1", "Unknown key of log 'evry'; the nearest: every"),
        ("seeds=abc", r"seeds=abc: seeds must be a list, written seeds=\["),
        ("seeds=0,1", "simopt sweep seeds=0,1"),
        ("seeds=[0.5]", r"seeds=\[0.5\]: .* whole number"),
        ("seeds.x=1", "invalid literal"),
        ("target=high", "target=high: target must be a number"),
        ("measure=3", "Unknown measure '3'"),
        ("dataset=true", "Unknown dataset 'true'"),
        ("log=3", "log=3: .*log.dir=FOLDER"),
        ("track=cka", r"track=cka: .*track=\["),
        ("max_steps=1e3", "max_steps=1e3: .* whole number"),
        ("force=maybe", "force=maybe: .*true or false"),
        ("log.final=3", "log.final=3: log.final must be true or false"),
        ("tf32=0", "tf32=0: tf32 must be true or false"),
        ("device=abc", "device=abc is no device"),
        ("dataset.path=O'Brien.npy", "simopt run FILE"),
        ("log.every=0", "log.every is 0"),
        ("log.checkpoint_seconds=nan", "log.checkpoint_seconds is nan"),
        ("dataset=file", "dataset.path has no value; give one with dataset.path=VALUE"),
        ("~measure", "measure has no value"),
        ("foo", "Cannot read the override 'foo'"),
        ("CKA", "'CKA' is a name and no setting; write measure=cka"),
        ("majaj", "write dataset=majaj"),
        ("measure=CKA", "Unknown measure 'CKA'; the nearest: cka"),
        ("measure=cka,nbs", "one measure.*simopt sweep measure=cka,nbs"),
        ("optimizer=[adam,sgd]", "one optimizer.*simopt sweep optimizer=adam,sgd"),
        ("measure=[cka,nbs]", "one measure.*simopt sweep measure=cka,nbs"),
        ("dataset=[majaj,mante]", "one dataset.*simopt sweep dataset=majaj,mante"),
        ("seeds=[0,1", r"Cannot read the override 'seeds=\[0,1'"),
        ("dataset.path=a=b", "dataset.path=a=b.*quote"),
        ("", "Cannot read the override ''"),
        ("hydra/launcher=joblib", "hydra/launcher=joblib.*simopt sweep"),
        ("init.scale=${nothing}", "nothing"),
    ],
)
def test_bad_overrides_are_refused_in_one_line(override: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        requests.run([override])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_a_key_that_a_command_never_had_was_not_removed() -> None:
    with pytest.raises(InputError, match="Unknown key of run 'samples'"):
        requests.run(["samples=20"])


@pytest.mark.parametrize(
    ("command", "override", "remedy"),
    [
        (requests.run, "log.flush_seconds=1", "log.checkpoint_seconds"),
        (requests.run, "cuda_graphs=true", "leave it out"),
        (requests.joint, "third=nbs", "two measures"),
        (requests.joint, "at=[[0.9,0.5]]", "levels"),
        (requests.joint, "samples=20", "dataset=NAME"),
    ],
)
def test_a_key_that_was_removed_is_refused_with_what_to_do(command: Any, override: str, remedy: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(InputError, match=rf"^{re.escape(key)} was removed; .*{remedy}"):
        command([override])


def test_dir_is_another_name_of_log_dir() -> None:
    for make in (requests.sensitivity, lambda given: requests.joint(given)[0]):
        with pytest.warns(DeprecationWarning, match=r"log\.dir"):
            former = make(["dir=there"])
        assert former.path == make(["log.dir=there"]).path != make([]).path


@pytest.mark.parametrize("command", ["run", "sensitivity", "joint"])
def test_the_defaults_of_the_yaml_are_those_of_the_request(command: str) -> None:
    of_yaml = {"run": requests.run, "sensitivity": requests.sensitivity, "joint": requests.joint}[command]([])
    made = of_yaml[0] if isinstance(of_yaml, list) else of_yaml
    assert made == request_type(command)(dataset={**catalogue.read("dataset", "majaj")})
