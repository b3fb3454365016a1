"""From the definition of a measure in X and Y to its score in closed form."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, ByWords, NuclearNorm, SingularValues, WrittenOut
from simopt.theory.derivation.setting import (
    Assumption,
    Perturbation,
    X,
    Y,
    c,
    g,
    i,
    k,
    lam,
    lambda_i,
    nu,
    p,
    rho,
    sigma_1,
    sigma_2,
)
from simopt.theory.derivation.steps import Step
from simopt.theory.derivation.subjects import FULL_RANK, KEPT, B, Quantity, Subject, bases, quantities


def steps_to_score(subject: Subject, given: Perturbation, of: str = "score") -> Iterator[Step]:
    """Yield the steps from the definition of a score, named ``of``, to its closed form."""
    yield from _products(given)
    yield from _bases_of(subject, given)
    known = quantities(given)
    parts = [known[name] for name in subject.parts]
    for part in parts:
        yield from _to_sum(part, given)
    definition = subject.formula(*(part.definition for part in parts))
    summed = subject.formula(*(value(part, given) for part in parts))
    supposed = tuple(each for each in subject.assumptions if not each.equations)
    rule = f"{subject.words}: the sums are put in"
    yield Step(of, rule, definition, summed, Algebra(subject.parts), supposed)
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
        return sp.Sum(sp.powsimp(sp.powdenest(sp.simplify(summand))), (k, 1, p))
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
