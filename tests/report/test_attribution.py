"""Figures of attributions."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from simopt.analysis.attribution import Attribution
from simopt.errors import InputError
from simopt.report.attribution import draw_attribution, save_attribution


def made_up(part: str = "PC", **other) -> Attribution:
    values = {
        "part": part,
        "measure": "cka",
        "larger_is_closer": True,
        "score": 0.5,
        "change": np.array([0.1, np.nan, -0.3, -0.2]),
        "share": np.full(4, 0.25),
        "route": "closed form",
        "refitted": 0,
    }
    return Attribution(**{**values, **other})


def points(ax) -> dict[str, list[list[float]]]:
    return {
        line.get_label(): line.get_xydata().tolist()
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


def test_pcs_are_drawn_in_their_order() -> None:
    ax = Figure().subplots()
    assert draw_attribution(made_up(), ax, "cka of Y") is ax
    assert points(ax) == {
        "brings X and Y closer": [[3, -0.3], [4, -0.2]],
        "keeps X and Y apart": [[1, 0.1]],
    }
    assert (ax.get_title(), ax.get_xscale(), ax.get_xlabel()) == ("cka of Y", "log", "principal component")


def test_units_are_drawn_by_rank_with_their_first_order_changes() -> None:
    first = np.array([0.2, 0.0, -0.1, -0.4])
    ax = draw_attribution(made_up("unit of Y", first_order=first), Figure().subplots())
    found = points(ax)
    assert found["brings X and Y closer"] == [[1, -0.3], [2, -0.2]]
    assert found["first order"] == [[3, 0.2], [4, 0.0], [1, -0.1], [2, -0.4]]
    assert ax.get_xlabel() == "unit of Y, by rank"


def test_a_distance_that_falls_without_a_part_is_kept_apart_by_it() -> None:
    ax = draw_attribution(made_up("sample", larger_is_closer=False), Figure().subplots())
    assert points(ax)["keeps X and Y apart"] == [[1, -0.3], [2, -0.2]]


def test_a_title_that_looks_like_a_formula_stays_text(tmp_path: Path) -> None:
    path = save_attribution(made_up(), r"$\frac$ against d", tmp_path / "f.svg")
    assert r"$\frac$ against d" in path.read_text().replace(r"\$", "$")


@pytest.mark.parametrize(("suffix", "starts"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_files(tmp_path: Path, suffix: str, starts: bytes) -> None:
    path = save_attribution(made_up("sample"), "title", tmp_path / "new" / f"figure{suffix}")
    assert path.read_bytes().startswith(starts)


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"figure\.bmp: .*\.svg"):
        save_attribution(made_up(), "", tmp_path / "figure.bmp")
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match="taken"):
        save_attribution(made_up(), "", tmp_path / "taken" / "figure.png")
