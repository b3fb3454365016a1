"""The derivations: against the measures themselves, and against steps that are wrong."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
import torch

from simopt import measures
from simopt.errors import InputError
from simopt.theory.derivation import PERTURBATIONS, DerivationError, derive, subjects
from simopt.theory.derivation.setting import ROTATED, Explicit, K, e, lam, matrices, overlaps
from simopt.theory.derivation.words import polynomial
from tests.theory.derived import evaluate

PENALTY = 0.7
EVERY = [(subject, perturbation) for subject in subjects() for perturbation in PERTURBATIONS]
FEW = [
    ("cka", "rotation"),
    ("nbs", "scaling"),
    ("ridge", "noise"),
    ("cca", "noise_all"),
    ("procrustes_angular", "rotation"),
    ("procrustes_euclidean", "scaling"),
]
BLIND = {("linreg", "scaling"), ("cca", "scaling")}
RNG = np.random.default_rng


def orthonormal(rng, samples: int, columns: int):
    """Columns orthogonal to each other and to the constant."""
    frame = np.column_stack([np.ones(samples), rng.normal(size=(samples, columns))])
    return np.linalg.qr(frame)[0][:, 1:]


def pair(perturbation: str, spectrum, index: int, strength: float, seed: int = 0):
    """X and Y with the perturbation made for real."""
    rng, K = RNG(seed), len(spectrum)
    basis = orthonormal(rng, 2 * K + 9, 2 * K)
    U, W = basis[:, :K], basis[:, K:]
    V = np.linalg.qr(rng.normal(size=(K, K)))[0]
    s = np.sqrt(spectrum)
    X = U * s @ V.T
    if perturbation == "noise_all":
        return X, X + np.sqrt(strength) * W @ np.linalg.qr(rng.normal(size=(K, K)))[0]
    along, across = {
        "rotation": (np.cos(strength), np.sin(strength)),
        "scaling": (strength, 0.0),
        "noise": (1.0, strength),
    }[perturbation]
    moved = U.copy()
    moved[:, index] = along * U[:, index] + across * W[:, 0]
    return X, moved * s @ V.T


def catalogue(subject: str, X, Y) -> float:
    name = {"rv": "cka", "ridge": "ridge100"}.get(subject, subject)
    options = {"penalty": PENALTY} if subject == "ridge" else {}
    return float(measures.get(name, **options)(torch.from_numpy(X), torch.from_numpy(Y)))


def predicted(subject: str, perturbation: str, spectrum, index: int, strength: float) -> float:
    return evaluate(derive(subject, perturbation), spectrum, strength, index=index, penalty=PENALTY)


def agrees_with_the_measure(subject: str, perturbation: str) -> None:
    strengths = {
        "rotation": (0.0, 0.4, 1.3, 2.2),
        "scaling": (0.05, 0.6, 1.7, -0.8),
        "noise": (0.1, 0.9, 3.0),
        "noise_all": (0.01, 0.5, 4.0),
    }[perturbation]
    for seed, strength in enumerate(strengths):
        spectrum = np.sort(RNG(seed).gamma(1.0, size=5) + 0.05)[::-1]
        index = seed % len(spectrum)
        X, Y = pair(perturbation, spectrum, index, strength, seed)
        expected = catalogue(subject, X, Y)
        assert predicted(subject, perturbation, spectrum, index, strength) == pytest.approx(
            expected, abs=1e-10
        )


def expansion_is_close(subject: str, perturbation: str) -> None:
    """The error of both terms falls faster than that of the leading one alone."""
    derivation, spectrum, index = derive(subject, perturbation), np.array([3.0, 1.1, 0.4, 0.2]), 1
    if (subject, perturbation) in BLIND:
        assert derivation.expansion == ()
        assert derivation.ratio is None
        return
    unperturbed = 1.0 if perturbation == "scaling" else 0.0

    def loss(strength: float) -> float:
        at = 1 - strength if perturbation == "scaling" else strength
        score = predicted(subject, perturbation, spectrum, index, at)
        if subject == "procrustes_euclidean":
            return score
        return predicted(subject, perturbation, spectrum, index, unperturbed) - score

    def value_of(term: sp.Expr, strength: float) -> float:
        values = substituted(spectrum, index)
        written = term.replace(
            lambda part: isinstance(part, sp.Sum),
            lambda part: sum(part.function.subs(lam[part.variables[0]], value) for value in spectrum),
        )
        values[derivation.strength.name] = strength
        return float(written.subs({symbol: values[symbol.name] for symbol in written.free_symbols}))

    small = 1e-3 if perturbation != "noise_all" else 1e-4
    exact = loss(small)
    lead = value_of(derivation.expansion[0], small)
    both = sum(value_of(term, small) for term in derivation.expansion)
    assert lead == pytest.approx(exact, rel=2e-2)
    assert both == pytest.approx(exact, rel=1e-5, abs=1e-12)


def substituted(spectrum, index: int) -> dict[str, float]:
    total, squares, variance, other = (
        spectrum.sum(),
        (spectrum**2).sum(),
        spectrum[index],
        spectrum[index + 1],
    )
    return {
        "p_i": variance / total,
        "q_i": variance**2 / squares,
        "r_i": PENALTY / variance,
        "D": total**2 / squares,
        "K": len(spectrum),
        "p": len(spectrum),
        "sigma_1": total,
        "sigma_2": squares,
        "lambda_i": variance,
        "lambda_j": other,
        "rho": PENALTY,
    }


def ratio_is_that_of_the_losses(subject: str, perturbation: str) -> None:
    derivation, spectrum = derive(subject, perturbation), np.array([3.0, 1.1, 0.4, 0.2])
    small, kind = 1e-4, "noise" if perturbation == "noise_all" else perturbation
    losses = []
    for index in (1, 2):
        strength = np.sqrt(small**2 / spectrum[index]) if perturbation == "noise_all" else small
        at, none = (1 - strength, 1.0) if kind == "scaling" else (strength, 0.0)
        losses.append(
            abs(
                predicted(subject, kind, spectrum, index, none)
                - predicted(subject, kind, spectrum, index, at)
            )
        )
    values = substituted(spectrum, 1)
    computed = derivation.ratio.subs(
        {symbol: values[symbol.name] for symbol in derivation.ratio.free_symbols}
    )
    assert abs(float(computed)) == pytest.approx(losses[0] / losses[1], rel=3e-3)


@pytest.mark.parametrize(("subject", "perturbation"), FEW)
def test_the_result_is_the_measure(subject: str, perturbation: str) -> None:
    agrees_with_the_measure(subject, perturbation)


@pytest.mark.parametrize(("subject", "perturbation"), FEW)
def test_the_expansion_and_the_ratio_are_those_of_the_result(subject: str, perturbation: str) -> None:
    expansion_is_close(subject, perturbation)
    ratio_is_that_of_the_losses(subject, perturbation)


@pytest.mark.slow
@pytest.mark.parametrize(("subject", "perturbation"), EVERY)
def test_every_derivation(subject: str, perturbation: str) -> None:
    derivation = derive(subject, perturbation)
    derivation.verify()
    assert (derivation.subject, derivation.perturbation) == (subject, perturbation)
    agrees_with_the_measure(subject, perturbation)
    expansion_is_close(subject, perturbation)
    if (subject, perturbation) not in BLIND:
        ratio_is_that_of_the_losses(subject, perturbation)


def test_known_formulas() -> None:
    def of(subject: str, perturbation: str):
        return derive(subject, perturbation)

    q, p, t = *sp.symbols("q_i p_i", positive=True), sp.Symbol("t", real=True)
    l_i, l_j = sp.symbols("lambda_i lambda_j", positive=True)
    assert of("cka", "rotation").result == 1 - q * sp.sin(t) ** 2
    assert of("nbs", "rotation").result == 1 - p * (1 - sp.Abs(sp.cos(t)))
    assert sp.simplify(of("cka", "rotation").ratio - (l_i / l_j) ** 2) == 0
    assert sp.simplify(of("nbs", "rotation").ratio - l_i / l_j) == 0
    assert sp.simplify(of("procrustes_angular", "rotation").ratio - sp.sqrt(l_i / l_j)) == 0


def wrong(after: sp.Basic):
    """A wrong sign, a wrong factor and a dropped term."""
    order = after.getO() if isinstance(after, sp.Expr) and after.is_Add and after.getO() is not None else None
    plain = after.removeO() if order is not None else after
    back = (lambda made: made + order) if order is not None else (lambda made: made)
    yield "sign", back(-plain)
    yield "factor", back(2 * plain)
    if isinstance(plain, (sp.Add, sp.MatAdd)):
        yield "term", back(plain.func(*plain.args[1:]))


def every_broken_step_is_refused(subject: str, perturbation: str) -> None:
    steps, refused = derive(subject, perturbation).steps, 0
    for number, step in enumerate(steps):
        for how, after in wrong(step.after):
            if after != step.after:
                broken = replace(step, after=after)
                assert not step.check.holds(broken, steps[:number]), f"{how} of {step.of}: {step.rule}"
                refused += 1
    assert refused >= 2 * len(steps) - 2


@pytest.mark.parametrize(
    ("subject", "perturbation"),
    [("cka", "noise"), ("procrustes_angular", "scaling"), ("linreg", "noise_all")],
)
def test_every_broken_step_is_refused(subject: str, perturbation: str) -> None:
    every_broken_step_is_refused(subject, perturbation)


@pytest.mark.slow
@pytest.mark.parametrize(("subject", "perturbation"), EVERY)
def test_every_broken_step_of_every_derivation_is_refused(subject: str, perturbation: str) -> None:
    every_broken_step_is_refused(subject, perturbation)


def test_the_error_names_the_broken_step() -> None:
    derivation = derive("nbs", "noise")
    number = next(at for at, step in enumerate(derivation.steps) if step.of == "tr Y'Y")
    steps = list(derivation.steps)
    steps[number] = replace(steps[number], after=2 * steps[number].after)
    with pytest.raises(
        DerivationError, match=rf"nbs under noise, step {number + 1} \(tr Y'Y: .*does not hold"
    ):
        replace(derivation, steps=tuple(steps)).verify()
    number += 1
    steps = list(derivation.steps)
    steps[number] = replace(steps[number], before=2 * steps[number].before, after=2 * steps[number].after)
    with pytest.raises(DerivationError, match=rf"step {number + 1} .*the step before arrived at"):
        replace(derivation, steps=tuple(steps)).verify()


def test_a_step_may_use_its_stated_assumptions_only() -> None:
    derivation = derive("cka", "rotation")
    number = next(at for at, step in enumerate(derivation.steps) if step.of == "X'Y")
    step = derivation.steps[number]
    for assumption in step.assumptions[:3]:
        left = tuple(kept for kept in step.assumptions if kept != assumption)
        steps = (*derivation.steps[:number], replace(step, assumptions=left), *derivation.steps[number + 1 :])
        with pytest.raises(DerivationError, match="X'Y"):
            replace(derivation, steps=steps).verify()


@pytest.mark.parametrize("perturbation", ["rotation", "noise_all"])
def test_singular_values_need_orthonormal_axes_and_the_right_diagonal(perturbation: str) -> None:
    steps = derive("nbs", perturbation).steps
    (number,) = [at for at, step in enumerate(steps) if step.rule.startswith("singular values")]
    step = steps[number]
    assert step.check.holds(step, steps[:number])
    assert not step.check.holds(replace(step, assumptions=()), steps[:number])
    for D in (2 * step.check.D, step.check.D**2, sp.Identity(step.check.D.shape[0])):
        assert not replace(step.check, D=D).holds(step, steps[:number])


@pytest.mark.parametrize("order", [3, 4, 5])
def test_a_series_may_leave_out_its_order_and_nothing_below(order: int) -> None:
    steps = derive("cka", "rotation").steps
    (step,) = [step for step in steps if step.rule == "expanded in t"]
    q, t = sp.Symbol("q_i", positive=True), sp.Symbol("t", real=True)
    short = replace(step, after=q * t**2 + sp.Order(t**order))
    assert short.check.holds(short, steps) == (order <= 4)  # q sin(t)^2 = q t^2 - q t^4 / 3 + ...


def test_matrices_written_out_are_those_of_numpy() -> None:
    case = Explicit(PERTURBATIONS["rotation"], [sp.Float(v) for v in (3.0, 1.1, 0.4)], 1)
    _, _, S, P, L, C, G, _ = matrices(K)
    written = case.matrix(2 * S * P * overlaps * e.T + L**-1 * G * C)
    values = {"t": 0.6, "z_1": 0.3, "z_3": -0.2}
    written = written.subs({symbol: values[symbol.name] for symbol in written.free_symbols})
    entries = np.array([3.0, 1.1 * np.cos(0.6), 0.4])
    expected = np.diag(entries)
    expected[:, 1] += 2 * entries * [0.3, 0.0, -0.2]
    np.testing.assert_allclose(np.array(written, dtype=float), expected, atol=1e-12)


def test_a_missing_step_is_noticed() -> None:
    derivation = derive("nbs", "scaling")
    for gone in ("X'Y", "tr Y'Y", "score", "loss"):
        number = next(at for at, step in enumerate(derivation.steps) if step.of == gone)
        steps = derivation.steps[:number] + derivation.steps[number + 1 :]
        with pytest.raises(DerivationError):
            replace(derivation, steps=steps).verify()


def test_results_that_the_steps_do_not_arrive_at_are_refused() -> None:
    derivation = derive("cka", "rotation")
    for changed in (
        {"result": 2 * derivation.result},
        {"expansion": derivation.expansion[:1]},
        {"ratio": 1 / derivation.ratio},
        {"ratio": None},
        {"correction": -derivation.correction},
    ):
        with pytest.raises(DerivationError, match="the steps arrive at|does not start"):
            replace(derivation, **changed).verify()


def test_the_rotation_of_procrustes_is_said_to_be_the_best() -> None:
    derivation = derive("procrustes_euclidean", "scaling")
    (user,) = [step for step in derivation.steps if ROTATED in step.assumptions]
    assert user.before == derivation.definition


def test_the_inverse_of_what_is_not_diagonal_is_no_word() -> None:
    with pytest.raises(TypeError, match="no product or sum"):
        polynomial(sp.MatrixSymbol("M", 3, 3) ** -1)


def test_assumptions_enter_where_they_are_used() -> None:
    derivation = derive("procrustes_angular", "rotation")
    assert any(
        "orthogonal to every PC" in str(assumption)
        for step in derivation.steps
        for assumption in step.assumptions
    )
    near = next(
        assumption
        for step in derivation.steps
        for assumption in step.assumptions
        if "90 degrees" in assumption.words
    )
    (user,) = [step for step in derivation.steps if near in step.assumptions]
    assert user.of == "loss"


def test_the_correction_is_what_random_directions_add() -> None:
    spectrum, n, t, index = np.array([2.0, 1.5, 1.0, 0.8, 0.5]), 40, 1.2, 0
    rng = RNG(3)
    U = orthonormal(rng, n, 5)
    X, s = U * np.sqrt(spectrum), np.sqrt(spectrum)
    others = spectrum.copy()
    others[index] = 0.0
    scores = []
    for _ in range(20_000):
        w = rng.normal(size=n)
        w -= w.mean()
        w -= U[:, index] * (U[:, index] @ w)
        w /= np.linalg.norm(w)
        z = U.T @ w
        z[index] = 0.0
        excess = spectrum[index] * np.sin(t) ** 2 * (others @ z**2)
        base = (spectrum**2).sum()
        cross = base - spectrum[index] ** 2 * np.sin(t) ** 2 + excess
        scores.append(cross / np.sqrt(base * (base + 2 * excess)))
    moved = U.copy()
    moved[:, index] = np.cos(t) * U[:, index] + np.sin(t) * w
    assert catalogue("cka", X, moved * s) == pytest.approx(scores[-1], abs=1e-10)
    derivation = derive("cka", "rotation")
    values = substituted(spectrum, index) | {"t": t, "n": n}
    gain = float(derivation.correction.subs({x: values[x.name] for x in derivation.correction.free_symbols}))
    seen = np.mean(scores) - predicted("cka", "rotation", spectrum, index, t)
    assert gain == pytest.approx(seen, rel=0.15)
    assert gain > 5 * np.std(scores) / np.sqrt(len(scores))


def test_fewer_pcs_than_units() -> None:
    spectrum = np.array([2.0, 1.0, 0.5])
    X, Y = pair("rotation", spectrum, 1, 0.8)
    wide = [np.column_stack([side, np.zeros((len(side), 2))]) for side in (X, Y)]
    computed = evaluate(derive("cca", "rotation"), spectrum, 0.8, index=1, units=5)
    assert computed == pytest.approx(catalogue("cca", *wide), abs=1e-10)
    rng = RNG(1)
    basis = orthonormal(rng, 20, 8)
    X = np.column_stack([basis[:, :3] * np.sqrt(spectrum), np.zeros((20, 2))])
    Y = X + np.sqrt(0.3) * basis[:, 3:]
    for subject in ("cka", "linreg", "procrustes_euclidean"):
        computed = evaluate(derive(subject, "noise_all"), spectrum, 0.3, penalty=PENALTY, units=5)
        assert computed == pytest.approx(catalogue(subject, X, Y), abs=1e-10)


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match="rsa"):
        derive("rsa", "rotation")
    with pytest.raises(InputError, match="tilting"):
        derive("cka", "tilting")
