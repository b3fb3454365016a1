"""Every differentiable similarity climbs from noise to 0.99 on ultrametric data in float32 without a NaN."""

import numpy as np
import pytest
import torch

import simopt
from simopt import catalogue
from simopt.measures import Measure, Reference
from simopt.optimization.init import GaussianInit
from simopt.optimization.loop import Ascent
from simopt.optimization.trajectory import StopReason
from tests.contract import POINTS, params, point


def climbs(measure: Measure) -> bool:
    facts = measure.facts
    reached = facts.at_self == 1 or (facts.family, facts.direction) == ("regression", "y_to_x")
    return facts.differentiable and facts.larger_is_closer and facts.high == 1 and reached


CLIMBING = params(name for name in POINTS if climbs(point(name)))
# Many-to-one matching has local maxima (0.93) at equal widths: no unit of Y gains by leaving the unit that it
# matches best. Twice the units leave enough of them for every unit of X.
WIDER = {"soft_correlation_match": 100}
# A penalty is small against Y'Y only once Y has grown, and Adam grows it by the learning rate a step.
HEAVY = "10000"


@pytest.mark.parametrize("name", CLIMBING)
def test_climbs_from_noise(name: str) -> None:
    X = simopt.load_dataset("ultrametric").responses
    settings = {**catalogue.read("optimizer", "adam"), **({"lr": 1.0} if HEAVY in name else {})}
    optimizer = catalogue.build(settings, "optimizer", partial=True)
    bound = point(name).bind(Reference.of(X, dtype=torch.float32))
    scores: list[float] = []
    samples, units = X.shape
    start = GaussianInit()([0], samples, WIDER.get(name, units))
    ascent = Ascent(bound, start, optimizer, 0.99, 3000)
    reason = ascent.run(lambda state: scores.append(state.score.item()))
    assert np.isfinite(scores).all()
    assert reason is StopReason.TARGET
    assert scores[-1] >= 0.99
