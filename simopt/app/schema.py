"""The strict part of the configuration: types, checked by OmegaConf, and ranges, checked here.

``measure``, ``dataset``, ``optimizer``, ``decoder`` and ``init`` are open nodes: the class that a node names
checks its own options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from simopt import checks


@dataclass
class LogConfig:
    """What is written of a run, where, and how often."""

    dir: str = MISSING
    every: int = MISSING
    score_step: float = MISSING
    flush_seconds: float = MISSING
    checkpoint_seconds: float = MISSING
    final: bool = MISSING


@dataclass
class RunConfig:
    """The top level of ``run.yaml``, which holds the defaults."""

    measure: Any = MISSING
    dataset: Any = MISSING
    optimizer: Any = MISSING
    decoder: Any = None
    init: Any = MISSING
    seeds: list[int] = MISSING
    target: float = MISSING
    max_steps: int = MISSING
    track: list[str] = MISSING
    nulls: int = MISSING
    attribute: list[str] = MISSING
    device: str = MISSING
    dtype: str = MISSING
    tf32: bool = MISSING
    force: bool = MISSING
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        checks.whole(self.nulls, 0, "nulls")
        checks.whole(self.log.every, 1, "log.every")
        checks.at_least(self.log.score_step, 0, "log.score_step")
        checks.at_least(self.log.flush_seconds, 0, "log.flush_seconds")
        checks.at_least(self.log.checkpoint_seconds, 0, "log.checkpoint_seconds")
