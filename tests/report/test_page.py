"""The HTML page, read back by the parser of the standard library."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from simopt.errors import InputError
from simopt.report.page import save_page
from simopt.report.page.plots import MOST_POINTS, thin
from simopt.store.reader import Run

EVIL = "<script>alert(1)</script>\"'&"


def made_up(name: str = "d", source: str = "real", measure: str = "cka", T: int = 40, K: int = 6) -> Run:
    way = np.linspace(0, 1, T)
    return Run(
        path=Path("outputs") / measure / "real-0123456789ab" / "run.h5",
        attributes={
            "dataset": name,
            "source": source,
            "measure": measure,
            "stop_reason": "why",
            "seeds": np.array([3, 4]),
            "config": f"name: {name}",
            "versions": '{"torch": "2.13"}',
            "data_hash": "feed",
        },
        status="finished",
        pc_variance=np.full(K, 1 / K),
        step=np.arange(T),
        score=np.column_stack([way, way**2]),
        captured_variance=np.repeat(way[:, None, None], 2, 1) * np.ones(K),
        tracked={},
        half_capture=None,
    )


class Parsed(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.scripts, self.texts, self.inside = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def parsed(path: Path, runs: list[Run], broken: tuple[str, ...] = ()) -> Parsed:
    return Parsed(save_page(runs, [], [], broken, path / "page.html").read_text("utf-8"))


def test_a_row_and_a_curve_for_each_run(tmp_path):
    runs = [made_up(), made_up(measure="nbs"), made_up(source="surrogate")]
    page = parsed(tmp_path, runs)
    assert sum(tag == "details" and values.get("class") == "run" for tag, values in page.tags) == 3
    assert sum(values.get("href", "").startswith("#run-") for _, values in page.tags) == 3
    plots = json.loads(page.scripts[0])
    means = [t for p in plots if "against step" in p["title"] for t in p["traces"] if t.get("legend")]
    assert len(means) == 3
    assert {p["title"] for p in plots if "against step" in p["title"]} == {
        "d (real): score against step",
        "d (surrogate): score against step",
    }
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded(tmp_path):
    page = parsed(tmp_path, [made_up()])
    for _, values in page.tags:
        assert "src" not in values
        assert values.get("href", "#").startswith(("#", "data:,"))
    assert len(page.scripts) == 3


def test_text_stays_text(tmp_path):
    page = parsed(tmp_path, [made_up(EVIL)], (EVIL,))
    assert len(page.scripts) == 3
    assert EVIL in page.texts
    assert f"name: {EVIL}" in page.texts
    assert "<" not in page.scripts[0]
    assert "&lt;script&gt;" in json.loads(page.scripts[0])[0]["title"]


def test_the_same_runs_give_the_same_bytes(tmp_path):
    runs = [made_up(), made_up(measure="nbs")]
    first = save_page(runs, [], [], [], tmp_path / "a.html").read_bytes()
    assert first == save_page(runs[::-1], [], [], [], tmp_path / "b.html").read_bytes()


def test_thinned_curves_stay_near_the_whole_ones():
    step = np.arange(5000.0)
    score = 1 - np.exp(-step / 20)
    at = thin(np.column_stack([step, score]), MOST_POINTS)
    assert len(at) <= MOST_POINTS
    assert (at[0], at[-1]) == (0, 4999)
    assert np.abs(np.interp(step, step[at], score[at]) - score).max() < 0.002


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="is an .html file"):
        save_page([], [], [], [], tmp_path / "page.txt")
    with pytest.raises(InputError, match="cannot be written"):
        (tmp_path / "taken").write_text("")
        save_page([], [], [], [], tmp_path / "taken" / "page.html")


@pytest.mark.slow
def test_500_runs_make_a_bounded_page(tmp_path):
    runs = [replace(made_up(f"d{i % 5}", T=1000, K=168), path=Path(f"{i:03}-x/run.h5")) for i in range(500)]
    assert save_page(runs, [], [], [], tmp_path / "page.html").stat().st_size < 20e6
