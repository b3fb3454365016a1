"""The score that a derivation arrives at, in numbers."""

import sympy as sp

from simopt.theory.derivation import PERTURBATIONS, Derivation
from simopt.theory.derivation.setting import PENALTY, RATIO, SHARES, Explicit, K, a, delta, p, rho


def evaluate(
    derivation: Derivation, spectrum, strength: float, *, index: int = 0, penalty: float = 0.0, units: int = 0
) -> float:
    """The score for lambda (K,); the strength is t in radians, a, eta, or nu in units of lambda.

    PC ``index``, from 0, is perturbed; without ``units`` there are as many as PCs.
    """
    perturbation = PERTURBATIONS[derivation.perturbation]
    variances = [sp.Float(float(value)) for value in spectrum]
    sizes = {K: sp.Integer(len(variances)), p: sp.Integer(units or len(variances))}
    if perturbation.whole:
        variances += [sp.Integer(0)] * (int(sizes[p]) - len(variances))
    defined = dict(SHARES.equations + RATIO.equations + PENALTY.equations)
    written = Explicit(perturbation, variances, index).write(derivation.result.xreplace(defined | sizes))
    varying = a if derivation.strength == delta else derivation.strength
    return float(written.subs({rho: sp.Float(penalty), varying: sp.Float(strength)}))
