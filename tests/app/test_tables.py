"""Tables fit the terminal without breaking a name; columns that are left out are named."""

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from simopt.app.terminal import console
from simopt.app.terminal.console import Output
from simopt.app.terminal.render import as_rich
from simopt.app.terminal.tables import scores_table
from simopt.report import written
from simopt.report.document import Number, Table
from simopt.report.exports import save_latex
from simopt.report.tables import distinct_ends, good_scores_table, runs_table, summarize
from simopt.workflows.compare import CompareResult
from tests.conftest import invoke
from tests.report.runs import made

DATA = ["dataset=ultrametric", "max_steps=3"]
SMALL = ["dataset=gaussian", "dataset.samples=30", "dataset.units=4"]
JOINT = [*SMALL, "starts=2", "rounds=1", "steps=30"]
COMMANDS = {
    "measures": [],
    "measures cka": [],
    "datasets": [],
    "datasets show ultrametric": [],
    "sweep": ["measure=cka,procrustes_angular", *DATA],
    "sweep --dry-run": ["measure=cka,procrustes_angular", *DATA, "seeds=[0],[1]"],
    "sensitivity": [*SMALL, "seeds=[0,1]", "measure=cka,nbs,procrustes_angular,linreg"],
    "sensitivity --bounds": SMALL,
    "sensitivity --learning": [*SMALL, "measure=cka,nbs"],
    "joint": ["measure=cka,procrustes_angular", *JOINT, "levels=[0.5,0.9]"],
    "joint mode=square": ["measure=cka,nbs", *SMALL, "steps=3", "per_side=2"],
    "card cka procrustes_angular": [*DATA, "seeds=[0]", "--no-joint"],
    "score recording.npy model.npy": ["measure=cka,procrustes_angular,linreg", "--draws", "5"],
    "explain recording.npy model.npy": ["measure=cka,procrustes_angular", "max_steps=3", "--draws", "5"],
    "attribute recording.npy model.npy": [],
    "report outputs": ["--published"],
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Table]]:
    """The tables that every command shows, once each."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    recording = rng.standard_normal((40, 6)) * [6, 5, 4, 3, 2, 1]
    np.save(folder / "recording.npy", recording)
    np.save(folder / "model.npy", recording + rng.standard_normal(recording.shape))
    found: dict[str, list[Table]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(written, "save_figures", lambda *_, **__: [])
        for name, options in COMMANDS.items():
            shown = found.setdefault(name, [])

            def show(_: Output, tables: Iterable[Table], shown: list[Table] = shown) -> None:
                shown.extend(tables)

            patch.setattr(Output, "show", show)
            done = invoke(folder, (*name.split(), *options))
            assert done.returncode == 0, done.stdout + done.stderr
    return found


def drawn(table: Table, width: int = 200, **options: bool) -> str:
    screen = Console(file=io.StringIO(), width=width)
    screen.print(as_rich(table, width, **options), crop=False)
    return screen.file.getvalue()


def left_out(text: str) -> list[str]:
    last = " ".join(text.split()).rpartition(" left out: ")[2]
    return last.removesuffix(" (--wide shows all)").split("; ") if "--wide" in text else []


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_table_fits_the_terminal_and_breaks_no_word(
    tables: dict[str, list[Table]], command: str, width: int
) -> None:
    assert tables[command]
    for table in tables[command]:
        text = drawn(table, width, whole=False)
        assert max(map(len, text.splitlines())) <= width, text
        absent = left_out(text)
        assert set(absent) < set(table.heads)
        kept = [k for k, head in enumerate(table.heads) if head not in absent]
        words = {word for row in [table.heads, *table.rows] for k in kept for word in row[k].split()}
        facts = not any(table.heads)  # in which a word as long as an address may be broken
        assert [word for word in words if word not in text and not (facts and len(word) > width // 3)] == []
        numbers = {row[k] for row in table.rows for k in kept if isinstance(row[k], Number)}
        assert [number for number in numbers if not set(number.split(" / ")) <= set(cells(text))] == []
        assert len(kept) > 1


def cells(text: str) -> set[str]:
    """Return what stands between the lines of a table, in each line of text."""
    return {
        cell.strip().removesuffix(" /")
        for part in re.split("[│┃]", text)
        for cell in [part, *part.split(" / ")]
    }


def test_nothing_is_left_out_of_a_wide_terminal_or_outside_of_one(tables: dict[str, list[Table]]) -> None:
    for shown in tables.values():
        for table in shown:
            assert left_out(drawn(table, 400, whole=False)) == []
            text = drawn(table, 20)
            assert not any(table.heads) or all(word in text for head in table.heads for word in head.split())


def test_columns_leave_in_their_order_and_the_first_one_stays() -> None:
    table = Table(
        "", "t", "", ["name", "a", "b", "c"], [["unit_correlation", "1" * 9, "2" * 9, "3" * 9]], ["b"]
    )
    expected = {70: [], 50: ["b"], 39: ["b", "c"], 25: ["a", "b", "c"], 9: ["a", "b", "c"]}
    assert {width: left_out(drawn(table, width, whole=False)) for width in expected} == expected
    assert "1 column left out: b (--wide shows all)" in drawn(table, 50, whole=False)
    assert "2 columns left out" in drawn(table, 39, whole=False)


@pytest.mark.parametrize(
    ("terminal", "wide", "all_there"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_wide_shows_all_and_so_does_a_pipe(
    simopt: Callable, monkeypatch: pytest.MonkeyPatch, terminal: bool, wide: bool, all_there: bool
) -> None:
    screen = Console(file=io.StringIO(), width=60, force_terminal=terminal, color_system=None)
    monkeypatch.setattr(console, "out", lambda: screen)
    simopt("measures", *(["--wide"] if wide else []))
    text = screen.file.getvalue()
    assert ("aliases ┃" in text, "left out" in text) == (all_there, not all_there)


def test_what_looks_like_markup_is_shown() -> None:
    good = SimpleNamespace(level=0.5, score=0.7, worded=lambda: "0.7")
    names = ["[b]data", "[/cka]", "[i]run"]
    summary = SimpleNamespace(
        dataset="[b]data",
        source="real",
        name="[b]data (real)",
        data=("", ""),
        cells=lambda: names,
        good_scores={"[/label]": good},
    )
    table = drawn(good_scores_table([summary]))
    assert all(name in table for name in [*names, "[/label]"])
    scores = CompareResult(name="[b]m.npy", dataset="X", source="real", standings=[])
    assert "[b]m.npy against X" in drawn(scores_table(scores))


def test_what_a_terminal_would_obey_is_shown() -> None:
    for table in (
        Table("", "t", "", ("a",), [["\x1b[31mred"]]),
        Table("", "\x1b[31m", "\x1b[2J", ("\x1b[m",), []),
    ):
        assert "\x1b" not in drawn(table)


def test_half_captures_that_noise_has_as_well_are_dashes(tmp_path: Path) -> None:
    run = made(seeds=(0, 3))  # the second start scores 0.15
    run = replace(run, half_capture=np.array([[0.1, 0.4, 0.1, 0.4, np.nan, 0.4]] * 2))
    summary = summarize(run)
    shown = [half and half.worded("never") for half in summary.rounded_halves((1, 2, 5, 7))]
    assert shown == ["-", "0.400 ± 0", "never", None]
    captured = run.captured_variance[0].mean()  # no last Y is stored, so the starts tell what noise captures
    assert f"here {captured:.0%}; -" in runs_table([summary]).note
    assert summary.as_json()["half_capture"]["1"] == pytest.approx(0.1)  # what is stored stays
    assert "& $-$ & $0.400" in save_latex([summary], tmp_path / "t.tex").read_text()


def test_noise_captures_units_over_samples() -> None:
    from simopt import optimize

    X = np.random.default_rng(0).standard_normal((41, 10))
    result = optimize(X, max_steps=1, seeds=tuple(range(20)))
    assert summarize(result.run).noise_floor == 10 / 40
    assert result.captured_variance[0].mean() == pytest.approx(10 / 40, abs=0.02)


def test_files_of_one_name_are_told_apart(
    simopt: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "save_figures", lambda *_, **__: [])
    monkeypatch.setattr(written, "save_arranged", lambda *_, **__: ([], []))
    rng = np.random.default_rng(0)
    for folder in ("a", "b"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        np.save(tmp_path / "data" / folder / "x.npy", rng.standard_normal((20, 4)))
        simopt("run", "dataset=file", f"dataset.path=data/{folder}/x.npy", "max_steps=2")
    simopt("run", *SMALL, "max_steps=2")
    simopt("run", *SMALL, "max_steps=3")
    simopt("run", "dataset=gaussian", "dataset.samples=20", "max_steps=2")
    reported = simopt("report")
    shown = reported.stdout
    assert reported.returncode == 0, reported.stderr
    assert all(name in shown for name in ("a/x.npy (real)", "b/x.npy (real)"))
    assert len(set(re.findall(r"gaussian (\w{6}) \(surrogate\)", shown))) == 2
    scored = simopt("score", "data/a/x.npy", "data/b/x.npy", "--draws", "0")
    assert "b/x.npy against x (real)" in scored.stdout
    assert "b/x.npy" in simopt("attribute", "data/a/x.npy", "data/b/x.npy").stdout
    assert "x.npy against x (real)" in simopt("score", "data/a/x.npy", "data/a/x.npy", "--draws", "0").stdout


def test_the_shortest_ends_of_paths() -> None:
    assert distinct_ends(["/d/a/x.npy", "/d/b/x.npy"]) == {"/d/a/x.npy": "a/x.npy", "/d/b/x.npy": "b/x.npy"}
    assert distinct_ends(["/d/a/x.npy", "/e/a/x.npy", "/x.npy"])["/x.npy"] == "/x.npy"
    assert distinct_ends(["x.npy", "x.mat"]) == {"x.npy": "x.npy", "x.mat": "x.mat"}
