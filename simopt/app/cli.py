"""The command line: one Typer application, with one module for each command."""

from __future__ import annotations

import io
import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
import typer.core

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

    from _typeshed import ReadableBuffer

_MOMENT = 0.05  # seconds; by then a finalizer has returned, and the main thread can take an interrupt again


class _Command(typer.core.TyperCommand):
    """A command that says how a setting is written if it is given as an option, ``--measure cka``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command."""
        options = {option for parameter in self.params for option in parameter.opts}
        options |= set(ctx.help_option_names)
        for word, after in itertools.pairwise([*args, "VALUE"]):
            option, equals, value = word.partition("=")
            if option.startswith("--") and option not in options and option != "--":
                from simopt import catalogue

                key, run = option[2:], catalogue.root("run")
                groups = {group for entry in run["defaults"] if isinstance(entry, dict) for group in entry}
                if key.partition(".")[0] in {*run, *groups}:
                    setting = f"{key}={value if equals else after}"
                    ctx.fail(f"No such option: {option}; settings have no dashes: {setting}")
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="simopt",
    help=(
        "What does a similarity score between a model and a brain mean? simopt optimizes noise towards a "
        "recording, and shows which PCs of the recording it has captured at every score.\n\n"
        "Begin with run (or sweep) and report. For your own data: score, explain, attribute. For a measure: "
        "sensitivity, joint, card. Write settings as KEY=VALUE: measure=nbs dataset=mante.\n\n"
        "Example: simopt run measure=cka dataset=majaj && simopt report"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # which would take the [a,b] of a help text for markup, and keep its line breaks
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (run, sweep, report, score, explain, attribute, sensitivity, joint, card, measures):
    # Without a short help the list of commands shows a docstring cut after 45 characters.
    app.command(cls=_Command, short_help=str(command.__doc__).partition("\n")[0])(command)
app.add_typer(datasets.app, name="datasets", short_help=str(datasets.app.info.help).partition("\n")[0])


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
    """An interrupt that can be caught; a plain KeyboardInterrupt during an import kills Python later."""


def _interrupt(number: int, frame: object) -> None:
    raise _Interrupt


def _unraised(ignored: UnraisableHookArgs) -> None:
    """Repeat an interrupt that Python dropped, as in finalizers and callbacks of weak references."""
    if ignored.exc_type is not _Interrupt:
        sys.__unraisablehook__(ignored)
        return
    again = threading.Timer(_MOMENT, _interrupt_main)
    again.daemon = True
    again.start()


def _interrupt_main() -> None:
    if hasattr(signal, "pthread_kill"):  # unlike raise_signal, it wakes a main thread that waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


class _Pipe(io.FileIO):
    """A stream that drops what is written once its reader has gone, as in ``simopt measures | head -1``."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes, and return their number."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def _reopened(stream: TextIO | None) -> TextIO:
    """Return standard output or standard error; one that is not a terminal may lose its reader."""
    if stream is None:  # closed before Python started; its number must not go to the next file
        return Path(os.devnull).open("w", encoding="utf-8")
    if stream.isatty():
        return stream
    raw = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=stream is sys.stderr)


def main() -> None:
    """Run the command line. SIGINT and SIGTERM end a command with exit code 130, unless its work is done."""
    sys.stdout, sys.stderr = _reopened(sys.stdout), _reopened(sys.stderr)
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
