"""The request of a run, and the stored runs of the same recording and measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simopt import catalogue, checks
from simopt.store import reader, shelf
from simopt.store.reader import Run
from simopt.workflows.request import (
    Log,
    Request,
    measure_node,
    measure_nodes,
    name_of,
    no_influence,
    stored_alike,
)

if TYPE_CHECKING:
    from simopt.analysis.decoding import Decoder
    from simopt.measures import Measure
    from simopt.optimization.init import GaussianInit
    from simopt.typing import Node, OptimizerFactory

RUN = "simopt.workflows.run.optimize"
NULLS, CEILINGS = "simopt.analysis.nulls.nulls", "simopt.analysis.ceilings.from_trials"
"""The dotted names of code whose revisions (:func:`simopt.catalogue.revision`) identify a run."""
LEFT_OUT = {"pcs": "leave_one_pc", "samples": "leave_one_sample", "units": "leave_one_unit"}
"""The parts that an attribution can leave out, with the functions in simopt.analysis.attribution."""


@dataclass(frozen=True, kw_only=True)
class RunLogging(Log):
    """The settings of the log of a run: its folder, its content, and how often a state is logged.

    Attributes
    ----------
    every : int
        The number of optimizer steps from one logged state to the next.
    score_step : float
        If greater than 0, a state is logged only if the score of a replicate differs by at least this from
        that in the last logged state.
    checkpoint_seconds : float
        The seconds between checkpoints; more if a checkpoint takes long to write.
    final : bool
        Whether the run file keeps the final Y.
    """

    every: int = 1
    score_step: float = 0.0
    checkpoint_seconds: float = no_influence(30.0)
    final: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole(self.every, 1, "log.every")
        checks.at_least(self.score_step, 0, "log.score_step")
        checks.at_least(self.checkpoint_seconds, 0, "log.checkpoint_seconds")
        checks.flag(self.final, "log.final")


@dataclass(frozen=True, kw_only=True)
class RunRequest(Request[Run]):
    """The request of one run.

    The attributes are the keys of ``simopt run``, which ``configs/run.yaml`` explains.

    ``measure``, ``optimizer``, ``init`` and ``decoder`` take a name of the catalogue or a configuration node,
    which is a dict with ``_target_`` and options. ``measure`` also takes a Measure.
    """

    kind: ClassVar[str] = "run"
    log_type: ClassVar[type[Log]] = RunLogging

    measure: Any = "cka"
    optimizer: Any = "adam"
    decoder: Any = None
    init: Any = "gaussian"
    seeds: Sequence[int] = (0,)
    target: float = 0.99
    max_steps: int = 1000
    track: Sequence[str] = ()
    nulls: int = 0
    attribute: Sequence[str] = ()
    device: str = no_influence("auto")
    dtype: str = "float32"
    tf32: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("measure", measure_node(self.measure))
        for group in ("optimizer", "init"):
            self._set(group, catalogue.node(group, getattr(self, group)))
        decoder = catalogue.read("decoder", self.decoder) if isinstance(self.decoder, str) else self.decoder
        self._set("decoder", catalogue.node("decoder", decoder) if decoder else None)
        for key in ("track", "attribute"):
            checks.names(getattr(self, key), key)
            self._set(key, tuple(getattr(self, key)))
        for part in self.attribute:
            checks.one_of(part, LEFT_OUT, "entry of attribute")
        measure_nodes(list(dict.fromkeys(self.track)))
        checks.seeds(self.seeds)
        self._set("seeds", tuple(map(int, self.seeds)))
        checks.whole(self.nulls, 0, "nulls")
        checks.flag(self.tf32, "tf32")
        checks.device(self.device)

    @property
    def folder(self) -> str:
        """The name of the folder of the runs with this measure, inside the folder of the dataset."""
        return name_of(self.measure)

    def revises(self) -> list[str]:
        """Return the dotted names of the code that computes the numbers of the run."""
        names = [RUN, str(self.measure["_target_"])]
        names += [str(measure_node(name)["_target_"]) for name in self.track]
        names += [NULLS, CEILINGS] if self.nulls else []
        names += [f"simopt.analysis.attribution.{LEFT_OUT[part]}" for part in self.attribute]
        names += [str(self.decoder["_target_"])] if self.decoder else []
        return list(dict.fromkeys(names))

    def read(self, path: Path) -> Run:
        """Return the finished run that a file stores."""
        return reader.finished(path)

    def built(self) -> tuple[Measure, dict[str, Measure], OptimizerFactory, GaussianInit]:
        """Return the measure, the tracked measures by name, the optimizer factory, and the initial noise.

        Raises
        ------
        InputError
            An option is out of its range, or a name cannot be found.
        """
        from simopt import measures
        from simopt.optimization import init

        tracked = {name: measures.get(name) for name in self.track}
        factory = catalogue.build(self.optimizer, "optimizer", partial=True)
        return measures.build(self.measure), tracked, factory, init.build(self.init)

    def built_decoder(self) -> Decoder:
        """Return the decoder of the run, or the standard one if it has none.

        Raises
        ------
        InputError
            An option of the decoder is unknown or out of its range.
        """
        from simopt.analysis.decoding import Decoder

        return catalogue.build(self.decoder, "decoder", Decoder) if self.decoder else Decoder()

    def check(self) -> None:
        """Check all options by building everything that needs no data.

        Raises
        ------
        InputError
            An option is out of its range, a measure has no gradient, or a name cannot be found.
        """
        from simopt.optimization.setup import check

        measure, _, factory, _ = self.built()
        check(measure, factory, seeds=self.seeds, target=self.target, max_steps=self.max_steps)
        if self.decoder:
            self.built_decoder()
        super().check()

    def same(self, stored: Run, *keys: str) -> bool:
        """Return whether a stored run has the same ``keys`` as the request, and its decoder if it has one."""
        identity = shelf.parsed(stored.attributes["identity"])
        compared = [*keys, "decoder"] if self.decoder else keys
        return all(identity.get(key) == self.identity.get(key) for key in compared)


def stored_runs(request: RunRequest) -> list[Path]:
    """Return the files of finished runs of the measure on the recording, most replicates first."""
    runs = [(-np.size(attributes["seeds"]), path) for path, attributes in stored_alike(request)]
    return [path for _, path in sorted(runs)]


def runs_of(measure: Node, request: Request[Any]) -> Iterator[Run]:
    """Yield the finished runs of a measure on the recording of a request, most replicates first."""
    run = RunRequest(measure=measure, dataset=request.dataset, log=request.log.dir)
    return filter(None, (shelf.if_whole(run.read, path) for path in stored_runs(run)))
