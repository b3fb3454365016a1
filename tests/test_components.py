"""Principal components: against scikit-learn, and by blocks against the whole."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from simopt import components
from simopt.components import principal_components


@pytest.mark.parametrize("shape", [(60, 7), (7, 60), (20, 20)])
def test_they_are_those_of_scikit_learn(shape: tuple[int, int], rng: np.random.Generator) -> None:
    X = rng.standard_normal(shape) * rng.uniform(0.1, 3, shape[1]) + 100
    pcs, expected = principal_components(X), PCA()
    scores = expected.fit_transform(X)[:, : len(pcs.values)]
    assert len(pcs.values) == min(shape[0] - 1, shape[1])
    np.testing.assert_allclose(
        pcs.values**2, expected.explained_variance_ratio_[: len(pcs.values)], atol=1e-12
    )
    signs = np.sign((scores * pcs.scores).sum(axis=0))
    np.testing.assert_allclose(signs * pcs.scores * pcs.norm, scores, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_they_keep_the_rank_at_any_scale(scale: float, rng: np.random.Generator) -> None:
    data = scale * (rng.standard_normal((20, 3)) @ rng.standard_normal((3, 6)) + 5)
    pcs = principal_components(data)
    assert pcs.values.shape == (3,)
    left = pcs.scores / pcs.values
    np.testing.assert_allclose(left.T @ left, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(left.sum(axis=0), 0, atol=1e-12)
    assert pcs.norm == pytest.approx(np.linalg.norm((data - data.mean(axis=0)) / scale) * scale)


@pytest.mark.parametrize("shape", [(203, 7), (7, 203)], ids=["tall", "wide"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_by_blocks_they_are_the_same(shape, dtype, rng: np.random.Generator, monkeypatch) -> None:
    X = (rng.standard_normal((shape[0], 5)) @ rng.standard_normal((5, shape[1])) + 3).astype(dtype)
    whole = principal_components(X)
    monkeypatch.setattr(components, "_WHOLE_UP_TO", 0)
    monkeypatch.setattr(components, "_BLOCK", 30)  # 30 blocks, the last one short
    blocks = principal_components(X)
    assert len(blocks.values) == len(whole.values)
    np.testing.assert_allclose(blocks.values, whole.values, rtol=1e-9)
    assert blocks.norm == pytest.approx(whole.norm, rel=1e-12)
    signs = np.sign((blocks.scores * whole.scores).sum(axis=0))
    np.testing.assert_allclose(signs * blocks.scores, whole.scores, atol=1e-9)


def test_scores_come_in_the_dtype_that_was_asked_for(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3))
    assert principal_components(X, np.float32).scores.dtype == np.float32
    assert principal_components(X, np.float32).values.dtype == np.float64
