"""The paper's figures in their published arrangement."""

import functools
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import simopt
from simopt import measures
from simopt.analysis.sensitivity import Sensitivities
from simopt.errors import InputError
from simopt.ranges.result import JointRange
from simopt.ranges.square import Reached, Settled
from simopt.report import arranged
from simopt.report.arranged import (
    MOST,
    decoding_vs_score,
    half_capture_vs_variance,
    joint_ranges,
    pcs_vs_score,
    ridge_lambda,
    save_arranged,
    sensitivity,
)
from simopt.report.panels import NOISE_LABEL
from simopt.report.pools import pool
from simopt.report.style import PAPER
from simopt.theory.sensitivity import Sensitivity, experiment
from tests.report.runs import made

DATA = simopt.load_dataset("gaussian", samples=30, units=4)
NAMES = ("procrustes_angular", "linreg", "cka")


def titles(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_visible()]


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@functools.cache
def curves_of(kind: str, strengths: tuple[float, ...], names: tuple[str, ...]) -> list[Sensitivity]:
    return experiment(DATA.samples(), [measures.get(name) for name in names], kind, strengths, seeds=[0])


def sensitive(
    dataset: str = "majaj", kind: str = "rotation", strengths=(30.0, 90.0), names=NAMES
) -> Sensitivities:
    curves = curves_of(kind, strengths, names)
    return Sensitivities(
        dataset, "surrogate", kind, list(strengths), 1, DATA.spectrum(), curves, {}, None, "found"
    )


def joint(names=("cka", "nbs"), dataset: str = "majaj", source: str = "surrogate") -> JointRange:
    pairs = np.array([[0.0, 1.0], [1.0, 0.0]])
    square = Reached(
        pairs, pairs, pairs / 2, pairs / 2, (Settled.REACHED,) * 2, np.ones(2), pairs[None], pairs
    )
    return JointRange(dataset, source, names, "square", Path("joint.h5"), square=square)


def test_datasets_and_variables_come_in_the_order_of_the_paper() -> None:
    runs = [
        made("nbs", dataset="aaa", decoded=("x",)),
        made("nbs", dataset="majaj", decoded=("object", "category")),
        made("cka", dataset="mante", decoded=("choice", "context")),
        made("zzz", dataset="mante", decoded=("choice", "context")),
    ]
    figure = decoding_vs_score(pool(runs), [])
    assert figure is not None
    assert titles(figure) == [
        "mante (real)\ncontext", "majaj (real)\ncategory", "aaa (real)\nx", "mante (real)\nchoice",
        "majaj (real)\nobject",
    ]  # fmt: skip
    assert legend(figure) == ["cka", "nbs", "zzz", "recording", "chance", "good score (90 %)"]


def test_pcs_have_a_row_a_dataset_and_a_column_a_measure() -> None:
    runs = [made("nbs", dataset="majaj"), made("cka", dataset="majaj"), made("nbs", dataset="mante")]
    figure = pcs_vs_score(pool(runs), [])
    assert figure is not None
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_visible() for ax in figure.axes] == [False, True, True, True]
    assert titles(figure) == ["nbs", "cka", ""]
    assert [ax.get_ylabel().split("\n")[0] for ax in shown] == ["mante", "majaj", ""]
    left, top = shown[1].get_position(), shown[0].get_position()
    assert (left.x0 < top.x0, left.y1 < top.y0) == (True, True)


def test_captured_variance_is_captioned_with_samples_units_seeds_and_noise_floor() -> None:
    runs = [made(seeds=(0, 1), shape=(30, 4)), made("nbs", seeds=(0, 1), shape=(30, 4))]
    runs += [made("nbs", lr=0.05, shape=(30, 6)), made(dataset="e", shape=(41, 10))]
    figure = pcs_vs_score(pool(runs), [])
    assert figure is not None
    assert " ".join(figure.legends[0].get_title().get_text().split()) == (
        "d (real): 30 samples, 4 units, 2 seeds, noise floor 0.14 (cka, nbs lr=0.1); "
        "30 samples, 6 units, 1 seed, noise floor 0.21 (nbs lr=0.05) "
        "e (real): 41 samples, 10 units, 1 seed, noise floor 0.25"
    )
    assert NOISE_LABEL in legend(figure)


def test_a_second_configuration_of_a_measure_has_a_column_of_its_own() -> None:
    figure = pcs_vs_score(pool([made(), made(lr=0.05), made("nbs")]), [])
    assert figure is not None
    assert titles(figure) == ["cka", "nbs", "cka"]
    assert [ax.texts[0].get_text() for ax in figure.axes if ax.texts] == ["cka lr=0.1", "cka lr=0.05"]


def test_data_that_differ_under_one_name_have_panels_of_their_own() -> None:
    figure = half_capture_vs_variance(pool([made(), made(data="bb22")]), [])
    assert figure is not None
    assert titles(figure) == ["d (real), data no. 1", "d (real), data no. 2"]


def test_sensitivity_shows_the_measures_of_the_paper_at_90_degrees() -> None:
    lines: list[str] = []
    results = [sensitive("aaa"), sensitive(), sensitive(kind="scaling", strengths=(0.0,))]
    figure = sensitivity(results, lines)
    assert figure is not None
    assert titles(figure) == ["majaj (surrogate)\nrotation 90°", "aaa (surrogate)\nrotation 90°"]
    assert legend(figure) == ["cka", "procrustes_angular"]
    theory = figure.axes[0].get_lines()[0].get_ydata()
    curve = next(curve for curve in results[1].curves if curve.measure == "procrustes_angular")
    np.testing.assert_allclose(theory, curve.theory[1][np.argsort(DATA.spectrum())])
    assert lines == ["one sensitivity result of each dataset is shown, 1 more are stored."]
    other = sensitivity([sensitive(names=("linreg",))], [])
    assert other is not None
    assert legend(other) == ["linreg"]


def test_joint_ranges_have_a_panel_a_pair() -> None:
    figure = joint_ranges([joint(("nbs", "linreg")), joint(), joint(dataset="mante")], [])
    assert figure is not None
    labels = [(ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes]
    assert labels == [
        ("mante (surrogate)", "cka", "nbs"), ("majaj (surrogate)", "cka", "nbs"),
        ("majaj (surrogate)", "nbs", "linreg"),
    ]  # fmt: skip
    assert "guides at 0.9" in legend(figure)


def test_lambdas_come_by_size() -> None:
    runs = [
        made(name, decoded=("a",))
        for name in ("ridge1000_cv5", "ridge1_cv5", "ridge10_cv5", "cka", "ridge10")
    ]
    figure = ridge_lambda(pool(runs), [])
    assert figure is not None
    assert legend(figure)[:4] == ["ridge1_cv5", "ridge10_cv5", "ridge1000_cv5", "recording"]
    assert ridge_lambda(pool(runs[:1]), []) is None


def test_a_file_a_source_and_none_without_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: dict[str, list[str]] = {}

    def keep(figure: Figure, path: Path) -> Path:
        texts[path.name] = [text.get_text() for text in figure.findobj(mpl.text.Text)]
        return path

    with monkeypatch.context() as patch:
        patch.setattr(arranged, "save", keep)
        runs = [made(decoded=("a",)), made(source="surrogate")]
        written, lines = save_arranged(runs, [], [joint(source="drawn")], tmp_path, (".svg", ".pdf"))
    names = [
        "decoding_vs_score_real", "half_capture_vs_variance_real", "half_capture_vs_variance_surrogate",
        "joint_ranges_drawn", "pcs_vs_score_real", "pcs_vs_score_surrogate",
    ]  # fmt: skip
    expected = [f"{name}{suffix}" for name in names for suffix in (".pdf", ".svg")]
    assert sorted(path.name for path in written) == sorted(texts) == expected
    assert lines == []
    for name, shown in texts.items():
        source = Path(name).stem.rpartition("_")[2]
        named = re.findall(r"\((real|surrogate|drawn)\)", " ".join(shown).replace("\n", " "))
        assert {*named} == {source}
    written, _ = save_arranged([], [], [joint()], tmp_path, (".svg", ".pdf"))
    assert [path.read_bytes()[:5] for path in written] == [b"<?xml", b"%PDF-"]


def test_what_there_is_no_room_for_is_told(tmp_path: Path) -> None:
    figure = half_capture_vs_variance(
        pool([made(dataset=f"d{at:02}") for at in range(MOST + 1)]), lines := []
    )
    assert figure is not None
    assert len(figure.axes) == MOST
    (line,) = lines
    assert re.search("12 of 13 datasets .* measure=cka", line)


def test_nothing_is_no_figure(tmp_path: Path) -> None:
    assert save_arranged([], [], [], tmp_path) == ([], [])
    with pytest.raises(InputError, match=r"\.bmp: .*\.svg"):
        save_arranged([], [], [joint()], tmp_path, (".bmp",))


@pytest.mark.parametrize("draw", [decoding_vs_score, pcs_vs_score, half_capture_vs_variance])
def test_no_text_of_a_figure_is_cut_off_or_over_another(draw) -> None:
    names = (
        "cka",
        "procrustes_angular",
        "rsa_correlation_corr",
        "ridge10000_cv5",
        "linreg",
        "nbs",
        "cka_angular",
    )
    runs = [
        made(name, dataset=d, decoded=("texture_type",))
        for name in names
        for d in ("freeman_ziemba", "mante")
    ]
    with mpl.rc_context(PAPER):
        figure = draw(pool(runs), [])
    assert figure is not None
    figure.draw_without_rendering()
    whole = figure.bbox
    # The legend of pcs_vs_score has a caption as its title.
    boxes = [text.get_window_extent() for text in [*figure.legends, *(ax.title for ax in figure.axes)]
             if not hasattr(text, "get_text") or text.get_text()]  # fmt: skip
    boxes += [ax.yaxis.label.get_window_extent() for ax in figure.axes if ax.get_ylabel()]
    for at, box in enumerate(boxes):
        assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
        assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
        assert not any(box.overlaps(other) for other in boxes[:at])
