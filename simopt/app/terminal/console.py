"""What a person sees: errors in one or two lines, warnings that cannot be missed, a progress bar."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from simopt.errors import (
    DegenerateWarning,
    InputError,
    LargeResultWarning,
    RetiredWarning,
    SimoptError,
    SurrogateWarning,
)

if TYPE_CHECKING:
    from simopt.datasets.fetch import ProgressBar
    from simopt.optimization.state import State
    from simopt.report.document import Table
    from simopt.workflows.result import Result

_SHOWN = (DegenerateWarning, LargeResultWarning, RetiredWarning)
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
    except typer.Exit:
        raise
    except SimoptError as error:
        if isinstance(error, InputError) and _of_an_interrupt(error):
            _fail("interrupted", 130, debug)
        _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        _fail("interrupted", 130, debug)
    except MemoryError:
        _fail("out of memory", 1, debug)
    except BrokenPipeError:
        raise  # whoever read the output has gone, and Typer ends quietly
    except Exception as error:
        if _of_an_interrupt(error):
            _fail("interrupted", 130, debug)
        first = str(error).splitlines()[0] if str(error) else ""
        kind = type(error).__name__
        hint = "" if debug else "--debug shows the traceback; please report it."
        _fail(f"unexpected {kind}: {first}\n{hint}".strip(), 1, debug)


def _of_an_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt led to an error: in cleaning up, a library may stumble over what is half done."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _fail(message: str, code: int, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    err().print(Text(f"simopt: {message}", style="red"), soft_wrap=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def command(debug: bool) -> Iterator[None]:
    """Show what goes wrong in a command, and what it warns of, as people are to see it."""
    with errors_as_lines(debug), warnings_shown():
        yield


def print_json(value: Any) -> None:
    """Print plain values as strict JSON, with the version of their keys, on standard output."""
    from simopt.checks import as_plain

    def versioned(each: Any) -> Any:
        return {"schema": 1, **each} if isinstance(each, dict) else each

    shown = [versioned(each) for each in value] if isinstance(value, list) else versioned(value)
    typer.echo(json.dumps(as_plain(shown), allow_nan=False))


def deliver(results: Result | Sequence[Result], as_json: bool, tables: Callable[[], Iterable[Table]]) -> None:
    """Print results, one or a list of them, as JSON or as tables."""
    if as_json:
        print_json(
            [each.as_json() for each in results] if isinstance(results, Sequence) else results.as_json()
        )
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
def progress_bar(title: str, max_steps: int) -> Iterator[Callable[[State], None]]:
    """Give an observer that draws a bar with score, steps a second and time left; silent elsewhere."""
    console = err()
    if not console.is_terminal:
        yield lambda state: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("score {task.fields[score]:.3f}  {task.fields[rate]:.1f} steps/s  at most"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=max_steps, score=float("nan"), rate=0.0)
        first: list[tuple[int, float]] = []

        def observe(state: State) -> None:
            now = time.monotonic()
            if not first:
                first.append((state.step, now))
            taken = max(now - first[0][1], 1e-9)
            progress.update(
                task,
                completed=state.step,
                score=float(state.score.mean()),
                rate=(state.step - first[0][0]) / taken,
            )

        yield observe


@contextlib.contextmanager
def titled_bar(*, named: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Give an observer of what is at work and how far it is, a bar each; outside a terminal a line."""
    console = err()
    if not console.is_terminal:
        begun: set[str] = set()

        def say_once(title: str, done: int, total: int) -> None:
            if named and title not in begun:
                begun.add(title)
                say(f"making {title}", error=True)

        yield say_once
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def observe(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = progress.add_task(title, total=total)
            progress.update(tasks[title], completed=done, total=total)

        yield observe


class _Download:
    """What a download reports to, drawn as a bar; the names are those that pooch calls."""

    def __init__(self, progress: Progress, title: str) -> None:
        self.progress = progress
        self.task = progress.add_task(title, total=None)
        self._total = 0

    @property
    def total(self) -> int:
        """The bytes of the file."""
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        self._total = value
        self.progress.update(self.task, total=value or None)

    def update(self, n: int) -> None:
        """Go on by ``n`` bytes."""
        self.progress.update(self.task, advance=n)

    def reset(self) -> None:
        """Start at zero again."""
        self.progress.update(self.task, completed=0)

    def close(self) -> None:
        """Nothing is left to do: the bar is taken away as a whole."""


@contextlib.contextmanager
def download_bar(title: str) -> Iterator[ProgressBar | None]:
    """Give a bar for downloads, bytes and time left; None where standard error is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Download(progress, title)
