"""``simopt score``: the scores of two datasets, and where they stand."""

from __future__ import annotations

from simopt.app.terminal.console import check_figure, command, deliver
from simopt.app.terminal.options import (
    AsJson,
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


def score(
    x: Recording,
    y: OwnFile,
    overrides: Overrides = None,
    draws: Draws = None,
    snr: Snr = None,
    ids: Identifiers = None,
    figure: FigureFile = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Score Y against the reference X with one, several or all measures, in float64.

    Beside each score: its percentile among unrelated data with the spectrum of Y, and the noise ceiling of X,
    from single trials or a signal-to-noise ratio. Labels that both sides have must agree row by row. Scores
    are stored in log.dir, outputs, and found again. Keys: measure=NAME,... or all (default cka),
    measure.OPTION, dataset.OPTION, log.dir, force.

    Example: simopt score recording.npy model.npy measure=cka,nbs --draws 200
    """
    with command(debug):
        from simopt.app.config import requests
        from simopt.app.terminal.tables import scores_table
        from simopt.workflows.compare import carry_out

        check_figure(figure)
        request = requests.score(x, y, overrides or [], draws=draws, snr=snr, ids=ids)
        with stop_signals() as stopped:
            result = carry_out(request, should_stop=stopped)
        if figure is not None:
            from simopt.report.standing import save_standings

            save_standings(result.standings, result.title, figure)
        deliver(result, as_json, lambda: [scores_table(result)])
