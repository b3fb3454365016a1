"""Results that a report shows with a remark: of an older revision, or not finished."""

from pathlib import Path

import numpy as np
import pytest

import simopt
from simopt import catalogue
from simopt.report import collect
from simopt.store import analysis, layout

TARGET = "simopt.measures.kernel.KernelSimilarity"


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((30, 4)) * [4, 3, 2, 1]


def test_results_of_an_older_revision_are_kept_shown_as_such_and_not_found(
    X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simopt.optimize(X, "cka", max_steps=3, store=tmp_path)
    simopt.optimize(X, "nbs", max_steps=3, store=tmp_path)
    simopt.sensitivity(X, ("cka",), seeds=(0,), store=tmp_path)
    assert collect([tmp_path]).remarks == []
    monkeypatch.setitem(catalogue.REVISIONS, TARGET, 2)
    remarks = collect([tmp_path]).remarks
    # nbs is of the same class of measures as cka.
    assert len(remarks) == 3
    assert all(f"{TARGET} 1, now 2" in line for line in remarks)
    again = simopt.optimize(X, "cka", max_steps=3, store=tmp_path)
    assert again.how == "done"
    assert len(list(tmp_path.rglob("run.h5"))) == 3
    assert len(collect([tmp_path]).remarks) == 3
    assert simopt.optimize(X, "cka", max_steps=3, store=tmp_path).how == "found"


def test_an_unfinished_joint_range_is_no_broken_file(X: np.ndarray, tmp_path: Path) -> None:
    simopt.optimize(X, "cka", max_steps=3, store=tmp_path)
    path = tmp_path / "X" / "joint" / "real-0" / "joint.h5"
    analysis.write(path, "joint", analysis.Stored({}), layout.INTERRUPTED)
    collected = collect([tmp_path])
    assert collected.broken == []
    (remark,) = collected.remarks
    assert "not finished (status interrupted)" in remark
