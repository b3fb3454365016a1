"""The primitives against closed forms, numpy and scipy, and their gradients against finite differences."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.autograd import gradcheck

from simopt import linalg
from simopt.errors import NumericalError


def matrix(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def rotation(size: int) -> torch.Tensor:
    return torch.linalg.qr(matrix(size, size))[0]


def test_center_gram_and_products() -> None:
    A, F = matrix(2, 7, 3), linalg.center(matrix(7, 4))
    centered = A - A.mean(dim=1, keepdim=True)
    cross, gram = linalg.products(A, F)
    torch.testing.assert_close(linalg.center(A), centered)
    torch.testing.assert_close(linalg.gram(A), A.mT @ A)
    H = torch.eye(7, dtype=torch.float64) - 1 / 7
    torch.testing.assert_close(linalg.double_center(A @ A.mT), H @ A @ A.mT @ H)
    torch.testing.assert_close(cross, F.mT @ centered)
    torch.testing.assert_close(gram, centered.mT @ centered)
    cross, total = linalg.cross_and_total(A, F)
    torch.testing.assert_close(cross, F.mT @ centered)
    torch.testing.assert_close(total, centered.square().sum(dim=(1, 2)))


@pytest.mark.parametrize("function", [linalg.center, linalg.gram], ids=["center", "gram"])
def test_gradients_of_center_and_gram(function) -> None:
    assert gradcheck(function, matrix(2, 6, 3).requires_grad_())


def test_gradient_of_products() -> None:
    F = linalg.center(matrix(6, 4))
    assert gradcheck(lambda A: linalg.products(A, F), matrix(2, 6, 3).requires_grad_())
    assert gradcheck(lambda A: linalg.cross_and_total(A, F), matrix(2, 6, 3).requires_grad_())


@pytest.mark.parametrize(
    "values", [[3.0, 2.0, 1.0], [2.0, 2.0, 2.0], [3.0, 1.0, 1.0]], ids=["apart", "equal", "pair"]
)
def test_nuclear_norm_of_given_singular_values(values) -> None:
    A = rotation(5)[:, :3] @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ rotation(3)
    torch.testing.assert_close(linalg.nuclear_norm(A), torch.tensor(sum(values), dtype=torch.float64))
    assert gradcheck(linalg.nuclear_norm, A.requires_grad_())


def test_nuclear_norm_at_a_zero_singular_value_has_an_ascending_subgradient() -> None:
    A = (matrix(5, 2) @ matrix(2, 4)).requires_grad_()
    norm = linalg.nuclear_norm(A)
    (grad,) = torch.autograd.grad(norm, A)
    (again,) = torch.autograd.grad(linalg.nuclear_norm(A), A)
    assert torch.equal(grad, again)
    assert np.linalg.norm(grad, 2) == pytest.approx(1)  # the spectral norm of a subgradient
    assert torch.sum(grad * A.detach()).item() == pytest.approx(norm.item())
    assert linalg.nuclear_norm(A.detach() + 1e-3 * grad) > norm


@pytest.mark.parametrize("function", [linalg.nuclear_norm, linalg.polar, linalg.eigh])
def test_nan_is_refused(function) -> None:
    with pytest.raises(NumericalError, match="NaN"):
        function(torch.full((2, 2), math.nan))


def test_angular_values_and_gradient() -> None:
    cosine = torch.tensor([0.0, 0.5, math.sqrt(0.5), 1.0, -1.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 1 / 3, 0.5, 1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(linalg.angular(cosine), expected)
    assert gradcheck(
        linalg.angular, torch.tensor([-0.9, 0.0, 0.3, 0.999], dtype=torch.float64).requires_grad_()
    )


@pytest.mark.parametrize("beyond", [1.0, 1 + 1e-7, -1.0])
def test_angular_at_and_beyond_the_ends_is_finite(beyond: float) -> None:
    cosine = torch.tensor(beyond, requires_grad=True)
    value = linalg.angular(cosine)
    (grad,) = torch.autograd.grad(value, cosine)
    assert abs(value.item()) == 1
    assert grad.item() == 0


def test_solve_spd_agrees_with_scipy_and_knows_its_condition() -> None:
    A = matrix(4, 4)
    A, C = A @ A.T + torch.eye(4), matrix(4, 2)
    solution, condition = linalg.solve_spd(A, C)
    np.testing.assert_allclose(solution, scipy.linalg.solve(A, C, assume_a="pos"), rtol=1e-12)
    assert condition.item() == pytest.approx(np.linalg.cond(A, 1), rel=1e-10)
    assert gradcheck(lambda a, c: linalg.solve_spd(a @ a.mT, c)[0], (A.requires_grad_(), C.requires_grad_()))


@pytest.mark.parametrize(
    "bad", [torch.zeros(3, 3), -torch.eye(3), torch.ones(3, 3), torch.diag(torch.tensor([1, 1, 1e-9]))]
)
def test_what_is_not_well_conditioned_is_not_trusted(bad: torch.Tensor) -> None:
    _, condition = linalg.solve_spd(bad, torch.ones(3, 1))
    assert not linalg.trustworthy(condition)
    assert not linalg.trustworthy(torch.stack([condition, torch.tensor(1.0)]))


def test_what_a_regression_explains_and_predicts() -> None:
    A, C, rows = matrix(2, 4, 4), matrix(2, 4, 3), matrix(2, 5, 4)
    A = A @ A.mT + torch.eye(4)
    solution = torch.linalg.solve(A, C)
    sums, condition = linalg.explained(A, C)
    prediction, again = linalg.predict(rows, A, C)
    torch.testing.assert_close(sums, (C * solution).sum(dim=-2))
    torch.testing.assert_close(prediction, rows @ solution)
    assert torch.equal(condition, linalg.solve_spd(A, C)[1])
    assert torch.equal(condition, again)
    leaves = [part.requires_grad_() for part in (rows, A, C)]
    assert gradcheck(lambda b, a, c: linalg.predict(b, a @ a.mT, c)[0], leaves)
    assert gradcheck(lambda a, c: linalg.explained(a @ a.mT, c)[0], leaves[1:])


def test_full_rank_is_seen_where_the_normal_equations_cannot_be_trusted() -> None:
    for condition, trusted, full in ((1e3, True, True), (2e5, False, True), (1e8, False, False)):
        value = torch.tensor([1.0, condition])
        assert (linalg.trustworthy(value), linalg.full_rank(value)) == (trusted, full)
    assert not linalg.full_rank(torch.tensor(math.inf))


WIDE, TALL, RANK_2 = (6, 9), (9, 4), "rank 2"


def predictors(kind) -> torch.Tensor:
    return matrix(9, 2) @ matrix(2, 5) if kind == RANK_2 else matrix(*kind)


@pytest.mark.parametrize("kind", [WIDE, TALL, RANK_2], ids=str)
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_ridge_coefficients_agree_with_numpy(kind, penalty: float) -> None:
    A = predictors(kind)
    T = matrix(len(A), 3)
    coefficients = linalg.ridge_coefficients(A, T, penalty)
    rows = np.vstack([A, math.sqrt(penalty) * np.eye(A.shape[1])])
    targets = np.vstack([T, np.zeros((A.shape[1], 3))])
    np.testing.assert_allclose(coefficients, np.linalg.lstsq(rows, targets, rcond=1e-12)[0], atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "penalty"), [(WIDE, 0.0), (TALL, 0.0), (WIDE, 0.3), (TALL, 0.3), (RANK_2, 0.3)], ids=str
)
def test_gradient_of_ridge_coefficients(kind, penalty: float) -> None:
    A = predictors(kind)
    T = matrix(len(A), 3)
    assert gradcheck(lambda a: linalg.ridge_coefficients(a, T, penalty), A.requires_grad_())


def test_gradient_of_least_squares_at_constant_low_rank() -> None:
    """At a change of rank there is no derivative; along changes that keep the rank there is."""
    left, right, T = matrix(9, 2), matrix(2, 5), matrix(9, 3)

    def by_factors(a, b):
        return linalg.ridge_coefficients(a @ b, T)

    assert gradcheck(by_factors, (left.requires_grad_(), right.requires_grad_()))


@pytest.mark.parametrize("kind", [WIDE, RANK_2], ids=str)
def test_least_squares_repeats_itself(kind) -> None:
    A = predictors(kind)
    T = matrix(len(A), 3)
    first = linalg.ridge_coefficients(A, T)
    assert all(torch.equal(first, linalg.ridge_coefficients(A, T)) for _ in range(300))


def test_column_space_of_low_rank() -> None:
    A = predictors(RANK_2)
    basis = linalg.column_space(A)
    np.testing.assert_allclose(basis.mT @ basis, np.diag([1, 1, 0, 0, 0]), atol=1e-12)
    np.testing.assert_allclose(basis @ basis.mT @ A, A, atol=1e-12)


def graded(condition: float, m: int, q: int, dtype: torch.dtype) -> torch.Tensor:
    k = min(m, q)
    left, right = (torch.linalg.qr(torch.randn(2, n, k, dtype=torch.float64))[0] for n in (m, q))
    values = torch.logspace(0, -np.log10(condition), k, dtype=torch.float64)
    return (1e3 * left * values @ right.mT).to(dtype)


@pytest.mark.parametrize("shape", [(40, 40), (50, 30), (30, 50)], ids=str)
@pytest.mark.parametrize(
    ("dtype", "condition", "tolerance"),
    [(torch.float64, 1.0, 1e-13), (torch.float64, 1e8, 1e-6), (torch.float32, 10.0, 1e-5),
     (torch.float32, 1e3, 1e-3)],
)  # fmt: skip
def test_the_polar_factor_by_products_is_that_of_the_svd(shape, dtype, condition, tolerance) -> None:
    """To eps times the condition number, to which A determines it."""
    A = graded(condition, *shape, dtype)
    torch.testing.assert_close(linalg.polar_by_products(A), linalg.polar(A), rtol=0, atol=tolerance)


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6, 1e12])
def test_the_polar_factor_by_products_gives_the_nuclear_norm(condition: float) -> None:
    A = graded(condition, 60, 60, torch.float32)
    factor = linalg.polar_by_products(A)
    norm = torch.linalg.svdvals(A.double()).sum(dim=-1)
    torch.testing.assert_close((factor * A).sum(dim=(-2, -1)).double(), norm, rtol=1e-5, atol=0)
    assert torch.linalg.matrix_norm(factor, 2).max() < 1 + 1e-5


def test_the_polar_factor_by_products_at_low_rank_and_at_zero() -> None:
    A = matrix(20, 3) @ matrix(3, 8)
    factor = linalg.polar_by_products(A)
    values = torch.linalg.svdvals(factor)
    torch.testing.assert_close(values[:3], torch.ones(3, dtype=torch.float64), rtol=1e-10, atol=0)
    torch.testing.assert_close((factor * A).sum(), torch.linalg.svdvals(A).sum(), rtol=1e-12, atol=0)
    assert torch.equal(linalg.polar_by_products(torch.zeros(4, 3)), torch.zeros(4, 3))
    assert linalg.polar_by_products(torch.full((3, 3), torch.nan)).isnan().all()
