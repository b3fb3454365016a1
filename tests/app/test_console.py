"""What of an exception reaches a person: a line and an exit code."""

import io
import warnings
from types import SimpleNamespace

import pytest
import torch
import typer
from rich.console import Console

from simopt.app.terminal import console
from simopt.app.terminal.console import errors_as_lines, progress_bar, titled_bar
from simopt.errors import InputError, StorageError, warn_renamed


def ended(error: BaseException, during: BaseException | None = None) -> int:
    with pytest.raises(typer.Exit) as exit_, errors_as_lines(debug=False):
        try:
            if during is not None:
                raise during
        finally:
            raise error
    return exit_.value.exit_code


def test_every_kind_has_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [ended(error) for error in (InputError("a"), StorageError("b"), MemoryError(), ValueError("c"))]
    assert codes == [2, 1, 1, 1]
    assert ended(KeyboardInterrupt()) == 130
    said = capsys.readouterr().err
    assert [line.split()[0] for line in said.splitlines()] == [*["simopt:"] * 4, "--debug", "simopt:"]
    assert "simopt: unexpected ValueError: c\n--debug shows the traceback; please report it." in said


@pytest.mark.parametrize("error", [AttributeError("half done"), InputError("half done")])
def test_what_an_interrupt_led_to_is_an_interrupt(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.strip() == "simopt: interrupted"


def test_a_full_disk_is_told_though_an_interrupt_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(StorageError("x: no space"), KeyboardInterrupt()) == 1
    assert "no space" in capsys.readouterr().err


def test_a_name_that_was_changed_is_told_and_not_what_other_packages_deprecate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)  # as Python does outside of tests
    with console.warnings_shown():
        warn_renamed("dir", "log.dir")
        warnings.warn("this package is old", DeprecationWarning, stacklevel=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: dir is now called log.dir")


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_drawn_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(console, "err", lambda: Console(file=drawn, force_terminal=terminal, width=120))
    with progress_bar("optimizing", 10) as observe:
        for step in (0, 4):
            observe(SimpleNamespace(step=step, score=torch.tensor([0.25, 0.75])))
    with titled_bar() as told:
        told("scored anew", 1, 3)
        told("scored anew", 3, 3)
    for part in ("optimizing", "4/10", "score 0.500", "scored anew", "3/3"):
        assert (part in drawn.getvalue()) == terminal
