"""The HTML page, read back by the parser of the standard library."""

import base64
import hashlib
import importlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from simopt.analysis.sensitivity import ANALYSIS, Sensitivities, content
from simopt.errors import InputError
from simopt.ranges.region import Region
from simopt.ranges.result import JointRange
from simopt.report import Collected
from simopt.report.joint import draw_joint
from simopt.report.page import save_page
from simopt.report.page.analyses import joint_plot, sensitivity_plots
from simopt.report.page.plots import MOST_POINTS, thin
from simopt.report.tables import summarize
from simopt.store import analysis
from simopt.store.reader import Run
from simopt.theory.sensitivity import Local, Sensitivity
from tests.report.runs import made

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

    @property
    def plots(self) -> dict[str, dict]:
        """The plots that the page holds as JSON, by title; titles of several plots are numbered."""
        kinds = [values.get("type") for tag, values in self.tags if tag == "script"]
        found = [json.loads(script) for kind, script in zip(kinds, self.scripts, strict=True) if kind]
        return {plot["figure"]["layout"]["title"]["text"]: plot for plot in found if "figure" in plot}


def collected(runs: list[Run], **others) -> Collected:
    return Collected(**{"broken": [], **others}, runs=runs, summaries=[summarize(run) for run in runs])


def parsed(path: Path, runs: list[Run], broken: tuple[str, ...] = ()) -> Parsed:
    return Parsed(save_page(collected(runs, broken=list(broken)), path / "page.html").read_text("utf-8"))


def decoded(column: dict[str, str]) -> np.ndarray:
    """Return the numbers of a typed array as plotly.js reads it."""
    return np.frombuffer(base64.b64decode(column["bdata"]), column["dtype"])


def test_a_row_and_a_curve_for_each_run(tmp_path):
    runs = [made_up(), made_up(measure="nbs"), made_up(source="surrogate")]
    page = parsed(tmp_path, runs)
    assert sum(tag == "details" and values.get("class") == "run" for tag, values in page.tags) == 3
    assert sum(values.get("href", "").startswith("#run-") for _, values in page.tags) == 3
    plots = {title: plot for title, plot in page.plots.items() if "against step" in title}
    assert set(plots) == {"d (real): score against step", "d (surrogate): score against step"}
    traces = [trace for plot in plots.values() for trace in plot["figure"]["data"]]
    assert [trace["showlegend"] for trace in traces].count(True) == 3
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(ids) == len(set(ids))


def test_runs_that_differ_in_their_seeds_are_one_curve(tmp_path):
    one = made_up()
    other = replace(
        one, path=Path("o/real-f00/run.h5"), attributes={**one.attributes, "seeds": np.array([5, 6])}
    )
    wider = replace(other, attributes={**other.attributes, "config": "name: d\nunits: 9"})
    plots = parsed(tmp_path, [one, other, wider]).plots
    plot = plots["d (real): score against step"]
    traces = plot["figure"]["data"]
    names = [trace["name"] for trace in traces if trace["showlegend"]]
    assert names == ["cka units=none", "cka units=9"]
    _, columns, values = plot["tables"][0]
    assert columns == ["step", "score", "least", "largest"]
    way = np.linspace(0, 1, 40)
    np.testing.assert_allclose(values[1], (way + way**2) / 2, rtol=1e-4)
    np.testing.assert_allclose(values[2:], [way**2, way], rtol=1e-4)
    band, mean = traces[:2]
    np.testing.assert_allclose(decoded(mean["y"]), (way + way**2) / 2, rtol=1e-6)
    np.testing.assert_allclose(decoded(band["y"]), [*way**2, *way[::-1]], rtol=1e-6)
    assert (band["fill"], band["showlegend"], band["fillcolor"]) == ("toself", False, "rgba(0,114,178,0.22)")


def test_half_captures_are_means_over_the_replicates_that_got_there(tmp_path):
    halves = np.array([[0.2, 0.5, np.nan], [0.4, np.nan, np.nan]])
    run = replace(made_up(K=3), half_capture=halves, pc_variance=np.array([0.6, 0.3, 0.1]))
    plots = parsed(tmp_path, [run]).plots
    _, names, columns = plots["d (real): score at half capture of each PC"]["tables"][0]
    assert dict(zip(names, columns, strict=True)) == {
        "PC": [1, 2, 3],
        "explained variance ratio of the PC": [0.6, 0.3, 0.1],
        "score at half capture": [0.3, 0.5, None],
        "least": [0.2, 0.5, None],
        "largest": [0.4, 0.5, None],
        "replicates of 2 that never did": [0, 1, 2],
    }
    told = "cka: 1 of 3 PCs, up to score 1.000."
    assert any(told in each for each in parsed(tmp_path, [run]).texts)


def analysed(path: Path, measures: int = 1) -> Sensitivities:
    local = Local(np.full(2, 2.0), np.ones(2), 1.5, np.nan, "closed form")
    theory = np.array([[0.1, 0.8]])
    curves = [Sensitivity(f"m{i}", 1.0, theory, None, None, None, local) for i in range(measures)]
    return Sensitivities("d", "real", "rotation", [90.0], 2, np.array([0.75, 0.25]), curves, {}, path, "done")


def test_an_analysis_has_the_config_and_provenance_of_its_file(tmp_path):
    made = analysed(tmp_path / "real-0123" / "sensitivity.h5")
    about = {"config": f"name: {EVIL}", "data_hash": "beef", "versions": '{"torch": "9.8"}', "odd": [1, 2]}
    stored = content(made)
    analysis.write(made.path, ANALYSIS, replace(stored, attributes={**about, **stored.attributes}))
    gone = replace(made, path=tmp_path / "gone" / "sensitivity.h5")
    page = Parsed(
        save_page(collected([], sensitivities=[made, gone]), tmp_path / "page.html").read_text("utf-8")
    )
    said = " ".join(page.texts)
    for told in (f"name: {EVIL}", "beef", "9.8", "1, 2", str(made.path), "real-0123"):
        assert told in said
    assert f"{gone.path}: not a readable file" in said
    ids = {values["id"] for _, values in page.tags if "id" in values}
    targets = [values["href"][1:] for tag, values in page.tags if tag == "a"]
    assert {"analysis-1", "analysis-2"} <= set(targets) <= ids


def test_the_plot_of_a_region_has_the_axes_of_its_figure():
    levels = np.linspace(0, 1, 3)
    ends, none = np.zeros((3, 2)), np.empty((0, 2))
    region = Region(("cka", "d"), (1, -1), levels, 3 - 2 * levels, 4e9 + levels, ends, ends, none)
    result = JointRange("d", "real", ("cka", "d"), "boundary", Path("joint.h5"), region=region)
    plot, ax = joint_plot(result), draw_joint(result, Figure().subplots())
    layout = plot.figure.layout
    assert (layout.xaxis.range, layout.yaxis.range) == (ax.get_xlim(), ax.get_ylim())
    assert layout.yaxis.range[0] > 0.5


def test_a_score_that_is_no_number_hides_no_reference(tmp_path):
    run = made(seeds=(0, 1), decoded=("a",))
    run.score[4, 1] = np.nan
    plots = parsed(tmp_path, [run]).plots
    blocks = plots["d (real): decoding of a"]["tables"]
    assert blocks[-2:] == [
        ["d (real): decoding of a: recording", ["score", "accuracy"], [[0.0, 0.95], [0.9, 0.9]]],
        ["d (real): decoding of a: chance", ["score", "accuracy"], [[0.0, 0.95], [0.5, 0.5]]],
    ]


def test_many_measures_go_into_several_plots():
    plots = list(sensitivity_plots(analysed(Path("x.h5"), 23)))
    assert [len(plot.tables) for plot in plots] == [10, 10, 3]
    assert plots[2].title.endswith("measures 21 to 23 of 23")


def test_nothing_is_loaded(tmp_path):
    page = parsed(tmp_path, [made_up()])
    for _, values in page.tags:
        assert "src" not in values
        assert values.get("href", "#").startswith(("#", "data:,"))
    policy = next(v["content"] for _, v in page.tags if v.get("http-equiv") == "Content-Security-Policy")
    scripts = [values for tag, values in page.tags if tag == "script"]
    run = [text for text, values in zip(page.scripts, scripts, strict=True) if "type" not in values]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    assert policy.startswith("default-src 'none';")
    assert policy.endswith(f"script-src {allowed}")
    assert len(run) == 2


def test_every_color_has_one_for_a_dark_page(tmp_path):
    page = parsed(tmp_path, [made(decoded=("a",)), made_up(measure="nbs")])
    look = next(json.loads(text) for text in page.scripts if text.startswith('{"dark'))
    dark = look["dark"]
    text = json.dumps([look["template"], *(plot["figure"] for plot in page.plots.values())])
    colors = re.findall(r'color": "(.*?)"', text)
    assert len(set(colors)) > 5
    assert set(colors) <= set(dark)


def test_text_stays_text(tmp_path):
    harmless = parsed(tmp_path, [made_up()], ("x",))
    page = parsed(tmp_path, [made_up(EVIL)], (EVIL,))
    assert len(page.scripts) == len(harmless.scripts)
    assert page.scripts[-2:] == harmless.scripts[-2:]
    assert EVIL in page.texts
    assert f"name: {EVIL}" in page.texts
    assert not any("<" in text for text in page.scripts[:-2])
    assert all("&lt;script&gt;" in title for title in page.plots)


def test_the_same_runs_give_the_same_bytes(tmp_path):
    runs = [made_up(), made_up(measure="nbs")]
    first = save_page(collected(runs), tmp_path / "a.html").read_bytes()
    assert first == save_page(collected(runs[::-1]), tmp_path / "b.html").read_bytes()


def test_thinned_curves_stay_near_the_whole_ones():
    step = np.arange(5000.0)
    score = 1 - np.exp(-step / 20)
    at = thin(np.column_stack([step, score]), MOST_POINTS)
    assert len(at) <= MOST_POINTS
    assert (at[0], at[-1]) == (0, 4999)
    assert np.abs(np.interp(step, step[at], score[at]) - score).max() < 0.002


@pytest.mark.parametrize("missing", ["plotly.graph_objects", "jinja2"])
def test_a_page_says_what_is_not_installed(monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith("simopt.report.page")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    told = rf"a page needs {missing.partition('.')[0]}, which is not installed: pip install .simopt\[html\]"
    with pytest.raises(InputError, match=told):
        importlib.import_module("simopt.report.page")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"page\.txt: .*\.html"):
        save_page(collected([]), tmp_path / "page.txt")
    with pytest.raises(InputError, match="taken"):
        (tmp_path / "taken").write_text("")
        save_page(collected([]), tmp_path / "taken" / "page.html")


@pytest.mark.slow
def test_500_runs_make_a_bounded_page(tmp_path):
    runs = [replace(made_up(f"d{i % 5}", T=1000, K=168), path=Path(f"{i:03}-x/run.h5")) for i in range(500)]
    assert save_page(collected(runs), tmp_path / "page.html").stat().st_size < 20e6
