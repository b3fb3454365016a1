"""The steps of a derivation: each is an equality, with the rule that it follows from and a check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import sympy as sp

from simopt.errors import NumericalError
from simopt.theory.derivation.setting import Assumption, a, delta
from simopt.theory.derivation.words import Equation


class DerivationError(NumericalError):
    """A step of a derivation does not hold, or does not follow from the steps before it."""


class Check(ABC):
    """A method by which the machine verifies a step."""

    words: ClassVar[str]

    @abstractmethod
    def holds(self, step: Step, earlier: Sequence[Step]) -> bool:
        """Return whether the two sides of the step are equal, given the earlier steps."""


@dataclass(frozen=True)
class Step:
    """One equality of a derivation.

    Attributes
    ----------
    of : str
        Name of the quantity that the step is about. The steps of one quantity form a chain: the first step
        starts from its definition, each further one from the result of the step before.
    rule : str
        The rule from which the equality follows, in words.
    before, after : sympy expression
        The two sides of the equality. If ``after`` has an order term, they are equal up to that order.
    check : Check
        How the machine verifies the step.
    assumptions : tuple of Assumption
        The check may use these assumptions and earlier steps, and nothing else.
    """

    of: str
    rule: str
    before: sp.Basic
    after: sp.Basic
    check: Check
    assumptions: tuple[Assumption, ...] = ()

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The equations of all assumptions."""
        return tuple(equation for assumption in self.assumptions for equation in assumption.equations)


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """The sensitivity of a measure to a perturbation, derived step by step.

    Attributes
    ----------
    subject, perturbation : str
        Names of the measure and of the perturbation.
    steps : tuple of Step
    definition : sympy expression
        The measure in X and Y, from which the steps of the score start.
    result : sympy expression
        The exact score.
    expansion : tuple of sympy expression
        The leading and the next term of the loss, in the strength. The loss is the score at Y = X minus the
        score, and for a distance the distance itself. There is a single term if the loss is exactly that
        term, and none if the score does not change.
    ratio : sympy expression or None
        Leading loss for PC i divided by the leading loss for PC j; None if the score does not change. For
        noise on all of Y, the losses are those of the same noise variance on PC i alone and on PC j alone.
    correction : sympy expression or None
        Change of the mean score, to first order in 1 / (n - 2), if w is random and overlaps with other PCs.
    strength : Symbol
        The variable that the loss is expanded in.
    symbols : mapping of Symbol to str
        Meaning of each symbol.
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

    def verify(self) -> None:
        """Check that every step holds, and that the steps arrive at the results of the derivation.

        Raises
        ------
        DerivationError
            A step does not hold, or does not start from the result of the step before; the score does not
            start from the definition, or the loss not from the score; or a result differs from that of the
            last step. The message names the step or the result.
        """
        name = f"{self.subject} under {self.perturbation}"
        reached: dict[str, sp.Basic] = {}
        for number, step in enumerate(self.steps, start=1):
            here = f"{name}, step {number} ({step.of}: {step.rule})"
            start = reached.get(step.of, step.before)
            if step.before != start:
                raise DerivationError(
                    f"{here} starts from {step.before}, but the step before arrived at {start}."
                )
            if not step.check.holds(step, self.steps[: number - 1]):
                raise DerivationError(f"{here} does not hold: {step.before} is not {step.after}.")
            if step.of not in reached and not self._starts(step):
                raise DerivationError(f"{here} does not start from the definition: {step.before}.")
            reached[step.of] = step.after
        # A claim without steps, or steps without a claim, is an error as well.
        claims = {
            "score": self.result,
            "loss": sp.Add(*self.expansion),
            "ratio": self.ratio,
            "correction": self.correction,
        }
        for of, claim in claims.items():
            end = reached.get(of)
            if end is not None:
                end = end.removeO()
            if end != claim and (end is None or claim is None or sp.expand(end - claim) != 0):
                raise DerivationError(f"{name}: the {of} is given as {claim}, but the steps arrive at {end}.")

    def _starts(self, step: Step) -> bool:
        """Whether the first step of the score or of the loss starts from where it should."""
        if step.of == "score":
            return bool(step.before == self.definition)
        if step.of == "loss":
            varying = a if self.strength == delta else self.strength
            return bool(step.before == self.result or not sp.expand(step.before + self.result).has(varying))
        return True


def definitions(steps: Sequence[Step], quantities: Sequence[str]) -> dict[sp.Basic, sp.Basic]:
    """Map the definition of each quantity to the last result of its steps."""
    chosen = [step for step in steps if step.of in quantities]
    last = {step.of: step.after for step in chosen}
    first = {step.of: step.before for step in reversed(chosen)}
    return {before: last[of] for of, before in first.items()}
