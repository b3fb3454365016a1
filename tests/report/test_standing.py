"""What the figure of scores shows: the numbers it was given."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import Null
from simopt.analysis.standing import Standing
from simopt.errors import InputError
from simopt.report.standing import draw_standings, save_standings
from simopt.report.style import look

NULL = Null("unrelated", np.array([0.1, 0.2, 0.3]), True)
CEILING = Ceiling("cka", 0.9, 0.85, np.empty(0), np.nan, (0.88, 0.92), "given SNR")
STANDINGS = [Standing("cka", 0.6, {"unrelated": NULL}, CEILING), Standing("nbs", 0.7)]


def test_scores_nulls_and_ceilings_are_where_they_belong() -> None:
    ax = draw_standings(STANDINGS, Figure().subplots(), "x (surrogate)")
    drawn: dict[str, list] = {}
    for line in ax.get_lines():
        drawn.setdefault(line.get_label(), []).extend(line.get_xydata().tolist())
    assert drawn["score"] == [[0.6, 0], [0.7, 1]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "unrelated data", "ceiling", "score",
    ]  # fmt: skip
    assert drawn["ceiling"] == [[0.9, 0]]
    scores = [line.get_color() for line in ax.get_lines() if line.get_label() == "score"]
    assert scores == [look("cka")["color"], look("nbs")["color"]]
    assert [x for x, _ in drawn["unrelated data"]] == [0.1, 0.2, 0.3]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cka", "nbs"]


def test_names_that_look_like_formulas_stay_text(tmp_path: Path) -> None:
    path = save_standings([Standing(r"mine $\frac$", 0.7)], r"$\frac$.npy", tmp_path / "s.svg")
    assert r"mine $\frac$" in path.read_text().replace(r"\$", "$")


def test_a_file_of_its_suffix(tmp_path: Path) -> None:
    assert save_standings(STANDINGS, "x", tmp_path / "a" / "s.svg").read_text().startswith("<?xml")
    with pytest.raises(InputError, match=r"s\.txt: .*\.svg"):
        save_standings(STANDINGS, "x", tmp_path / "s.txt")


def test_where_a_score_stands_as_json() -> None:
    told = STANDINGS[0].as_json()
    assert told["percentile"] == pytest.approx(87.5)  # three less close, of four values
    assert told["null"]["unrelated"]["end"] == pytest.approx(0.29)
    assert (told["ceiling"], told["ceiling_interval"]) == (0.9, [0.88, 0.92])
    assert STANDINGS[1].as_json() == {"score": 0.7}
    far = Null("unrelated", np.array([5.0, 6.0, 7.0]), False)
    assert Standing("procrustes_euclidean", 1.0, {"unrelated": far}).end == pytest.approx(5.1)
