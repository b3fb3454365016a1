"""Steps of a derivation: an equality, the rule it follows by, and the check that the machine makes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import sympy as sp

from simopt.errors import InputError, NumericalError
from simopt.theory.derivation.setting import PERTURBATIONS, Assumption, a, delta, lam
from simopt.typing import FloatArray


class DerivationError(NumericalError):
    """A step of a derivation does not hold, or does not follow from those before it."""


class Check(ABC):
    """How the machine verifies a step."""

    words: ClassVar[str]

    @abstractmethod
    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Whether the two sides of the step are equal, given the earlier steps."""


@dataclass(frozen=True)
class Step:
    """One equality of a derivation.

    Attributes
    ----------
    of : str
        The quantity that it speaks of. The steps of one quantity make a chain, each from where the last one
        arrived; the first starts from the definition.
    rule : str
        Why it holds, in words.
    before, after : sympy expression
        An ``after`` with an order term claims the equality up to that order.
    check : Check
    assumptions : tuple of Assumption
        What it supposes; the check may use nothing else, and the earlier steps.
    """

    of: str
    rule: str
    before: sp.Basic
    after: sp.Basic
    check: Check
    assumptions: tuple[Assumption, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """Why a measure sees a perturbation as it does, step by step.

    Attributes
    ----------
    subject, perturbation : str
    assumptions : tuple of Assumption
        In the order in which they enter.
    steps : tuple of Step
    definition : sympy expression
        The measure in X and Y, where the steps of the score start.
    result : sympy expression
        The score, exactly.
    expansion : tuple of sympy expression
        The leading and the next term of the loss, score at Y = X minus score (a distance: the distance), in
        the strength; one term where the loss is that term, none where the score does not change.
    ratio : sympy expression or None
        Leading sensitivity to PC i over that to PC j; None where the score does not change. Of noise on all
        of Y: to the same noise variance on PC i alone, over that on PC j alone.
    correction : sympy expression or None
        What the score gains, to first order in 1 / (n - 2), where w is random and not exactly orthogonal.
    strength : Symbol
        What the loss is expanded in.
    symbols : mapping of Symbol to str
        What each symbol stands for.
    """

    subject: str
    perturbation: str
    steps: tuple[Step, ...]
    definition: sp.Expr
    result: sp.Expr
    expansion: tuple[sp.Expr, ...]
    ratio: sp.Expr | None
    correction: sp.Expr | None
    strength: sp.Symbol
    symbols: Mapping[sp.Symbol, str]

    @cached_property
    def assumptions(self) -> tuple[Assumption, ...]:
        """All that is supposed, in the order in which it enters."""
        return tuple(dict.fromkeys(each for step in self.steps for each in step.assumptions))

    def verify(self) -> None:
        """Have the machine check every step, and that the results are what the steps arrive at.

        Raises
        ------
        DerivationError
            A step does not hold, does not start where the last one of its quantity arrived, the score does
            not start from the definition or the loss from the score, or the result, the expansion, the ratio
            or the correction is not what the steps arrive at. It names the step.
        """
        reached: dict[str, sp.Basic] = {}
        for number, step in enumerate(self.steps, start=1):
            name = f"{self.subject} under {self.perturbation}, step {number} ({step.of}: {step.rule})"
            if step.of in reached and step.before != reached[step.of]:
                raise DerivationError(
                    f"{name} starts from {step.before}, but the step before arrived at {reached[step.of]}."
                )
            if not step.check.holds(step, self.steps[: number - 1]):
                raise DerivationError(f"{name} does not hold: {step.before} is not {step.after}.")
            if step.of not in reached and not self._starts(step):
                raise DerivationError(f"{name} does not start from the definition: {step.before}.")
            reached[step.of] = step.after
        blind: sp.Expr = sp.Integer(0)
        claims = {
            "score": self.result,
            "loss": sp.Add(*self.expansion) if self.expansion else blind,
            "ratio": self.ratio,
            "correction": self.correction,
        }
        for of, claim in claims.items():
            end = reached.get(of)
            end = end.removeO() if isinstance(end, sp.Expr) else end
            if end != claim and not (end is not None and claim is not None and sp.expand(end - claim) == 0):
                raise DerivationError(
                    f"{self.subject} under {self.perturbation}: the {of} is given as {claim}, but the steps "
                    f"arrive at {end}."
                )

    def _starts(self, step: Step) -> bool:
        """Whether the first step of the score or of the loss starts from where it should."""
        if step.of == "score":
            return bool(step.before == self.definition)
        if step.of == "loss":
            varying = a if self.strength == delta else self.strength
            return bool(step.before == self.result or not sp.expand(step.before + self.result).has(varying))
        return True

    def evaluate(
        self,
        spectrum: FloatArray,
        strength: float,
        *,
        index: int = 0,
        penalty: float = 0.0,
        units: int | None = None,
    ) -> float:
        """Return the score that the result predicts.

        Parameters
        ----------
        spectrum : array, (K,)
            lambda, the squared singular values of the centred X.
        strength : float
            t in radians, a, eta, or nu in units of lambda.
        index : int
            The perturbed PC, counted from 0.
        penalty : float
            Of ridge regression.
        units : int, optional
            Number of units; K if not given.

        Raises
        ------
        InputError
            There is no such PC.
        """
        if not 0 <= index < len(spectrum):
            raise InputError(f"PC {index} of {len(spectrum)}; PCs are counted from 0.")
        variances = [sp.Float(float(value)) for value in spectrum]
        if units is not None and PERTURBATIONS[self.perturbation].whole:
            variances += [sp.Integer(0)] * (units - len(variances))
        total, squares = sum(variances), sum(value**2 for value in variances)
        penalty_, own = sp.Float(penalty), variances[index]
        values = {
            "lambda_i": own,
            "sigma_1": total,
            "sigma_2": squares,
            "p_i": own / total,
            "q_i": own**2 / squares,
            "D": total**2 / squares,
            "K": len(spectrum),
            "p": units or len(spectrum),
            "rho": penalty_,
            "r_i": penalty_ / own,
            "R_0": sum(v**2 * (v + 2 * penalty_) / (v + penalty_) ** 2 for v in variances if v) / total,
        }
        variable = a if self.strength == delta else self.strength
        values[variable.name] = sp.Float(strength)
        written = self.result.replace(
            lambda part: isinstance(part, sp.Sum),
            lambda part: sum(part.function.subs(lam[part.variables[0]], value) for value in variances),
        )
        return float(written.xreplace({s: sp.sympify(values[s.name]) for s in written.free_symbols}))


def final(steps: Sequence[Step]) -> Iterator[tuple[sp.Basic, sp.Basic]]:
    """Return for each quantity the equality of its definition and of what the steps arrive at."""
    first: dict[str, sp.Basic] = {}
    last: dict[str, sp.Basic] = {}
    for step in steps:
        first.setdefault(step.of, step.before)
        last[step.of] = step.after
    return ((first[of], last[of]) for of in first)
