"""``simopt sensitivity``: which principal components a score depends on, in theory and in experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simopt.app.terminal.console import Output, command, print_json, say, titled_bar
from simopt.app.terminal.options import ConfigDir, FigureFile, Words
from simopt.app.terminal.signals import stop_signals
from simopt.errors import InputError

if TYPE_CHECKING:
    from simopt.workflows.sensitivity_request import SensitivityRequest

Derivation = Annotated[
    bool, typer.Option("--derivation", help="Print the derivations of the closed forms; this needs no data.")
]
Write = Annotated[
    Path | None,
    typer.Option(
        "--write",
        metavar="DIR",
        help="Write the derivations into this folder: Markdown, LaTeX, and PDF if LaTeX is installed.",
    ),
]
Learning = Annotated[
    bool,
    typer.Option("--learning", help="Predict which PCs are learned first, and compare with stored runs."),
]
Bounds = Annotated[
    bool,
    typer.Option("--bounds", help="Print the proved limits on one score at given scores of another."),
]


@command
def sensitivity(
    output: Output,
    words: Words = None,
    derivation: Derivation = False,
    write: Write = None,
    learning: Learning = False,
    bounds: Bounds = False,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
) -> None:
    """Perturb each PC of a recording, and compare the resulting scores with theory.

    With spectrum=FILE.csv samples=N units=N the theory is evaluated without data; the file has the variance
    of one PC in each row.

    Keys: measure=NAME,NAME or measure=all (default: cka, nbs, procrustes_angular), measure.OPTION, dataset,
    perturbation (rotation, scaling, noise, noise_all), strength (degrees, factor or noise level; a number
    or a list), seeds, pcs, log.dir, force.

    Example: simopt sensitivity dataset=majaj measure=cka,nbs,procrustes_angular --figure majaj.pdf
    """
    from simopt.app.config import requests
    from simopt.app.terminal import analysis_tables as tables
    from simopt.workflows import derivations

    if sum((derivation, learning, bounds)) > 1:
        raise InputError("--derivation, --learning and --bounds exclude each other; give only one of them.")
    if write is not None and not derivation:
        raise InputError(f"--write {write} needs --derivation, and writes nothing else; give both.")
    request = requests.sensitivity(words or [], config_dir)
    if derivation:
        derived = derivations.derivation(request)
        if write is not None:
            say(*derived.write(write), error=True)
        if output.as_json:
            print_json(derived)
        elif write is None:
            for text in derived.texts():
                typer.echo(text)
    elif bounds:
        proved = derivations.bounds(request)
        output.deliver(proved, lambda: [tables.bounds_table(proved)])
    elif learning:
        learned = derivations.learning(request)
        output.deliver(learned, lambda: tables.learning_tables(learned))
        output.say(*tables.learning_remarks(learned), error=True)
    else:
        _experiment(request, figure, output)


def _experiment(request: SensitivityRequest, figure: Path | None, output: Output) -> None:
    from simopt.app.terminal.analysis_tables import sensitivity_tables
    from simopt.workflows.sensitivity import carry_out

    with stop_signals() as stopped, titled_bar() as observe:
        result = carry_out(request, observe, should_stop=stopped)
    if figure is not None:
        from simopt.report.sensitivity import save_sensitivity

        save_sensitivity(result, figure)
    output.deliver(result, lambda: sensitivity_tables(result))
    output.say(*(f"{name}: {reason}" for name, reason in result.skipped.items()), style="dim", error=True)
    output.say(*([] if result.path is None else [f"{result.how}: {result.path}"]))
