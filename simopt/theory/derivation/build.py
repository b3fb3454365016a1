"""The derivations of all measures under all perturbations, verified as they are made."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import sympy as sp

from simopt import checks
from simopt.theory.derivation.proofs import Algebra
from simopt.theory.derivation.random_direction import steps_to_correction
from simopt.theory.derivation.score import steps_to_score
from simopt.theory.derivation.sensitivity import (
    small_share,
    steps_to_loss,
    steps_to_ratio,
    steps_to_shares,
    terms,
)
from simopt.theory.derivation.setting import MEANING, PERTURBATIONS
from simopt.theory.derivation.steps import Derivation, Step
from simopt.theory.derivation.subjects import ANGULAR, SUBJECTS


def subjects() -> list[str]:
    """Return the names of the measures that have a derivation."""
    return [
        "cka",
        "cka_angular",
        "nbs",
        "procrustes_angular",
        "procrustes_euclidean",
        "linreg",
        "ridge",
        "cca",
        "ensd",
        "rv",
    ]


@cache
def derive(subject: str, perturbation: str) -> Derivation:
    """Derive how the score of Y depends on a perturbation of X, from the definition of the measure.

    Every step is verified before the derivation is returned.

    Parameters
    ----------
    subject : str
        One of :func:`subjects`.
    perturbation : str
        One of :data:`PERTURBATIONS`.

    Raises
    ------
    InputError
        No such measure or perturbation.
    DerivationError
        A step does not hold.
    """
    checks.one_of(subject, tuple(subjects()), "measure to derive")
    checks.one_of(perturbation, tuple(PERTURBATIONS), "perturbation")
    if subject == "rv":
        return replace(derive("cka", perturbation), subject=subject)
    made = _make(subject, perturbation)
    made.verify()
    return made


def _make(subject: str, perturbation: str) -> Derivation:
    given = PERTURBATIONS[perturbation]
    base = SUBJECTS[ANGULAR.get(subject, subject)]
    steps = list(steps_to_score(base, given, base.name if subject in ANGULAR else "score"))
    if subject in ANGULAR:
        definition, closed = (
            1 - 2 / sp.pi * sp.acos(side)
            for side in (
                next(step.before for step in steps if step.of == base.name),
                steps[-1].after,
            )
        )
        steps.append(
            Step("score", f"the angle whose cosine is {base.name}", definition, closed, Algebra((base.name,)))
        )
    result = steps[-1].after
    distance = subject == "procrustes_euclidean"
    steps += steps_to_loss(result, given, distance=distance)
    found = [step.after for step in steps if step.of == "loss"]
    if not found:
        steps.append(Step("loss", "the distance", result, result, Algebra()))
        found = [result]
    expansion = terms(found[-1], given.strength)
    if expansion:
        if given.whole:
            alone = derive(subject, "noise")
            of = "loss of noise on PC i alone"
            steps += steps_to_loss(alone.result, PERTURBATIONS["noise"], distance=distance, of=of)
            steps += steps_to_shares(alone.expansion[0])
        else:
            steps += steps_to_ratio(expansion[0], given.strength)
    if subject in ANGULAR and not given.whole:
        steps += small_share(result)
    if subject == "cka" and perturbation == "rotation":
        steps += steps_to_correction(result)
    reached = {step.of: step.after for step in steps}
    used = set().union(*(step.before.free_symbols | step.after.free_symbols for step in steps))
    return Derivation(
        subject=subject,
        perturbation=perturbation,
        steps=tuple(steps),
        definition=next(step.before for step in steps if step.of == "score"),
        result=result,
        expansion=expansion,
        ratio=reached.get("ratio"),
        correction=reached.get("correction"),
        strength=given.strength,
        symbols={symbol: words for symbol, words in MEANING.items() if symbol in used},
    )
