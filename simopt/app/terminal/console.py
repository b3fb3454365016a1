"""What a person sees: errors in one or two lines, warnings that cannot be missed, a progress bar."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
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

from simopt.errors import (
    DegenerateWarning,
    InputError,
    LargeResultWarning,
    SimoptError,
    SurrogateWarning,
)

if TYPE_CHECKING:
    from simopt.datasets.fetch import ProgressBar
    from simopt.optimization.state import State
    from simopt.report.document import Table

_SHOWN = (DegenerateWarning, LargeResultWarning, DeprecationWarning)
"""Our own warnings that are shown in one line."""

_OUTSIDE_A_TERMINAL = 200


def out() -> Console:
    """Return the console of results, wide enough for a table where it is not a terminal."""
    width = None if sys.stdout.isatty() else _OUTSIDE_A_TERMINAL
    return Console(width=width, highlight=False)


def err() -> Console:
    """Return the console of messages, standard error."""
    return Console(stderr=True, highlight=False)


@contextlib.contextmanager
def errors_as_lines(debug: bool) -> Iterator[None]:
    """Turn exceptions into one or two lines and an exit code; with ``debug`` also show the traceback."""
    try:
        yield
    except (typer.Exit, BrokenPipeError):
        raise  # at a broken pipe whoever read the output has gone, and Typer ends quietly
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        message, code = _ending(error, debug)
        err().print(Text(f"simopt: {message}", style="red"), soft_wrap=True)
        raise typer.Exit(code) from error


def _ending(error: BaseException, debug: bool) -> tuple[str, int]:
    """Return what is said of an exception, and the exit code."""
    if isinstance(error, SimoptError) and not (isinstance(error, InputError) and _of_an_interrupt(error)):
        return str(error), error.exit_code
    if isinstance(error, MemoryError):
        return "out of memory", 1
    if _of_an_interrupt(error):
        return "interrupted", 130
    first = str(error).splitlines()[0] if str(error) else ""
    hint = "" if debug else "--debug shows the traceback; please report it."
    return f"unexpected {type(error).__name__}: {first}\n{hint}".strip(), 1


def _of_an_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt led to an error: in cleaning up, a library may stumble over what is half done."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextlib.contextmanager
def command(debug: bool) -> Iterator[None]:
    """Show what goes wrong in a command, and what it warns of, as people are to see it."""
    with errors_as_lines(debug), warnings_shown():
        yield


def print_json(value: Any) -> None:
    """Print plain values or results, one or a list, as strict JSON with the version of their keys."""
    from simopt.checks import as_plain

    def versioned(each: Any) -> Any:
        plain = each.as_json() if hasattr(each, "as_json") else each
        return {"schema": 1, **plain} if isinstance(plain, dict) else plain

    shown = [versioned(each) for each in value] if isinstance(value, list) else versioned(value)
    typer.echo(json.dumps(as_plain(shown), allow_nan=False))


def deliver(value: Any, as_json: bool, tables: Callable[[], Iterable[Table]]) -> None:
    """Print plain values or results as JSON, or their tables."""
    if as_json:
        print_json(value)
    else:
        show(tables())


def show(tables: Iterable[Table]) -> None:
    """Print tables on standard output."""
    from simopt.app.terminal.render import as_rich

    for table in tables:
        out().print(as_rich(table))


def say(*lines: object, style: str | None = None, error: bool = False) -> None:
    """Print lines as they are, on standard output or standard error."""
    console = err() if error else out()
    for line in lines:
        console.print(str(line), markup=False, soft_wrap=True, style=style)


def check_figure(path: Path | None) -> None:
    """Refuse a file to draw into, if one is asked for, that is no figure, before anything is computed."""
    if path is not None:
        from simopt.report.style import check_suffix  # loads matplotlib

        check_suffix(path)


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Show our own warnings on standard error: that of a surrogate framed, so that it is not missed."""
    with warnings.catch_warnings():
        for category in (SurrogateWarning, *_SHOWN):
            warnings.simplefilter("always", category)
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object, **more: object) -> None:
            if issubclass(category, SurrogateWarning):
                err().print(Panel(Text(str(message)), title="surrogate data", border_style="yellow"))
            elif issubclass(category, _SHOWN):
                err().print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)
            else:
                before(message, category, *rest, **more)  # type: ignore[arg-type]

        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _bars(*columns: ProgressColumn) -> Iterator[Progress | None]:
    """Give bars with more columns; None where standard error is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    usual = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    with Progress(*usual, console=console, transient=True) as progress:
        yield progress


@contextlib.contextmanager
def progress_bar(title: str, max_steps: int) -> Iterator[Callable[[State], None]]:
    """Give an observer that draws a bar with score, steps a second and time left; silent elsewhere."""
    speed = TextColumn("score {task.fields[score]:.3f}  {task.fields[rate]:.1f} steps/s  at most")
    with _bars(MofNCompleteColumn(), speed) as bars:
        if bars is None:
            yield lambda state: None
            return
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
    """Give an observer of what is at work and how far it is, a bar each; outside a terminal a line."""
    tasks: dict[str, TaskID | None] = {}

    def observe(title: str, done: int, total: int) -> None:
        if title not in tasks:
            tasks[title] = None if bars is None else bars.add_task(title, total=total)
            if bars is None and named:
                say(f"making {title}", error=True)
        task = tasks[title]
        if bars is not None and task is not None:
            bars.update(task, completed=done, total=total)

    with _bars(MofNCompleteColumn()) as bars:
        yield observe


class _Download:
    """What a download reports to, drawn as a bar; the names are those that pooch calls."""

    def __init__(self, progress: Progress, title: str) -> None:
        self.progress = progress
        self.task = progress.add_task(title, total=None)
        self.total = 0
        """The bytes of the file."""

    def update(self, n: int) -> None:
        """Go on by ``n`` bytes."""
        self.progress.update(self.task, advance=n, total=self.total or None)

    def reset(self) -> None:
        """Start at zero again."""
        self.progress.update(self.task, completed=0)

    def close(self) -> None:
        """Nothing is left to do: the bar is taken away as a whole."""


@contextlib.contextmanager
def download_bar(title: str) -> Iterator[ProgressBar | None]:
    """Give a bar for downloads, bytes and time left; None where standard error is no terminal."""
    with _bars(DownloadColumn()) as bars:
        yield None if bars is None else _Download(bars, title)
