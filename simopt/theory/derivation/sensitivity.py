"""From the score in closed form to what a measure sees: the loss, its expansion, the ratio of two PCs."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from simopt.theory.derivation.proofs import Algebra, Series, Through, WrittenOut
from simopt.theory.derivation.setting import (
    Assumption,
    Perturbation,
    a,
    delta,
    eta,
    lam,
    lambda_i,
    lambda_j,
    nu,
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
)
from simopt.theory.derivation.steps import Step
from simopt.theory.derivation.subjects import FULL_RANK

NEAR = {
    "rotation": Assumption("t is less than 90 degrees", ((sp.Abs(sp.cos(t)), sp.cos(t)),)),
    "scaling": Assumption("a = 1 - delta is positive", ((sp.Abs(a), 1 - delta), (a, 1 - delta))),
}
TOTALS = Assumption(
    "shares and penalties of the two PCs",
    (
        (p_i, lambda_i / sigma_1),
        (p_j, lambda_j / sigma_1),
        (q_i, lambda_i**2 / sigma_2),
        (q_j, lambda_j**2 / sigma_2),
        (r_i, rho / lambda_i),
        (r_j, rho / lambda_j),
    ),
)
_OTHER = {p_i: p_j, q_i: q_j, r_i: r_j, lambda_i: lambda_j}
_HIGHEST = 6
"""Highest power of the strength among which the two leading terms are looked for."""


def steps_to_loss(
    result: sp.Expr, given: Perturbation, *, distance: bool, of: str = "loss"
) -> Iterator[Step]:
    """Yield the steps from a score to the two leading terms of its loss."""
    loss = result
    check = WrittenOut(given.name) if result.has(sp.Sum) else Algebra()
    if not distance:
        none = {t: 0, eta: 0, nu: 0} if given.strength != delta else {a: 1}
        at_x = result.subs(none)
        highest = _tidied(at_x)
        if at_x != highest:
            yield Step(f"{of}: score at Y = X", "no perturbation", at_x, highest, check)
        loss = highest - result
    if loss == 0:
        yield Step(of, "the score does not change", loss, sp.Integer(0), Algebra())
        return
    near = NEAR.get(given.name)
    if near is not None:
        put_in = loss.xreplace(dict(near.equations))
        if put_in != loss:
            reached = _tidied(put_in) if not _is_angle(put_in) and not distance else put_in
            if distance and given.name == "scaling":
                reached = sp.sqrt(lambda_i) * delta
            if reached == 0:
                yield Step(of, "the score does not change", loss, sp.Integer(0), Algebra(), (near,))
                return
            yield Step(of, "near Y = X", loss, reached, Algebra(), (near,))
            loss = reached
    x = given.strength
    through: Through
    if _is_angle(loss):
        (inverse,) = loss.atoms(sp.acos)
        claim, through = _root(1 - inverse.args[0], x, angle=True), "cosine"
    elif distance:
        claim, through = _root(loss**2, x, angle=False), "square"
    else:
        claim, through = _sum_of_terms(_taylor(loss, x), x, loss), "nothing"
    if claim != loss:
        check_in = given.name if loss.has(sp.Sum) else None
        rank = (FULL_RANK,) if loss.has(sp.Sum) else ()
        yield Step(of, f"expanded in {x}", loss, claim, Series(x, through, check_in), rank)


def terms(claim: sp.Expr, x: sp.Symbol) -> tuple[sp.Expr, ...]:
    """Return the terms of an expansion, the lowest power of the strength first."""
    plain = claim.removeO()
    if plain == 0:
        return ()
    powers: dict[sp.Expr, sp.Expr] = {}
    for part in sp.Add.make_args(plain):
        power = part.as_coeff_exponent(x)[1]
        powers[power] = powers.get(power, sp.Integer(0)) + part
    return tuple(powers[power] for power in sorted(powers))


def steps_to_ratio(lead: sp.Expr, x: sp.Symbol) -> Iterator[Step]:
    """Yield the ratio of the leading losses of PC i and PC j at the same strength."""
    yield _ratio("the leading losses at the same strength", lead, lead.xreplace(_OTHER), x)


def steps_to_shares(lead: sp.Expr) -> Iterator[Step]:
    """Yield the ratio of the losses from the same small noise variance on PC i alone and on PC j alone."""
    own = lead.xreplace({eta: sp.sqrt(nu / lambda_i)})
    other = lead.xreplace(_OTHER).xreplace({eta: sp.sqrt(nu / lambda_j)})
    yield _ratio("the same noise variance nu = eta^2 lambda on PC i alone and on PC j alone", own, other, nu)


def small_share(result: sp.Expr) -> Iterator[Step]:
    """Yield what an angular form loses where the PC has a small share of the variance."""
    loss = 1 - result
    share = next((each for each in (p_i, q_i) if loss.has(each)), None)
    if share is None:
        return
    (inverse,) = loss.atoms(sp.acos)
    slope = sp.factor(sp.simplify(-2 * sp.diff(inverse.args[0], share).subs(share, 0)))
    claim = 2 / sp.pi * sp.sqrt(slope) * sp.sqrt(share) + sp.Order(share ** sp.Rational(3, 2))
    rule = f"where the share {share} is small, the loss goes as its square root"
    yield Step("loss for a small share", rule, loss, claim, Series(share, "cosine"))


def _ratio(rule: str, own: sp.Expr, other: sp.Expr, x: sp.Symbol) -> Step:
    before = own / other
    after = sp.simplify(before.xreplace(dict(TOTALS.equations)))
    names = before.free_symbols - {x}
    used = tuple(equation for equation in TOTALS.equations if equation[0] in names)
    assumptions = (Assumption(TOTALS.words, used),) if used else ()
    return Step("ratio", rule, before, signed(sp.powsimp(after)), Algebra(), assumptions)


def _is_angle(expression: sp.Expr) -> bool:
    return bool(expression.has(sp.acos))


def _taylor(expression: sp.Expr, x: sp.Symbol) -> dict[int, sp.Expr]:
    """Return the first two coefficients that are not 0, by the power of x."""
    found: dict[int, sp.Expr] = {}
    for power in range(_HIGHEST + 1):
        coefficient = _tidied(expression.subs(x, 0) / sp.factorial(power))
        if coefficient != 0:
            found[power] = coefficient if coefficient.has(sp.Sum) else signed(sp.factor(coefficient))
        if len(found) == 2:
            break
        expression = sp.diff(expression, x)
    return found


def _sum_of_terms(coefficients: dict[int, sp.Expr], x: sp.Symbol, exact: sp.Expr) -> sp.Expr:
    total = sp.Add(*(coefficient * x**power for power, coefficient in coefficients.items()))
    if not exact.has(sp.Sum) and sp.simplify(total - exact) == 0:
        return total
    return total + sp.Order(x ** (max(coefficients) + 1))


def _root(inside: sp.Expr, x: sp.Symbol, *, angle: bool) -> sp.Expr:
    """Return the leading terms of sqrt(u), or of (2/pi) arccos(1 - u), for u that vanishes with x.

    arccos(1 - u) = sqrt(2 u) (1 + u / 12 + ...).
    """
    coefficients = _taylor(inside, x)
    low, *high = sorted(coefficients)
    kappa = coefficients[low]
    gaps = [power - low for power in high]
    if angle:
        gaps.append(low)
    front = 2 / sp.pi * sp.sqrt(2 * kappa) if angle else sp.sqrt(kappa)
    lead = front * x ** sp.Rational(low, 2)
    if not gaps:
        return lead
    gap = min(gaps)
    bend: sp.Expr = sp.Integer(0)
    if high and high[0] - low == gap:
        bend += coefficients[high[0]] / (2 * kappa)
    if angle and gap == low:
        bend += kappa / 12
    last = sp.Rational(low, 2) + gap
    return lead + signed(front * sp.factor(sp.simplify(bend))) * x**last + sp.Order(x ** (last + 1))


def _tidied(expression: sp.Expr) -> sp.Expr:
    """Simplify, with sums over the same PCs in one; a sum of equal terms is their number times the term."""
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
        one = signed(sp.factor(sp.simplify(summand)))
        number, rest = one.as_coeff_Mul()
        sign = -1 if number < 0 else 1
        merged = sp.Sum(sign * one, limits)
        if sign * one == lam[limits[0]]:
            total += sign * factor * sigma_1
        else:
            total += sign * factor * (merged if rest.has(limits[0]) else merged.doit())
    return total


def signed(product: sp.Expr) -> sp.Expr:
    """Return a product with its factors written as 1 - x rather than x - 1."""
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
