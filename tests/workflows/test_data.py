"""The gate of the workflows: X and Y of files, arrays and loaders."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simopt
from simopt import catalogue
from simopt.app.config import requests
from simopt.errors import InputError, RowsWarning, UnitsWarning
from simopt.workflows import compare
from simopt.workflows.compare import CompareRequest
from simopt.workflows.data import Data

RNG = np.random.default_rng(0)
MODEL = RNG.standard_normal((12, 6))
SHOWN = np.tile(RNG.permutation(12), 3)
TRIALS = MODEL[SHOWN] + 1e-9 * RNG.standard_normal((36, 6))


def trials(folder: Path) -> Data:
    """Trials of images im1 to im12, averaged by image."""
    np.savez(folder / "t.npz", responses=TRIALS, image=np.array([f"im{k + 1}" for k in SHOWN]))
    node = catalogue.node("dataset", "file", path=str(folder / "t.npz"), labels=["image"], average=["image"])
    return Data(node)


def scored(X: Data, Y: Any) -> float:
    return compare.carry_out(CompareRequest(dataset=X, Y=(Y,), draws=0, log=None)).standings[0].score


def test_averages_keep_the_order_of_first_appearance(tmp_path: Path) -> None:
    X = trials(tmp_path)
    first = SHOWN[:12]
    assert X.dataset.labels["image"].tolist() == [f"im{k + 1}" for k in first]
    np.testing.assert_allclose(X.dataset.responses, MODEL[first], atol=1e-8)
    np.save(tmp_path / "m.npy", MODEL[first])
    with pytest.warns(
        RowsWarning, match=f"averaged over image, in the order im{first[0] + 1}, .* no label image"
    ):
        assert scored(X, Data.named(str(tmp_path / "m.npy"))) == pytest.approx(1)
    # A model with the label is compared by it, and nothing has to be said.
    names = np.array([f"im{k + 1}" for k in first])
    np.savez(tmp_path / "m.npz", responses=MODEL[first], image=names)
    assert scored(X, Data.named(str(tmp_path / "m.npz"))) == pytest.approx(1)
    np.savez(tmp_path / "m.npz", responses=MODEL[first][::-1], image=names[::-1])
    with pytest.raises(InputError, match="image of row 0 is im"):
        scored(X, Data.named(str(tmp_path / "m.npz")))


def test_datasets_show_prints_the_order_of_averages(simopt: Any, tmp_path: Path) -> None:
    trials(tmp_path)
    options = ["file", f"path={tmp_path / 't.npz'}", "labels=[image]", "average=[image]"]
    order = ", ".join(f"im{k + 1}" for k in SHOWN[:10])
    assert order in " ".join(simopt("datasets", "show", *options, "--wide").stdout.split())


def test_a_loader_is_loaded() -> None:
    loader = simopt.datasets.loader("gaussian", samples=30, units=4, seed=1)
    result = simopt.compare(loader, loader.structured().responses, draws=0)
    assert result.standings[0].score == pytest.approx(1)


def test_a_run_of_a_file_and_an_explanation_of_it_are_the_same_data(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.where(np.arange(6) == 2, 1.0, TRIALS))
    run = requests.run(["dataset=file", f"dataset.path='{tmp_path / 'x.npy'}'"]).dataset
    named = Data.named(str(tmp_path / "x.npy"))
    model = requests.mine(tmp_path / "x.npy")
    hashed: Any = lambda path: "hash"  # noqa: E731
    assert run.identity(hashed) == named.identity(hashed) == model.identity(hashed)
    with pytest.warns(UnitsWarning, match="column 2"):
        assert run.dataset.responses.shape == (36, 6)
