"""``simopt explain``: what a score means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simopt.app.commands.run import ConfigDir, Overrides
from simopt.app.commands.score import Draws, FigureFile, Identifiers, Snr
from simopt.app.console import (
    AsJson,
    Debug,
    check_figure,
    err,
    errors_as_lines,
    out,
    progress_bar,
    warnings_shown,
)

Recording = Annotated[str, typer.Argument(metavar="X", help="A dataset of `simopt datasets`, or a file.")]
File = Annotated[
    Path, typer.Argument(metavar="Y", help="Your data, a file: the same samples in the same order.")
]


def explain(
    x: Recording,
    y: File,
    overrides: Overrides = None,
    draws: Draws = None,
    snr: Snr = None,
    ids: Identifiers = None,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what the scores of Y against the recording X mean, by what noise optimised up to them has of X.

    measure=NAME,NAME chooses measures (default: cka, nbs, procrustes_angular, linreg); other overrides are
    those of `simopt run`. Stored runs on the recording are used; missing ones are made, of three seeds, with
    decoding where there are labels, and kept.

    Example: simopt explain majaj model.npy measure=cka,nbs
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt import checks
        from simopt.app import explain as explaining
        from simopt.app.score import DRAWS
        from simopt.app.tables import advice_table
        from simopt.report.explanation import own_sentence, sentences

        draws = DRAWS if draws is None else draws
        checks.whole(draws, 1, "--draws")
        check_figure(figure)
        if snr is not None:
            checks.at_least(snr, 0, "--snr", strict=True)
        asked = explaining.request(x, y, overrides or [], ids, config_dir)
        for name in asked.missing:
            step, most = explaining.seconds_per_step(asked.runs[name]), asked.runs[name].config.max_steps
            told = f"{name}: no stored run; making one, {100 * step:.0f} s for 100 steps, {most} at most"
            err().print(f"{told} (decoding not counted)", markup=False, soft_wrap=True)
        made = explaining.make_missing(
            asked, lambda name: progress_bar(name, asked.runs[name].config.max_steps)
        )
        explanation = explaining.explain(made, draws=draws, snr=snr)
        if figure is not None:
            from simopt.report.standing import save_standings

            title = f"{y.name} against {explanation.dataset.name} ({explanation.dataset.source})"
            save_standings([each.standing for each in explanation.explained], title, figure)
        if as_json:
            typer.echo(json.dumps(explanation.as_json()))
            return
        shape = " x ".join(map(str, explanation.dataset.responses.shape))
        out().print(f"{explanation.dataset.name} ({explanation.dataset.source}), {shape}", style="bold")
        for sentence in [*sentences(explanation), own_sentence(explanation)]:
            out().print(sentence, markup=False, soft_wrap=True)
        for defect in explanation.defects:
            out().print(f"{defect.kind}: {defect.text}", markup=False, soft_wrap=True, style="yellow")
        out().print(advice_table(explanation))
        for line in explanation.advice:
            out().print(line, markup=False, soft_wrap=True)
        if explanation.no_ceiling:
            out().print(f"No ceiling: {explanation.no_ceiling}", markup=False, soft_wrap=True, style="dim")
