"""Single panels show the numbers that the pools hold."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import simopt
from simopt.optimization.trajectory import StopReason, Trajectory, half_capture
from simopt.report.panels import (
    NOISE_LABEL,
    draw_decoding,
    draw_half_capture,
    draw_pcs,
    draw_score,
    draw_trajectory,
)
from simopt.report.pools import pool
from simopt.store import reader
from tests.report.runs import made


def lines(ax) -> dict:
    return {line.get_label(): line for line in ax.get_lines()}


def band_of(collection) -> np.ndarray:
    return collection.get_paths()[0].vertices


def test_scores_are_a_mean_and_a_range() -> None:
    run = made(seeds=(0, 3))
    ax = draw_score(pool([run]), Figure().subplots())
    np.testing.assert_array_equal(lines(ax)["cka"].get_xydata(), np.c_[run.step, run.score.mean(axis=1)])
    (drawn,) = ax.collections
    assert {tuple(row) for row in band_of(drawn)} >= {*zip(run.step, run.score.min(axis=1), strict=True)}
    assert ax.get_title() == "d (real)"


def test_pcs_are_drawn_by_score_and_only_those_there_are() -> None:
    ax = draw_pcs(pool([made()])[0], Figure().subplots())
    assert ax.get_legend_handles_labels()[1] == ["PC 1", "PC 2", "PC 5", NOISE_LABEL]
    x, y = lines(ax)["PC 2"].get_xydata().T
    np.testing.assert_allclose(y, x**2, atol=1e-7)
    assert ax.get_title() == "d (real), cka"


def test_decoding_has_reference_chance_and_good_scores() -> None:
    pools = pool([made(seeds=(0, 1), decoded=("a",)), made("nbs", decoded=("a",)), made("rsa")])
    ax = draw_decoding(pools, "a", Figure().subplots())
    drawn = lines(ax)
    assert ax.get_legend_handles_labels()[1] == ["cka", "nbs"]
    assert (*drawn["_recording"].get_ydata(), *drawn["_chance"].get_ydata()) == (0.9, 0.9, 0.5, 0.5)
    dots = [line for line in ax.get_lines() if line.get_label() == "_good score"]
    assert [dot.get_xydata().round(6).tolist() for dot in dots] == [[[0.72, 0.86]]] * 2  # 0.5 + 0.9 * 0.4
    x, y = drawn["nbs"].get_xydata().T
    np.testing.assert_allclose(y, 0.5 + 0.5 * x)


def test_a_good_score_that_is_never_reached_has_no_dot() -> None:
    run = made(decoded=("a",))
    run = replace(run, decoding={"a": np.full((5, 1), 0.6)})
    assert "_good score" not in lines(draw_decoding(pool([run]), "a", Figure().subplots()))


def test_half_captures_and_those_that_never_came() -> None:
    run = made(seeds=(0, 1), T=40, K=20)
    ax = draw_half_capture(pool([run, made("nbs", K=20)]), Figure().subplots())
    half = half_capture(run.score, run.captured_variance)
    there = ~np.isnan(half).all(axis=0)
    assert 0 < there.sum() < 20
    drawn = lines(ax)
    x, y = drawn["cka"].get_xydata().T
    np.testing.assert_array_equal(x, run.pc_variance[there])
    np.testing.assert_allclose(y, np.nanmean(half[:, there], axis=0))
    never = drawn["_never cka"].get_xydata()
    np.testing.assert_array_equal(never[:, 0], run.pc_variance[np.isnan(half).any(axis=0)])
    assert never[0, 1] > drawn["_top"].get_ydata()[0] > y.max()
    assert never[0, 1] != drawn["_never nbs"].get_ydata()[0]
    assert never[0, 1] < ax.get_ylim()[1]
    assert ax.get_yticklabels()[-1].get_text() == "never"
    assert ax.get_xscale() == "log"


def test_names_that_look_like_formulas_stay_text(tmp_path) -> None:
    figure = Figure()
    draw_score(pool([made(r"$\frac$", dataset="_a$b$", decoded=("a",))]), figure.subplots()).legend()
    figure.savefig(tmp_path / "f.png")
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == r"\$\frac\$"


@pytest.mark.parametrize("draw", [draw_score, draw_half_capture])
def test_a_measure_looks_the_same_wherever_it_is_drawn(draw) -> None:
    one = draw(pool([made("cka"), made("nbs")]), Figure().subplots())
    other = draw(pool([made("linreg"), made("cka")]), Figure().subplots())
    first, second = lines(one)["cka"], lines(other)["cka"]
    assert first.get_color() == second.get_color() != lines(one)["nbs"].get_color()
    assert (first.get_linestyle(), first.get_marker()) == (second.get_linestyle(), second.get_marker())


def test_two_runs_of_a_measure_share_its_color_and_differ_in_style() -> None:
    drawn = lines(draw_score(pool([made(), made(lr=0.05)]), Figure().subplots()))
    one, other = drawn["cka lr=0.1"], drawn["cka lr=0.05"]
    assert one.get_color() == other.get_color()
    assert one.get_linestyle() != other.get_linestyle()


def test_the_noise_floor_is_units_over_samples_less_one(tmp_path) -> None:
    X = np.random.default_rng(0).standard_normal((30, 4))
    result = simopt.optimize(X, max_steps=2, seeds=(0, 1), store=tmp_path)
    (curve,) = pool([reader.read(result.path)])
    assert curve.shape == (30, 4)
    assert curve.noise_words() == "30 samples, 4 units, 2 seeds, noise floor 0.14"
    for ax in (draw_pcs(curve, Figure().subplots()), draw_trajectory(result, Figure().subplots())):
        np.testing.assert_allclose(lines(ax)[NOISE_LABEL].get_ydata(), 4 / 29)
    unknown = pool([made(seeds=(0, 3))])[0]  # no file, so no last Y
    floor = lines(draw_pcs(unknown, Figure().subplots()))[NOISE_LABEL].get_ydata()
    np.testing.assert_allclose(floor, (0.15 ** np.arange(1, 7)).mean() / 2)  # what the starts capture
    assert "2 seeds" in unknown.noise_words()


def test_half_captures_no_higher_than_noise_have_no_mark() -> None:
    half = np.array([[0.5, 0.05, np.nan, 0.4, 0.4, 0.4], [0.6, 0.7, np.nan, 0.04, 0.4, 0.4]])
    run = replace(made(seeds=(0, 1)), half_capture=half)
    (curve,) = pool([run])
    # The second start scores 0.05: what is half captured at 0.05 or below, noise has as well.
    above = np.isfinite(curve.half_capture_above_noise)
    assert above.astype(int).tolist() == [[1, 0, 0, 1, 1, 1], [1, 1, 0, 0, 1, 1]]
    assert curve.no_higher_than_noise == 0  # of each PC that was half captured, one replicate was above
    drawn = lines(draw_half_capture([curve], Figure().subplots()))
    assert drawn["cka"].get_xdata().tolist() == run.pc_variance[[0, 1, 3, 4, 5]].tolist()
    np.testing.assert_allclose(drawn["cka"].get_ydata(), [0.55, 0.7, 0.4, 0.4, 0.4])
    assert drawn["_never cka"].get_xdata().tolist() == run.pc_variance[[2]].tolist()


def test_an_axis_without_a_mark_shows_the_variance_of_all_pcs() -> None:
    run = replace(made(), half_capture=np.zeros((1, 6)))  # noise has them all as well
    figure = Figure()
    ax = draw_half_capture(pool([run]), figure.subplots())
    figure.draw_without_rendering()  # a logarithmic axis without limits cannot be drawn
    low, high = ax.get_xlim()
    assert 0 < low < run.pc_variance.min() < run.pc_variance.max() < high < 1


@pytest.mark.parametrize(
    ("samples", "units", "above"), [(200, 10, True), (40, 9, True), (20, 18, False), (20, 30, False)]
)
def test_noise_of_many_units_half_captures_every_pc(samples: int, units: int, above: bool) -> None:
    (curve,) = pool([made(T=40, shape=(samples, units))])
    assert np.isfinite(curve.half_capture).sum() == 6
    assert np.isfinite(curve.half_capture_above_noise).sum() == 6 * above
    assert curve.no_higher_than_noise == 6 * (not above)
    noise = np.random.default_rng(0).standard_normal((400, samples, units))
    basis = np.linalg.qr(noise - noise.mean(axis=1, keepdims=True))[0][:, :, : samples - 1]
    pc = np.linspace(-1, 1, samples)
    captured = np.square(pc / np.linalg.norm(pc) @ basis).sum(axis=1)  # of one PC, by 400 draws of noise
    assert (np.mean(captured >= 0.5) < 0.05) == above  # the midpoint of what the start captures, 0, and 1
    assert captured.mean() == pytest.approx(curve.noise_floor, abs=0.02)


def test_a_run_in_memory_is_drawn_as_a_stored_one() -> None:
    run = made(seeds=(0, 2), T=30)
    trajectory = Trajectory(
        run.step, run.score, run.captured_variance, None, run.pc_variance, StopReason.TARGET
    )
    stored, drawn = (
        draw_pcs(pool([run])[0], Figure().subplots()),
        draw_trajectory(trajectory, Figure().subplots()),
    )
    assert lines(stored).keys() == lines(drawn).keys()
    for name, line in lines(stored).items():
        np.testing.assert_array_equal(lines(drawn)[name].get_xydata(), line.get_xydata())


def test_without_axes_there_are_new_ones() -> None:
    ax = draw_score(pool([made()]))
    assert ax is not draw_score(pool([made()]))
    plt.close("all")
