"""Stored configurations: what of them is read, and the options by which runs are told apart."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from simopt.report.pools import pool
from simopt.report.stored_config import differences, settings
from tests.report.runs import made


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        # Two options that differ are both named; of more, the fewest that do, of init before others.
        ([{"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}], ["c=2", "c=3"]),
        ([{"a": 1, "b": {"c": 2}}, {"a": 2, "b": {"c": 3}}], ["a=1, c=2", "a=2, c=3"]),
        ([{"a": k, "b": k, "init": {"units": k}} for k in (1, None)], ["units=1, ...", "units=null, ..."]),
        ([{"a": i, "b": j, "c": i + j} for i in (0, 1) for j in (0, 1)],
         [f"a={i}, b={j}, ..." for i in (0, 1) for j in (0, 1)]),
        ([{"a": 1}, {}], ["a=1", "a=none"]),
        ([{"a": "x" * 40}, {"a": "y" * 40}], ["no. 1", "no. 2"]),
        ([{"a": "x" * 40, "b": 1}, {"a": "y" * 40, "b": 2}], ["b=1, ...", "b=2, ..."]),
    ],
)  # fmt: skip
def test_the_options_that_tell_runs_apart_are_named(options: list[dict], labels: list[str]) -> None:
    runs = [
        replace(made(config=yaml.safe_dump(option)), path=Path(f"{at:012x}/run.h5"))
        for at, option in enumerate(options)
    ]
    assert differences(runs) == labels
    assert [curve.label for curve in pool(runs)] == [f"cka {label}" for label in labels]
    assert differences(runs[::-1]) == labels[::-1]


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "a: &a {b: *a}", "[" * 3000, "just text", "", "- 1", "a: !!python/object:os.system {}",
     "\x00",
     "x: &a [1,1,1,1]\ny: &b [*a,*a,*a,*a]\nz: &c [*b,*b,*b,*b]\nu: &d [*c,*c,*c,*c]\nv: [*d,*d,*d,*d,*d,*d]",
     "a: " + "a" * 20_000, "a: !!bool maybe", "a: !!timestamp never", "a: !!int ''", 3, b"a: 1"],
)  # fmt: skip
def test_a_config_may_hold_anything(text) -> None:
    assert settings(made(config=text)) is None


def test_settings_leave_out_what_does_not_change_a_result() -> None:
    config = settings(made(seeds=(3,)))
    assert config is not None
    assert config["optimizer.lr"] == "0.1"
    assert not {"seeds.0", "log.dir", "device", "force"} & set(config)
    flow = settings(made(config="{seeds: [0], log: {dir: x}, target: 0.9}"))
    assert flow == {"target": "0.9"}
