"""``simopt score``: the scores of Y against X, beside those of unrelated data and the noise ceiling."""

from __future__ import annotations

from simopt.app.terminal.console import Output, command
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


@command
def score(
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
    """Score Y against the recording X with one, several or all measures, in float64.

    The table compares each score with a null and with a noise ceiling. The null has the scores of unrelated
    data: Y after an exchange, for instance of its samples. A line below the table says what was exchanged.
    The ceiling comes from the single trials of X or from --snr. Labels that X and Y both have
    must agree in every sample.

    Scores are stored in the folder log.dir (default: outputs), and the same command reads them from there.

    Keys: measure=NAME,NAME or measure=all (default: cka), measure.OPTION,
    measure.NAME.OPTION, dataset.OPTION, y.OPTION, log.dir, force.

    Example: simopt score recording.npy model.npy measure=cka,nbs --draws 200
    """
    from simopt.app.config import requests
    from simopt.app.terminal.tables import scores_table
    from simopt.workflows.compare import carry_out

    request = requests.score(x, y, overrides or [], config_dir, draws=draws, snr=snr, ids=ids)
    with stop_signals() as stopped:
        result = carry_out(request, should_stop=stopped)
    if figure is not None:
        from simopt.report.standing import save_standings

        save_standings(result.standings, result.title, figure)
    output.deliver(result, lambda: [scores_table(result)])
