"""Figures as files: the same bytes every time, sized for a paper, readable in gray and by the color-blind."""

import hashlib
import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import simopt
from simopt.errors import InputError
from simopt.report import arranged, figures, style
from simopt.report.figures import save_figures, save_spectrum
from simopt.report.page import plots
from simopt.report.panels import NOISE_LABEL
from simopt.report.pools import pool
from simopt.report.style import COLUMN, PAGE, PAPER, look, plain, save, stem
from simopt.workflows import explain, joint, sensitivity_request
from tests.report.runs import made

ONE = """
import sys
from pathlib import Path
from simopt.report import style
from simopt.report.figures import save_figures
from tests.report.runs import made
style._DOTS = 50
save_figures([made(seeds=(0, 1))], Path(sys.argv[1]), (".png", ".pdf", ".svg"))
"""
ALL = """
import sys
from pathlib import Path
from simopt.report.arranged import save_arranged
from tests.report.runs import made
runs = [made(seeds=(0, 1), decoded=("a",)), made("nbs", decoded=("a",)), made("nbs", seeds=(1,), lr=0.05)]
save_arranged(runs, [], [], Path(sys.argv[1]), (".png", ".pdf", ".svg"))
"""


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> int:
    """Few dots an inch, for tests that look at no dot."""
    monkeypatch.setattr(style, "_DOTS", 50)
    return 50


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The content of figures by name; PDFs are not compressed."""
    with mpl.rc_context({"pdf.compression": 0}):
        paths = save_figures([made()], tmp_path_factory.mktemp("figures"), (".pdf", ".svg"))
    return {path.name: path.read_bytes() for path in paths}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("script", "count"),
    [pytest.param(ONE, 6, id="one"), pytest.param(ALL, 9, id="all", marks=pytest.mark.slow)],
)
def test_two_processes_write_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, count: int
) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "2", "SOURCE_DATE_EPOCH": "86400"}
    root, other, here = Path(__file__).parents[2], tmp_path / "other", tmp_path / "here"
    subprocess.run([sys.executable, "-c", script, str(other)], env=environment, cwd=root, check=True)
    monkeypatch.setattr(sys, "argv", ["", str(here)])
    monkeypatch.setattr(style, "_DOTS", style._DOTS)  # put back after the script has changed it
    exec(script, {})  # this process has another hash seed, and no SOURCE_DATE_EPOCH
    assert len(digests(other)) == count
    assert digests(here) == digests(other)


def test_there_is_no_date_in_a_file(files: dict[str, bytes]) -> None:
    assert len(files) == 4
    for content in files.values():
        assert b"CreationDate" not in content
        assert b"dc:date" not in content


def test_fonts_are_in_a_pdf_and_letters_outlines_in_an_svg(files: dict[str, bytes]) -> None:
    assert b"/FontFile2" in files["d_real_score.pdf"]  # TrueType
    assert b"/Type3" not in files["d_real_score.pdf"]
    assert b"<text" not in files["d_real_score.svg"]


def test_every_measure_of_the_catalogue_has_a_look_of_its_own() -> None:
    names = simopt.measures.names()
    assert {style.place(name) for name in names} == set(
        range(len(names))
    )  # a new one goes to the end of the list
    looks = {name: tuple(look(name).values()) for name in names}
    assert len({*looks.values()}) == len(names)
    defaults = {*joint.PAPER, *explain.DEFAULT, *sensitivity_request.DEFAULT, *arranged.MEASURES}
    assert len({look(name)["color"] for name in defaults}) == len(defaults) == 7
    ridges = [f"ridge{penalty}_cv5" for penalty in (1, 10, 100, 1000, 10000)]
    assert len({look(name)["color"] for name in ridges}) == 5
    assert style.place("my own") >= len(names)
    assert look("my own") == look("my own") != look("my other")


def test_curves_are_told_apart_in_gray() -> None:
    order = sorted(simopt.measures.names(), key=style.place)
    looks = [look(name) for name in order[:36]]
    assert len({(drawn["linestyle"], drawn["marker"]) for drawn in looks}) == 36
    for one, other in itertools.pairwise(looks):  # neighbors in a legend
        assert one["linestyle"] != other["linestyle"]
        assert one["marker"] != other["marker"]
    assert all(luminance(drawn["color"]) < 0.5 for drawn in looks)  # on white: contrast of 1.9 at least


# Simulated color blindness (Machado, Oliveira and Fernandes 2009, severity 1), on linear RGB.
BLINDNESS = {
    "protan": [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
    "deutan": [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
    "tritan": [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
    "none": [1, 0, 0, 0, 1, 0, 0, 0, 1],
}


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("page", ["light", "dark"])
def test_colors_of_measures_are_told_apart_by_the_color_blind(blindness: str, page: str) -> None:
    colors = style.COLORS if page == "light" else [plots.DARK[color] for color in style.COLORS]
    seen = [lab(np.reshape(BLINDNESS[blindness], (3, 3)) @ linear(color)) for color in colors]
    # In CIELAB a difference of 2.3 is just noticeable.
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 10


def linear(color: str) -> np.ndarray:
    rgb = np.array(mpl.colors.to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    return float(np.dot([0.2126, 0.7152, 0.0722], linear(color)))


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIELAB of linear RGB, under D65."""
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.072175],
        [0.0193339, 0.119192, 0.9503041],
    ]
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_figures_are_as_wide_as_a_column_or_a_page(tmp_path: Path, coarse: int) -> None:
    one = save_figures([made()], tmp_path / "one")
    several = save_figures([made(), made("nbs")], tmp_path / "two")
    widths = [mpl.image.imread(path).shape[1] / coarse for path in (*one, *several)]
    assert widths == pytest.approx([COLUMN, COLUMN, COLUMN, PAGE], abs=0.01)
    sizes = [size for name, size in PAPER.items() if name.endswith(("size", "fontsize"))]
    text = [size for name, size in PAPER.items() if "label" in name or "title" in name or "font" in name]
    assert min(size for size in text if size > 4) >= 6
    assert max(sizes) <= 8


@pytest.mark.usefixtures("coarse")
def test_real_and_surrogate_never_share_a_figure(tmp_path: Path) -> None:
    runs = [made(source="surrogate"), made(), made("nbs")]
    assert sorted(path.name for path in save_figures(runs, tmp_path)) == [
        "d_real_captured.png", "d_real_score.png", "d_surrogate_captured.png", "d_surrogate_score.png",
    ]  # fmt: skip


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_each_kind_of_file(tmp_path: Path, suffix: str, head: bytes) -> None:
    path = save_spectrum(np.array([0.5, 0.3]), "d $", tmp_path / f"f{suffix}")
    assert path.read_bytes().startswith(head)
    if suffix == ".png":
        assert mpl.image.imread(path).shape[1] == COLUMN * 300  # dots an inch


@pytest.mark.parametrize("units", [4, 9])
def test_the_legend_of_captured_variance_is_that_of_its_panels(units: int) -> None:
    """It names the explained variance where all panels have the same, and shows every PC of any panel."""
    wider = replace(made("nbs", K=units), pc_variance=np.full(units, 1 / 9))
    figure = figures._captured(pool([made("cka", K=4), wider]))
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    expected = ["PC 1", "PC 2", "PC 5 (11%)"] if units > 4 else ["PC 1", "PC 2"]
    assert sorted(entries) == sorted([*expected, NOISE_LABEL])
    same = figures._captured(pool([made("cka", K=4), made("nbs", K=4)]))
    assert [text.get_text() for text in same.legends[0].get_texts()] == [
        "PC 1 (50%)",
        "PC 2 (25%)",
        NOISE_LABEL,
    ]


def test_no_text_of_a_figure_has_a_hash(tmp_path: Path) -> None:
    runs = [made(lr=0.1), made(lr=0.05), made(data="bb22"), made(config=None), made(config="x")]
    runs = [
        replace(run, path=Path(f"d/cka/real-{number:012x}/run.h5"))
        for run, number in zip(runs, range(0xABCDEF012345, 0xABCDEF01234A), strict=True)
    ]
    pools = pool(runs)
    drawn = [figures._scores(pools), figures._captured(pools)]
    drawn += [draw(pools, []) for draw in (arranged.pcs_vs_score, arranged.half_capture_vs_variance)]
    texts = {text.get_text() for figure in drawn for text in figure.findobj(mpl.text.Text)}
    assert {"cka no. 1", "cka no. 5"} <= texts  # two have no configuration that can be read
    assert not [text for text in texts if re.search("abcdef|bb22|aa11", text)]


def test_figures_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken"):
        save_figures([made()], tmp_path / "taken" / "figures")
    with pytest.raises(InputError, match="taken"):
        save(Figure(), tmp_path / "taken" / "f.png")
    with pytest.raises(InputError, match=r"\.bmp: .*\.svg"):
        save_figures([made()], tmp_path, (".bmp",))


def test_names_that_may_hold_anything() -> None:
    assert stem("../a/b", "real") == "_a_b_real"
    assert plain("_a $x$") == r" _a \$x\$"
