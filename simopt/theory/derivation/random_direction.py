"""CKA where the new direction is random: its overlaps with the other PCs, to first order in 1 / (n - 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, ByWords, Series, WrittenOut, cases, vanishes
from simopt.theory.derivation.sensitivity import signed
from simopt.theory.derivation.setting import (
    PERTURBATIONS,
    S_1,
    S_2,
    SHARES,
    Assumption,
    K,
    X,
    Y,
    e,
    k,
    lam,
    lambda_i,
    matrices,
    n,
    overlaps,
    p_i,
    q_i,
    t,
    w,
    z,
)
from simopt.theory.derivation.steps import Check, Step

epsilon, mean_square = sp.symbols("epsilon m", positive=True)
_ROTATION = PERTURBATIONS["rotation"]
_U, _V, _S, _P, *_ = matrices(K)

OVERLAPS = Assumption(
    "w is a unit vector orthogonal to u_i and to the constant, with overlaps z_k with the other PCs, z_i = 0",
    ((_U.T * w, overlaps), (w.T * w, sp.Identity(1))),
)
RANDOM = Assumption(
    "all n - 2 directions that are left for w are alike: m, the mean of z_k^2, is the same for each",
    ((mean_square, 1 / (n - 2)),),
)
_MANY = Assumption("many samples: epsilon is small", ((epsilon, 1 / (n - 2)),))


@dataclass(frozen=True)
class InTheMean(Check):
    """An expectation: every z_k^2 replaced by its mean, z_i by 0."""

    words: ClassVar[str] = "linear in z_k^2, whose mean is put in, for 2, 3 and 4 PCs and each choice of i"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Whether the two sides of the step are equal, given the earlier steps."""
        mean = dict(step.equations)[mean_square]
        return all(
            vanishes(
                sp.expand(case.write(step.before)).subs(
                    {overlap**2: mean for overlap in case.overlaps if overlap}
                )
                - case.write(step.after)
            )
            for case in cases(_ROTATION)
        )


def steps_to_correction(result: sp.Expr) -> Iterator[Step]:
    """Yield the steps to the first finite-sample correction of CKA under rotation."""
    sine = sp.sin(t) ** 2
    b = sp.sin(t) * sp.sqrt(lambda_i)
    mixed = _S * _P + b * _S * overlaps * e.T
    own = _P * _P + b * _P * overlaps * e.T + b * e * overlaps.T * _P + sine * lambda_i * e * e.T
    setting, stay = (_ROTATION.decomposition, _ROTATION.orthonormal, OVERLAPS), "overlaps z = U'w stay"
    cross, other = "X'Y, w not orthogonal", "Y'Y, w not orthogonal"
    yield Step(cross, stay, X.T * Y, _V * mixed * _V.T, ByWords(), setting)
    yield Step(other, stay, Y.T * Y, _V * own * _V.T, ByWords(), setting)
    overlap = sp.Sum(lam[k] * z[k] ** 2, (k, 1, K))
    numerator = S_2 + lambda_i**2 * sp.cos(t) ** 2 + lambda_i * sine * overlap
    denominator = S_2 + lambda_i**2 + 2 * lambda_i * sine * overlap
    means = []
    for name, product, definition, inside, total in (
        ("mean of tr X'YY'X", cross, X.T * Y * Y.T * X, mixed * mixed.T, numerator),
        ("mean of tr (Y'Y)^2", other, Y.T * Y * Y.T * Y, own * own, denominator),
    ):
        before, inside, mean = (
            sp.Trace(definition),
            sp.Trace(inside),
            total.xreplace({overlap: S_1 / (n - 2)}),
        )
        yield Step(name, "cyclic in the trace", before, inside, ByWords((product,)), (_ROTATION.orthonormal,))
        yield Step(name, "multiplied out, z_i = 0", inside, total, WrittenOut(_ROTATION), (OVERLAPS,))
        yield Step(name, "in the mean over random w", total, mean, InTheMean(), (RANDOM,))
        means.append(mean)
    rule = "the squares of the n - 2 coordinates of w add up to 1"
    yield Step("m", rule, (n - 2) * mean_square, sp.Integer(1), Algebra(), (RANDOM,))
    ratio = means[0] / sp.sqrt((S_2 + lambda_i**2) * means[1])
    excess = epsilon * q_i * (1 - p_i) / p_i * sine
    in_shares = (1 - q_i * sine + excess) / sp.sqrt(1 + 2 * excess)
    name, rule = (
        "CKA of mean products",
        "in shares; the mean of the score differs from it by terms in 1 / (n - 2)^2",
    )
    yield Step(name, rule, ratio, in_shares, Algebra(), (SHARES, _MANY))
    slope = signed(sp.factor(sp.simplify(sp.diff(in_shares, epsilon).subs(epsilon, 0))))
    first = 1 - q_i * sine + slope * epsilon
    expanded = first + sp.Order(epsilon**2)
    yield Step(name, "to first order in epsilon", in_shares, expanded, Series(epsilon, "square"))
    gain = (slope * epsilon).xreplace(dict(_MANY.equations))
    yield Step("correction", "beyond the score at an orthogonal w", first - result, gain, Algebra(), (_MANY,))
