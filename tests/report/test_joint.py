"""What the figures of joint ranges show: the numbers they were given."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import simopt
from simopt import measures
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.ranges.boundary import Boundary, Options
from simopt.ranges.pair import Implied
from simopt.ranges.region import Region
from simopt.ranges.result import JointRange
from simopt.ranges.square import Reached, Settled
from simopt.report import joint
from simopt.report.joint import MOST_DOTS, draw_joint, save_joint, save_matrix
from simopt.report.style import look

LEVELS = np.linspace(0, 1, 5)
NO_POINTS = np.empty((0, 2))
IMPLIED = [
    Implied("cka", "nbs", 0.8, 0, 1), Implied("nbs", "cka", 0.3, 0, 1), Implied("cka", "nbs", 0.5, 0, 1),
]  # fmt: skip
SQUARE = Reached(
    targets=np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
    start=np.full((3, 2), 0.3),
    end=np.array([[0.1, 0.05], [0.8, 0.2], [np.nan, np.nan]]),
    closest=np.full((3, 2), 0.3),
    settled=(Settled.REACHED, Settled.STALLED, Settled.NOT_FINITE),
    steps=np.ones(3),
    path=np.zeros((1, 3, 2)),
    points=NO_POINTS,
)


def region(
    low: np.ndarray = LEVELS**2,
    high: np.ndarray = LEVELS,
    names: tuple[str, str] = ("cka", "nbs"),
    signs: tuple[int, int] = (1, 1),
    spread: float = 0.1,
    points: np.ndarray = NO_POINTS,
) -> Region:
    return Region(names, signs, LEVELS, low, high, np.zeros((5, 2)), np.full((5, 2), spread), points)


def result(shown: Region, thresholds: tuple[float, ...] = (0.9,), **more) -> JointRange:
    implied = [
        Implied(given, other, level, 0.0, 1.0)
        for given, other, sign in zip(shown.names, shown.names[::-1], shown.signs, strict=True)
        for level in (thresholds if sign > 0 else ())
    ]
    about = {"region": shown, "implied": implied, **more}
    return JointRange("mine", "surrogate", shown.names, "boundary", Path("joint.h5"), **about)


def square(names: tuple[str, str] = ("cka", "nbs")) -> JointRange:
    return JointRange("mine", "surrogate", names, "square", Path("joint.h5"), square=SQUARE)


def axes() -> Axes:
    return Figure().subplots()


def visible(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_visible()]


def labeled(ax: Axes) -> dict[str, np.ndarray]:
    return {
        str(line.get_label()): np.array(line.get_xydata())
        for line in ax.get_lines()
        if not str(line.get_label()).startswith("_")
    }


def bars(ax: Axes) -> np.ndarray:
    return np.array([c.get_segments() for c in ax.collections if hasattr(c, "get_segments")][-1])


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, to be looked at."""
    figures: list[Figure] = []
    real = joint.save

    def save(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return real(figure, path)

    monkeypatch.setattr(joint, "save", save)
    return figures


def test_the_region_its_extremes_and_their_spread() -> None:
    ax = draw_joint(result(region()), axes())
    low, high = np.column_stack([LEVELS, LEVELS**2]), np.column_stack([LEVELS, LEVELS])
    around = np.concatenate([low, high[::-1]])  # it closes itself, as both sides begin at (0, 0)
    np.testing.assert_allclose(ax.patches[0].get_xy(), around)
    np.testing.assert_allclose(ax.get_lines()[0].get_xydata(), [*around, around[0]])
    marks = labeled(ax)["extremes, spread over starts"]
    sides = np.column_stack([LEVELS**2, LEVELS]).ravel()
    np.testing.assert_allclose(marks, np.column_stack([np.repeat(LEVELS, 2), sides]))
    np.testing.assert_allclose(bars(ax)[:, 0], marks)
    np.testing.assert_allclose(bars(ax)[:, 1, 1] - sides, [0.1, -0.1] * 5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cka", "nbs")
    a, b = (look(name)["color"] for name in ("cka", "nbs"))
    assert (ax.xaxis.label.get_color(), ax.yaxis.label.get_color()) == (a, b)
    assert to_hex(ax.patches[0].get_facecolor()) == ax.get_lines()[0].get_color() == b
    assert ax.get_xlim() == ax.get_ylim() == pytest.approx((-0.03, 1.03))


def test_levels_without_an_extreme_have_no_mark() -> None:
    high, low = LEVELS.copy(), LEVELS**2
    high[[1, 4]] = low[4] = np.nan
    ax = draw_joint(result(region(low, high, spread=np.nan)), axes())
    marks = labeled(ax)["extremes, spread over starts"]
    assert len(marks) == 7
    assert np.isfinite(marks).all()
    assert not bars(ax).size
    assert ax.patches[0].get_xy()[:, 0].max() == LEVELS[3]


def test_the_outline_holds_all_that_a_search_passed() -> None:
    data = simopt.load_dataset("gaussian", samples=30, units=4)
    a, b = measures.get("cka"), measures.get("procrustes_angular")
    search = Boundary(Reference.of(data.samples()), a, b, options=Options(steps=15, rounds=1))
    search.run()
    found = Region.of(a, b, search.extremes())
    outline = draw_joint(result(found), axes()).patches[0].get_path()
    assert outline.contains_points(found.points, radius=1e-6).all()
    assert not outline.contains_points([(0.05, 0.95), (0.95, 0.05)]).any()


def test_proved_bounds_have_gaps_where_no_Y_is() -> None:
    lower, upper = LEVELS**3, np.sqrt(LEVELS)
    lower[4] = upper[4] = np.nan
    ax = draw_joint(result(region(), proved=np.column_stack([LEVELS, lower, upper])), axes())
    dashed = [line for line in ax.get_lines() if line.get_linestyle() == "--"]
    np.testing.assert_equal([line.get_ydata() for line in dashed], [lower, upper])
    below, above = (c.get_datalim(ax.transData) for c in ax.collections if c.get_hatch())
    assert (below.ymin, above.ymax) == pytest.approx(ax.get_ylim())
    assert (below.ymax, above.ymin) == pytest.approx((0.75**3, 0.0))
    assert below.xmax == above.xmax == 0.75


def test_targets_are_joined_to_where_they_ended() -> None:
    for ax in (draw_joint(result(region(), square=SQUARE), axes()), draw_joint(square(), axes())):
        drawn = labeled(ax)
        np.testing.assert_equal(drawn["targets"], SQUARE.targets)
        np.testing.assert_equal(drawn["where they ended"], SQUARE.end)
        joins = [line for line in ax.get_lines() if line.get_linewidth() == 0.6]
        np.testing.assert_equal([line.get_xydata()[0] for line in joins], SQUARE.targets)
        np.testing.assert_equal([line.get_xydata()[1] for line in joins], SQUARE.end)
        (squares,) = [line for line in ax.get_lines() if line.get_marker() == "s"]
        assert squares.get_markerfacecolor() == "#ffffff"


def test_other_pairs_are_thinned(rng: np.random.Generator) -> None:
    pairs = rng.uniform(size=(5000, 2))
    pairs[7, 0] = np.nan
    (dots,) = [
        line
        for line in draw_joint(result(region(), stored=pairs), axes()).get_lines()
        if line.get_rasterized()
    ]
    shown = dots.get_xydata()
    assert len(np.unique(shown, axis=0)) == MOST_DOTS
    assert {tuple(pair) for pair in shown} <= {tuple(pair) for pair in pairs}
    few = draw_joint(result(region(), stored=pairs[:20]), axes())
    assert len(labeled(few)["other pairs reached"]) == 19


@pytest.mark.parametrize(
    ("signs", "options", "expected"),
    [
        ((1, 1), {}, ([0.9], [0.9])),
        ((1, -1), {}, ([0.9], [])),
        ((1, -1), {"implied": IMPLIED}, ([0.8, 0.5], [0.3])),
        ((1, 1), {"implied": []}, ([], [])),
    ],
)
def test_guide_lines(
    signs: tuple[int, int], options: dict, expected: tuple[list[float], list[float]]
) -> None:
    dotted = [
        line
        for line in draw_joint(result(region(signs=signs), **options), axes()).get_lines()
        if line.get_linestyle() == ":"
    ]
    across = [line.get_xdata()[0] for line in dotted if line.get_xdata()[0] == line.get_xdata()[1]]
    along = [line.get_ydata()[0] for line in dotted if line.get_xdata()[0] != line.get_xdata()[1]]
    assert (across, along) == expected


def test_a_distance_goes_as_far_as_it_does() -> None:
    ax = draw_joint(result(region(3 - 2 * LEVELS, 7 - 6 * LEVELS, ("cka", "distance"), (1, -1))), axes())
    assert ax.get_ylim() == pytest.approx((1 - 0.03 * 6, 7 + 0.03 * 6))
    assert ax.get_ylabel() == "distance"


def test_an_axis_that_is_cut_says_so() -> None:
    ax = draw_joint(result(region(3 - 2 * LEVELS, 4e9 + LEVELS, ("cka", "distance"), (1, -1))), axes())
    assert ax.get_ylim() == pytest.approx((1 - 0.03 * 5, 6 + 0.03 * 5))
    assert ax.get_ylabel() == "distance\n(up to 4e+09)"
    ax = draw_joint(result(region(-2000 * (1 - LEVELS), LEVELS, ("cka", "ridge"))), axes())
    assert ax.get_ylim() == pytest.approx((-1.06, 1.06))
    assert ax.get_ylabel() == "ridge\n(down to -2e+03)"


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_a_file_of_its_suffix(tmp_path: Path, suffix: str, begin: bytes) -> None:
    name = f"a/f.{suffix}"
    paths = [
        save_joint(result(region(), stored=SQUARE.targets), tmp_path / "1" / name),
        save_joint(square(), tmp_path / "2" / name),
        save_matrix([result(region())], tmp_path / "3" / name),
    ]
    assert all(path.read_bytes().startswith(begin) for path in paths)


def test_names_that_look_like_formulas_stay_text(tmp_path: Path) -> None:
    names = ("cka", r"mine $\frac$")
    for path in (
        save_joint(result(region(names=names)), tmp_path / "region.svg"),
        save_joint(square(names), tmp_path / "square.svg"),
        save_matrix([result(region(names=names))], tmp_path / "matrix.svg"),
    ):
        assert names[1] in path.read_text().replace(r"\$", "$")


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    for save in (save_joint, lambda shown, path: save_matrix([shown], path)):
        with pytest.raises(InputError, match=r"f\.doc: .*\.svg"):
            save(result(region()), tmp_path / "f.doc")


def test_a_result_is_drawn_with_all_that_was_found() -> None:
    proved = np.column_stack([LEVELS, LEVELS**3, np.sqrt(LEVELS)])
    shown = result(region(), (0.8, 0.9), proved=proved, square=SQUARE, stored=SQUARE.targets)
    drawn = labeled(draw_joint(shown, axes()))
    expected = ["extremes, spread over starts", "guides at 0.8, 0.9", "other pairs reached", "targets"]
    assert sorted(drawn) == [*expected, "where they ended"]
    assert "region found" not in labeled(draw_joint(square(), axes()))


@pytest.mark.parametrize(
    ("shown", "options", "facts"),
    [
        (region(0 * LEVELS, LEVELS), {}, "area 0.500, asymmetric"),  # the triangle b <= a
        (region(0 * LEVELS, LEVELS), {"thresholds": (0.4,)}, "area 0.500, independent"),
        (region(0 * LEVELS, 4e6 * LEVELS, ("cka", "d"), (1, -1)), {}, "area 2.0e+06"),
        (region(LEVELS, LEVELS), {}, "area 0.000, coupled"),
    ],
)
def test_the_title_has_area_and_verdict_and_is_not_cut(
    tmp_path: Path, saved: list[Figure], shown: Region, options: dict, facts: str
) -> None:
    proved = np.column_stack([LEVELS, 0 * LEVELS, 1 + 0 * LEVELS])
    for more in ({}, {"proved": proved, "square": SQUARE, "stored": SQUARE.targets}):
        save_joint(result(shown, **options, **more), tmp_path / "f.png")
        saved[-1].draw_without_rendering()
        ax = saved[-1].axes[0]
        title = ax.title
        assert title.get_text() == f"mine (surrogate)\n{facts}"
        assert title.get_window_extent().y1 <= saved[-1].bbox.y1
        assert title.get_window_extent().y0 > ax.get_window_extent().y1
        assert saved[-1].legends[0].get_window_extent().y1 < ax.xaxis.label.get_window_extent().y0


def test_a_panel_for_every_pair(tmp_path: Path, saved: list[Figure]) -> None:
    results = [
        result(region(), proved=np.column_stack([LEVELS, LEVELS**2, LEVELS])),
        result(region(3 - 3 * LEVELS, 3 - 3 * LEVELS, ("cka", "d"), (1, -1))),
        result(region(2 - 2 * LEVELS, 5 - 5 * LEVELS, ("nbs", "d"), (1, -1))),
    ]
    save_matrix(results, tmp_path / "f.png")
    first, second, third = visible(saved[0])
    assert [ax.get_title() for ax in (first, second, third)] == [region().verdict(0.9, 0.9), "", ""]
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in (first, second, third)] == [
        ("", "nbs"),
        ("cka", "d"),
        ("nbs", ""),
    ]
    assert first.get_xlim() == second.get_xlim()
    assert second.get_ylim() == third.get_ylim() == pytest.approx((-0.15, 5.15))
    assert sum(line.get_linestyle() == "--" for line in first.get_lines()) == 2
    places = [ax.get_position() for ax in (first, second, third)]
    assert places[0].y0 > places[1].y1
    assert places[1].x1 < places[2].x0
    assert saved[0].get_suptitle() == "mine (surrogate)"
    np.testing.assert_allclose(third.patches[0].get_xy()[:5, 1], 2 - 2 * LEVELS)


def test_a_missing_pair_leaves_its_place_empty(tmp_path: Path, saved: list[Figure]) -> None:
    save_matrix([result(region(names=("a", "b"))), result(region(names=("b", "c")))], tmp_path / "f.png")
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in visible(saved[0])] == [("a", "b"), ("b", "c")]


def test_pairs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    pairs = [("cka", "nbs"), ("rsa", "cka")]
    with pytest.raises(InputError, match="rsa and cka .*cka, nbs, rsa"):
        save_matrix([result(region(names=names)) for names in pairs], tmp_path / "f.png")
    with pytest.raises(InputError, match="cka, nbs"):
        save_matrix([square()], tmp_path / "f.png")
