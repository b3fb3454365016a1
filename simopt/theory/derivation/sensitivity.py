"""Derive the sensitivity from the score: loss, expansion, ratio of two PCs, and finite-sample correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, ByWords, Series, Through, WrittenOut, cases, vanishes
from simopt.theory.derivation.setting import (
    FULL_RANK,
    PERTURBATIONS,
    S_1,
    S_2,
    SHARES,
    Assumption,
    K,
    Perturbation,
    X,
    Y,
    a,
    delta,
    e,
    eta,
    k,
    lam,
    lambda_i,
    lambda_j,
    matrices,
    n,
    nu,
    overlaps,
    p_i,
    p_j,
    q_i,
    q_j,
    r_i,
    r_j,
    rho,
    sigma_1,
    sigma_2,
    t,
    w,
    z,
)
from simopt.theory.derivation.steps import Check, Step

# Signs that hold near Y = X, where absolute values can be resolved.
_NEAR = {
    "rotation": Assumption("t is less than 90 degrees", ((sp.Abs(sp.cos(t)), sp.cos(t)),)),
    "scaling": Assumption("a = 1 - delta is positive", ((sp.Abs(a), 1 - delta), (a, 1 - delta))),
}
# Shares and penalties of the two PCs in terms of lambda, and the symbols of PC j for those of PC i.
_TOTALS = {
    p_i: lambda_i / sigma_1,
    p_j: lambda_j / sigma_1,
    q_i: lambda_i**2 / sigma_2,
    q_j: lambda_j**2 / sigma_2,
    r_i: rho / lambda_i,
    r_j: rho / lambda_j,
}
_OTHER = {p_i: p_j, q_i: q_j, r_i: r_j, lambda_i: lambda_j}
# Highest power of the strength that the two leading terms may have. The highest that occurs is 4.
_HIGHEST = 6


def steps_to_loss(
    result: sp.Expr, perturbation: Perturbation, *, distance: bool, of: str = "loss"
) -> Iterator[Step]:
    """Yield the steps from a score to the two leading terms of its loss."""
    # A distance is 0 at Y = X and is itself the loss; a score loses score(X) - score(Y).
    loss, x, summed = result, perturbation.strength, result.has(sp.Sum)
    check = WrittenOut(perturbation) if summed else Algebra()
    if not distance:
        at_x = result.subs({a: 1} if x == delta else {x: 0})
        highest = _tidied(at_x)
        if at_x != highest:
            yield Step(f"{of}: score at Y = X", "no perturbation", at_x, highest, check)
        loss = highest - result
    near = _NEAR.get(perturbation.name)
    put_in = loss.xreplace(dict(near.equations)) if near else loss
    if loss == 0:
        yield Step(of, "the score does not change", loss, sp.Integer(0), Algebra())
        return
    if near is not None and put_in != loss:
        reached = put_in if distance or put_in.has(sp.acos) else _tidied(put_in)
        # Stated outright for the distance; Algebra verifies it.
        if distance and perturbation.name == "scaling":
            reached = sp.sqrt(lambda_i) * delta
        rule = "near Y = X" if reached != 0 else "the score does not change"
        yield Step(of, rule, loss, reached, Algebra(), (near,))
        if reached == 0:
            return
        loss = reached
    # A score is expanded itself, an angle through its cosine, a distance through its square.
    through: Through = "nothing"
    if loss.has(sp.acos):
        (inverse,) = loss.atoms(sp.acos)
        claim, through = _root(1 - inverse.args[0], x, angle=True), "cosine"
    elif distance:
        claim, through = _root(loss**2, x, angle=False), "square"
    else:
        claim = _sum_of_terms(_taylor(loss, x), x, loss)
    if claim != loss:
        series = Series(x, through, perturbation if summed else None)
        yield Step(of, f"expanded in {x}", loss, claim, series, (FULL_RANK,) if summed else ())


def terms(claim: sp.Expr, x: sp.Symbol) -> tuple[sp.Expr, ...]:
    """Return the terms of an expansion, sorted by ascending power of the strength."""
    coefficients = sp.collect(claim.removeO(), x, evaluate=False)
    ascending = sorted(coefficients, key=lambda power: power.as_base_exp()[1])
    return tuple(coefficients[power] * power for power in ascending if coefficients[power] != 0)


def ratio_of_losses(lead: sp.Expr) -> Step:
    """Return the step to the ratio of the leading losses of PC i and PC j at the same strength."""
    return _ratio("the leading losses at the same strength", lead, lead.xreplace(_OTHER))


def ratio_of_noise(lead: sp.Expr) -> Step:
    """Return the step to the ratio of two losses: by small noise on PC i alone, and on PC j alone."""
    of_i = lead.xreplace({eta: sp.sqrt(nu / lambda_i)})
    of_j = lead.xreplace(_OTHER).xreplace({eta: sp.sqrt(nu / lambda_j)})
    return _ratio("the same noise variance nu = eta^2 lambda on PC i alone and on PC j alone", of_i, of_j)


def loss_of_a_small_share(result: sp.Expr) -> Step:
    """Return the step to the loss of an angular measure, for a PC with a small share of the variance."""
    # 1 - cosine = slope share / 2 to first order, and arccos(1 - u) = sqrt(2 u).
    loss = 1 - result
    share = p_i if loss.has(p_i) else q_i
    (inverse,) = loss.atoms(sp.acos)
    slope = sp.factor(sp.simplify(-2 * sp.diff(inverse.args[0], share).subs(share, 0)))
    claim = 2 / sp.pi * sp.sqrt(slope) * sp.sqrt(share) + sp.Order(share ** sp.Rational(3, 2))
    rule = f"where the share {share} is small, the loss goes as its square root"
    return Step("loss for a small share", rule, loss, claim, Series(share, "cosine"))


def _ratio(rule: str, of_i: sp.Expr, of_j: sp.Expr) -> Step:
    ratio = of_i / of_j
    used = tuple((share, total) for share, total in _TOTALS.items() if ratio.has(share))
    assumptions = (Assumption("shares and penalties of the two PCs", used),) if used else ()
    after = _signed(sp.powsimp(sp.simplify(ratio.xreplace(_TOTALS))))
    return Step("ratio", rule, ratio, after, Algebra(), assumptions)


def _taylor(expression: sp.Expr, x: sp.Symbol) -> dict[int, sp.Expr]:
    """Return the first two coefficients that are not 0, by the power of x."""
    coefficients: dict[int, sp.Expr] = {}
    for power in range(_HIGHEST + 1):
        coefficient = _tidied(expression.subs(x, 0) / sp.factorial(power))
        if coefficient != 0:
            coefficients[power] = coefficient if coefficient.has(sp.Sum) else _signed(sp.factor(coefficient))
        if len(coefficients) == 2:
            break
        expression = sp.diff(expression, x)
    return coefficients


def _sum_of_terms(coefficients: dict[int, sp.Expr], x: sp.Symbol, exact: sp.Expr) -> sp.Expr:
    total = sp.Add(*(coefficient * x**power for power, coefficient in coefficients.items()))
    # An expansion that ends is stated without an order term.
    if not exact.has(sp.Sum) and sp.simplify(total - exact) == 0:
        return total
    return total + sp.Order(x ** (max(coefficients) + 1))


def _root(inside: sp.Expr, x: sp.Symbol, *, angle: bool) -> sp.Expr:
    """Return the leading terms of sqrt(u), or of (2/pi) arccos(1 - u), for u that vanishes with x.

    arccos(1 - u) = sqrt(2 u) (1 + u / 12 + ...).
    """
    # u = kappa x^low (1 + 2 b x^gap + ...) has the root sqrt(kappa) x^(low / 2) (1 + b x^gap + ...).
    (low, kappa), *next_term = sorted(_taylor(inside, x).items())
    front = 2 / sp.pi * sp.sqrt(2 * kappa) if angle else sp.sqrt(kappa)
    # The pairs (gap, b) of the root of u and, for an angle, of the factor 1 + u / 12.
    bends = [(power - low, coefficient / (2 * kappa)) for power, coefficient in next_term]
    if angle:
        bends.append((low, kappa / 12))
    lead = front * x ** sp.Rational(low, 2)
    if not bends:
        return lead
    gap = min(gap for gap, _ in bends)
    bend = sp.Add(*(factor for at, factor in bends if at == gap))
    last = sp.Rational(low, 2) + gap
    return lead + _signed(front * sp.factor(sp.simplify(bend))) * x**last + sp.Order(x ** (last + 1))


def _tidied(expression: sp.Expr) -> sp.Expr:
    """Simplify; sums over the same PCs are merged, and named or evaluated if possible."""
    if not expression.has(sp.Sum):
        return sp.simplify(expression)
    total: sp.Expr = sp.Integer(0)
    summands: dict[tuple[sp.Expr, sp.Tuple], sp.Expr] = {}
    for part in sp.Add.make_args(sp.expand(expression)):
        coefficient, sums = part.as_independent(sp.Sum)
        if not isinstance(sums, sp.Sum):
            total += part
            continue
        number, factor = coefficient.as_coeff_Mul()
        place = factor, sums.limits[0]
        summands[place] = summands.get(place, sp.Integer(0)) + number * sums.function
    for (factor, limits), summand in summands.items():
        one = _signed(sp.factor(sp.simplify(summand)))
        sign = -1 if one.as_coeff_Mul()[0] < 0 else 1
        merged = sp.Sum(sign * one, limits)
        if sign * one == lam[limits[0]]:
            merged = sigma_1
        elif not one.has(limits[0]):
            merged = merged.doit()
        total += sign * factor * merged
    return total


def _signed(product: sp.Expr) -> sp.Expr:
    """Return a product with its factors written as 1 - x instead of x - 1, for reading."""
    sign, factors = 1, []
    for factor in sp.Mul.make_args(product):
        base, exponent = factor.as_base_exp()
        parts = sp.Add.make_args(base)
        negative = sum(part.could_extract_minus_sign() for part in parts)
        backwards = base.as_coeff_Add()[0] < 0 or negative > len(parts) - negative
        if len(parts) > 1 and exponent.is_integer and backwards:
            sign *= (-1) ** int(exponent)
            factor = (-base) ** exponent
        factors.append(factor)
    return sp.Mul(sign, *factors)


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
    """Check the mean of an expression that is linear in z_k^2: z_k^2 becomes its mean, and z_i is 0."""

    words: ClassVar[str] = "linear in z_k^2, whose mean is put in, for 2, 3 and 4 PCs and each choice of i"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Return whether the two sides of the step are equal, given the earlier steps."""
        mean = dict(step.equations)[mean_square]
        for case in cases(_ROTATION):
            means = {overlap**2: mean for overlap in case.overlaps if overlap != 0}
            if not vanishes(sp.expand(case.write(step.before)).xreplace(means) - case.write(step.after)):
                return False
        return True


def steps_to_correction(result: sp.Expr) -> Iterator[Step]:
    """Yield the steps to the first finite-sample correction of CKA under rotation.

    A random w overlaps with the other PCs, so that z = U'w is not 0. The steps expand X'Y and Y'Y in z, and
    take the mean over w of the numerator and of the squared denominator of the score. The mean of the score
    differs from the ratio of these means by terms in 1 / (n - 2)^2.
    """
    sine = sp.sin(t) ** 2
    b = sp.sin(t) * sp.sqrt(lambda_i)
    # V'X'YV and V'Y'YV with the terms in z = U'w: see simopt.theory.pairs.Tilted.
    mixed = _S * _P + b * _S * overlaps * e.T
    square = _P * _P + b * _P * overlaps * e.T + b * e * overlaps.T * _P + sine * lambda_i * e * e.T
    setting, stay = (_ROTATION.decomposition, _ROTATION.orthonormal, OVERLAPS), "overlaps z = U'w stay"
    cross, other = "X'Y, w not orthogonal", "Y'Y, w not orthogonal"
    yield Step(cross, stay, X.T * Y, _V * mixed * _V.T, ByWords(), setting)
    yield Step(other, stay, Y.T * Y, _V * square * _V.T, ByWords(), setting)
    # Both are linear in the z_k^2, all of which have the mean 1 / (n - 2): the sum becomes S_1 / (n - 2).
    overlap = sp.Sum(lam[k] * z[k] ** 2, (k, 1, K))
    numerator = S_2 + lambda_i**2 * sp.cos(t) ** 2 + lambda_i * sine * overlap
    denominator = S_2 + lambda_i**2 + 2 * lambda_i * sine * overlap
    means = []
    for name, product, definition, inside, total in (
        ("mean of tr X'YY'X", cross, sp.Trace(X.T * Y * Y.T * X), sp.Trace(mixed * mixed.T), numerator),
        ("mean of tr (Y'Y)^2", other, sp.Trace(Y.T * Y * Y.T * Y), sp.Trace(square * square), denominator),
    ):
        mean = total.xreplace({overlap: S_1 / (n - 2)})
        yield Step(name, "cyclic in the trace", definition, inside, ByWords((product,)), setting[1:2])
        yield Step(name, "multiplied out, z_i = 0", inside, total, WrittenOut(_ROTATION), (OVERLAPS,))
        yield Step(name, "in the mean over random w", total, mean, InTheMean(), (RANDOM,))
        means.append(mean)
    rule = "the squares of the n - 2 coordinates of w add up to 1"
    yield Step("m", rule, (n - 2) * mean_square, sp.Integer(1), Algebra(), (RANDOM,))
    ratio = means[0] / sp.sqrt((S_2 + lambda_i**2) * means[1])
    excess = epsilon * q_i * (1 - p_i) / p_i * sine
    in_shares = (1 - q_i * sine + excess) / sp.sqrt(1 + 2 * excess)
    name = "CKA of mean products"
    rule = "in shares; the mean of the score differs from it by terms in 1 / (n - 2)^2"
    yield Step(name, rule, ratio, in_shares, Algebra(), (SHARES, _MANY))
    slope = _signed(sp.factor(sp.simplify(sp.diff(in_shares, epsilon).subs(epsilon, 0))))
    first = 1 - q_i * sine + slope * epsilon
    expanded = first + sp.Order(epsilon**2)
    yield Step(name, "to first order in epsilon", in_shares, expanded, Series(epsilon, "square"))
    gain = (slope * epsilon).xreplace(dict(_MANY.equations))
    yield Step("correction", "beyond the score at an orthogonal w", first - result, gain, Algebra(), (_MANY,))
