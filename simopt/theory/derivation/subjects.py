"""The measures: the quantities that each is made of, and its score in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from simopt.theory.derivation.setting import (
    PENALTY,
    R_0,
    RATIO,
    ROTATED,
    SHARES,
    Assumption,
    D,
    K,
    a,
    eta,
    k,
    lam,
    lambda_i,
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
