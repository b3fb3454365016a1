"""The measures, from their definitions in X and Y to their scores in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, ByWords, NuclearNorm, SingularValues, WrittenOut
from simopt.theory.derivation.setting import (
    R_0,
    S_1,
    S_2,
    Assumption,
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

ANGULAR = {"cka_angular": "cka", "procrustes_angular": "nbs"}
"""Angular forms, and the score whose angle they take."""

B = sp.MatrixSymbol("B", p, p)

SHARES = Assumption(
    "shares of PC i",
    ((p_i, lambda_i / (S_1 + lambda_i)), (q_i, lambda_i**2 / (S_2 + lambda_i**2))),
)
RATIO = Assumption("D is the participation ratio of X", ((D, (S_1 + lambda_i) ** 2 / (S_2 + lambda_i**2)),))
PENALTY = Assumption(
    "the penalty in units of the variance of PC i, and the score at Y = X",
    (
        (r_i, rho / lambda_i),
        (
            R_0,
            (S_rho + lambda_i**2 * (lambda_i + 2 * rho) / (lambda_i + rho) ** 2) / (S_1 + lambda_i),
        ),
    ),
)
FULL_RANK = Assumption("X has as many PCs as units, lambda_k > 0 for all p of them")
KEPT = Assumption("a is not 0: a PC that is removed has no direction left")
ROTATED = Assumption(
    "the least ||X - Y Q||_F over rotations Q is reached where tr Q'Y'X is the nuclear norm of X'Y"
)


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


def quantities(given: Perturbation) -> dict[str, Quantity]:
    """Return every quantity that a score may be made of."""
    L, C, G, H = (given.diagonal(name) for name in ("Lambda", "C", "G", "H"))
    x, y = bases(given)
    l_k, c_k, g_k = lam[k], c[k], g[k]
    half = sp.Rational(-1, 2)
    return {
        each.name: each
        for each in (
            Quantity("tr X'X", sp.Trace(X.T * X), ("X'X",), sp.Trace(L), l_k, S_1),
            Quantity("tr Y'Y", sp.Trace(Y.T * Y), ("Y'Y",), sp.Trace(G), g_k, S_1),
            Quantity("tr (X'X)^2", sp.Trace(X.T * X * X.T * X), ("X'X",), sp.Trace(L * L), l_k**2, S_2),
            Quantity("tr (Y'Y)^2", sp.Trace(Y.T * Y * Y.T * Y), ("Y'Y",), sp.Trace(G * G), g_k**2, S_2),
            Quantity("tr X'YY'X", sp.Trace(X.T * Y * Y.T * X), ("X'Y",), sp.Trace(C * C), c_k**2, S_2),
            Quantity("nuclear norm of X'Y", NuclearNorm(X.T * Y), ("X'Y",), NuclearNorm(C), sp.Abs(c_k), S_1),
            Quantity(
                "tr X'QQ'X",
                sp.Trace(X.T * y * y.T * X),
                ("X'Y", "Q'X"),
                sp.Trace(C * C * G**-1),
                c_k**2 / g_k,
                S_1,
            ),
            Quantity(
                "nuclear norm of Q_x'Q_y",
                NuclearNorm(x.T * y),
                ("Q_x'Q_y",),
                NuclearNorm(L**half * C * G**half),
                sp.Abs(c_k) / sp.sqrt(l_k * g_k),
                K - 1,
            ),
            Quantity(
                "2 tr X'YB - tr B'Y'YB",
                2 * sp.Trace(X.T * Y * B) - sp.Trace(B.T * Y.T * Y * B),
                ("X'Y", "Y'Y"),
                2 * sp.Trace(C * C * H) - sp.Trace(C * C * G * H * H),
                2 * c_k**2 / (g_k + rho) - c_k**2 * g_k / (g_k + rho) ** 2,
                S_rho,
            ),
        )
    }


def bases(given: Perturbation) -> tuple[sp.MatrixSymbol, sp.MatrixSymbol]:
    """Return orthonormal bases of the columns of X and of Y, in symbols."""
    return sp.MatrixSymbol("Q_x", n, given.count), sp.MatrixSymbol("Q_y", n, given.count)


@dataclass(frozen=True)
class Subject:
    """A measure: the quantities it is made of, and how.

    Attributes
    ----------
    name, words : str
    parts : tuple of str
        Names of quantities; ``formula`` takes them in this order.
    closed : mapping of str to sympy expression
        The score under each perturbation, in its simplest form.
    assumptions : tuple of Assumption
        Definitions of the symbols of the closed form, and what the definition supposes.
    """

    name: str
    words: str
    parts: tuple[str, ...]
    closed: dict[str, sp.Expr]
    assumptions: tuple[Assumption, ...] = ()

    def formula(self, *parts: sp.Expr) -> sp.Expr:
        """Return the score, given its parts."""
        if self.name == "cka":
            return parts[0] / sp.sqrt(parts[1] * parts[2])
        if self.name == "nbs":
            return parts[0] / sp.sqrt(parts[1] * parts[2])
        if self.name == "procrustes_euclidean":
            return sp.sqrt(parts[0] + parts[1] - 2 * parts[2])
        if self.name == "cca":
            return parts[0] / p
        if self.name == "ensd":
            return parts[0] * parts[1] * parts[2] / (parts[3] * parts[4])
        return parts[0] / parts[1]


_cos, _sin = sp.Abs(sp.cos(t)), sp.sin(t)
_noise = eta**2


def _sum(summand: sp.Expr) -> sp.Sum:
    return sp.Sum(summand, (k, 1, p))


SUBJECTS = {
    each.name: each
    for each in (
        Subject(
            "cka",
            "cosine of the kernels XX' and YY'; also the RV coefficient",
            ("tr X'YY'X", "tr (X'X)^2", "tr (Y'Y)^2"),
            {
                "rotation": 1 - q_i * _sin**2,
                "scaling": (1 - q_i + a**2 * q_i) / sp.sqrt(1 - q_i + a**4 * q_i),
                "noise": 1 / sp.sqrt(1 + q_i * (2 * _noise + eta**4)),
                "noise_all": sp.sqrt(sigma_2 / (sigma_2 + 2 * nu * sigma_1 + p * nu**2)),
            },
            (SHARES,),
        ),
        Subject(
            "nbs",
            "normalised Bures similarity",
            ("nuclear norm of X'Y", "tr X'X", "tr Y'Y"),
            {
                "rotation": 1 - p_i * (1 - _cos),
                "scaling": (1 - p_i + p_i * sp.Abs(a)) / sp.sqrt(1 - p_i + p_i * a**2),
                "noise": 1 / sp.sqrt(1 + p_i * _noise),
                "noise_all": 1 / sp.sqrt(1 + p * nu / sigma_1),
            },
            (SHARES,),
        ),
        Subject(
            "procrustes_euclidean",
            "Procrustes distance",
            ("tr X'X", "tr Y'Y", "nuclear norm of X'Y"),
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
            {
                "rotation": 1 - p_i * _sin**2,
                "scaling": sp.Integer(1),
                "noise": 1 - p_i * _noise / (1 + _noise),
                "noise_all": _sum(lam[k] ** 2 / (lam[k] + nu)) / sigma_1,
            },
            (SHARES,),
        ),
        Subject(
            "ridge",
            "R2 of the ridge regression of X on Y",
            ("2 tr X'YB - tr B'Y'YB", "tr X'X"),
            {
                "rotation": R_0 - p_i * (1 + 2 * r_i) / (1 + r_i) ** 2 * _sin**2,
                "scaling": R_0
                - p_i * ((1 + 2 * r_i) / (1 + r_i) ** 2 - a**2 * (a**2 + 2 * r_i) / (a**2 + r_i) ** 2),
                "noise": R_0
                - p_i * ((1 + 2 * r_i) / (1 + r_i) ** 2 - (1 + _noise + 2 * r_i) / (1 + _noise + r_i) ** 2),
                "noise_all": _sum(lam[k] ** 2 * (lam[k] + nu + 2 * rho) / (lam[k] + nu + rho) ** 2) / sigma_1,
            },
            (SHARES, PENALTY),
        ),
        Subject(
            "cca",
            "mean canonical correlation",
            ("nuclear norm of Q_x'Q_y",),
            {
                "rotation": (K - 1 + _cos) / p,
                "scaling": K / p,
                "noise": (K - 1 + 1 / sp.sqrt(1 + _noise)) / p,
                "noise_all": _sum(sp.sqrt(lam[k] / (lam[k] + nu))) / p,
            },
        ),
        Subject(
            "ensd",
            "effective number of shared dimensions",
            ("tr X'YY'X", "tr X'X", "tr Y'Y", "tr (X'X)^2", "tr (Y'Y)^2"),
            {
                "rotation": D * (1 - q_i * _sin**2),
                "scaling": D * (1 - q_i + a**2 * q_i) * (1 - p_i + a**2 * p_i) / (1 - q_i + a**4 * q_i),
                "noise": D * (1 + p_i * _noise) / (1 + q_i * (2 * _noise + eta**4)),
                "noise_all": sigma_1 * (sigma_1 + p * nu) / (sigma_2 + 2 * nu * sigma_1 + p * nu**2),
            },
            (SHARES, RATIO),
        ),
    )
}


def steps_to_score(subject: Subject, given: Perturbation, of: str = "score") -> Iterator[Step]:
    """Yield the steps from the definition of a score, named ``of``, to its closed form."""
    yield from _products(given)
    names = subject.parts
    yield from _bases_of(subject, given)
    parts = [quantities(given)[name] for name in names]
    for part in parts:
        yield from _to_sum(part, given)
    definition = subject.formula(*(part.definition for part in parts))
    summed = subject.formula(*(value(part, given) for part in parts))
    yield Step(of, f"{subject.words}: the sums are put in", definition, summed, Algebra(names))
    closed = subject.closed[given.name]
    if closed != summed:
        used = () if given.whole else _used(subject.assumptions, closed)
        check = WrittenOut(given.name) if summed.has(sp.Sum) else Algebra()
        yield Step(of, "simplified", summed, closed, check, used)


def value(part: Quantity, given: Perturbation) -> sp.Expr:
    """Return a quantity under a perturbation: the PC i on its own, the others in one sum."""
    if given.whole:
        summand = part.summand.subs({c[k]: lam[k], g[k]: lam[k] + nu}, simultaneous=True)
        totals = {
            lam[k]: sigma_1,
            lam[k] ** 2: sigma_2,
            lam[k] + nu: sigma_1 + p * nu,
            (lam[k] + nu) ** 2: sigma_2 + 2 * nu * sigma_1 + p * nu**2,
        }
        if summand in totals:
            return totals[summand]
        return _sum(sp.powsimp(sp.powdenest(sp.simplify(summand))))
    own = part.summand.subs({c[k]: given.amplitude * lambda_i, g[k]: given.gain * lambda_i, lam[k]: lambda_i})
    return part.rest + sp.simplify(own)


def _used(assumptions: tuple[Assumption, ...], closed: sp.Expr) -> tuple[Assumption, ...]:
    return tuple(
        each
        for each in assumptions
        if any(isinstance(left, sp.Symbol) and closed.has(left) for left, _ in each.equations)
    )


def _products(given: Perturbation) -> Iterator[Step]:
    V, L, C, G = given.axes, given.diagonal("Lambda"), given.diagonal("C"), given.diagonal("G")
    setting = (given.decomposition, given.orthonormal, given.diagonals)
    apart = (given.decomposition, given.orthonormal, given.apart, given.diagonals)
    yield Step("X'X", "X is put in; U'U = I", X.T * X, V * L * V.T, ByWords(), setting)
    yield Step("X'Y", "what is new is orthogonal to U", X.T * Y, V * C * V.T, ByWords(), apart)
    yield Step("Y'Y", "the mixed terms vanish", Y.T * Y, V * G * V.T, ByWords(), apart)
    check = WrittenOut(given.name)
    if given.whole:
        yield Step("c_k", "entry of C", c[k], lam[k], check)
        yield Step("g_k", "entry of G", g[k], lam[k] + nu, check)
        return
    yield Step("c_i", "entry of C; the others are lambda_k", c[i], given.amplitude * lambda_i, check)
    yield Step("g_i", "entry of G; the others are lambda_k", g[i], given.gain * lambda_i, check)


def _bases_of(subject: Subject, given: Perturbation) -> Iterator[Step]:
    V, L, C, G, H = (given.axes, *(given.diagonal(name) for name in ("Lambda", "C", "G", "H")))
    half = sp.Rational(-1, 2)
    x, y = bases(given)
    of_x, of_y = (x, X * V * L**half), (y, Y * V * G**half)
    if subject.name == "linreg":
        basis = Assumption("an orthonormal basis of the columns of Y", (of_y,))
        kept = (KEPT,) if given.name == "scaling" else ()
        yield Step(
            "Q'Q",
            "the basis is orthonormal",
            y.T * y,
            sp.Identity(given.count),
            ByWords(("Y'Y",)),
            (basis, given.orthonormal, *kept),
        )
        yield Step(
            "Q'X",
            "the basis is put in",
            y.T * X,
            G**half * C * V.T,
            ByWords(("X'Y",)),
            (basis, given.orthonormal),
        )
    if subject.name == "cca":
        basis = Assumption("orthonormal bases of the columns of X and of Y", (of_x, of_y))
        rank = (FULL_RANK,) if given.whole else ()
        kept = (KEPT,) if given.name == "scaling" else ()
        used = (basis, given.orthonormal, *rank, *kept)
        for name, each, product in (("Q_x'Q_x", x, "X'X"), ("Q_y'Q_y", y, "Y'Y")):
            yield Step(
                name,
                "the basis is orthonormal",
                each.T * each,
                sp.Identity(given.count),
                ByWords((product,)),
                used,
            )
        yield Step("Q_x'Q_y", "the bases are put in", x.T * y, L**half * C * G**half, ByWords(("X'Y",)), used)
    if subject.name == "ridge":
        inverse = Assumption(
            "H is the inverse of G + rho I, which is diagonal", ((G, H**-1 - rho * sp.Identity(given.count)),)
        )
        yield Step(
            "(Y'Y + rho I) B",
            "the normal equations of ridge regression, solved by B = V H C V'",
            (Y.T * Y + rho * sp.Identity(p)) * _coefficients(given),
            Y.T * X,
            ByWords(("Y'Y", "X'Y")),
            (given.orthonormal, inverse),
        )


def _coefficients(given: Perturbation) -> sp.MatMul:
    return given.axes * given.diagonal("H") * given.diagonal("C") * given.axes.T


def _to_sum(part: Quantity, given: Perturbation) -> Iterator[Step]:
    orthonormal: tuple[Assumption, ...] = (given.orthonormal,)
    if part.definition.has(B):
        solved = Assumption(
            "B are the coefficients that solve the normal equations", ((B, _coefficients(given)),)
        )
        orthonormal = (*orthonormal, solved)
    total = sp.Sum(part.summand, (k, 1, given.count))
    if isinstance(part.definition, NuclearNorm):
        middle = NuclearNorm(
            given.axes * given.diagonal("C") * given.axes.T if "X'Y" in part.uses else part.reduced.args[0]
        )
        yield Step(part.name, f"{part.uses[0]} is put in", part.definition, middle, Algebra(part.uses))
        yield Step(
            part.name,
            "singular values of V D V' are |d|",
            middle,
            total,
            SingularValues(given.name),
            orthonormal,
        )
    else:
        yield Step(
            part.name,
            "cyclic in the trace, V'V = I",
            part.definition,
            part.reduced,
            ByWords(part.uses),
            orthonormal,
        )
        yield Step(part.name, "the trace of diagonal matrices", part.reduced, total, WrittenOut(given.name))
    reached = value(part, given)
    if reached != total:
        rule = "the entries are put in" if given.whole else "PC i apart from the others"
        yield Step(part.name, rule, total, reached, WrittenOut(given.name))
