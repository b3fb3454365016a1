"""``simopt explain``: what a score means."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from simopt.app.terminal.console import check_figure, command, deliver, progress_bar, say
from simopt.app.terminal.options import (
    AsJson,
    ConfigDir,
    Debug,
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

_PROBED_STEPS = 3


def explain(
    x: Recording,
    y: OwnFile,
    overrides: Overrides = None,
    draws: Draws = None,
    snr: Snr = None,
    ids: Identifiers = None,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Interpret the scores of Y: which PCs and labels of X an optimized random dataset has at the same score.

    measure=NAME,NAME chooses measures (default: cka, nbs, procrustes_angular, linreg); other overrides are
    those of `simopt run`. Stored runs on the recording are used; missing ones are made, of three seeds, with
    decoding where there are labels, and kept.

    Example: simopt explain majaj model.npy measure=cka,nbs
    """
    with command(debug):
        from simopt.app.config import requests
        from simopt.app.terminal.tables import advice_table
        from simopt.workflows.compare import DRAWS
        from simopt.workflows.explain import carry_out

        check_figure(figure)
        options = {"draws": DRAWS if draws is None else draws, "snr": snr, "ids": ids}
        request = requests.explain(x, y, overrides or [], config_dir, **options)
        with stop_signals() as stopped:
            result = carry_out(request, _watched, should_stop=stopped)
        if figure is not None:
            from simopt.report.standing import save_standings

            save_standings([each.standing for each in result.explained], result.title, figure)
        if not as_json:
            say(f"{result.dataset} ({result.source}), {' x '.join(map(str, result.shape))}", style="bold")
            say(*result.sentences())
            say(*(f"{defect.kind}: {defect.text}" for defect in result.defects), style="yellow")
        deliver(result, as_json, lambda: [advice_table(result)])
        if not as_json:
            say(*result.advice)
            say(*([f"No ceiling: {result.no_ceiling}"] if result.no_ceiling else []), style="dim")


@contextlib.contextmanager
def _watched(request: RunRequest) -> Iterator[Callable[[State], None]]:
    """Give an observer of a run that is made: it says once how long the run takes, and draws a bar."""
    from simopt.workflows.request import name_of

    name, times = name_of(request.measure), list[float]()

    with progress_bar(name, request.max_steps) as bar:

        def observe(state: State) -> None:
            times.append(time.perf_counter())
            if len(times) == 1 + _PROBED_STEPS:
                seconds = (times[-1] - times[0]) / _PROBED_STEPS
                told = f"{100 * seconds:.0f} s for 100 steps, {request.max_steps} at most"
                say(f"{name}: no stored run; making one, {told}", error=True)
            bar(state)

        yield observe
