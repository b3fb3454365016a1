"""``simopt explain``: what the scores of Y against a recording mean."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from simopt.app.terminal.console import Output, command, progress_bar, say
from simopt.app.terminal.options import (
    ConfigDir,
    Draws,
    FigureFile,
    Identifiers,
    Overrides,
    OwnFile,
    Recording,
    Snr,
)
from simopt.app.terminal.signals import stop_signals

if TYPE_CHECKING:
    from simopt.optimization.state import State
    from simopt.workflows.run_request import RunRequest

_PROBED_STEPS = 3  # steps timed to estimate the duration of a run; the first one, which warms up, is not


@command
def explain(
    output: Output,
    x: Recording,
    y: OwnFile,
    overrides: Overrides = None,
    draws: Draws = None,
    snr: Snr = None,
    ids: Identifiers = None,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
) -> None:
    """Interpret the scores of Y by what optimized noise has captured of X at the same scores.

    The captured PCs and the decoded labels come from stored runs on the recording. Missing runs are made with
    three seeds, and stored.

    Keys: measure=NAME,NAME (default: cka, nbs, procrustes_angular, linreg), and those of `simopt run`.

    Example: simopt explain majaj model.npy measure=cka,nbs
    """
    from simopt.app.config import requests
    from simopt.app.terminal.tables import advice_table
    from simopt.workflows.compare import DRAWS
    from simopt.workflows.explain import carry_out

    options = {"draws": DRAWS if draws is None else draws, "snr": snr, "ids": ids}
    request = requests.explain(x, y, overrides or [], config_dir, **options)
    with stop_signals() as stopped:
        result = carry_out(request, _watched, should_stop=stopped)
    if figure is not None:
        from simopt.report.standing import save_standings

        save_standings([explained.standing for explained in result.explained], result.title, figure)
    output.say(f"{result.dataset} ({result.source}), {' x '.join(map(str, result.shape))}", style="bold")
    output.say(*result.sentences())
    output.say(*(f"{defect.kind}: {defect.text}" for defect in result.defects), style="yellow")
    output.deliver(result, lambda: [advice_table(result)])
    output.say(*result.advice)
    output.say(*([f"No ceiling: {result.no_ceiling}"] if result.no_ceiling else []), style="dim")


@contextlib.contextmanager
def _watched(request: RunRequest) -> Iterator[Callable[[State], None]]:
    """Give an observer of a new run: it draws a bar, and prints once how long the run may take."""
    from simopt.workflows.request import name_of

    name, times = name_of(request.measure), list[float]()

    with progress_bar(name, request.max_steps) as bar:

        def observe(state: State) -> None:
            times.append(time.perf_counter())
            if len(times) == 1 + _PROBED_STEPS:
                seconds = (times[-1] - times[0]) / _PROBED_STEPS
                duration = f"{100 * seconds:.0f} s per 100 steps, at most {request.max_steps} steps"
                say(f"{name}: no stored run, so one is made now; {duration}", error=True)
            bar(state)

        yield observe
