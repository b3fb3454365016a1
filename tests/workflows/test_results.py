"""What every result can do: be saved and read, be shown as rows, be drawn."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import simopt
from simopt.datasets import Dataset
from simopt.report import attribution, figures, joint, sensitivity, standing, style
from simopt.workflows.result import Result
from simopt.workflows.run_request import RunRequest

NAMES = ("run", "score", "explain", "attribute", "sensitivity", "joint", "card")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    X = rng.standard_normal((40, 6)) * [6, 5, 4, 3, 2, 1] + 2 * labels[:, None]
    data = Dataset("<i>X</i>", X, labels={"side": labels})
    Y = X[:, :4] + rng.standard_normal((40, 4))
    return {
        "run": simopt.optimize(data, max_steps=5, seeds=(0, 1), track=["nbs"], decoder="standard", nulls=3),
        "score": simopt.compare(data, Y, ("cka", "nbs"), draws=5, snr=3.0),
        "explain": simopt.explain(data, Y, "cka", draws=5, seeds=(0,), max_steps=20),
        "attribute": simopt.attribute(data, Y, by="samples"),
        "sensitivity": simopt.sensitivity(data, ("cka", "nbs"), seeds=(0, 1)),
        "joint": simopt.joint(data, ("cka", "nbs"), levels=[0.3, 0.6], steps=10, starts=2, rounds=1),
        "card": simopt.card("cka", data, partners=()),
    }


def without_place(told: dict[str, Any]) -> dict[str, Any]:
    """Return JSON without where a result lies (of a run, ``run`` is its folder) and how it came about."""
    return {
        key: without_place(each) if isinstance(each, dict) else each
        for key, each in told.items()
        if key not in ("path", "outcome") and not (key == "run" and isinstance(each, str))
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_result_that_is_saved_is_read_as_it_was(results, name: str, tmp_path: Path) -> None:
    result = results[name]
    found = simopt.load_result(result.save(tmp_path / "result.h5"))
    assert type(found) is type(result)
    assert without_place(found.as_json()) == without_place(result.as_json())
    assert repr(found.table()) == repr(result.table())


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_plain_rows_of_the_same_keys(results, name: str) -> None:
    rows = results[name].table()
    assert rows
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert {type(cell) for row in rows for cell in row.values()} <= {str, int, float, bool, type(None)}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_a_well_formed_table(results, name: str) -> None:
    result = results[name]
    page = ElementTree.fromstring(result._repr_html_())
    rows = page.findall("./tbody/tr")
    assert len(rows) == min(len(result.table()), 30)
    assert [head.text for head in page.findall("./thead/tr/th")] == list(result.table()[0])


def test_names_are_escaped_in_a_notebook() -> None:
    class Odd(Result):
        def table(self) -> list[dict[str, Any]]:
            return [{"<b>": "</table><script>&", "score": 0.123456789, "none": None}]

    shown = Odd()._repr_html_()
    assert "<script>" not in shown
    cells = [cell.text for cell in ElementTree.fromstring(shown).findall("./tbody/tr/td")]
    assert cells == ["</table><script>&", "0.123457", None]


def drawn(ax: Axes) -> list[np.ndarray]:
    """Return the data of the lines and collections of an axes."""
    lines = [np.asarray(line.get_xydata(), float) for line in ax.lines]
    segments = [path.vertices for each in ax.collections for path in each.get_paths()]
    return [*lines, *segments]


SAVED = {
    "score": lambda result, path: standing.save_standings(result.standings, result.title, path),
    "explain": lambda result, path: standing.save_standings(
        [each.standing for each in result.explained], result.title, path
    ),
    "attribute": lambda result, path: attribution.save_attribution(result, result.title, path),
    "sensitivity": lambda result, path: sensitivity.save_sensitivity(result, path),
    "joint": lambda result, path: joint.save_joint(result, path),
}


@pytest.mark.parametrize("name", SAVED)
def test_plot_draws_what_the_figure_of_the_command_shows(
    results, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[Figure] = []

    def catch(figure: Figure, path: Path) -> Path:
        caught.append(figure)
        return path

    for module in (style, sensitivity, joint):
        monkeypatch.setattr(module, "save", catch, raising=False)
    SAVED[name](results[name], tmp_path / "figure.png")
    (figure,) = caught
    ax = results[name].plot()
    assert isinstance(ax, Axes)
    assert drawn(ax)
    for one, other in zip(drawn(ax), drawn(figure.axes[0]), strict=True):
        np.testing.assert_allclose(one, other)


def test_plot_of_a_run_draws_what_the_report_does(
    results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: dict[str, Figure] = {}

    def catch(figure: Figure, path: Path) -> Path:
        caught[path.stem] = figure
        return path

    for module in (style, figures):
        monkeypatch.setattr(module, "save", catch, raising=False)
    figures.save_figures([results["run"].run], tmp_path)
    (figure,) = [each for name, each in caught.items() if name.endswith("captured")]
    own = drawn(results["run"].plot())
    shown = drawn(figure.axes[0])
    assert len(own) >= 3
    for curve in own:
        assert any(np.array_equal(curve, other, equal_nan=True) for other in shown)


def test_a_card_draws_its_sensitivity(results) -> None:
    card = results["card"]
    one, other = drawn(card.plot()), drawn(card.sensitivity.plot())
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def test_nothing_is_written_unless_there_is_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    X = rng.standard_normal((30, 4)) * [4, 3, 2, 1]
    Y = X + rng.standard_normal(X.shape)
    calls = {
        "optimize": lambda **store: simopt.optimize(X, max_steps=2, **store),
        "compare": lambda **store: simopt.compare(X, Y, draws=3, **store),
        "attribute": lambda **store: simopt.attribute(X, Y, **store),
        "sensitivity": lambda **store: simopt.sensitivity(X, "cka", seeds=(0,), **store),
        "joint": lambda **store: simopt.joint(
            X, ("cka", "nbs"), levels=[0.3, 0.6], steps=10, starts=2, rounds=1, **store
        ),
    }
    for name, call in calls.items():
        assert call().path is None, name
    simopt.explain(X, Y, "cka", draws=3, seeds=(0,), max_steps=2)
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]
    for name, call in calls.items():
        first, again = call(store=tmp_path / "store"), call(store=tmp_path / "store")
        assert (first.how, again.how) == ("done", "found"), name
        assert repr(again.table()) == repr(first.table()), name
    assert list((tmp_path / "here").iterdir()) == []


def test_rows_of_a_run_are_its_states(results) -> None:
    run = results["run"]
    rows = run.table()
    assert len(rows) == run.score.size
    last = rows[-1]
    assert (last["seed"], last["step"]) == (1, int(run.step[-1]))
    assert math.isclose(last["cka"], run.score[-1, 1])


def test_a_run_that_another_decoder_was_at_is_not_taken_for_one() -> None:
    X = np.random.default_rng(0).standard_normal((9, 3))
    labels = {"kind": np.repeat(["a", "b", "c"], 3)}
    dataset = Dataset("X", X, labels=labels)
    asked = RunRequest(dataset=dataset, decoder="standard")
    for decoder, fits in (("standard", True), ("published", False), (None, False)):
        made = RunRequest(dataset=dataset, decoder=decoder)
        run = SimpleNamespace(attributes={"identity": made.identity})
        assert asked.same(run, "measure") is fits
