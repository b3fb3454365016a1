"""Two ways to the same formulas: those that sympy derives, and those that are computed."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.theory.closed_forms import closed_form
from simopt.theory.derivation import derive
from simopt.theory.expansions import expand
from simopt.theory.perturbations import exact_pair
from tests.theory.derived import evaluate

SPECTRUM = [4.0, 2.0, 1.0, 0.25]
NAMES = {"ridge": ("ridge100", {"penalty": 0.7})}


@pytest.mark.parametrize(("kind", "strength"), [("rotation", 40.0), ("scaling", 0.3), ("noise", 0.8)])
@pytest.mark.parametrize("subject", ["cka", "procrustes_angular", "linreg", "ridge", "ensd"])
def test_derived_and_computed_scores_are_the_same(subject, kind, strength):
    name, options = NAMES.get(subject, (subject, {}))
    form = closed_form(measures.get(name, **options))
    variances = torch.tensor(SPECTRUM, dtype=torch.float64)
    computed = form(exact_pair(variances, kind, strength, units=4, samples=30))
    amount = np.radians(strength) if kind == "rotation" else strength
    derivation = derive(subject, kind)
    derived = [evaluate(derivation, SPECTRUM, amount, index=i, penalty=0.7, units=4) for i in range(4)]
    np.testing.assert_allclose(computed, derived, atol=1e-13)


def test_derived_and_computed_ratios_are_the_same():
    variances = torch.tensor(SPECTRUM, dtype=torch.float64)
    for subject in ("cka", "nbs", "procrustes_angular"):
        weight = expand(closed_form(measures.get(subject)), variances, units=4, samples=30).leading
        ratio = derive(subject, "rotation").ratio
        values = {symbol: {"lambda_i": 4.0, "lambda_j": 0.25}[symbol.name] for symbol in ratio.free_symbols}
        assert float(ratio.subs(values)) == pytest.approx(float(weight[0] / weight[3]), rel=1e-12)
