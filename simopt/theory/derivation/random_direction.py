"""CKA where the new direction is random: its overlaps with the other PCs, to first order in 1 / (n - 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, ByWords, Series, vanishes
from simopt.theory.derivation.sensitivity import signed
from simopt.theory.derivation.setting import (
    PERTURBATIONS,
    S_1,
    S_2,
    Assumption,
    Explicit,
    K,
    X,
    Y,
    k,
    lam,
    lambda_i,
    n,
    p_i,
    q_i,
    t,
)
from simopt.theory.derivation.steps import Check, Step
from simopt.theory.derivation.subjects import SHARES
from simopt.theory.derivation.words import polynomial

z = sp.IndexedBase("z", real=True)
z_vector = sp.MatrixSymbol("z", K, 1)
epsilon, mean_square = sp.symbols("epsilon m", positive=True)

_GIVEN = PERTURBATIONS["rotation"]
_SIZES = (2, 3, 4)

OVERLAPS = Assumption(
    "w is a unit vector orthogonal to u_i and to the constant, with overlaps z_k with the other PCs, z_i = 0",
    (
        (sp.MatrixSymbol("U", n, K).T * _GIVEN.w, z_vector),
        (_GIVEN.w.T * _GIVEN.w, sp.Identity(1)),
    ),
)
RANDOM = Assumption(
    "all n - 2 directions that are left for w are alike: m, the mean of z_k^2, is the same for each",
    ((mean_square, 1 / (n - 2)),),
)


@dataclass(frozen=True)
class InMatrices(Check):
    """A trace, multiplied out with explicit matrices."""

    words: ClassVar[str] = "multiplied out in explicit matrices for 2, 3 and 4 PCs and each choice of i"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Whether the two sides of the step are equal, given the earlier steps."""
        return all(
            vanishes(_trace(step.before.arg, case) - _written(step.after, case, squares=None))
            for case in _cases()
        )


@dataclass(frozen=True)
class InTheMean(Check):
    """An expectation: every z_k^2 replaced by its mean, z_i by 0."""

    words: ClassVar[str] = "linear in z_k^2, whose mean is put in, for 2, 3 and 4 PCs and each choice of i"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Whether the two sides of the step are equal, given the earlier steps."""
        mean = next(
            right for each in step.assumptions for left, right in each.equations if left == mean_square
        )
        return all(
            vanishes(_written(step.before, case, squares=mean) - _written(step.after, case, squares=None))
            for case in _cases()
        )


def steps_to_correction(result: sp.Expr) -> Iterator[Step]:
    """Yield the steps to the first finite-sample correction of CKA under rotation."""
    V, S, P, e = _GIVEN.axes, _GIVEN.diagonal("S"), _GIVEN.diagonal("P"), _GIVEN.e
    b = sp.sin(t) * sp.sqrt(lambda_i)
    mixed = S * P + b * S * z_vector * e.T
    own = P * P + b * P * z_vector * e.T + b * e * z_vector.T * P + sp.sin(t) ** 2 * lambda_i * e * e.T
    setting = (_GIVEN.decomposition, _GIVEN.orthonormal, OVERLAPS)
    orthonormal = (_GIVEN.orthonormal,)
    cross, other = "X'Y, w not orthogonal", "Y'Y, w not orthogonal"
    yield Step(cross, "overlaps z = U'w stay", X.T * Y, V * mixed * V.T, ByWords(), setting)
    yield Step(other, "overlaps z = U'w stay", Y.T * Y, V * own * V.T, ByWords(), setting)
    overlap = sp.Sum(lam[k] * z[k] ** 2, (k, 1, K))
    found = {}
    for name, product, definition, inside, total in (
        (
            "mean of tr X'YY'X",
            cross,
            X.T * Y * Y.T * X,
            mixed * mixed.T,
            S_2 + lambda_i**2 * sp.cos(t) ** 2 + lambda_i * sp.sin(t) ** 2 * overlap,
        ),
        (
            "mean of tr (Y'Y)^2",
            other,
            Y.T * Y * Y.T * Y,
            own * own,
            S_2 + lambda_i**2 + 2 * lambda_i * sp.sin(t) ** 2 * overlap,
        ),
    ):
        expected = total.xreplace({overlap: S_1 / (n - 2)})
        yield Step(
            name,
            "cyclic in the trace",
            sp.Trace(definition),
            sp.Trace(inside),
            ByWords((product,)),
            orthonormal,
        )
        yield Step(name, "multiplied out, z_i = 0", sp.Trace(inside), total, InMatrices(), (OVERLAPS,))
        yield Step(name, "in the mean over random w", total, expected, InTheMean(), (RANDOM,))
        found[name] = expected
    yield Step(
        "m",
        "the squares of the n - 2 coordinates of w add up to 1",
        (n - 2) * mean_square,
        sp.Integer(1),
        Algebra(),
        (RANDOM,),
    )
    small = Assumption("many samples: epsilon is small", ((epsilon, 1 / (n - 2)),))
    numerator, denominator = found.values()
    ratio = numerator / sp.sqrt((S_2 + lambda_i**2) * denominator)
    sine = sp.sin(t) ** 2
    excess = epsilon * q_i * (1 - p_i) / p_i * sine
    in_shares = (1 - q_i * sine + excess) / sp.sqrt(1 + 2 * excess)
    name = "CKA of mean products"
    yield Step(
        name,
        "in shares; the mean of the score differs from it by terms in 1 / (n - 2)^2",
        ratio,
        in_shares,
        Algebra(),
        (SHARES, small),
    )
    slope = signed(sp.factor(sp.simplify(sp.diff(in_shares, epsilon).subs(epsilon, 0))))
    first = 1 - q_i * sine + slope * epsilon
    yield Step(
        name, "to first order in epsilon", in_shares, first + sp.Order(epsilon**2), Series(epsilon, "square")
    )
    gain = (slope * epsilon).xreplace({epsilon: 1 / (n - 2)})
    yield Step("correction", "beyond the score at an orthogonal w", first - result, gain, Algebra(), (small,))


def _cases() -> list[Explicit]:
    return [Explicit(_GIVEN, size, index) for size in _SIZES for index in range(size)]


def _overlaps(case: Explicit) -> list[sp.Symbol]:
    symbols = list(sp.symbols(f"z_1:{case.size + 1}", real=True))
    symbols[case.index] = sp.Integer(0)
    return symbols


def _trace(matrix: sp.Basic, case: Explicit) -> sp.Expr:
    """Return the trace of a sum of products of S, P, e and z."""
    unit = sp.Matrix([int(at == case.index) for at in range(case.size)])
    known = {
        "S": sp.diag(*(entries["S"] for entries in case.entries)),
        "P": sp.diag(*(entries["P"] for entries in case.entries)),
        "e": unit,
        "z": sp.Matrix(_overlaps(case)),
    }
    total: sp.Expr = sp.Integer(0)
    for word, coefficient in polynomial(matrix).items():
        product = sp.eye(case.size)
        for name, turned, exponent in word:
            product = product * (
                known[name].T if turned else known[name] ** exponent if exponent != 1 else known[name]
            )
        total += coefficient * product.trace()
    return total.xreplace({lambda_i: case.own})


def _written(expression: sp.Expr, case: Explicit, *, squares: sp.Expr | None) -> sp.Expr:
    """Write out the sums over z_k^2, as symbols or with the mean of the squares."""
    values = [value**2 for value in _overlaps(case)]
    if squares is not None:
        values = [squares if value else value for value in values]

    def summed(part: sp.Sum) -> sp.Expr:
        index = part.variables[0]
        return sum(
            part.function.xreplace({z[index] ** 2: value, lam[index]: variance})
            for value, variance in zip(values, case.variances, strict=True)
        )

    return case.write(expression.replace(lambda part: isinstance(part, sp.Sum), summed))
