"""Debiased CKA where all samples of one side are equally far apart: 0 / 0, which no rounding may decide."""

import numpy as np
import pytest
import torch

import simopt
from simopt import measures
from simopt.errors import InputError


def equally_far(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return samples of which every two have the same distance."""
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return {
        "one-hot": np.eye(n),
        "simplex": 7.1 * np.eye(n) + 3,
        "rotated": 2.3 * basis,
        "offset": 1e-3 * basis + rng.standard_normal(n),
        "wide": np.hstack([basis, np.zeros((n, 5))]) @ np.linalg.qr(rng.standard_normal((n + 5, n + 5)))[0],
    }[kind]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [4, 5, 7, 12, 30, 64, 100, 300])
@pytest.mark.parametrize("kind", ["one-hot", "simplex", "rotated", "offset", "wide"])
def test_equal_distances_on_one_side_have_no_score(kind: str, n: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(n)
    same = torch.from_numpy(equally_far(kind, n, rng)).to(dtype)
    X = torch.from_numpy(rng.standard_normal((n, 6))).to(dtype)
    other = torch.from_numpy(rng.standard_normal(same.shape)).to(dtype)
    scores = measures.get("cka_debiased").bind(X)(torch.stack([same, other]))
    assert scores.isnan().tolist() == [True, False]
    with pytest.raises(InputError, match="cka_debiased: all samples of X are equally far apart"):
        measures.get("cka_debiased").bind(same)
    if kind != "offset":  # of which float32 rounds the distances
        assert np.isnan(simopt.score(X.numpy(), same.numpy(), "cka_debiased"))


@pytest.mark.parametrize("kernel", ["rbf", "polynomial"])
def test_other_kernels_of_equal_distances(kernel: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 4))
    assert np.isnan(simopt.score(X, np.eye(20), "cka_debiased", kernel=kernel))
    with pytest.raises(InputError, match="equally far apart"):
        simopt.score(np.eye(20), X, "cka_debiased", kernel=kernel)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "units"), [(10, 1000), (20, 100_000), (300, 3000)])
def test_wide_noise_is_not_mistaken_for_it(n: int, units: int, dtype: torch.dtype) -> None:
    """Distances of wide noise differ little, but not by rounding."""
    X, Y = torch.randn(2, n, units, dtype=torch.float64)
    score = measures.get("cka_debiased")(X.to(dtype), (X + Y).to(dtype))
    assert score.item() == pytest.approx(0.5**0.5, abs=0.3)
