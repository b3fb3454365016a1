"""What every result can do: be saved and read, be shown as rows, be drawn."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import simopt
from simopt import checks
from simopt.datasets import Dataset
from simopt.errors import DegenerateWarning, InputError
from simopt.report import attribution, figures, joint, sensitivity, standing, style
from simopt.workflows.compare import NO_TRIALS
from simopt.workflows.result import Result
from simopt.workflows.run_request import RunRequest

NAMES = ("run", "score", "explain", "attribute", "sensitivity", "joint", "card")
THEORY = ("learning", "bounds", "derivation")
"""Results that are neither stored nor drawn."""


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
        **{what: simopt.sensitivity(data, ("cka", "nbs"), what=what) for what in THEORY},
    }


def without_place(values: dict[str, Any]) -> dict[str, Any]:
    """Return JSON without the file of a result (of a run, ``run`` is its folder) and how it came about."""
    return {
        key: without_place(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in ("path", "outcome") and not (key == "run" and isinstance(value, str))
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_result_that_is_saved_is_read_as_it_was(results, name: str, tmp_path: Path) -> None:
    result = results[name]
    loaded = simopt.load_result(result.save(tmp_path / "result.h5"))
    assert type(loaded) is type(result)
    assert without_place(loaded.as_json()) == without_place(result.as_json())
    assert repr(loaded.table()) == repr(result.table())


@pytest.mark.parametrize("name", THEORY)
def test_a_result_of_theory_is_neither_saved_nor_drawn(results, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=type(results[name]).__name__):
        results[name].save(tmp_path / "result.h5")
    with pytest.raises(InputError, match=type(results[name]).__name__):
        results[name].plot()


@pytest.mark.parametrize("name", [*NAMES, *THEORY])
def test_a_table_is_plain_rows_of_the_same_keys(results, name: str) -> None:
    rows = results[name].table()
    assert rows
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert {type(cell) for row in rows for cell in row.values()} <= {str, int, float, bool, type(None)}


@pytest.mark.parametrize("name", [*NAMES, *THEORY])
def test_a_notebook_shows_title_table_and_caveats(results, name: str) -> None:
    result = results[name]
    page = ElementTree.fromstring(result._repr_html_())
    assert page.findtext("./h4") == result.title
    rows = page.findall("./table/tbody/tr")
    assert len(rows) == min(len(result.table()), 30)
    assert [head.text for head in page.findall("./table/thead/tr/th")] == list(result.table()[0])
    paragraphs = [paragraph.text for paragraph in page.findall("./p")]
    hidden = len(result.table()) - 30
    assert paragraphs == ([f"{hidden} more rows in table()"] if hidden > 0 else []) + result.caveats()


MEASURES = {"attribute": ["cka"], "run": ["cka"], "explain": ["cka"], "card": ["cka"]}


@pytest.mark.parametrize("name", [*NAMES, *THEORY])
def test_repr_is_short_and_names_the_data_and_the_measures(results, name: str) -> None:
    shown = repr(results[name])
    lines = shown.splitlines()
    assert lines[0].startswith(f"{type(results[name]).__name__}: ")
    assert 2 <= len(lines) <= 5
    assert all(len(line) <= 112 for line in lines)
    assert "array" not in shown
    if name != "derivation":
        assert "<i>X</i> (real)" in lines[0]
    for measure in MEASURES.get(name, ["cka", "nbs"]):
        assert measure in shown
    assert any(character.isdigit() for character in "".join(lines[1:]))


def test_repr_holds_the_main_numbers_and_the_file(results, tmp_path: Path) -> None:
    score = results["score"].standings[0]
    assert f"measure cka, score {score.score:.6g}, " in repr(results["score"])
    run = results["run"]
    assert f"final score {run.score[-1].mean():.4f}" in repr(run)
    assert f"area {results['joint'].region.area:.4f}" in repr(results["joint"])
    assert f"{results['sensitivity'].curves[0].mean[0, 0]:.4f}" in repr(results["sensitivity"])
    X = np.random.default_rng(0).standard_normal((20, 3))
    stored = simopt.compare(X, X, draws=2, store=tmp_path)
    assert repr(stored).splitlines()[-1] == f"  done: {stored.path}"


def subclasses(kind: type) -> Iterator[type]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_no_result_has_the_repr_of_a_dataclass() -> None:
    kinds = [kind for kind in subclasses(Result) if kind.__module__.startswith("simopt.")]
    assert len(kinds) >= 10
    assert [kind for kind in kinds if kind.__repr__ is not Result.__repr__] == []


class Odd(Result):
    title = "<script>"

    def table(self) -> list[dict[str, Any]]:
        return [{"<b>": "</table><script>&", "score": 0.123456789, "none": None}]

    def caveats(self) -> list[str]:
        return ["<script>"]


def test_names_are_escaped_in_a_notebook() -> None:
    shown = Odd()._repr_html_()
    assert "<script>" not in shown
    page = ElementTree.fromstring(shown)
    assert (page.findtext("./h4"), page.findtext("./p")) == ("<script>", "<script>")
    cells = [cell.text for cell in page.findall("./table/tbody/tr/td")]
    assert cells == ["</table><script>&", "0.123457", None]


def test_line_breaks_and_long_names_leave_the_repr_short() -> None:
    class Long(Odd):
        title = "a\nb " + "word " * 100

    first, second = repr(Long()).splitlines()
    assert first.startswith("Long: a b word")
    assert len(first) <= 110
    assert second == "  <b> </table><script>&, score 0.123457"


@pytest.mark.parametrize("count", range(6))
def test_numbers_that_do_not_fit_the_repr_are_counted(count: int) -> None:
    class Many(Odd):
        def main_numbers(self) -> list[str]:
            return [f"number {i}" for i in range(count)]

    _, *lines = repr(Many()).splitlines()
    shown = [line.strip() for line in lines if "more" not in line]
    assert shown == [f"number {i}" for i in range(len(shown))]
    more = [line.strip() for line in lines if "more" in line]
    assert more == ([f"... {count - len(shown)} more"] if count > len(shown) else [])
    assert len(lines) == min(count, 3)


def test_a_result_without_rows_is_shown(results) -> None:
    empty = replace(results["score"], standings=[])
    assert repr(empty) == f"CompareResult: {empty.title}"
    page = ElementTree.fromstring(empty._repr_html_())
    assert page.findtext("./h4") == empty.title
    assert page.findall(".//td") == []


WIDE = np.random.default_rng(1).standard_normal((2, 30, 40))


def test_a_score_that_shapes_alone_decide_says_so(tmp_path: Path) -> None:
    X, Y = WIDE
    with pytest.warns(DegenerateWarning, match="linreg: 40 units"):
        result = simopt.compare(X, Y, ("cka", "linreg"), draws=2, store=tmp_path)
    cka, linreg = result.standings
    assert (cka.degenerate, linreg.score) == (None, pytest.approx(1))
    values = result.as_json()["measures"]
    assert "degenerate" not in values["cka"]
    assert values["linreg"]["degenerate"] == simopt.measures.get("linreg").degenerate(X, Y)
    assert result.caveats() == [
        f"linreg: {linreg.degenerate}",
        f"no ceiling: {NO_TRIALS.format(name='X')}",
        "cka: null: samples exchanged, as the samples of X do not depend on those before them",
        "linreg: no percentile: all unrelated data have this score: the measure is saturated",
    ]
    assert "linreg: 40 units" in result._repr_html_()
    with pytest.warns(DegenerateWarning, match="linreg: 40 units"):
        again = simopt.compare(X, Y, ("cka", "linreg"), draws=2, store=tmp_path)
    assert (again.how, again.standings[1].degenerate) == ("found", linreg.degenerate)


def test_each_stored_score_can_be_loaded(tmp_path: Path) -> None:
    X, Y = np.random.default_rng(0).standard_normal((2, 20, 3))
    both = simopt.compare(X, Y, ("cka", "nbs"), draws=2, store=tmp_path)
    assert both.path is None
    for name, path in both.paths.items():
        loaded = simopt.load_result(path)
        assert loaded.as_json()["measures"] == {name: both.as_json()["measures"][name]}
    assert list(both.paths) == ["cka", "nbs"]
    one = simopt.compare(X, Y, "nbs", draws=2, store=tmp_path)
    assert (one.how, one.path) == ("found", both.paths["nbs"])
    assert simopt.load_result(one.path).standings[0].score == one.standings[0].score


@pytest.mark.parametrize("store", [3, True, 1.5, ["outputs"]])
def test_a_store_that_is_no_path_is_refused(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(0).standard_normal((20, 3))
    calls = {
        "optimize": lambda: simopt.optimize(X, max_steps=1, store=store),
        "compare": lambda: simopt.compare(X, X, store=store),
        "explain": lambda: simopt.explain(X, X, store=store),
        "attribute": lambda: simopt.attribute(X, X, store=store),
        "sensitivity": lambda: simopt.sensitivity(X, store=store),
        "joint": lambda: simopt.joint(X, store=store),
        "card": lambda: simopt.card("cka", X, store=store),
    }
    for call in calls.values():
        with pytest.raises(InputError, match="store is"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_unknown_keys_of_mappings_are_named() -> None:
    X = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(InputError, match="Unknown key of log 'dri'; the nearest: dir"):
        simopt.joint(X, store={"dri": "outputs"})
    with pytest.raises(InputError, match="Unknown option of the search 'ends'; the nearest: rounds"):
        simopt.card("cka", X, search={"ends": 2})


def drawn(ax: Axes) -> list[np.ndarray]:
    """Return the data of the lines and collections of an axes."""
    lines = [np.asarray(line.get_xydata(), float) for line in ax.lines]
    segments = [path.vertices for collection in ax.collections for path in collection.get_paths()]
    return [*lines, *segments]


SAVED = {
    "score": lambda result, path: standing.save_standings(result.standings, result.title, path),
    "explain": lambda result, path: standing.save_standings(
        [explained.standing for explained in result.explained], result.title, path
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
    (figure,) = [figure for name, figure in caught.items() if name.endswith("captured")]
    plotted = drawn(results["run"].plot())
    shown = drawn(figure.axes[0])
    assert len(plotted) >= 3
    for curve in plotted:
        assert any(np.array_equal(curve, other, equal_nan=True) for other in shown)


def test_a_card_draws_its_sensitivity(results) -> None:
    card = results["card"]
    one, other = drawn(card.plot()), drawn(card.sensitivity.plot())
    assert one
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
    request = RunRequest(dataset=dataset, decoder="standard")
    for decoder, fits in (("standard", True), ("published", False), (None, False)):
        made = RunRequest(dataset=dataset, decoder=decoder)
        run = SimpleNamespace(attributes={"identity": made.identity})
        assert request.same(run, "measure") is fits


@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize("shape", [(60, 100), (100, 60)])
def test_rounding_to_float32_makes_no_pcs(
    shape: tuple[int, int], offset: float, rng: np.random.Generator
) -> None:
    samples, units = shape
    X = rng.standard_normal((samples, 10))
    low = rng.standard_normal((samples, 5)) @ rng.standard_normal((5, units)) + offset
    names = ("cca", "linreg", "eigenspace_overlap", "pls25", "cka")
    exact, rounded = (
        [(s.score, s.degenerate) for s in simopt.compare(a, b, measures=names, draws=0).standings]
        for a, b in ((X, low), (X.astype(np.float32), low.astype(np.float32)))
    )
    alone = simopt.score(X.astype(np.float32), low.astype(np.float32), names)
    assert [alone[name] for name in names] == pytest.approx([score for score, _ in exact], abs=1e-5)
    for (score, degenerate), (same, also) in zip(exact, rounded, strict=True):
        assert same == pytest.approx(score, abs=1e-5)
        assert also == degenerate


def test_data_of_float32_that_have_all_their_pcs_stay_as_they_are(rng: np.random.Generator) -> None:
    full = (rng.standard_normal((200, 40)) * np.geomspace(1, 1e-6, 40)).astype(np.float32)
    np.testing.assert_array_equal(checks.in_float64(full), full)
