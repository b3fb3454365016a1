"""The command line: one Typer application, one module a command."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from simopt import __version__
from simopt.app.commands import datasets
from simopt.app.commands.attribute import attribute
from simopt.app.commands.card import card
from simopt.app.commands.explain import explain
from simopt.app.commands.joint import joint
from simopt.app.commands.measures import measures
from simopt.app.commands.report import report
from simopt.app.commands.run import run
from simopt.app.commands.score import score
from simopt.app.commands.sensitivity import sensitivity
from simopt.app.commands.sweep import sweep

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_MOMENT = 0.05  # seconds, in which a finaliser comes to its end

app = typer.Typer(
    name="simopt",
    help=(
        "What does a similarity score between a model and a brain mean? simopt optimizes noise towards a "
        "recording and shows what it has captured of it at every score.\n\n"
        "Begin with run (or sweep) and report. Your own data: score, explain, attribute. What a measure "
        "sees: sensitivity, joint, card. Overrides are written KEY=VALUE: measure=nbs dataset=mante.\n\n"
        "Example: simopt run measure=cka dataset=majaj && simopt report"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, sweep, report, score, explain, attribute, sensitivity, joint, card, measures):
    app.command()(command)
app.add_typer(datasets.app, name="datasets")


def _version(show: bool) -> None:
    if show:
        typer.echo(f"simopt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


class _Interrupt(KeyboardInterrupt):
    """Once a plain KeyboardInterrupt has left an exec, as in imports, Python ends by the signal after all."""


def _interrupt(number: int, frame: object) -> None:
    raise _Interrupt


def _unraised(ignored: UnraisableHookArgs) -> None:
    """Interrupt again in a moment where Python drops it: in finalisers, and callbacks of weak references."""
    if ignored.exc_type is not _Interrupt:
        sys.__unraisablehook__(ignored)
        return
    again = threading.Timer(_MOMENT, _interrupt_main)
    again.daemon = True
    again.start()


def _interrupt_main() -> None:
    if hasattr(signal, "pthread_kill"):  # it also ends what the main thread waits for
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the command line; SIGINT and SIGTERM end it with exit code 130, and do nothing once it is done."""
    sys.unraisablehook = _unraised
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
