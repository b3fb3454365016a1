"""The checks of steps. Each check compares the two sides of a step by a method that did not make the step.

Both sides of a matrix identity are reduced to words. The difference of a scalar identity is simplified to 0.
Sums over PCs are written out for a few PCs. Expansions are compared with derivatives of the exact expression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, TypeAlias

import sympy as sp
from sympy.printing.pretty.stringpict import prettyForm
from sympy.printing.printer import Printer

from simopt.theory.derivation.setting import Explicit, Perturbation, t
from simopt.theory.derivation.steps import Check, Step, definitions
from simopt.theory.derivation.words import Rules, same

Through: TypeAlias = Literal["nothing", "cosine", "square"]

# Sines and cosines of t as plain symbols: identities in t become rational ones, with s^2 = 1 - c^2.
_SINE, _COSINE = sp.symbols("s c", real=True)
_RATIONAL = {sp.sin(t): _SINE, sp.cos(t): _COSINE}


class NuclearNorm(sp.Function):  # type: ignore[misc]
    """The sum of the singular values of a matrix."""

    nargs = 1

    def _latex(self, printer: Printer, exp: str | None = None) -> str:
        out = rf"\left\lVert {printer._print(self.args[0])} \right\rVert_*"
        return out if exp is None else rf"{out}^{{{exp}}}"

    def _pretty(self, printer: Printer) -> prettyForm:
        inside = printer._print(self.args[0])
        return prettyForm(*prettyForm(*inside.left("‖")).right("‖_*"))


def vanishes(expression: sp.Expr) -> bool:
    """Return whether sympy proves that an expression is zero.

    False means that there is no proof: sympy may fail to simplify an expression that is zero.
    """
    # A real symbol under Abs is replaced by x and by -x with x > 0, and both cases must vanish.
    inside = next((part.args[0] for part in expression.atoms(sp.Abs) if part.args[0].is_Symbol), None)
    if inside is not None:
        size = sp.Symbol("x", positive=True)
        return all(vanishes(expression.subs(inside, sign * size)) for sign in (1, -1))
    if expression == 0 or sp.expand(expression) == 0 or _vanishes_rationally(expression):
        return True
    # The slowest method comes last. Roots cancel only if the expressions under them are factored alike.
    return bool(sp.simplify(sp.factor(expression, deep=True)) == 0)


def _vanishes_rationally(expression: sp.Expr) -> bool:
    """Whether a rational expression, also in sines and cosines, is zero."""
    # A fraction is zero if its numerator is; expanding is much faster than sp.simplify.
    numerator = sp.expand(sp.fraction(sp.together(expression.xreplace(_RATIONAL)))[0])
    return bool(numerator == 0 or sp.expand(numerator.subs(_SINE, sp.sqrt(1 - _COSINE**2))) == 0)


@dataclass(frozen=True)
class ByWords(Check):
    """Check that two matrix products, or their traces, reduce to the same words (:mod:`.words`)."""

    uses: tuple[str, ...] = ()
    words: ClassVar[str] = "both sides reduce to the same product, for matrices of every size"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Return whether the two sides of the step are equal, given the earlier steps."""
        rules = Rules([*step.equations, *definitions(earlier, self.uses).items()])
        return same(step.before, step.after, rules)


@dataclass(frozen=True)
class Algebra(Check):
    """Check a scalar equality after the results of earlier steps are substituted."""

    uses: tuple[str, ...] = ()
    words: ClassVar[str] = "the difference of both sides simplifies to 0"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Return whether the two sides of the step are equal, given the earlier steps."""
        reached = definitions(earlier, self.uses)
        defined = {left: right for left, right in step.equations if not left.is_Matrix}
        return vanishes((step.before.xreplace(reached) - step.after.xreplace(reached)).xreplace(defined))


@dataclass(frozen=True)
class WrittenOut(Check):
    """Check an equality of sums or traces over PCs, written out for a few PCs with symbolic variances."""

    perturbation: Perturbation
    words: ClassVar[str] = "written out entry by entry for 2, 3 and 4 PCs and each choice of i"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Return whether the two sides of the step are equal, given the earlier steps."""
        return all(
            vanishes(case.write(step.before) - case.write(step.after)) for case in cases(self.perturbation)
        )


@dataclass(frozen=True)
class SingularValues(Check):
    """Check that the nuclear norm of V D V', with V orthonormal and D diagonal, is the sum of all |D_kk|."""

    perturbation: Perturbation
    V: sp.MatrixExpr
    D: sp.MatrixExpr
    words: ClassVar[str] = (
        "V'V = I and D is diagonal, so V D V' is a singular value decomposition up to signs"
    )

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Return whether the two sides of the step are equal, given the earlier steps."""
        # Three conditions: the matrix is V D V', V is orthonormal, and D is diagonal with these |entries|.
        V, D, rules = self.V, self.D, Rules(step.equations)
        if not isinstance(step.before, NuclearNorm) or not same(step.before.args[0], V * D * V.T, rules):
            return False
        if not same(V.T * V, sp.Identity(V.shape[1]), rules):
            return False
        return all(
            case.matrix(D).is_diagonal()
            and vanishes(sum(map(sp.Abs, case.matrix(D).diagonal())) - case.write(step.after))
            for case in cases(self.perturbation)
        )


@dataclass(frozen=True)
class Series(Check):
    """Check an expansion against the derivatives of the exact expression at strength 0.

    sympy cannot differentiate an angle or a root at 0, its branch point. With ``through`` the check compares
    the cosine of the angle or the square of the root instead. Both lose the sign, so the expansion must be
    positive.
    """

    strength: sp.Symbol
    through: Through = "nothing"
    perturbation: Perturbation | None = None
    words: ClassVar[str] = "agrees with the exact expression up to the order left out"

    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Return whether the two sides of the step are equal, given the earlier steps."""
        # getn() is None where there is no order term: the expansion then is claimed to be exact.
        order, terms = step.after.getn(), step.after.removeO()
        if order is None:
            return vanishes(step.before - terms)
        if self.perturbation is None:
            return self._agrees(step.before, terms, order)
        return all(
            self._agrees(case.write(step.before), case.write(terms), order)
            for case in cases(self.perturbation)[:2]
        )

    def _agrees(self, exact: sp.Expr, terms: sp.Expr, order: sp.Expr) -> bool:
        # Half powers of the strength are whole powers of its root x.
        x = sp.Symbol("x", positive=True)
        whole = 1 if terms.is_polynomial(self.strength) else 2
        exact, terms = (
            side.xreplace({self.strength: x**whole}).xreplace(_RATIONAL) for side in (exact, terms)
        )
        stop = int(order * whole)
        if self.through != "nothing":
            # The claim is y with an error e of order ``stop``. The error of y^2 and cos(y) is about y e: its
            # order is higher by that of the leading term of y.
            stop += int(min(part.as_coeff_exponent(x)[1] for part in sp.Add.make_args(terms)))
            if not _positive(terms, x):
                return False
        if self.through == "cosine":
            exact, terms = (sp.cos(sp.expand(sp.pi / 2 * part)) for part in (exact, terms))
        elif self.through == "square":
            exact, terms = sp.powsimp(exact**2), sp.expand(terms**2)
        # Equal up to order x^stop: all lower derivatives of the difference vanish at 0.
        return all(vanishes(sp.diff(exact - terms, x, power).subs(x, 0)) for power in range(stop))


def _positive(terms: sp.Expr, x: sp.Symbol) -> bool:
    """Whether a sum of powers of x is positive next to 0, all other symbols at 1/3."""
    small = {symbol: sp.Rational(1, 3) for symbol in terms.free_symbols - {x}}
    return bool(terms.subs(small).subs(x, sp.Rational(1, 1000)) > 0)


@cache
def cases(perturbation: Perturbation) -> list[Explicit]:
    """Return a perturbation written out for 2, 3 and 4 PCs, once for each choice of the PC that changes."""
    return [
        Explicit(perturbation, sp.symbols(f"l_1:{size + 1}", positive=True), index)
        for size in (2, 3, 4)
        for index in range(1 if perturbation.whole else size)
    ]
