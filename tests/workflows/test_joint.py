"""The workflow of joint ranges: progress, checkpoints, and what other stored results add to a range."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simopt
from simopt.errors import InputError, InterruptedRunError
from simopt.store import analysis
from simopt.theory import bounds
from simopt.workflows import joint
from simopt.workflows.joint import JointRequest

X = np.random.default_rng(0).standard_normal((30, 4)) * [4, 3, 2, 1]
SHORT: dict[str, Any] = {"levels": (0.3, 0.6), "steps": 10, "starts": 2, "rounds": 1}


def request(**options: Any) -> JointRequest:
    return JointRequest(dataset=X, **{"measures": ("cka", "nbs"), "log": None, **SHORT, **options})


@pytest.mark.parametrize("options", [{}, {"mode": "square", "levels": None, "per_side": 2}])
def test_progress_counts_every_step_to_the_last(options: dict[str, Any]) -> None:
    told: list[tuple[str, int, int]] = []
    joint.carry_out(request(**options), lambda *step: told.append(step))
    titles, done, totals = zip(*told, strict=True)
    assert set(titles) == {"cka and nbs"}
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert done[-1] == totals[0]


def test_checkpoints_are_written_as_often_as_asked_for(tmp_path: Path) -> None:
    def states(seconds: float, log: Path) -> set[bytes]:
        seen: set[bytes] = set()

        def observe(*_: object) -> None:
            seen.update(path.read_bytes() for path in log.rglob("joint.h5"))

        joint.carry_out(request(log=log, checkpoint_seconds=seconds), observe)
        return seen

    assert len(states(0.0, tmp_path / "often")) > 5
    assert states(3600.0, tmp_path / "never") == set()


def test_an_interrupted_search_goes_on_to_the_same_range(tmp_path: Path) -> None:
    whole = joint.carry_out(request(log=tmp_path / "whole"))
    count = 0

    def stop() -> bool:
        nonlocal count
        count += 1
        return count % 7 == 0

    parts = request(log=tmp_path / "parts")
    interrupted = 0
    while True:
        try:
            result = joint.carry_out(parts, should_stop=stop)
        except InterruptedRunError:
            assert analysis.unfinished(parts.path, "joint") is not None
            interrupted += 1
        else:
            break
    assert interrupted >= 2
    assert repr(result.table()) == repr(whole.table())
    np.testing.assert_array_equal(result.extremes.captured, whole.extremes.captured)


@pytest.mark.parametrize("optimized", ["cka", "nbs"])
def test_scores_of_a_stored_run_count_in_the_order_of_the_range(tmp_path: Path, optimized: str) -> None:
    tracked = {"cka": "nbs", "nbs": "cka"}[optimized]
    run = simopt.optimize(X, optimized, track=[tracked], seeds=(0, 1), max_steps=20, store=tmp_path).run
    scores = {optimized: run.score, tracked: run.tracked[tracked]}
    result = simopt.joint(X, ("cka", "nbs"), store=tmp_path, **SHORT)
    expected = np.column_stack([scores["cka"].ravel(), scores["nbs"].ravel()])
    np.testing.assert_array_equal(result.stored, expected)
    assert result.region.contains(expected).all()
    without = simopt.joint(X, ("cka", "nbs"), store=tmp_path, contain=False, **SHORT)
    assert without.path == result.path
    assert result.outside == int((~without.region.contains(expected)).sum())
    assert without.outside == 0
    rbf = simopt.measures.get("cka", kernel="rbf")
    simopt.optimize(X, rbf, track=["nbs"], max_steps=3, store=tmp_path)
    again = simopt.joint(X, ("cka", "nbs"), store=tmp_path, **SHORT)
    np.testing.assert_array_equal(again.stored, expected)


def test_what_a_square_search_reached_counts_in_either_order(tmp_path: Path) -> None:
    square = simopt.joint(X, ("nbs", "cka"), mode="square", per_side=2, steps=10, store=tmp_path)
    result = simopt.joint(X, ("cka", "nbs"), store=tmp_path, **SHORT)
    np.testing.assert_array_equal(result.stored, square.square.points[:, ::-1])
    np.testing.assert_array_equal(result.square.targets, square.square.targets[:, ::-1])


def test_limits_are_those_that_are_proved_for_the_spectrum() -> None:
    result = simopt.joint(X, ("cka", "nbs"), thresholds=[0.9], thresholds_b=[0.8], **SHORT)
    spectrum = simopt.datasets.Dataset("X", X).spectrum()
    sizes = {"samples": 30, "units": 4, "x_units": 4}
    levels, lower, upper = result.proved.T
    limits = bounds.between("cka", "nbs", spectrum, levels=levels, **sizes)
    np.testing.assert_array_equal(lower, limits.lower)
    np.testing.assert_array_equal(upper, limits.upper)
    by_cka, by_nbs = result.implied
    for implied, given, other, threshold in ((by_cka, "cka", "nbs", 0.9), (by_nbs, "nbs", "cka", 0.8)):
        assert (implied.given, implied.implied, implied.threshold) == (given, other, threshold)
        limit = bounds.between(given, other, spectrum, levels=[threshold], **sizes)
        assert implied.proved == (limit.lower[0], 1.0)
    optioned = (simopt.measures.get("cka", kernel="rbf"), simopt.measures.get("nbs"))
    assert simopt.joint(X, optioned, **SHORT).proved is None


def test_what_cannot_be_asked_for_is_refused() -> None:
    for measures in (("cka",), ("cka", "nbs", "linreg"), ()):
        with pytest.raises(InputError, match="measures is"):
            request(measures=measures)
    with pytest.raises(InputError, match="mode of joint"):
        request(mode="round")
    with pytest.raises(InputError, match="checkpoint_seconds"):
        request(checkpoint_seconds=-1.0)
    with pytest.raises(InputError, match="thresholds_b"):
        request(thresholds_b=["high"])
    for key in ("log", "dataset", "speed"):
        with pytest.raises(InputError, match=f"option of joint '{key}'"):
            simopt.joint(X, **{key: "x"})
