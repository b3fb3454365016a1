"""Build and verify the derivations of all measures under all perturbations.

A derivation has up to four parts: the score from the definition of the measure, the leading terms of its
loss, the ratio of the losses of two PCs, and the finite-sample correction.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import sympy as sp

from simopt import checks
from simopt.theory.derivation.proofs import Algebra
from simopt.theory.derivation.score import ANGULAR, SUBJECTS, steps_to_score
from simopt.theory.derivation.sensitivity import (
    loss_of_a_small_share,
    ratio_of_losses,
    ratio_of_noise,
    steps_to_correction,
    steps_to_loss,
    terms,
)
from simopt.theory.derivation.setting import MEANING, PERTURBATIONS
from simopt.theory.derivation.steps import Derivation, Step


def subjects() -> list[str]:
    """Return the names of all measures that have a derivation."""
    return [*SUBJECTS, *ANGULAR, "rv"]


@cache
def derive(subject: str, perturbation: str) -> Derivation:
    """Return the derivation of the score of a perturbed Y from the definition of the measure.

    Every step is verified before the derivation is returned.

    Parameters
    ----------
    subject : str
        Name of a measure, out of :func:`subjects`.
    perturbation : str
        Name of a perturbation, out of :data:`PERTURBATIONS`.

    Raises
    ------
    InputError
        The measure has no derivation, or the perturbation is unknown.
    DerivationError
        A step of the derivation does not hold.
    """
    checks.one_of(subject, tuple(subjects()), "measure to derive")
    checks.one_of(perturbation, tuple(PERTURBATIONS), "perturbation")
    # The RV coefficient is CKA under another name.
    if subject == "rv":
        return replace(derive("cka", perturbation), subject=subject)
    derivation = _derivation(subject, perturbation)
    derivation.verify()
    return derivation


def _derivation(subject: str, name: str) -> Derivation:
    perturbation = PERTURBATIONS[name]
    angular, distance = subject in ANGULAR, subject == "procrustes_euclidean"
    base = SUBJECTS[ANGULAR.get(subject, subject)]
    steps = list(steps_to_score(base, perturbation, base.name if angular else "score"))
    if angular:
        # The chain of the cosine ends in its closed form; the angle takes both ends of the chain.
        cosine = next(step.before for step in steps if step.of == base.name)
        definition, closed = (1 - 2 / sp.pi * sp.acos(side) for side in (cosine, steps[-1].after))
        rule = f"the angle whose cosine is {base.name}"
        steps.append(Step("score", rule, definition, closed, Algebra((base.name,))))
    result = steps[-1].after
    steps += steps_to_loss(result, perturbation, distance=distance)
    # A distance may be its own expansion, sqrt(lambda) eta: then no step was needed, but results need a loss.
    if steps[-1].of != "loss":
        steps.append(Step("loss", "the distance", result, result, Algebra()))
    expansion = terms(steps[-1].after, perturbation.strength)
    if expansion and perturbation.whole:
        # Noise on all of Y has one loss, not one per PC: PCs are compared by noise on each of them alone.
        alone = derive(subject, "noise")
        of = "loss of noise on PC i alone"
        steps += steps_to_loss(alone.result, PERTURBATIONS["noise"], distance=distance, of=of)
        steps.append(ratio_of_noise(alone.expansion[0]))
    elif expansion:
        steps.append(ratio_of_losses(expansion[0]))
    # The angle is expanded in the share of the PC as well, at any strength.
    if angular and not perturbation.whole:
        steps.append(loss_of_a_small_share(result))
    if (subject, name) == ("cka", "rotation"):
        steps += steps_to_correction(result)
    reached = {step.of: step.after for step in steps}
    used = set().union(*(step.before.free_symbols | step.after.free_symbols for step in steps))
    return Derivation(
        subject=subject,
        perturbation=name,
        steps=tuple(steps),
        definition=next(step.before for step in steps if step.of == "score"),
        result=result,
        expansion=expansion,
        ratio=reached.get("ratio"),
        correction=reached.get("correction"),
        strength=perturbation.strength,
        symbols={symbol: words for symbol, words in MEANING.items() if symbol in used},
    )
