"""Functions with a gradient of their own: what is passed on to it, and which outputs and inputs have one."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from simopt.gradients import Saved, with_gradient


def _power_gradient(grad: Tensor, base: Tensor, exponent: int) -> Tensor:
    return grad * exponent * base ** (exponent - 1)


@with_gradient(_power_gradient)
def power(base: Tensor, exponent: int) -> tuple[tuple[Tensor, Tensor], Saved]:
    """Return the power and the size of the base."""
    return (base**exponent, base.abs().max()), (exponent, base)


def _both_gradient(one: Tensor, two: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return one * y + two, one * x - two


@with_gradient(_both_gradient, outputs=2)
def product_and_difference(x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
    return (x * y, x - y), (x, y)


def test_numbers_come_after_tensors_and_inputs_left_out_are_constant() -> None:
    x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda base: power(base, 3)[0], x)


def test_outputs_beyond_those_named_have_no_gradient() -> None:
    raised, size = power(torch.tensor([1.0, -2.0], requires_grad=True), 2)
    assert raised.requires_grad
    assert not size.requires_grad
    assert float(size) == 2


def test_two_outputs_of_two_inputs() -> None:
    x, y = torch.randn(2, 4, dtype=torch.float64).requires_grad_().unbind()
    assert gradcheck(product_and_difference, (x, y))


def test_it_keeps_its_name_and_cannot_be_differentiated_twice() -> None:
    assert power.__name__ == "power"
    assert power.__doc__ == "Return the power and the size of the base."
    x = torch.ones(2, requires_grad=True)
    (grad,) = torch.autograd.grad(power(x, 3)[0].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
