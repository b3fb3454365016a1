"""The strict part of the configuration: types, checked by OmegaConf, and ranges, checked here.

``measure``, ``dataset``, ``optimizer``, ``decoder`` and ``init`` are open nodes: the class that a node names
checks its own options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from simopt import checks
from simopt.errors import InputError


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
    cuda_graphs: bool = MISSING
    force: bool = MISSING
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        checks.whole(self.nulls, 0, "nulls")
        # A key that was removed and added again has lost its type.
        for key in ("track", "attribute"):
            checks.names(getattr(self, key), key)
        checks.expanded(self.log.dir, "log.dir")
        checks.whole(self.log.every, 1, "log.every")
        checks.at_least(self.log.score_step, 0, "log.score_step")
        checks.at_least(self.log.flush_seconds, 0, "log.flush_seconds")
        checks.at_least(self.log.checkpoint_seconds, 0, "log.checkpoint_seconds")


@dataclass
class SensitivityConfig:
    """The top level of ``sensitivity.yaml``, which holds the defaults."""

    dataset: Any = MISSING
    perturbation: str = MISSING
    strength: Any = None
    seeds: list[int] = MISSING
    pcs: list[int] | None = None
    spectrum: str | None = None
    samples: int | None = None
    units: int | None = None
    dir: str = MISSING
    force: bool = MISSING

    def __post_init__(self) -> None:
        checks.expanded(self.dir, "dir")
        checks.seeds(self.seeds)
        for size in ("samples", "units"):
            value = getattr(self, size)
            if value is not None:
                checks.whole(value, 1, size)


@dataclass
class JointConfig:
    """The top level of ``joint.yaml``, which holds the defaults."""

    measures: Any = MISSING
    dataset: Any = MISSING
    mode: str = MISSING
    levels: list[float] | None = None
    thresholds: list[float] = MISSING
    thresholds_b: list[float] | None = None
    third: str | None = None
    at: Any = None
    units: int | None = None
    starts: int = MISSING
    rounds: int = MISSING
    steps: int | None = None
    per_side: int = MISSING
    loss: str = MISSING
    rate: float | None = None
    samples: int = MISSING
    seed: int = MISSING
    contain: bool = MISSING
    decode: bool = MISSING
    keep: bool = MISSING
    device: str = MISSING
    dtype: str = MISSING
    dir: str = MISSING
    checkpoint_seconds: float = MISSING
    force: bool = MISSING

    def __post_init__(self) -> None:
        checks.expanded(self.dir, "dir")
        checks.one_of(self.mode, ("boundary", "square", "both"), "mode of joint")
        checks.at_least(self.checkpoint_seconds, 0, "checkpoint_seconds")
        if (self.third is None) != (self.at is None):
            raise InputError("third and at belong together: third=linreg at=[[0.9,0.5]].")
        if self.third is not None and self.mode != "boundary":
            raise InputError(f"third is looked for by mode=boundary, not by {self.mode}.")
