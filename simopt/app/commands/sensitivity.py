"""``simopt sensitivity``: which principal components a score depends on, in theory and in experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simopt.app import completion
from simopt.app.commands.run import ConfigDir
from simopt.app.console import (
    AsJson,
    Debug,
    check_figure,
    count_bar,
    err,
    errors_as_lines,
    out,
    warnings_shown,
)
from simopt.errors import InputError

if TYPE_CHECKING:
    from simopt.app.sensitivity import Request

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[KEY=VALUE]...",
        help="Overrides in Hydra's grammar, for instance dataset=mante.",
    ),
]
FigureFile = Annotated[
    Path | None,
    typer.Option("--figure", help="Draw theory and experiment into this .png, .pdf or .svg file."),
]
Derivation = Annotated[
    bool, typer.Option("--derivation", help="Derive the closed forms, every step checked; needs no data.")
]
Write = Annotated[
    Path | None,
    typer.Option(
        "--write", metavar="DIR", help="Write the derivations there: Markdown, LaTeX, and PDF if it can be."
    ),
]
Learning = Annotated[
    bool,
    typer.Option("--learning", help="Predict which PCs are learned first, and compare with stored runs."),
]
Bounds = Annotated[
    bool,
    typer.Option(
        "--bounds", help="Print what a score of one measure proves about another, on this spectrum."
    ),
]


def sensitivity(
    overrides: Overrides = None,
    derivation: Derivation = False,
    write: Write = None,
    learning: Learning = False,
    bounds: Bounds = False,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Perturb each PC of a recording, and set what the scores say beside what theory says.

    Keys: measure=[NAME,...] (default cka, nbs, procrustes_angular) or all, measure.OPTION, dataset,
    perturbation (rotation, scaling, noise, noise_all), strength (degrees, amplitude or level; one or a
    list), seeds, pcs, dir, force. spectrum=FILE.csv samples=N units=N predicts without data.

    Example: simopt sensitivity dataset=majaj measure=[cka,nbs,procrustes_angular] --figure majaj.pdf
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.app import sensitivity as work

        if sum((derivation, learning, bounds)) > 1:
            raise InputError("--derivation, --learning and --bounds are asked for one at a time.")
        if write is not None and not derivation:
            raise InputError("--write goes with --derivation; --figure and the stored file hold the rest.")
        check_figure(figure)
        asked = work.request(overrides or [], config_dir)
        if derivation:
            _derivation(asked, write, as_json)
        elif learning:
            _learning(asked, config_dir, as_json)
        elif bounds:
            _bounds(asked, config_dir, as_json)
        else:
            _sensitivity(asked, figure, config_dir, as_json)


def _sensitivity(asked: Request, figure: Path | None, config_dir: Path | None, as_json: bool) -> None:
    from simopt.app import sensitivity as work
    from simopt.app.sensitivity_tables import sensitivity_tables

    with count_bar("perturbing") as observe:
        result = work.carry_out(asked, config_dir, observe)
    if figure is not None:
        from simopt.report.sensitivity import save_sensitivity

        title = f"{result.dataset} ({result.source})"
        kind = result.perturbation
        save_sensitivity(result.curves, result.variance_ratio, result.strengths, kind, title, figure)
    if as_json:
        typer.echo(json.dumps(result.as_json()))
        return
    for table in sensitivity_tables(result):
        out().print(table)
    for name, reason in result.skipped.items():
        err().print(f"{name}: {reason}", markup=False, soft_wrap=True, style="dim")
    if result.path is not None:
        out().print(f"{result.how}: {result.path}", markup=False, soft_wrap=True)


def _derivation(asked: Request, write: Path | None, as_json: bool) -> None:
    from simopt.app import derivations

    derived = derivations.derive_all(asked)
    if write is not None:
        for line in derivations.write(derived, write):
            err().print(line, markup=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(derivations.as_json(derived)))
    elif write is None:
        for text in derivations.texts(derived):
            typer.echo(text)


def _learning(asked: Request, config_dir: Path | None, as_json: bool) -> None:
    from simopt.app.learning import learning
    from simopt.app.sensitivity_tables import learning_tables

    dataset, learned = learning(asked, config_dir)
    if as_json:
        found = {each.measure: each.as_json() for each in learned}
        typer.echo(json.dumps({"dataset": dataset.name, "source": dataset.source, "measures": found}))
        return
    for table in learning_tables(dataset, learned):
        out().print(table)
    for each in learned:
        if each.refusal:
            err().print(f"{each.measure}: {each.refusal}", markup=False, soft_wrap=True)
        elif each.run is None:
            told = (
                f"no stored run on these data; `simopt run measure={each.measure}` makes one to compare with"
            )
            err().print(f"{each.measure}: {told}", markup=False, soft_wrap=True)


def _bounds(asked: Request, config_dir: Path | None, as_json: bool) -> None:
    from simopt.app import inputs
    from simopt.app.sensitivity_tables import bounds_json, bounds_table
    from simopt.theory import bounds

    names = list(asked.measures)
    for name in names:
        bounds.relation(name)
    if len(names) < 2:
        raise InputError("--bounds needs two measures or more, for instance measure=[cka,nbs].")
    dataset = inputs.recording(asked.data, config_dir)
    if as_json:
        typer.echo(json.dumps(bounds_json(names, dataset)))
    else:
        out().print(bounds_table(names, dataset))
