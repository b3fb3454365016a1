"""Measured costs, of workloads whose order is known."""

import time

import pytest
import torch

from simopt import measures
from simopt.analysis.cost import cost, timed
from simopt.errors import InputError
from simopt.measures import FunctionMeasure, Reference

CPU = torch.device("cpu")


def busy(seconds):
    """Compute for so long, by the clock that the operating system keeps of this process."""

    def work(*_):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return torch.ones(())

    return work


def test_a_known_workload_takes_no_less_than_it_does():
    short, long = (timed(busy(s), CPU, repeats=3, seconds=10) for s in (0.01, 0.04))
    assert (short.calls, long.calls) == (3, 3)
    assert short.seconds >= 0.01
    assert long.seconds >= 0.04
    assert short.seconds < long.seconds


def test_the_first_call_does_not_count_unless_it_is_the_only_one():
    calls = []

    def work():
        calls.append(1)
        busy(0.05 if len(calls) == 1 else 0.001)()

    measured = timed(work, CPU, repeats=5, seconds=10)
    assert measured.calls == 5
    assert len(calls) == 6
    assert measured.seconds < 0.05
    once = timed(busy(0.02), CPU, repeats=5, seconds=0.01)
    assert once.calls == 1
    assert once.seconds >= 0.02


def test_the_cost_of_measures(rng):
    reference = Reference.of(rng.standard_normal((60, 8)), dtype=torch.float32)
    measured = cost(measures.get("cka"), reference, repeats=3)
    assert (measured.samples, measured.units, measured.dtype, measured.device) == (60, 8, "float32", "cpu")
    assert measured.threads == torch.get_num_threads()
    assert measured.score.seconds > 0
    assert measured.gradient.seconds > 0
    assert measured.as_json()["gradient_seconds"] == measured.gradient.seconds
    ranks = cost(measures.get("rsa_spearman"), reference, repeats=1)
    assert ranks.gradient is None
    assert ranks.as_json()["gradient_calls"] is None


def test_the_gradient_is_timed_with_the_score(rng):
    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, Y):
            ctx.shape = Y.shape
            return Y.sum()

        @staticmethod
        def backward(ctx, out):
            busy(0.03)()
            return out.expand(ctx.shape)

    function = FunctionMeasure(name="own", function=lambda X, Y: Slow.apply(Y))
    measured = cost(function, Reference.of(rng.standard_normal((10, 3))), repeats=2)
    assert measured.gradient.seconds >= 0.03 > measured.score.seconds


def test_a_function_without_a_gradient_is_timed_without(rng):
    function = FunctionMeasure(name="own", function=lambda X, Y: float(Y.detach().sum()))
    measured = cost(function, Reference.of(rng.standard_normal((10, 3))), repeats=1)
    assert measured.score.calls == 1
    assert measured.gradient is None


def test_more_samples_cost_more(rng):
    cdist = FunctionMeasure(name="own", function=lambda X, Y: torch.cdist(Y, Y).sum())
    few, many = (cost(cdist, Reference.of(rng.standard_normal((n, 20))), repeats=3) for n in (50, 1500))
    assert many.score.seconds > 3 * few.score.seconds


def test_what_is_refused(rng):
    with pytest.raises(InputError, match="need repeats"):
        cost(measures.get("rsa_crossnobis"), Reference.of(rng.standard_normal((10, 3))))
