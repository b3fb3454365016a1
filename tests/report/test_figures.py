"""Figures as files: the same bytes every time, sized for a paper, readable in grey."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from simopt.errors import InputError
from simopt.report.figures import save_figures, save_spectrum
from simopt.report.style import COLUMN, PAGE, PAPER, look, plain, save, stem
from tests.report.runs import made

ONE = """
import sys
from pathlib import Path
from simopt.report.figures import save_figures
from tests.report.runs import made
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


@pytest.mark.parametrize(
    ("script", "files"),
    [pytest.param(ONE, 6, id="one"), pytest.param(ALL, 9, id="all", marks=pytest.mark.slow)],
)
def test_two_processes_write_the_same_bytes(tmp_path: Path, script: str, files: int) -> None:
    root, digests = Path(__file__).parents[2], []
    for seed, epoch in (("1", {}), ("2", {"SOURCE_DATE_EPOCH": "86400"})):
        folder = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed, **epoch}
        subprocess.run([sys.executable, "-c", script, str(folder)], env=environment, cwd=root, check=True)
        digests.append(
            {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        )
    assert len(digests[0]) == files
    assert digests[0] == digests[1]


def test_there_is_no_date_in_a_file(tmp_path: Path) -> None:
    runs = [made()]
    for path in save_figures(runs, tmp_path, (".pdf", ".svg")):
        content = path.read_bytes()
        assert b"CreationDate" not in content
        assert b"dc:date" not in content


def test_fonts_are_in_a_pdf_and_letters_outlines_in_an_svg(tmp_path: Path) -> None:
    pdf, svg, *_ = save_figures([made()], tmp_path, (".pdf", ".svg"))
    with mpl.rc_context({"pdf.compression": 0}):
        content = save_figures([made()], tmp_path, (".pdf",))[0].read_bytes()
    assert b"/FontFile2" in content  # TrueType
    assert b"/Type3" not in content
    assert pdf.suffix == ".pdf"
    assert "<text" not in svg.read_text()


def luminance(color: str) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in mpl.colors.to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_curves_are_told_apart_in_grey() -> None:
    looks = [look(index) for index in range(36)]
    assert len({(each["linestyle"], each["marker"]) for each in looks}) == 36
    assert len({(each["color"], each["linestyle"]) for each in looks[:28]}) == 28
    assert len({(each["color"], each["marker"]) for each in looks}) == 36
    for one, other in itertools.pairwise(looks):  # neighbors in a legend
        assert one["linestyle"] != other["linestyle"]
        assert one["marker"] != other["marker"]
    assert all(luminance(each["color"]) < 0.5 for each in looks)  # on white: contrast of 1.9 at least


def test_figures_are_as_wide_as_a_column_or_a_page(tmp_path: Path) -> None:
    one = save_figures([made()], tmp_path / "one")
    several = save_figures([made(), made("nbs")], tmp_path / "two")
    widths = [mpl.image.imread(path).shape[1] / 300 for path in (*one, *several)]
    assert widths == pytest.approx([COLUMN, COLUMN, COLUMN, PAGE], abs=0.01)
    sizes = [size for name, size in PAPER.items() if name.endswith(("size", "fontsize"))]
    text = [size for name, size in PAPER.items() if "label" in name or "title" in name or "font" in name]
    assert min(size for size in text if size > 4) >= 6
    assert max(sizes) <= 8


def test_real_and_surrogate_never_share_a_figure(tmp_path: Path) -> None:
    runs = [made(source="surrogate"), made(), made("nbs")]
    assert sorted(path.name for path in save_figures(runs, tmp_path)) == [
        "d_real_captured.png", "d_real_score.png", "d_surrogate_captured.png", "d_surrogate_score.png",
    ]  # fmt: skip


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_each_kind_of_file(tmp_path: Path, suffix: str, head: bytes) -> None:
    assert save_spectrum(np.array([0.5, 0.3]), "d $", tmp_path / f"f{suffix}").read_bytes().startswith(head)


def test_figures_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_figures([made()], tmp_path / "taken" / "figures")
    with pytest.raises(InputError, match="cannot be written"):
        save(Figure(), tmp_path / "taken" / "f.png")
    with pytest.raises(InputError, match=r"a figure is a .png, .pdf or .svg file"):
        save_figures([made()], tmp_path, (".bmp",))


def test_names_that_may_hold_anything() -> None:
    assert stem("../a/b", "real") == "_a_b_real"
    assert plain("_a $x$") == r" _a \$x\$"
