"""What a sweep carries out: runs and analyses, each with a file that says whether it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from simopt import catalogue, datasets, measures
from simopt.analysis.decoding import Decoder
from simopt.app import analyses, decode, inputs, job, joint, sensitivity
from simopt.app.build import as_node, find_own_code
from simopt.app.compose import Combination, Composed, restore
from simopt.app.job import Outcome
from simopt.app.memory import from_memory, load
from simopt.app.paths import config_hash, run_place
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.optimization import State
from simopt.optimization import init as inits
from simopt.optimization.setup import check
from simopt.store import layout

_ANALYSES: dict[str, Any] = {"sensitivity": sensitivity, "joint": joint}


@dataclass(frozen=True)
class RunTask:
    """One run."""

    composed: Composed

    @property
    def root(self) -> Path:
        """The folder of all results."""
        return Path(self.composed.config.log.dir)

    @property
    def force(self) -> bool:
        """Whether it is to be repeated though it is done."""
        return self.composed.config.force

    @property
    def text(self) -> str:
        """It as text, for another process; :func:`from_text` reads it."""
        return self.composed.yaml

    def check(self) -> None:
        """Refuse what cannot be used, without looking at data."""
        config = self.composed.config
        analyses.check(config)
        find_own_code()
        measure = measures.build(as_node(config.measure, "measure"))
        for name in config.track:
            measures.get(name)
        factory = catalogue.build(as_node(config.optimizer, "optimizer"), "optimizer", partial=True)
        check(measure, factory, seeds=config.seeds, target=config.target, max_steps=config.max_steps)
        inits.build(as_node(config.init, "init"))
        if config.decoder:
            catalogue.build(as_node(config.decoder, "decoder"), "decoder", Decoder)
        datasets.build(as_node(config.dataset, "dataset"))

    def place(self) -> Path:
        """Return the file of its result; data are loaded, nothing is made."""
        config = self.composed.config
        dataset = load(as_node(config.dataset, "dataset"))
        if config.decoder:
            decode.build(as_node(config.decoder, "decoder"), dataset)
        measure = measures.build(as_node(config.measure, "measure"))
        digest = config_hash(config, dataset)
        return run_place(config, dataset, measure.name, digest) / layout.RUN_FILE

    def execute(
        self, progress: Callable[[State], None], should_stop: Callable[[], bool], *, wait: bool
    ) -> Outcome:
        """Find, resume or do it; as :func:`simopt.app.job.execute`."""
        return job.execute(from_memory(self.composed), progress, should_stop=should_stop, wait=wait)


@dataclass(frozen=True)
class AnalysisTask:
    """A sensitivity, or the joint range of a pair: a command and its overrides."""

    command: str
    overrides: tuple[str, ...]
    config_dir: Path | None = None

    @property
    def root(self) -> Path:
        """The folder of all results."""
        return Path(self._request.config.dir)

    @property
    def force(self) -> bool:
        """Whether it is to be repeated though it is done."""
        return bool(self._request.config.force)

    @property
    def text(self) -> str:
        """It as text, for another process; :func:`from_text` reads it."""
        folder = None if self.config_dir is None else str(self.config_dir.resolve())
        return yaml.safe_dump(
            {"command": self.command, "overrides": list(self.overrides), "config_dir": folder}
        )

    def check(self) -> None:
        """Refuse what cannot be used, without looking at data."""
        if self.command == "sensitivity" and not self._request.needs_data:
            raise InputError("spectrum=FILE stores nothing; ask `simopt sensitivity` for it.")

    def place(self) -> Path:
        """Return the file of its result; data are loaded, nothing is made."""
        path: Path = _ANALYSES[self.command].place(*self._asked())
        return path

    def execute(
        self, progress: Callable[[State], None], should_stop: Callable[[], bool], *, wait: bool
    ) -> Outcome:
        """Find, resume or do it; as :func:`simopt.app.job.execute`."""
        result = _ANALYSES[self.command].find_or_make(*self._asked(), should_stop=should_stop, wait=wait)
        return Outcome(result.path, result.how)

    def _asked(self) -> tuple[Any, Dataset | None]:
        asked = self._request
        return asked, inputs.kept(asked.data, self.config_dir) if asked.needs_data else None

    @cached_property
    def _request(self) -> Any:
        return _ANALYSES[self.command].request(self.overrides, self.config_dir)


Task = RunTask | AnalysisTask


def of_combination(combination: Combination, config_dir: Path | None = None) -> list[tuple[str, Task]]:
    """Return the tasks of a combination of overrides, titled; of joint ranges, one for each pair.

    Raises
    ------
    InputError
        Something in it cannot be used.
    """
    if combination.composed is not None:
        return [(combination.title, RunTask(combination.composed))]
    command, overrides = combination.command, combination.overrides
    if command == "joint":
        pairs = joint.request(overrides, config_dir).pairs
        if len(pairs) > 1:
            chosen = [f"measures=[{a},{b}]" for a, b in pairs]
            return [
                (f"{combination.title} {each}", AnalysisTask(command, (*overrides, each), config_dir))
                for each in chosen
            ]
    return [(combination.title, AnalysisTask(command, overrides, config_dir))]


def from_text(text: str) -> Task:
    """Return the task of a text of :attr:`Task.text`."""
    node = yaml.safe_load(text)
    if "command" not in node:
        return RunTask(restore(text))
    folder = node["config_dir"]
    return AnalysisTask(node["command"], tuple(node["overrides"]), None if folder is None else Path(folder))
