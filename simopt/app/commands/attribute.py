"""``simopt attribute``: which PCs, samples or units a score hangs on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from simopt.app import completion
from simopt.app.console import AsJson, Debug, check_figure, count_bar, errors_as_lines, out, warnings_shown
from simopt.errors import InputError

if TYPE_CHECKING:
    from simopt.analysis.attribution import Attribution
    from simopt.datasets import Dataset
    from simopt.measures import Measure

By = Literal["pcs", "samples", "units", "x-units"]

Reference = Annotated[
    str, typer.Argument(metavar="X", help="The reference: a file, or a dataset such as majaj.")
]
File = Annotated[
    Path,
    typer.Argument(
        metavar="Y",
        help="npy, npz, h5, mat, nc, csv, tsv or parquet: (samples, units) or (time, condition, unit).",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[measure=NAME] [OVERRIDES]...",
        help="Which measure, default cka, and options of measure and dataset as `simopt run` takes them, "
        "for instance measure.form=angular dataset.labels=[object].",
    ),
]
ByOption = Annotated[
    By,
    typer.Option("--by", help="PCs of X, samples, units (of Y), or x-units (those of X)."),
]
Figure = Annotated[
    Path | None, typer.Option("--figure", help="Draw all changes into this .png, .pdf or .svg file.")
]
Top = Annotated[int, typer.Option("--top", min=1, help="How many rows the table has.")]


def attribute(
    x: Reference,
    y: File,
    overrides: Overrides = None,
    by: ByOption = "pcs",
    figure: Figure = None,
    top: Top = 10,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Rank the PCs, samples or units by how much the score of Y against X changes without each of them.

    A positive change: the score rises without it, so it keeps X and Y apart. What the linear measures can
    compute by formula is not refitted.

    Example: simopt attribute recording.npy model.npy measure=cka --by samples --figure samples.png
    """
    with errors_as_lines(debug), warnings_shown():
        check_figure(figure)
        from simopt.app import inputs
        from simopt.app.attribution_tables import attribution_table

        measure, dataset = _chosen(x, overrides or [])
        own = inputs.file(y)
        inputs.same_rows(dataset, own)
        found = _attribution(dataset, own.responses, measure, by)
        source = f"{dataset.name} (surrogate)" if dataset.source == "surrogate" else dataset.name
        title = f"{y.stem} against {source}: {found.measure} {found.score:.6f}"
        if figure is not None:
            from simopt.report.attribution import save_attribution

            save_attribution(found, title, figure)
        about = _about(dataset) if by == "samples" else {}
        if as_json:
            typer.echo(json.dumps(_plain(found, dataset, about)))
        else:
            words = [", ".join(f"{key} {value}" for key, value in row.items()) for row in _rows(about)]
            out().print(attribution_table(found, title, words, top))


def _chosen(x: str, overrides: list[str]) -> tuple[Measure, Dataset]:
    """Return the measure and the reference that the overrides describe."""
    from simopt import measures
    from simopt.app import inputs
    from simopt.app.build import as_node
    from simopt.app.compose import compose

    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        if key != "measure" and not key.startswith(("measure.", "dataset.")):
            raise InputError(
                f"{override!r}: `simopt attribute X Y` takes measure=NAME, measure.OPTION=VALUE and "
                "dataset.OPTION=VALUE."
            )
        if key == "measure" and ("," in value or value == "all"):
            raise InputError(f"{override!r}: `simopt attribute` takes one measure.")
    reference = inputs.as_overrides(x)
    if reference[0] == "dataset=file":
        reference.append("dataset.constant_units=keep")
    every = [*reference, *overrides]
    measure = measures.build(as_node(compose(every).config.measure, "measure"))
    return measure, inputs.recording(every)


def _attribution(dataset: Dataset, Y: Any, measure: Measure, by: By) -> Attribution:
    from simopt.analysis.attribution import leave_one_pc, leave_one_sample, leave_one_unit

    X = dataset.responses
    with count_bar(f"{measure.name}, scored anew") as observe:
        if by == "pcs":
            return leave_one_pc(X, Y, measure, observe=observe)
        if by == "samples":
            return leave_one_sample(X, Y, measure, observe=observe)
        return leave_one_unit(X, Y, measure, side="X" if by == "x-units" else "Y", observe=observe)


def _about(dataset: Dataset) -> dict[str, list[Any]]:
    """Return what is known of each sample: its time bin and condition where there is time, and its labels."""
    import numpy as np

    *leading, conditions, _ = dataset.responses.shape
    bins = leading[0] if leading else 1
    known: dict[str, list[Any]] = {}
    if leading:
        known["time bin"] = np.repeat(np.arange(bins), conditions).tolist()
        known["condition"] = np.tile(np.arange(conditions), bins).tolist()
    for variable, labels in dataset.labels.items():
        known[variable] = np.tile(labels, bins).tolist()
    return known


def _rows(about: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(about, values, strict=True)) for values in zip(*about.values(), strict=True)]


def _plain(found: Attribution, dataset: Dataset, about: dict[str, list[Any]]) -> dict[str, Any]:
    import numpy as np

    def listed(values: Any) -> list[float | None] | None:
        return None if values is None else [float(v) if np.isfinite(v) else None for v in values]

    return {
        "measure": found.measure,
        "dataset": dataset.name,
        "source": dataset.source,
        "part": found.part,
        "larger_is_closer": found.larger_is_closer,
        "score": found.score,
        "change": listed(found.change),
        "first_order": listed(found.first_order),
        "share": listed(found.share),
        "ranking": found.ranking().tolist(),
        "route": found.route,
        "refitted": found.refitted,
        "reason": found.reason,
        "about": about,
    }
