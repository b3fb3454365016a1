"""Output of the commands: results, errors in one or two lines, warnings, progress bars."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from simopt.app.terminal.options import AsJson, Debug, Wide
from simopt.errors import (
    DegenerateWarning,
    InputError,
    LabelWarning,
    LargeResultWarning,
    RowsWarning,
    SimoptError,
    SurrogateWarning,
    UnitsWarning,
)

if TYPE_CHECKING:
    from simopt.datasets.fetch import ProgressBar
    from simopt.optimization.state import State
    from simopt.report.document import Table

SHOWN = (DegenerateWarning, LabelWarning, LargeResultWarning, RowsWarning, UnitsWarning)
"""The warnings that are shown in one line each. The warning of a changed name is shown so, too."""

_PIPED = 200  # characters of a line outside a terminal, where no window limits them


def out() -> Console:
    """Return the console for results, which writes to standard output."""
    return Console(width=None if sys.stdout.isatty() else _PIPED, highlight=False)


def err() -> Console:
    """Return the console for messages, which writes to standard error."""
    return Console(stderr=True, highlight=False)


@contextlib.contextmanager
def errors_as_lines(debug: bool) -> Iterator[None]:
    """Show an exception in one or two lines, and exit with its code; ``debug`` adds the traceback."""
    try:
        yield
    except typer.Exit:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        message, code = _ending(error, debug)
        err().print(Text(f"simopt: {message}", style="red"), soft_wrap=True)
        raise typer.Exit(code) from error


def _ending(error: BaseException, debug: bool) -> tuple[str, int]:
    """Return the message of an exception and its exit code."""
    interrupted = _by_an_interrupt(error)
    # An interrupt leaves work half done, so cleaning up may complain of its input; a full disk is still news.
    if isinstance(error, SimoptError) and not (isinstance(error, InputError) and interrupted):
        return str(error), error.exit_code
    if isinstance(error, MemoryError):
        return "out of memory", 1
    if interrupted:
        return "interrupted", 130
    first = str(error).splitlines()[0] if str(error) else ""
    hint = "" if debug else "--debug shows the traceback; please report it."
    return f"unexpected {type(error).__name__}: {first}\n{hint}".strip(), 1


def _by_an_interrupt(error: BaseException | None) -> bool:
    """Return whether an exception is an interrupt, or was raised while one was handled."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def print_json(value: Any) -> None:
    """Print a value or a result, or a list of them, as strict JSON; each object has the key ``schema``, 1."""
    from simopt.checks import as_plain

    def versioned(result: Any) -> Any:
        plain = result.as_json() if hasattr(result, "as_json") else result
        return {"schema": 1, **plain} if isinstance(plain, dict) else plain

    shown = [versioned(result) for result in value] if isinstance(value, list) else versioned(value)
    typer.echo(json.dumps(as_plain(shown), allow_nan=False))


@dataclass(frozen=True)
class Output:
    """Prints results as tables and lines, with all columns if ``wide``, or only as JSON."""

    as_json: bool
    wide: bool

    def deliver(self, value: Any, tables: Callable[[], Iterable[Table]]) -> None:
        """Print ``value`` as JSON if the user asked for JSON, otherwise print its tables."""
        if self.as_json:
            print_json(value)
        else:
            self.show(tables())

    def show(self, tables: Iterable[Table]) -> None:
        """Print tables; on a terminal, columns that do not fit are left out unless ``wide`` is set."""
        from simopt.app.terminal.render import as_rich

        console = out()
        whole = self.wide or not console.is_terminal
        for table in tables:
            console.print(as_rich(table, console.width, whole=whole), crop=False)

    def say(self, *lines: object, style: str | None = None, error: bool = False) -> None:
        """Print lines, unless the result is printed as JSON."""
        if not self.as_json:
            say(*lines, style=style, error=error)


def say(*lines: object, style: str | None = None, error: bool = False) -> None:
    """Print lines without markup and without wrapping, on standard output or standard error."""
    console = err() if error else out()
    for line in lines:
        console.print(str(line), markup=False, soft_wrap=True, style=style)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose errors and warnings are shown as lines, with the option ``--debug``.

    A parameter ``output`` becomes the options ``--wide`` and ``--json``. The suffix of a figure is checked
    before anything is computed.
    """

    @functools.wraps(function)
    def shown(*, debug: bool, **arguments: Any) -> None:
        with errors_as_lines(debug), warnings_shown():
            if arguments.get("figure") is not None:
                from simopt.report.style import check_suffix  # loads matplotlib

                check_suffix(arguments["figure"])
            if "wide" in arguments:
                arguments["output"] = Output(arguments.pop("as_json"), arguments.pop("wide"))
            function(**arguments)

    # Typer reads the options of a command from its signature.
    own = dict(inspect.signature(function, eval_str=True).parameters)
    added = {"debug": Debug}
    if own.pop("output", None):
        added = {"wide": Wide, "as_json": AsJson, **added}
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in added.items()
    ]
    parameters = [*own.values(), *options]
    shown.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    shown.__annotations__ = {
        "return": None,
        **{parameter.name: parameter.annotation for parameter in parameters},
    }
    return shown


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Show the warnings of simopt on standard error; the warning of a surrogate is framed."""
    with warnings.catch_warnings():
        for category in (SurrogateWarning, *SHOWN):
            warnings.simplefilter("always", category)
        # Other packages warn their own developers in this way, and not a user of simopt.
        warnings.filterwarnings("always", ".* is now called ", DeprecationWarning)
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object, **more: object) -> None:
            if issubclass(category, SurrogateWarning):
                err().print(Panel(Text(str(message)), title="surrogate data", border_style="yellow"))
            elif issubclass(category, (*SHOWN, DeprecationWarning)):
                err().print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)
            else:
                before(message, category, *rest, **more)  # type: ignore[arg-type]

        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _bars(*columns: ProgressColumn) -> Iterator[Progress]:
    """Give progress bars with additional columns; they are drawn where standard error is a terminal."""
    usual = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    progress = Progress(*usual, console=err(), transient=True)
    with progress if progress.console.is_terminal else contextlib.nullcontext():
        yield progress


@contextlib.contextmanager
def progress_bar(title: str, max_steps: int) -> Iterator[Callable[[State], None]]:
    """Yield an observer that draws a bar with score, steps per second and time left, on a terminal only."""
    speed = TextColumn("score {task.fields[score]:.3f}  {task.fields[rate]:.1f} steps/s  at most")
    with _bars(MofNCompleteColumn(), speed) as bars:
        task = bars.add_task(title, total=max_steps, score=float("nan"), rate=0.0)
        first: list[tuple[int, float]] = []

        def observe(state: State) -> None:
            now = time.monotonic()
            if not first:
                first.append((state.step, now))
            rate = (state.step - first[0][0]) / max(now - first[0][1], 1e-9)
            bars.update(task, completed=state.step, score=float(state.score.mean()), rate=rate)

        yield observe


@contextlib.contextmanager
def titled_bar(*, named: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Yield an observer that draws a bar for each title.

    Outside a terminal it prints a line for each title if ``named``, otherwise nothing.
    """
    tasks: dict[str, TaskID] = {}

    def observe(title: str, done: int, total: int) -> None:
        if title not in tasks:
            tasks[title] = bars.add_task(title)
            if named and not bars.console.is_terminal:
                say(f"making {title}", error=True)
        bars.update(tasks[title], completed=done, total=total)

    with _bars(MofNCompleteColumn()) as bars:
        yield observe


class _Download:
    """The progress bar of a download, with the methods that pooch calls."""

    def __init__(self, progress: Progress, title: str) -> None:
        self.progress = progress
        self.task = progress.add_task(title, total=None)
        self.total = 0
        """The bytes of the file."""

    def update(self, n: int) -> None:
        """Add ``n`` bytes."""
        self.progress.update(self.task, advance=n, total=self.total or None)

    def reset(self) -> None:
        """Start again at zero."""
        self.progress.update(self.task, completed=0)

    def close(self) -> None:
        """Do nothing: the bar disappears when :func:`download_bar` ends."""


@contextlib.contextmanager
def download_bar(title: str) -> Iterator[ProgressBar]:
    """Yield the bar of a download, in bytes, which is drawn on a terminal only."""
    with _bars(DownloadColumn()) as bars:
        yield _Download(bars, title)
