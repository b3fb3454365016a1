"""The work of ``simopt animate``: runs that are watched and not stored."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.analysis.alignment import Snapshots
from simopt.app import inputs
from simopt.app.build import Job, as_node, build
from simopt.app.compose import Composed, compose
from simopt.app.memory import forget, from_memory
from simopt.app.tasks import RunTask
from simopt.datasets import Dataset
from simopt.errors import InputError, RunFailedError
from simopt.optimization import State, StopReason
from simopt.optimization import device as devices
from simopt.optimization.run import memory_errors
from simopt.optimization.setup import not_finite
from simopt.report.animation import Film, Scene
from simopt.typing import LabelArray

RATE = 0.02
"""The learning rate unless an optimiser is chosen: that of `simopt run` leaps over most frames of CKA."""
SAMPLES = 1000
_MOST_FRAMES = 500
_OF_STORED_RUNS = ("track", "nulls", "attribute", "decoder", "log", "force")


@dataclass(frozen=True)
class Animated:
    """What the frames show: a film for each measure, and what they share."""

    dataset: Dataset
    scene: Scene
    films: list[Film]

    def as_json(self) -> dict[str, Any]:
        """Return plain values: for each measure the score and the step of every frame."""
        return {
            "dataset": self.dataset.name,
            "source": self.dataset.source,
            "frames": len(self.films[0].shots),
            "measures": {
                film.measure: {
                    "scores": [shot.score for shot in film.shots],
                    "steps": [shot.step for shot in film.shots],
                }
                for film in self.films
            },
        }

    def leaps(self) -> list[str]:
        """Return a line for each measure whose score moved too fast for half of the frames."""
        lines = []
        for film in self.films:
            states, frames = len({shot.step for shot in film.shots}), len(film.shots)
            if states <= frames / 2:
                told = "a lower optimizer.lr shows more between them"
                lines.append(
                    f"{film.measure}: the score leaps; {frames} frames show {states} states: {told}."
                )
        return lines


def request(overrides: Sequence[str], frames: int, config_dir: Path | None = None) -> list[Composed]:
    """Check what is asked without looking at data, and return a configuration for each measure.

    Raises
    ------
    InputError
        A name, a value or an option that cannot be used.
    """
    checks.whole(frames, 2, "--frames")
    if frames > _MOST_FRAMES:
        raise InputError(f"--frames is {frames}; at most {_MOST_FRAMES} are kept in memory.")
    keys = [override.lstrip("+~").partition("=")[0].split(".")[0] for override in overrides]
    for override, key in zip(overrides, keys, strict=True):
        if key in _OF_STORED_RUNS:
            raise InputError(f"{override}: an animation stores no run; {key} belongs to `simopt run`.")
    names, rest = inputs.measures_among(overrides, ())
    if names == ["all"]:
        raise InputError("measure=all: name the measures to show side by side, measure=cka,nbs.")
    if not {"optimizer", "experiment"} & set(keys):
        rest = [*rest, f"optimizer.lr={RATE}"]
    asked = [compose([*choice, *rest], config_dir) for choice in [[f"measure={n}"] for n in names] or [[]]]
    for composed in asked:
        config = composed.config
        if len(config.seeds) != 1:
            raise InputError(f"seeds is {list(config.seeds)}; an animation shows one run, seeds=[0].")
        RunTask(composed).check()
    return asked


@memory_errors()
def animate(
    asked: Sequence[Composed],
    frames: int,
    color: str | None = None,
    watch: Callable[[str, int], contextlib.AbstractContextManager[Callable[[State], None]]] | None = None,
) -> Animated:
    """Carry out the runs, of one dataset, and return what is to be drawn of them.

    Parameters
    ----------
    asked : sequence of Composed
    frames : int
    color : str, optional
        The label that colours the samples; None: the first one, if there is any.
    watch : callable, optional
        Gives, for a title and a number of steps, a context with an observer.

    Raises
    ------
    InputError
        Data, or a label, that cannot be used.
    RunFailedError
        An optimisation failed.
    """
    forget()
    films: list[Film] = []
    for composed in asked:
        job = build(from_memory(composed).config)
        name = _label(job.dataset, color)
        rows = _drawn(job.reference.samples)
        quiet = contextlib.nullcontext(lambda state: None)
        watched = quiet if watch is None else watch(job.measure.name, composed.config.max_steps)
        with devices.matrix_products(tf32=composed.config.tf32), watched as observe:
            films.append(Film(job.measure.name, _snapshots(job, rows, frames, composed, observe).evenly()))
    return Animated(job.dataset, _scene(job, rows, name, asked[-1]), films)


def _snapshots(
    job: Job, rows: LabelArray, frames: int, composed: Composed, observe: Callable[[State], None]
) -> Snapshots:
    snapshots = Snapshots(
        job.reference,
        rows,
        frames=frames,
        target=composed.config.target,
        sign=job.measure.sign,
        synthetic=job.ascent.synthetic,
    )

    def see(state: State) -> None:
        snapshots(state)
        observe(state)

    if job.ascent.run(see) is StopReason.NOT_FINITE:
        raise RunFailedError(not_finite(job.ascent, job.measure.name))
    return snapshots


def _label(dataset: Dataset, color: str | None) -> str:
    if color is None:
        return next(iter(dataset.labels), "")
    if not dataset.labels:
        raise InputError(f"--color {color}: {dataset.name} has no labels.")
    checks.one_of(color, dataset.labels, f"label of {dataset.name}")
    return color


def _drawn(samples: int) -> LabelArray:
    """Return the samples that are drawn: all, or a random part that is the same each time."""
    if samples <= SAMPLES:
        return np.arange(samples)
    return np.sort(np.random.default_rng(0).choice(samples, SAMPLES, replace=False))


def _scene(job: Job, rows: LabelArray, label: str, composed: Composed) -> Scene:
    dataset, samples = job.dataset, job.reference.samples
    of_conditions = np.asarray(dataset.labels[label]) if label else np.zeros(dataset.responses.shape[-2])
    values = np.tile(of_conditions, samples // len(of_conditions))[rows]
    optimizer = as_node(composed.config.optimizer, "optimizer")
    how = str(optimizer.get("_target_", "")).rpartition(".")[2].lower()
    rate = f", lr {optimizer['lr']:g}" if isinstance(optimizer.get("lr"), int | float) else ""
    some = f"{len(rows)} of {samples} samples; " if len(rows) < samples else ""
    note = (
        "colour: Y, grey: X, in the first two PCs of X. Y has no axes of its own: in every frame it is\n"
        "turned onto X (orthogonal Procrustes) and has its total variance. Frames are evenly spaced in\n"
        f"score, not in steps. {some}{how}{rate}, seed {composed.config.seeds[0]}"
    )
    return Scene(
        title=f"{dataset.name} ({dataset.source})",
        X=job.reference.scores[:, :2].cpu().numpy()[rows],
        shares=job.reference.variance_ratio.cpu().numpy(),
        label=label,
        values=values,
        note=note,
    )
