"""From a checked configuration to objects: the one place where nodes become instances."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simopt import catalogue, datasets, measures
from simopt.app import analyses, decode
from simopt.app.decode import RunDecoding
from simopt.app.schema import RunConfig
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.optimization import Ascent
from simopt.optimization import device as devices
from simopt.optimization import init as inits
from simopt.optimization.recorded import CudaGraphs
from simopt.optimization.setup import prepare


@dataclass(frozen=True)
class Job:
    """What one run works with."""

    dataset: Dataset
    measure: Measure
    tracked: dict[str, Measure]
    reference: Reference
    ascent: Ascent
    decoding: RunDecoding | None = None


def build(config: RunConfig) -> Job:
    """Load the dataset, make the measures, and set the ascent at its start.

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    """
    find_own_code()
    analyses.check(config)
    where, precision = devices.choose(
        config.device, config.dtype, tf32=config.tf32, cuda_graphs=config.cuda_graphs
    )
    measure = measures.build(as_node(config.measure, "measure"))
    tracked = {name: measures.get(name) for name in config.track}
    factory = catalogue.build(as_node(config.optimizer, "optimizer"), "optimizer", partial=True)
    start = inits.build(as_node(config.init, "init"))
    dataset = datasets.build(as_node(config.dataset, "dataset")).load()
    decoding = decode.build(as_node(config.decoder, "decoder"), dataset) if config.decoder else None
    samples = dataset.samples()
    reference = Reference.of(samples, dtype=precision, device=where)
    ascent = prepare(
        reference,
        measure,
        start,
        factory,
        seeds=config.seeds,
        units=samples.shape[1],
        target=config.target,
        max_steps=config.max_steps,
        tracked=tracked.values(),
        recorder=CudaGraphs() if config.cuda_graphs else None,
    )
    return Job(dataset, measure, tracked, reference, ascent, decoding)


def find_own_code() -> None:
    """Let ``_target_`` name functions and classes of the user's own, in the working directory."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def as_node(node: Any, what: str) -> dict[str, Any]:
    """Return an open node of a configuration, or say how to choose one."""
    if not isinstance(node, dict):
        raise InputError(f"{what} is {node!r}; choose one with {what}=NAME.")
    return node
