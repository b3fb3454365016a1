"""``simopt animate``: the synthetic dataset becoming the recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simopt.app import completion
from simopt.app.commands.run import ConfigDir
from simopt.app.console import (
    AsJson,
    Debug,
    count_bar,
    err,
    errors_as_lines,
    out,
    progress_bar,
    warnings_shown,
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        autocompletion=completion.overrides,
        metavar="[KEY=VALUE]...",
        help="Overrides in Hydra's grammar, as of `simopt run`; measure=cka,nbs shows two side by side.",
    ),
]
AnimationFile = Annotated[
    Path, typer.Option("--file", help="The .gif to write, or .mp4 where ffmpeg is installed.")
]
Frames = Annotated[int, typer.Option("--frames", help="So many, evenly spaced in score.")]
Color = Annotated[
    str | None,
    typer.Option("--color", metavar="LABEL", help="Colours the samples; default: the first label."),
]


def animate(
    overrides: Overrides = None,
    file: AnimationFile = Path("animation.gif"),
    frames: Frames = 60,
    color: Color = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show the synthetic Y becoming the recording X, in X's first two principal components.

    The run is carried out again (no run file holds Y at every step) and not stored. Y has no axes of its own,
    since most measures ignore rotations and scale: in each frame it is turned onto X by orthogonal
    Procrustes and scaled to its total variance. Below: how much of PCs 1, 2, 5, 10 is captured. optimizer.lr
    is 0.02 unless you choose an optimizer, so that the score does not leap over frames.

    Example: simopt animate measure=cka,procrustes_angular dataset=majaj --file majaj.gif
    """
    with errors_as_lines(debug), warnings_shown():
        from simopt.report.animation import check_file, save_animation

        check_file(file)
        from simopt.app import animate as work

        asked = work.request(overrides or [], frames, config_dir)
        animated = work.animate(asked, frames, color, progress_bar)
        with count_bar("drawing") as observe:
            save_animation(animated.films, animated.scene, file, observe)
        for line in animated.leaps():
            err().print(line, markup=False, soft_wrap=True)
        if as_json:
            typer.echo(json.dumps({"file": str(file), **animated.as_json()}))
        else:
            last = ", ".join(f"{film.measure} {film.shots[-1].score:.3f}" for film in animated.films)
            out().print(f"{frames} frames, up to {last}\n{file}", markup=False, soft_wrap=True)
