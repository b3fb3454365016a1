"""``simopt joint``: which scores of two measures can occur together."""

from __future__ import annotations

from simopt.app.terminal.console import check_figure, command, deliver, say, titled_bar
from simopt.app.terminal.options import AsJson, ConfigDir, Debug, FigureFile, Overrides
from simopt.app.terminal.signals import stop_signals


def joint(
    overrides: Overrides = None,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Map the pairs of scores that one Y can have, and say what a score of one measure implies for the other.

    Keys: measure=A,B (more: every pair; all_paper), measure.OPTION, dataset, mode (boundary, square), levels,
    thresholds, thresholds_b, units, starts, rounds, steps, per_side, loss, rate, seed, contain, decode, keep,
    device, dtype, log.dir, checkpoint_seconds, force. An interrupted search goes on.

    Example: simopt joint measure=cka,procrustes_angular dataset=majaj --figure joint.pdf
    """
    with command(debug):
        from simopt.app.config import requests
        from simopt.app.terminal.analysis_tables import joint_tables
        from simopt.workflows.joint import carry_out

        check_figure(figure)
        asked = requests.joint(overrides or [], config_dir)
        for each in asked:
            each.check()
        with stop_signals() as stopped, titled_bar() as observe:
            results = [carry_out(each, observe, should_stop=stopped) for each in asked]
        if figure is not None:
            from simopt.report.joint import save_joint, save_matrix

            save_joint(results[0], figure) if len(results) == 1 else save_matrix(results, figure)
        shown = results[0] if len(results) == 1 else results
        deliver(shown, as_json, lambda: joint_tables(results, asked[0].dataset.dataset.spectrum()))
        for result in [] if as_json else results:
            if result.outside:
                told = f"{result.outside} of {len(result.stored)} stored pairs of scores widened the region"
                say(f"{' and '.join(result.names)}: {told}", error=True)
            say(f"{result.how}: {result.path}")
