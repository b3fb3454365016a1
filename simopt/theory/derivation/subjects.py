"""The measures: the quantities that each is made of, in X and Y, and its score in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from simopt.theory.derivation.proofs import NuclearNorm
from simopt.theory.derivation.setting import (
    PENALTY,
    R_0,
    RATIO,
    ROTATED,
    S_1,
    S_2,
    SHARES,
    Assumption,
    B,
    D,
    K,
    Perturbation,
    S_rho,
    X,
    Y,
    a,
    c,
    eta,
    g,
    k,
    lam,
    lambda_i,
    matrices,
    n,
    nu,
    p,
    p_i,
    q_i,
    r_i,
    rho,
    sigma_1,
    sigma_2,
    t,
)

ANGULAR = {"cka_angular": "cka", "procrustes_angular": "nbs"}
"""Angular forms, and the score whose angle they take."""


@dataclass(frozen=True)
class Quantity:
    """A number that a score is made of: its definition, and what it is in the three diagonals.

    Attributes
    ----------
    name : str
    definition : sympy expression
        A trace or a nuclear norm, in X and Y.
    uses : tuple of str
        The products of matrices that lead to the diagonals.
    reduced : sympy expression
        The same of diagonal matrices.
    summand : sympy expression
        What is summed over PCs k.
    rest : sympy expression
        The sum over the PCs that are left as they are.
    """

    name: str
    definition: sp.Expr
    uses: tuple[str, ...]
    reduced: sp.Expr
    summand: sp.Expr
    rest: sp.Expr


def quantities(perturbation: Perturbation) -> dict[str, Quantity]:
    """Return every quantity that a score may be made of."""
    *_, L, C, G, H = matrices(perturbation.count)
    Q_x, Q_y = bases(perturbation)
    l_k, c_k, g_k = lam[k], c[k], g[k]
    XX, YY, XY = X.T * X, Y.T * Y, X.T * Y
    aligned = L ** sp.Rational(-1, 2) * C * G ** sp.Rational(-1, 2)
    rows = (
        ("tr X'X", sp.Trace(XX), ("X'X",), sp.Trace(L), l_k, S_1),
        ("tr Y'Y", sp.Trace(YY), ("Y'Y",), sp.Trace(G), g_k, S_1),
        ("tr (X'X)^2", sp.Trace(XX * XX), ("X'X",), sp.Trace(L * L), l_k**2, S_2),
        ("tr (Y'Y)^2", sp.Trace(YY * YY), ("Y'Y",), sp.Trace(G * G), g_k**2, S_2),
        ("tr X'YY'X", sp.Trace(XY * XY.T), ("X'Y",), sp.Trace(C * C), c_k**2, S_2),
        ("nuclear norm of X'Y", NuclearNorm(XY), ("X'Y",), NuclearNorm(C), sp.Abs(c_k), S_1),
        (
            "tr X'QQ'X",
            sp.Trace(X.T * Q_y * Q_y.T * X),
            ("X'Y", "Q'X"),
            sp.Trace(C * C * G**-1),
            c_k**2 / g_k,
            S_1,
        ),
        (
            "nuclear norm of Q_x'Q_y",
            NuclearNorm(Q_x.T * Q_y),
            ("Q_x'Q_y",),
            NuclearNorm(aligned),
            sp.Abs(c_k) / sp.sqrt(l_k * g_k),
            K - 1,
        ),
        (
            "2 tr X'YB - tr B'Y'YB",
            2 * sp.Trace(XY * B) - sp.Trace(B.T * YY * B),
            ("X'Y", "Y'Y"),
            2 * sp.Trace(C * C * H) - sp.Trace(C * C * G * H * H),
            2 * c_k**2 / (g_k + rho) - c_k**2 * g_k / (g_k + rho) ** 2,
            S_rho,
        ),
    )
    return {row[0]: Quantity(*row) for row in rows}


def bases(perturbation: Perturbation) -> tuple[sp.MatrixSymbol, sp.MatrixSymbol]:
    """Return orthonormal bases of the columns of X and of Y, in symbols."""
    return sp.MatrixSymbol("Q_x", n, perturbation.count), sp.MatrixSymbol("Q_y", n, perturbation.count)


@dataclass(frozen=True)
class Subject:
    """A measure: the quantities it is made of, and how.

    Attributes
    ----------
    name, words : str
    parts : tuple of str
        Names of quantities.
    formula : callable
        The score, given its parts in this order.
    closed : mapping of str to sympy expression
        The score under each perturbation, in its simplest form.
    assumptions : tuple of Assumption
        Definitions of the symbols of the closed form, and what the definition supposes.
    """

    name: str
    words: str
    parts: tuple[str, ...]
    formula: Callable[..., sp.Expr]
    closed: dict[str, sp.Expr]
    assumptions: tuple[Assumption, ...] = ()


def _cosine(shared: sp.Expr, own: sp.Expr, other: sp.Expr) -> sp.Expr:
    return shared / sp.sqrt(own * other)


def _share(explained: sp.Expr, total: sp.Expr) -> sp.Expr:
    return explained / total


def _sum(summand: sp.Expr) -> sp.Sum:
    return sp.Sum(summand, (k, 1, p))


_cos, _sin, _level, _l = sp.Abs(sp.cos(t)), sp.sin(t), eta**2, lam[k]
_squared_noise = 2 * _level + eta**4
_noisy = sigma_2 + 2 * nu * sigma_1 + p * nu**2
_at_x = (1 + 2 * r_i) / (1 + r_i) ** 2

SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(
            "cka",
            "cosine of the kernels XX' and YY'; also the RV coefficient",
            ("tr X'YY'X", "tr (X'X)^2", "tr (Y'Y)^2"),
            _cosine,
            {
                "rotation": 1 - q_i * _sin**2,
                "scaling": (1 - q_i + a**2 * q_i) / sp.sqrt(1 - q_i + a**4 * q_i),
                "noise": 1 / sp.sqrt(1 + q_i * _squared_noise),
                "noise_all": sp.sqrt(sigma_2 / _noisy),
            },
            (SHARES,),
        ),
        Subject(
            "nbs",
            "normalised Bures similarity",
            ("nuclear norm of X'Y", "tr X'X", "tr Y'Y"),
            _cosine,
            {
                "rotation": 1 - p_i * (1 - _cos),
                "scaling": (1 - p_i + p_i * sp.Abs(a)) / sp.sqrt(1 - p_i + p_i * a**2),
                "noise": 1 / sp.sqrt(1 + p_i * _level),
                "noise_all": 1 / sp.sqrt(1 + p * nu / sigma_1),
            },
            (SHARES,),
        ),
        Subject(
            "procrustes_euclidean",
            "Procrustes distance",
            ("tr X'X", "tr Y'Y", "nuclear norm of X'Y"),
            lambda own, other, nuclear: sp.sqrt(own + other - 2 * nuclear),
            {
                "rotation": sp.sqrt(2 * lambda_i * (1 - _cos)),
                "scaling": sp.sqrt(lambda_i * (1 - sp.Abs(a)) ** 2),
                "noise": sp.sqrt(lambda_i) * eta,
                "noise_all": sp.sqrt(p * nu),
            },
            (ROTATED,),
        ),
        Subject(
            "linreg",
            "R2 of the linear regression of X on Y",
            ("tr X'QQ'X", "tr X'X"),
            _share,
            {
                "rotation": 1 - p_i * _sin**2,
                "scaling": sp.Integer(1),
                "noise": 1 - p_i * _level / (1 + _level),
                "noise_all": _sum(_l**2 / (_l + nu)) / sigma_1,
            },
            (SHARES,),
        ),
        Subject(
            "ridge",
            "R2 of the ridge regression of X on Y",
            ("2 tr X'YB - tr B'Y'YB", "tr X'X"),
            _share,
            {
                "rotation": R_0 - p_i * _at_x * _sin**2,
                "scaling": R_0 - p_i * (_at_x - a**2 * (a**2 + 2 * r_i) / (a**2 + r_i) ** 2),
                "noise": R_0 - p_i * (_at_x - (1 + _level + 2 * r_i) / (1 + _level + r_i) ** 2),
                "noise_all": _sum(_l**2 * (_l + nu + 2 * rho) / (_l + nu + rho) ** 2) / sigma_1,
            },
            (SHARES, PENALTY),
        ),
        Subject(
            "cca",
            "mean canonical correlation",
            ("nuclear norm of Q_x'Q_y",),
            lambda total: total / p,
            {
                "rotation": (K - 1 + _cos) / p,
                "scaling": K / p,
                "noise": (K - 1 + 1 / sp.sqrt(1 + _level)) / p,
                "noise_all": _sum(sp.sqrt(_l / (_l + nu))) / p,
            },
        ),
        Subject(
            "ensd",
            "effective number of shared dimensions",
            ("tr X'YY'X", "tr X'X", "tr Y'Y", "tr (X'X)^2", "tr (Y'Y)^2"),
            lambda shared, x, y, x_squared, y_squared: shared * x * y / (x_squared * y_squared),
            {
                "rotation": D * (1 - q_i * _sin**2),
                "scaling": D * (1 - q_i + a**2 * q_i) * (1 - p_i + a**2 * p_i) / (1 - q_i + a**4 * q_i),
                "noise": D * (1 + p_i * _level) / (1 + q_i * _squared_noise),
                "noise_all": sigma_1 * (sigma_1 + p * nu) / _noisy,
            },
            (SHARES, RATIO),
        ),
    )
}
