"""Tables show names as they are."""

import io
from types import SimpleNamespace

from rich.console import Console

from simopt.app.terminal.render import as_rich
from simopt.app.terminal.tables import scores_table
from simopt.report.document import Table
from simopt.report.tables import good_scores_table
from simopt.workflows.compare import CompareResult


def shown(table: Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(as_rich(table))
    return console.file.getvalue()


def test_what_looks_like_markup_is_shown() -> None:
    good = SimpleNamespace(level=0.5, score=0.7, worded=lambda: "0.7")
    names = ["[b]data", "[/cka]", "[i]run"]
    summary = SimpleNamespace(cells=lambda: [*names, "finished"], good_scores={"[/label]": good})
    table = shown(good_scores_table([summary]))
    assert all(name in table for name in [*names, "[/label]"])
    scores = CompareResult(name="[b]m.npy", dataset="X", source="real", standings=[])
    assert "[b]m.npy against X" in shown(scores_table(scores))


def test_what_a_terminal_would_obey_is_shown() -> None:
    assert "\x1b" not in shown(Table("", "t", "", ("a",), [["\x1b[31mred"]]))
