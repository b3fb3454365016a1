"""``simopt joint``: which scores of two measures can occur together."""

from __future__ import annotations

from simopt.app.terminal.console import Output, command, titled_bar
from simopt.app.terminal.options import ConfigDir, FigureFile, Words
from simopt.app.terminal.signals import stop_signals


@command
def joint(
    output: Output,
    words: Words = None,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
) -> None:
    """Map the pairs of scores that one Y can have, and show what one score implies for the other.

    mode=boundary searches for the region of all pairs of scores; mode=square searches for given target pairs.
    Rerun an interrupted command to resume it.

    Keys: measure=A,B (three or more give every pair; all_paper: the measures of the paper), measure.OPTION,
    measure.NAME.OPTION, dataset, mode, levels, thresholds, thresholds_b, units, starts, rounds, steps,
    per_side, loss, rate, seed, contain, decode, keep, device, dtype, log.dir, checkpoint_seconds, force.

    Example: simopt joint measure=cka,procrustes_angular dataset=majaj --figure joint.pdf
    """
    from simopt.app.config import requests
    from simopt.app.terminal.analysis_tables import joint_tables
    from simopt.workflows.joint import carry_out

    pairs = requests.joint(words or [], config_dir)
    for request in pairs:  # all of them, before the first search takes its time
        request.check()
    with stop_signals() as stopped, titled_bar() as observe:
        results = [carry_out(request, observe, should_stop=stopped) for request in pairs]
    if figure is not None:
        from simopt.report.joint import save_joint, save_matrix

        save_joint(results[0], figure) if len(results) == 1 else save_matrix(results, figure)
    shown = results[0] if len(results) == 1 else results
    spectrum = pairs[0].dataset.dataset.spectrum()
    output.deliver(shown, lambda: joint_tables(results, spectrum))
    for result in results:
        if result.outside:
            widened = f"{result.outside} of {len(result.stored)} stored pairs of scores widened the region"
            output.say(f"{' and '.join(result.names)}: {widened}", error=True)
        output.say(f"{result.how}: {result.path}")
