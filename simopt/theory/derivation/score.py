"""Derive the score of a measure in closed form from the definition of the measure in X and Y.

The steps are the same for all measures. X'X = V Lambda V', X'Y = V C V' and Y'Y = V G V' with diagonal
matrices Lambda, C and G. Traces and nuclear norms become sums over their entries. In each sum the PC that
changes is written separately, and the score follows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, ByWords, NuclearNorm, SingularValues, WrittenOut
from simopt.theory.derivation.setting import (
    FULL_RANK,
    KEPT,
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
    i,
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
from simopt.theory.derivation.steps import Step


@dataclass(frozen=True)
class Quantity:
    """A number that occurs in the definition of a score.

    The attributes ``definition`` to ``rest`` are the forms of this number in successive steps.

    Attributes
    ----------
    name : str
        Name of the quantity.
    definition : sympy expression
        The quantity as a trace or a nuclear norm in X and Y.
    uses : tuple of str
        Names of the matrix products whose diagonal form leads to ``reduced``.
    reduced : sympy expression
        The quantity as a trace or a nuclear norm of diagonal matrices.
    summand : sympy expression
        The term of PC k; the quantity is the sum over all k.
    rest : sympy expression
        The sum over all PCs except the one that changes.
    """

    name: str
    definition: sp.Expr
    uses: tuple[str, ...]
    reduced: sp.Expr
    summand: sp.Expr
    rest: sp.Expr


def quantities(perturbation: Perturbation) -> dict[str, Quantity]:
    """Return all quantities that occur in definitions of measures, as a dict by name."""
    *_, L, C, G, H = matrices(perturbation.count)
    Q_x, Q_y = bases(perturbation)
    l_k, c_k, g_k = lam[k], c[k], g[k]
    XX, YY, XY = X.T * X, Y.T * Y, X.T * Y
    # Explained by a regression B: ||X||^2 - ||X - YB||^2 = 2 tr X'YB - tr B'Y'YB.
    projected, explained = sp.Trace(X.T * Q_y * Q_y.T * X), 2 * sp.Trace(XY * B) - sp.Trace(B.T * YY * B)
    aligned = NuclearNorm(L ** sp.Rational(-1, 2) * C * G ** sp.Rational(-1, 2))
    cosine = sp.Abs(c_k) / sp.sqrt(l_k * g_k)
    fitted = 2 * sp.Trace(C * C * H) - sp.Trace(C * C * G * H * H)
    fit = 2 * c_k**2 / (g_k + rho) - c_k**2 * g_k / (g_k + rho) ** 2
    # Name, definition, products used, in diagonals, summand, sum over the other PCs: see Quantity.
    rows = (
        ("tr X'X", sp.Trace(XX), ("X'X",), sp.Trace(L), l_k, S_1),
        ("tr Y'Y", sp.Trace(YY), ("Y'Y",), sp.Trace(G), g_k, S_1),
        ("tr (X'X)^2", sp.Trace(XX * XX), ("X'X",), sp.Trace(L * L), l_k**2, S_2),
        ("tr (Y'Y)^2", sp.Trace(YY * YY), ("Y'Y",), sp.Trace(G * G), g_k**2, S_2),
        ("tr X'YY'X", sp.Trace(XY * XY.T), ("X'Y",), sp.Trace(C * C), c_k**2, S_2),
        ("nuclear norm of X'Y", NuclearNorm(XY), ("X'Y",), NuclearNorm(C), sp.Abs(c_k), S_1),
        ("tr X'QQ'X", projected, ("X'Y", "Q'X"), sp.Trace(C * C * G**-1), c_k**2 / g_k, S_1),
        ("nuclear norm of Q_x'Q_y", NuclearNorm(Q_x.T * Q_y), ("Q_x'Q_y",), aligned, cosine, K - 1),
        ("2 tr X'YB - tr B'Y'YB", explained, ("X'Y", "Y'Y"), fitted, fit, S_rho),
    )
    return {row[0]: Quantity(*row) for row in rows}


def bases(perturbation: Perturbation) -> tuple[sp.MatrixSymbol, sp.MatrixSymbol]:
    """Return symbols for orthonormal bases of the columns of X and of Y."""
    return sp.MatrixSymbol("Q_x", n, perturbation.count), sp.MatrixSymbol("Q_y", n, perturbation.count)


@dataclass(frozen=True)
class Subject:
    """A measure as a formula of quantities (:class:`Quantity`).

    Attributes
    ----------
    name, words : str
        Name of the measure, and what it is in words.
    parts : tuple of str
        Names of the quantities in the formula.
    formula : callable
        Takes the quantities in the order of ``parts`` and returns the score.
    closed : mapping of str to sympy expression
        The score under each perturbation, in its simplest form. It is claimed here and verified by the steps.
    assumptions : tuple of Assumption
        Definitions of the symbols of the closed form, and what the definition of the measure assumes.
    """

    name: str
    words: str
    parts: tuple[str, ...]
    formula: Callable[..., sp.Expr]
    closed: dict[str, sp.Expr]
    assumptions: tuple[Assumption, ...] = ()


def _cosine(shared: sp.Expr, of_x: sp.Expr, of_y: sp.Expr) -> sp.Expr:
    return shared / sp.sqrt(of_x * of_y)


def _sum(summand: sp.Expr) -> sp.Sum:
    return sp.Sum(summand, (k, 1, p))


# Expressions that recur in the closed forms below: _squared_noise is (1 + eta^2)^2 - 1, _noisy is the sum of
# (lambda + nu)^2, and _at_x is the ridge R2 of PC i at Y = X,
# 2 lambda / (lambda + rho) - lambda^2 / (lambda + rho)^2, in r = rho / lambda.
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
            "normalized Bures similarity",
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
            lambda of_x, of_y, nuclear: sp.sqrt(of_x + of_y - 2 * nuclear),
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
            operator.truediv,
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
            operator.truediv,
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

ANGULAR = {"cka_angular": "cka", "procrustes_angular": "nbs"}
"""The name of each angular measure, and of the measure whose score is the cosine of the angle."""


def steps_to_score(subject: Subject, perturbation: Perturbation, of: str = "score") -> Iterator[Step]:
    """Yield the steps from the definition of a score, which they call ``of``, to its closed form."""
    yield from _products(perturbation)
    yield from _bases_of(subject, perturbation)
    every = quantities(perturbation)
    parts = [every[name] for name in subject.parts]
    for part in parts:
        yield from _to_sum(part, perturbation)
    definition = subject.formula(*(part.definition for part in parts))
    summed = subject.formula(*(_value(part, perturbation) for part in parts))
    # Assumptions without an equation are conditions on the data and stated here. Definitions of symbols enter
    # with the closed form that uses them.
    supposed = tuple(assumption for assumption in subject.assumptions if not assumption.equations)
    rule = f"{subject.words}: substitute the sums"
    yield Step(of, rule, definition, summed, Algebra(subject.parts), supposed)
    closed = subject.closed[perturbation.name]
    if closed != summed:
        defined = tuple(
            assumption
            for assumption in subject.assumptions
            if not perturbation.whole and any(closed.has(left) for left, _ in assumption.equations)
        )
        # Sums over PCs do not simplify in symbols: both sides are written out for a few PCs.
        check = WrittenOut(perturbation) if summed.has(sp.Sum) else Algebra()
        yield Step(of, "simplified", summed, closed, check, defined)


def _products(perturbation: Perturbation) -> Iterator[Step]:
    _, V, _, _, L, C, G, _ = matrices(perturbation.count)
    setting = (perturbation.decomposition, perturbation.orthonormal, perturbation.diagonals)
    apart = (*setting[:2], perturbation.apart, perturbation.diagonals)
    yield Step("X'X", "substitute X; U'U = I", X.T * X, V * L * V.T, ByWords(), setting)
    yield Step("X'Y", "the added part is orthogonal to U", X.T * Y, V * C * V.T, ByWords(), apart)
    yield Step("Y'Y", "the mixed terms vanish", Y.T * Y, V * G * V.T, ByWords(), apart)
    at, rest = (k, "") if perturbation.whole else (i, "; the others are lambda_k")
    for symbol, entry in zip((c, g), perturbation.entries, strict=True):
        rule = f"entry of {str(symbol).upper()}{rest}"
        yield Step(f"{symbol}_{at}", rule, symbol[at], entry, WrittenOut(perturbation))


def _bases_of(subject: Subject, perturbation: Perturbation) -> Iterator[Step]:
    """Yield the orthonormal bases of X and Y, or the coefficients of ridge regression, if there are any."""
    _, V, _, _, L, C, G, H = matrices(perturbation.count)
    half, one, orthonormal = sp.Rational(-1, 2), sp.Identity(perturbation.count), perturbation.orthonormal
    Q_x, Q_y = bases(perturbation)
    of_x, of_y = (Q_x, X * V * L**half), (Q_y, Y * V * G**half)
    kept = (KEPT,) if perturbation.name == "scaling" else ()
    unit = "the basis is orthonormal"
    if subject.name == "linreg":
        basis = Assumption("an orthonormal basis of the columns of Y", (of_y,))
        yield Step("Q'Q", unit, Q_y.T * Q_y, one, ByWords(("Y'Y",)), (basis, orthonormal, *kept))
        used = (basis, orthonormal)
        yield Step("Q'X", "substitute the basis", Q_y.T * X, G**half * C * V.T, ByWords(("X'Y",)), used)
    if subject.name == "cca":
        basis = Assumption("orthonormal bases of the columns of X and of Y", (of_x, of_y))
        used = (basis, orthonormal, *((FULL_RANK,) if perturbation.whole else ()), *kept)
        yield Step("Q_x'Q_x", unit, Q_x.T * Q_x, one, ByWords(("X'X",)), used)
        yield Step("Q_y'Q_y", unit, Q_y.T * Q_y, one, ByWords(("Y'Y",)), used)
        yield Step(
            "Q_x'Q_y", "substitute the bases", Q_x.T * Q_y, L**half * C * G**half, ByWords(("X'Y",)), used
        )
    if subject.name == "ridge":
        inverse = Assumption("H is the inverse of G + rho I, which is diagonal", ((G, H**-1 - rho * one),))
        normal = (Y.T * Y + rho * sp.Identity(p)) * (V * H * C * V.T)
        rule = "the normal equations of ridge regression, solved by B = V H C V'"
        used = (orthonormal, inverse)
        yield Step("(Y'Y + rho I) B", rule, normal, Y.T * X, ByWords(("Y'Y", "X'Y")), used)


def _to_sum(part: Quantity, perturbation: Perturbation) -> Iterator[Step]:
    """Yield the steps from a quantity in X and Y to its value."""
    _, V, _, _, _, C, _, H = matrices(perturbation.count)
    name, check = part.name, WrittenOut(perturbation)
    used: tuple[Assumption, ...] = (perturbation.orthonormal,)
    total = sp.Sum(part.summand, (k, 1, perturbation.count))
    if isinstance(part.definition, NuclearNorm):
        (D,) = part.reduced.args
        # X'Y is V D V'; Q_x'Q_y is D itself.
        axes = V if "X'Y" in part.uses else sp.Identity(perturbation.count)
        norm = NuclearNorm(axes * D * axes.T)
        values = SingularValues(perturbation, axes, D)
        yield Step(name, f"substitute {part.uses[0]}", part.definition, norm, Algebra(part.uses))
        yield Step(name, "singular values of V D V' are |d|", norm, total, values, used)
    else:
        if part.definition.has(B):
            words = "B are the coefficients that solve the normal equations"
            # (Y'Y + rho I) B = Y'X was verified for this B in _bases_of.
            used += (Assumption(words, ((B, V * H * C * V.T),)),)
        rule = "the trace is cyclic, V'V = I"
        yield Step(name, rule, part.definition, part.reduced, ByWords(part.uses), used)
        yield Step(name, "the trace of diagonal matrices", part.reduced, total, check)
    value = _value(part, perturbation)
    if value != total:
        rule = "substitute the entries" if perturbation.whole else "PC i is written separately"
        yield Step(name, rule, total, value, check)


def _value(part: Quantity, perturbation: Perturbation) -> sp.Expr:
    """Return the value of a quantity: PC i plus the sum over the others; with noise on all of Y, one sum."""
    of_c, of_g = perturbation.entries
    entries = {c[k]: of_c, g[k]: of_g}
    if not perturbation.whole:
        return part.rest + sp.simplify(part.summand.subs({**entries, lam[k]: lambda_i}))
    # Sums of lambda and lambda^2 have names, sigma_1 and sigma_2; other summands stay in a sum.
    summand, noisy = part.summand.subs(entries, simultaneous=True), of_g
    totals = {
        lam[k]: sigma_1,
        lam[k] ** 2: sigma_2,
        noisy: sigma_1 + p * nu,
        noisy**2: sigma_2 + 2 * nu * sigma_1 + p * nu**2,
    }
    if summand in totals:
        return totals[summand]
    return sp.Sum(sp.powsimp(sp.powdenest(sp.simplify(summand))), (k, 1, p))
