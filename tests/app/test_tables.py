"""Tables show names as they are."""

import io
from types import SimpleNamespace

from rich.console import Console
from rich.table import Table
from simopt.app.tables import good_scores_table, scores_table


def shown(table: Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()


def test_what_looks_like_markup_is_shown() -> None:
    good = SimpleNamespace(level=0.5, worded=lambda: "0.7")
    names = ["[b]data", "[/cka]", "[i]run"]
    summary = SimpleNamespace(cells=lambda: [*names, "finished"], good_scores={"[/label]": good})
    table = shown(good_scores_table([summary]))
    assert all(name in table for name in [*names, "[/label]"])
    assert "[b]m.npy against X" in shown(scores_table([], {}, "[b]m.npy against X"))
