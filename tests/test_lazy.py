"""torch loaded late: the same names, the same gradients, in a process that has never heard of it before."""

import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from simopt import lazy, measures

FRESH = """
import pickle, sys
import numpy as np
measure = pickle.loads(bytes.fromhex(sys.argv[1]))
said = measure.facts.formula
before = "torch" in sys.modules
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((12, 4)), rng.standard_normal((12, 3))
print(before, float(measure(X, Y)), "torch" in sys.modules)
"""


class Cube(lazy.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, *grads):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grads[0]


class CubeOnce(lazy.Function, once_differentiable=True):
    forward, backward = Cube.forward, Cube.backward


class Flat(Cube):
    @staticmethod
    def backward(ctx, *grads):
        return torch.zeros_like(grads[0])


@pytest.fixture
def x() -> torch.Tensor:
    return torch.tensor([-1.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True)


def test_names_are_those_of_torch_and_are_kept() -> None:
    assert lazy.torch.linalg is torch.linalg
    assert lazy.torch.where is torch.where
    assert vars(lazy.torch)["where"] is torch.where  # so that the next look costs a look into a dictionary
    assert type(lazy.torch) is types.ModuleType
    assert sys.modules["torch"] is torch is not lazy.torch


def test_a_name_that_torch_lacks() -> None:
    with pytest.raises(AttributeError, match="module 'torch' has no attribute 'wher'"):
        _ = lazy.torch.wher


@pytest.mark.parametrize("function", [Cube, CubeOnce])
def test_the_gradient_is_the_written_one_from_the_first_call(function, x) -> None:
    for _ in range(2):
        out = function.apply(x)
        assert torch.equal(out.detach(), x.detach() ** 3)
        assert type(out.grad_fn).__name__ == f"{function.__name__}Backward"
        assert torch.equal(torch.autograd.grad(out.sum(), x)[0], 3 * x.detach() ** 2)
    assert gradcheck(function.apply, x)


def test_second_derivatives_are_given_or_refused(x) -> None:
    assert gradgradcheck(Cube.apply, x)
    (grad,) = torch.autograd.grad(CubeOnce.apply(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_a_subclass_has_rules_of_its_own_though_its_base_was_called(x) -> None:
    Cube.apply(x)
    assert not torch.autograd.grad(Flat.apply(x).sum(), x)[0].any()
    assert torch.autograd.grad(Cube.apply(x).sum(), x)[0].all()


def test_a_pickled_measure_scores_in_a_process_without_torch_so_far() -> None:
    stored = pickle.dumps(measures.get("procrustes_angular")).hex()
    done = subprocess.run([sys.executable, "-c", FRESH, stored], capture_output=True, text=True, check=True)
    before, score, after = done.stdout.split()
    rng = np.random.default_rng(0)
    X, Y = (a - a.mean(axis=0) for a in (rng.standard_normal((12, 4)), rng.standard_normal((12, 3))))
    cosine = np.linalg.norm(X.T @ Y, "nuc") / np.linalg.norm(X) / np.linalg.norm(Y)
    assert (before, after) == ("False", "True")
    assert float(score) == pytest.approx(1 - 2 / np.pi * np.arccos(cosine), rel=1e-12)
