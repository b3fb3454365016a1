"""Every optimizer yaml climbs, and its learning rate is the one asked for."""

import numpy as np
import pytest

import simopt
from simopt import catalogue


@pytest.mark.parametrize("name", catalogue.names("optimizer"))
def test_every_optimizer_climbs(name: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 4))
    lr = 20.0 if name == "sgd" else 0.05  # a plain gradient is as small as 1 / (samples x units)
    trajectory = simopt.optimize(X, "nbs", optimizer=name, lr=lr, max_steps=30)
    assert trajectory.score[-1] > trajectory.score[0] + 0.1
