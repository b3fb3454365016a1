"""From the definition of a measure in X and Y to its score in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, ByWords, NuclearNorm, SingularValues, WrittenOut
from simopt.theory.derivation.setting import (
    FULL_RANK,
    KEPT,
    S_1,
    S_2,
    Assumption,
    B,
    K,
    Perturbation,
    S_rho,
    X,
    Y,
    c,
    g,
    i,
    k,
    lam,
    lambda_i,
    matrices,
    n,
    nu,
    p,
    rho,
    sigma_1,
    sigma_2,
)
from simopt.theory.derivation.steps import Step
from simopt.theory.derivation.subjects import Subject


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
    projected, explained = sp.Trace(X.T * Q_y * Q_y.T * X), 2 * sp.Trace(XY * B) - sp.Trace(B.T * YY * B)
    aligned = NuclearNorm(L ** sp.Rational(-1, 2) * C * G ** sp.Rational(-1, 2))
    cosine = sp.Abs(c_k) / sp.sqrt(l_k * g_k)
    fitted = 2 * sp.Trace(C * C * H) - sp.Trace(C * C * G * H * H)
    fit = 2 * c_k**2 / (g_k + rho) - c_k**2 * g_k / (g_k + rho) ** 2
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
    """Return orthonormal bases of the columns of X and of Y, in symbols."""
    return sp.MatrixSymbol("Q_x", n, perturbation.count), sp.MatrixSymbol("Q_y", n, perturbation.count)


def steps_to_score(subject: Subject, perturbation: Perturbation, of: str = "score") -> Iterator[Step]:
    """Yield the steps from the definition of a score, named ``of``, to its closed form."""
    yield from _products(perturbation)
    yield from _bases_of(subject, perturbation)
    known = quantities(perturbation)
    parts = [known[name] for name in subject.parts]
    for part in parts:
        yield from _to_sum(part, perturbation)
    definition = subject.formula(*(part.definition for part in parts))
    summed = subject.formula(*(_value(part, perturbation) for part in parts))
    supposed = tuple(assumption for assumption in subject.assumptions if not assumption.equations)
    rule = f"{subject.words}: the sums are put in"
    yield Step(of, rule, definition, summed, Algebra(subject.parts), supposed)
    closed = subject.closed[perturbation.name]
    if closed != summed:
        defined = tuple(
            assumption
            for assumption in subject.assumptions
            if not perturbation.whole and any(closed.has(left) for left, _ in assumption.equations)
        )
        check = WrittenOut(perturbation) if summed.has(sp.Sum) else Algebra()
        yield Step(of, "simplified", summed, closed, check, defined)


def _products(perturbation: Perturbation) -> Iterator[Step]:
    _, V, _, _, L, C, G, _ = matrices(perturbation.count)
    setting = (perturbation.decomposition, perturbation.orthonormal, perturbation.diagonals)
    apart = (*setting[:2], perturbation.apart, perturbation.diagonals)
    yield Step("X'X", "X is put in; U'U = I", X.T * X, V * L * V.T, ByWords(), setting)
    yield Step("X'Y", "what is new is orthogonal to U", X.T * Y, V * C * V.T, ByWords(), apart)
    yield Step("Y'Y", "the mixed terms vanish", Y.T * Y, V * G * V.T, ByWords(), apart)
    check = WrittenOut(perturbation)
    if perturbation.whole:
        yield Step("c_k", "entry of C", c[k], lam[k], check)
        yield Step("g_k", "entry of G", g[k], lam[k] + nu, check)
        return
    rest = "the others are lambda_k"
    yield Step("c_i", f"entry of C; {rest}", c[i], perturbation.amplitude * lambda_i, check)
    yield Step("g_i", f"entry of G; {rest}", g[i], perturbation.gain * lambda_i, check)


def _bases_of(subject: Subject, perturbation: Perturbation) -> Iterator[Step]:
    """Yield what the orthonormal bases of X and Y, or the coefficients of ridge regression, are."""
    _, V, _, _, L, C, G, H = matrices(perturbation.count)
    half, one, orthonormal = sp.Rational(-1, 2), sp.Identity(perturbation.count), perturbation.orthonormal
    Q_x, Q_y = bases(perturbation)
    of_x, of_y = (Q_x, X * V * L**half), (Q_y, Y * V * G**half)
    kept = (KEPT,) if perturbation.name == "scaling" else ()
    unit = "the basis is orthonormal"
    if subject.name == "linreg":
        basis = Assumption("an orthonormal basis of the columns of Y", (of_y,))
        yield Step("Q'Q", unit, Q_y.T * Q_y, one, ByWords(("Y'Y",)), (basis, orthonormal, *kept))
        yield Step(
            "Q'X",
            "the basis is put in",
            Q_y.T * X,
            G**half * C * V.T,
            ByWords(("X'Y",)),
            (basis, orthonormal),
        )
    if subject.name == "cca":
        basis = Assumption("orthonormal bases of the columns of X and of Y", (of_x, of_y))
        used = (basis, orthonormal, *((FULL_RANK,) if perturbation.whole else ()), *kept)
        yield Step("Q_x'Q_x", unit, Q_x.T * Q_x, one, ByWords(("X'X",)), used)
        yield Step("Q_y'Q_y", unit, Q_y.T * Q_y, one, ByWords(("Y'Y",)), used)
        yield Step(
            "Q_x'Q_y", "the bases are put in", Q_x.T * Q_y, L**half * C * G**half, ByWords(("X'Y",)), used
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
        axes = V if "X'Y" in part.uses else sp.Identity(perturbation.count)
        norm = NuclearNorm(axes * D * axes.T)
        values = SingularValues(perturbation, axes, D)
        yield Step(name, f"{part.uses[0]} is put in", part.definition, norm, Algebra(part.uses))
        yield Step(name, "singular values of V D V' are |d|", norm, total, values, used)
    else:
        if part.definition.has(B):
            words = "B are the coefficients that solve the normal equations"
            used += (Assumption(words, ((B, V * H * C * V.T),)),)
        rule = "cyclic in the trace, V'V = I"
        yield Step(name, rule, part.definition, part.reduced, ByWords(part.uses), used)
        yield Step(name, "the trace of diagonal matrices", part.reduced, total, check)
    value = _value(part, perturbation)
    if value != total:
        rule = "the entries are put in" if perturbation.whole else "PC i apart from the others"
        yield Step(name, rule, total, value, check)


def _value(part: Quantity, perturbation: Perturbation) -> sp.Expr:
    """Return a quantity under a perturbation: the PC i on its own, the others in one sum."""
    if not perturbation.whole:
        entries = {
            c[k]: perturbation.amplitude * lambda_i,
            g[k]: perturbation.gain * lambda_i,
            lam[k]: lambda_i,
        }
        return part.rest + sp.simplify(part.summand.subs(entries))
    noisy = lam[k] + nu
    summand = part.summand.subs({c[k]: lam[k], g[k]: noisy}, simultaneous=True)
    totals = {
        lam[k]: sigma_1,
        lam[k] ** 2: sigma_2,
        noisy: sigma_1 + p * nu,
        noisy**2: sigma_2 + 2 * nu * sigma_1 + p * nu**2,
    }
    if summand in totals:
        return totals[summand]
    return sp.Sum(sp.powsimp(sp.powdenest(sp.simplify(summand))), (k, 1, p))
