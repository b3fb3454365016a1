"""``simopt run``: one optimization."""

from __future__ import annotations

from simopt.app.terminal.console import command, print_json, progress_bar, say
from simopt.app.terminal.options import AsJson, ConfigDir, Words
from simopt.app.terminal.signals import stop_signals


@command
def run(words: Words = None, config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """Optimize noise towards a recording, and log its score and captured variance.

    The run is stored as outputs/DATASET/MEASURE/ID/run.h5. The same command finds a finished run, and resumes
    an interrupted one.

    Keys: measure, dataset, optimizer, init, decoder, seeds, target, max_steps, track, nulls, attribute,
    device, dtype, tf32, log, force.

    Example: simopt run measure=procrustes_angular dataset=mante seeds=[0,1,2] optimizer.lr=0.05
    """
    from simopt.app.config import requests
    from simopt.workflows.run import carry_out

    request = requests.run(words or [], config_dir)
    with stop_signals() as stopped, progress_bar("optimizing", request.max_steps) as observe:
        result = carry_out(request, observe, should_stop=stopped)
    if as_json:
        print_json(result)
    else:
        stored = result.path or "not stored, because log.dir is null"
        say(f"{result.how}: {result.line()}", *result.caveats(), stored)
