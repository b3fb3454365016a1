"""Bounds between measures: attacked at random and along gradients, and met where they are sharp."""

import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simopt import measures
from simopt.errors import InputError
from simopt.theory import bounds
from simopt.theory.bounds import frontier, subspace
from simopt.theory.bounds.setting import Setting
from tests.theory import exact

SCRIPT = Path(__file__).parents[2] / "scripts" / "attack_bounds.py"
ROUNDING = 1e-11
SHARE = np.array([0.5, 0.25, 0.15, 0.1])
SAMPLES = 20


def load_attack():
    spec = importlib.util.spec_from_file_location("attack_bounds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["attack_bounds"] = module
    spec.loader.exec_module(module)
    return module


attack = load_attack()


def centered_frame(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Orthonormal columns (n, n - 1), all orthogonal to the constant."""
    columns = np.column_stack([np.ones(samples), rng.standard_normal((samples, samples - 1))])
    return np.linalg.qr(columns)[0][:, 1:]


def catalogue(
    names: tuple[str, ...], share: np.ndarray, Y: np.ndarray, rng: np.random.Generator
) -> list[float]:
    """Scores by the measures of the catalogue for X = diag(sqrt(p)) and Y (n - 1, q) in a random frame."""
    frame = centered_frame(rng, len(Y) + 1)
    x = 3 * frame[:, : len(share)] * np.sqrt(share) + 1
    return [measures.score(x, frame @ Y - 2, name) for name in names]


def diagonal(values: np.ndarray, samples: int = SAMPLES, first: int = 0) -> np.ndarray:
    out = np.zeros((samples - 1, len(values)))
    out[range(first, first + len(values)), range(len(values))] = values
    return out


def setting(units: int = 6, share: np.ndarray = SHARE, samples: int = SAMPLES) -> Setting:
    return Setting.of(share, samples=samples, units=units)


def held(tallies: dict) -> None:
    for name, tally in tallies.items():
        if name != attack.FALSE:
            assert tally.worst < ROUNDING, f"{name}: broken by {tally.worst}"
            assert tally.tried > 0


def test_scores_of_the_attack_are_those_of_the_catalogue(rng: np.random.Generator) -> None:
    names = ("cka", "nbs", "linreg", "cca")
    for units in (2, 7):
        Y = rng.standard_normal((SAMPLES - 1, units))
        scores = attack.scores(torch.from_numpy(SHARE), torch.from_numpy(Y)[None])
        expected = catalogue(names, SHARE, Y, rng)
        np.testing.assert_allclose([float(scores[name]) for name in names], expected, atol=1e-12)


def test_no_bound_breaks_in_2000_pairs_and_the_false_one_does(rng: np.random.Generator) -> None:
    tallies = attack.random_attack(2000, rng)
    held(tallies)
    assert all(tally.tried == 2000 for tally in tallies.values())
    assert tallies[attack.FALSE].worst > 0.01


def test_no_bound_breaks_under_gradients_and_the_false_one_does() -> None:
    held(attack.gradient_attack(1, 10, 0, ["cka -> nbs, lower", "cka -> nbs, upper"]))
    tallies = attack.gradient_attack(3, 20, 0, ["super_fidelity", attack.FALSE])
    held(tallies)
    assert tallies[attack.FALSE].worst > 0.05


@pytest.mark.slow
def test_no_bound_breaks_in_100000_pairs(rng: np.random.Generator) -> None:
    held(attack.random_attack(100_000, rng))


@pytest.mark.slow
def test_no_bound_breaks_under_many_gradients() -> None:
    held(attack.gradient_attack(8, 150, 1))


def test_a_wrong_bound_is_found_broken(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    true = frontier.nbs_upper
    monkeypatch.setattr(frontier, "nbs_upper", lambda setting, cka: 0.98 * true(setting, cka))
    assert attack.random_attack(500, rng)["cka -> nbs, upper"].worst > 1e-3


def test_participation_ratio_is_no_rank(rng: np.random.Generator) -> None:
    e, tail = 0.1, 50
    share = np.array([1 - e, *[e / tail] * tail])
    Y = diagonal(np.ones(tail), samples=tail + 5, first=1)
    cka, nbs = catalogue(("cka", "nbs"), share, Y, rng)
    x_ratio, y_ratio = 1 / (share**2).sum(), float(tail)
    assert nbs**2 == pytest.approx(e, abs=1e-12)
    assert cka == pytest.approx(e / np.sqrt(tail * (1 - e) ** 2 + e**2), abs=1e-12)
    assert nbs**2 > 5 * attack.participation(cka, x_ratio, y_ratio)
    low, high = attack.ranks(cka, x_ratio, y_ratio, tail)
    assert low <= nbs**2
    assert nbs**2 == pytest.approx(high, abs=1e-12)  # all mu equal: sharp


def test_fidelity_bounds_meet_for_two_pcs(rng: np.random.Generator) -> None:
    share = np.array([0.7, 0.3])
    Y = np.vstack([rng.standard_normal((2, 2)), np.zeros((SAMPLES - 3, 2))])
    cka, nbs = catalogue(("cka", "nbs"), share, Y, rng)
    spectrum = np.linalg.svd(Y, compute_uv=False) ** 2
    ratios = 1 / (share**2).sum(), spectrum.sum() ** 2 / (spectrum**2).sum()
    rho, sigma = np.diag(share), Y[:2] @ Y[:2].T / spectrum.sum()
    assert attack.overlap(cka, *ratios) == pytest.approx(np.trace(rho @ sigma), abs=1e-12)
    fourth = np.trace(rho @ sigma @ rho @ sigma)
    assert attack.super_fidelity(cka, *ratios) == pytest.approx(nbs**2, abs=1e-12)
    assert attack.sub_fidelity(cka, *ratios, fourth) == pytest.approx(nbs**2, abs=1e-12)


@pytest.mark.parametrize("units", [1, 2, 3, 6])
def test_the_highest_scores_are_reached_by_the_first_pcs(units: int, rng: np.random.Generator) -> None:
    names = ("cka", "nbs", "linreg", "cca")
    reached = catalogue(names, SHARE, diagonal(np.sqrt(SHARE)[:units]), rng)
    most = bounds.limits(setting(min(units, 4)))
    np.testing.assert_allclose(reached, [most[name] for name in names], atol=1e-12)


def test_linreg_bounds_are_met(rng: np.random.Generator) -> None:
    """Y on the first PCs and a part of one more: YY' = PX X'P for NBS, PKP for CKA."""
    part = 0.4
    direction = np.zeros(SAMPLES - 1)
    direction[[2, 10]] = np.sqrt([part, 1 - part])
    basis = np.column_stack([diagonal(np.ones(2)), direction])
    projected = basis.T[:, :4] * np.sqrt(SHARE)
    linreg, nbs = catalogue(("linreg", "nbs"), SHARE, basis @ projected, rng)
    assert linreg == pytest.approx(0.75 + part * SHARE[2], abs=1e-12)
    assert nbs == pytest.approx(subspace.nbs_under_linreg(linreg), abs=1e-12)
    inner = basis @ np.diag(np.sqrt(np.linalg.eigvalsh(projected @ projected.T)[::-1]))
    linreg, cka = catalogue(("linreg", "cka"), SHARE, inner, rng)
    assert cka == pytest.approx(subspace.cka_under_linreg(setting(), linreg), abs=1e-12)
    assert subspace.linreg_over_cka(setting(), cka) == pytest.approx(linreg, abs=1e-12)


def test_linreg_of_narrow_y_forces_cka_and_nbs(rng: np.random.Generator) -> None:
    Y = diagonal(np.array([1e-7, 1e-7, 1.0]))
    linreg, nbs, cka = catalogue(("linreg", "nbs", "cka"), SHARE, Y, rng)
    low = subspace.lowest_variance(setting(3), linreg)
    assert low == pytest.approx(SHARE[2], abs=1e-12)
    assert nbs**2 == pytest.approx(low, abs=1e-6)
    assert cka == pytest.approx(low / setting().norm, abs=1e-6)


def test_cca_bounds_are_met(rng: np.random.Generator) -> None:
    """Y a direction for each PC, at canonical correlation rho_j to it and to no other."""
    units = 3
    most = np.array([1.0, 1.0, 0.3, 0.0])
    least = np.array([0.0, 0.4, 0.4 / (0.15 / 0.25), 0.4 / (0.1 / 0.25)])
    for rho, limit in ((most, subspace.linreg_upper), (least, subspace.linreg_lower)):
        Y = diagonal(rho) + diagonal(np.sqrt(1 - rho**2), first=10)
        Y = Y[:, rho > 0]
        cca, linreg = catalogue(("cca", "linreg"), SHARE, Y, rng)
        assert cca * units == pytest.approx(rho.sum(), abs=1e-12)
        assert limit(setting(units), np.array(cca * units)) == pytest.approx(linreg, abs=1e-12)


def test_lowest_linreg_of_a_cca_is_that_of_scipy() -> None:
    from scipy.optimize import minimize

    for units, total in itertools.product((2, 4), (0.3, 1.4, 1.95)):
        p = SHARE[::-1][:units]
        solution = minimize(
            lambda rho, p=p: p @ rho**2,
            np.full(units, total / units),
            bounds=[(0, 1)] * units,
            constraints={"type": "eq", "fun": lambda rho, total=total: rho.sum() - total},
            options={"ftol": 1e-14},
        )
        assert subspace.linreg_lower(setting(units), np.array(total)) == pytest.approx(solution.fun, abs=1e-7)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_one_pc_is_exact(rank: int, rng: np.random.Generator) -> None:
    """sigma = b on X's direction, or turned away from it, and flat on the others."""
    one = np.array([1.0])
    for weight in (1 / rank, 0.6, 0.9):
        rest = np.full(rank - 1, np.sqrt((1 - weight) / max(rank - 1, 1)))
        cka, nbs = catalogue(("cka", "nbs"), one, diagonal(np.append(np.sqrt(weight), rest)), rng)
        low, high = exact.one_component(np.array(cka), rank)
        assert nbs == pytest.approx(low, abs=1e-12)
        chosen = setting(rank, one)
        assert frontier.nbs_lower(chosen, np.array(cka)) == pytest.approx(low, abs=1e-12)
        assert frontier.nbs_upper(chosen, np.array(cka)) == pytest.approx(high, abs=1e-12)
    assert exact.one_component(np.array(0.0), rank) == (0, 0)
    turned = diagonal(np.array([0.6])) + diagonal(np.array([0.8]), first=3)
    cka, nbs = catalogue(("cka", "nbs"), one, turned, rng)
    assert nbs == pytest.approx(exact.one_component(np.array(cka), rank)[1], abs=1e-12)


@pytest.mark.parametrize("larger", [0.55, 0.75, 0.95])
def test_two_pcs_are_exact(larger: float) -> None:
    """All Y in the plane, on a fine grid of the spectrum and direction of sigma."""
    m, angle = np.meshgrid(np.linspace(0, 0.999, 401), np.linspace(0, np.pi, 801))
    overlap = (1 + (2 * larger - 1) * m * np.cos(angle)) / 2
    cka = overlap / np.sqrt((larger**2 + (1 - larger) ** 2) * (1 + m**2) / 2)
    nbs = np.sqrt(overlap + np.sqrt(larger * (1 - larger) * (1 - m**2)))
    low, high = exact.two_components(cka, larger)
    assert np.nanmax(low - nbs) < 1e-9
    assert np.nanmax(nbs - high) < 1e-9
    for level in np.linspace(cka.min() + 0.02, 0.98, 9):
        near = nbs[np.abs(cka - level) < 0.003]
        low, high = exact.two_components(np.array(level), larger)
        assert near.min() - low < 0.02
        assert high - near.max() < 0.02
        assert frontier.nbs_upper(setting(2, [larger, 1 - larger]), np.array(level)) >= high - 1e-12


def test_pinching_is_not_the_frontier() -> None:
    """Two PCs: the best Y lies off X's PCs, and no Y on them has its NBS at its CKA or a lower one."""
    larger, level = 0.95, 0.87
    _, high = exact.two_components(np.array(level), larger)
    b = np.linspace(0, 1, 100_001)
    share = np.array([larger, 1 - larger])
    cka = (share[0] * b + share[1] * (1 - b)) / np.sqrt((share**2).sum() * (b**2 + (1 - b) ** 2))
    nbs = np.sqrt(share[0] * b) + np.sqrt(share[1] * (1 - b))
    assert high > nbs[cka <= level].max() + 0.02


def test_cka_to_nbs_is_met_at_small_cka(rng: np.random.Generator) -> None:
    """A flat sigma of which one direction is partly the first PC: nbs^2 = cka ||rho|| / sqrt(r)."""
    units = 5
    Y = diagonal(np.ones(units), first=5)
    Y[:, 0] = 0
    Y[[0, 5], 0] = np.sqrt([0.8, 0.2])
    cka, nbs = catalogue(("cka", "nbs"), SHARE, Y, rng)
    assert frontier.nbs_lower(setting(units), np.array(cka)) == pytest.approx(nbs, abs=1e-12)


def test_nbs_limit_keeps_its_digits_at_vanishing_cka() -> None:
    """nbs^2 <= rank cka ||rho|| there, met by equal mu on all PCs; found broken by the attack at m = 1."""
    chosen = setting(4, np.array([1 - 3e-5, 1e-5, 1e-5, 1e-5]))
    cka = np.array([7e-12, 1e-9])
    np.testing.assert_allclose(frontier.nbs_upper(chosen, cka) ** 2, 4 * cka * chosen.norm, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.floats(1e-6, 1), min_size=1, max_size=12),
    units=st.integers(1, 14),
    pair=st.sampled_from([("cka", "nbs"), ("cka", "linreg"), ("nbs", "linreg"), ("cca", "linreg")]),
)
def test_limits_rise_and_invert(values: list[float], units: int, pair: tuple[str, str]) -> None:
    a, b = pair
    chosen = Setting.of(values, samples=30, units=units)
    there, back = (
        next(bound for bound in bounds.bounds(chosen) if (bound.given, bound.implied) == (x, y))
        for x, y in ((a, b), (b, a))
    )
    most = bounds.limits(chosen)
    levels = np.linspace(0, most[a], 41)
    for curve in (there.lower, there.upper):
        assert (np.diff(curve(levels)) >= -1e-12).all()
    inner = levels[1:-1]
    reached = there.lower(inner)
    kept = reached > 1e-6
    assert (back.upper(reached)[kept] >= inner[kept] - 1e-9).all()
    reached = there.upper(inner)
    kept = reached < most[b] - 1e-6
    assert (back.lower(reached)[kept] <= inner[kept] + 1e-9).all()


def test_forms_follow_from_cka_and_nbs(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((SAMPLES, 4)), rng.standard_normal((SAMPLES, 6))
    scores = {name: measures.score(x, y, name) for name in bounds.measures()}
    for name, score in scores.items():
        relation = bounds.relation(name)
        assert relation.forward(np.array(scores[relation.measure])) == pytest.approx(score, abs=1e-12)
        assert relation.inverse(np.array(score)) == pytest.approx(scores[relation.measure], abs=1e-12)


def test_between_any_two_measures_holds_the_pair(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((SAMPLES, 4)), rng.standard_normal((SAMPLES, 6))
    y[:, :4] += x
    spectrum = np.linalg.eigvalsh(np.cov(x.T))
    scores = {name: measures.score(x, y, name) for name in bounds.measures()}
    for a, b in itertools.product(scores, repeat=2):
        limits = bounds.between(a, b, spectrum, samples=SAMPLES, units=6, levels=[scores[a]])
        assert limits.lower[0] - 1e-9 <= scores[b] <= limits.upper[0] + 1e-9, (a, b)


def test_between_follows_a_distance_downwards() -> None:
    levels = np.array([0.5, 0.9])
    limits = bounds.between("cka", "procrustes_angle", SHARE, samples=SAMPLES, units=6, levels=levels)
    nbs = bounds.between("cka", "nbs", SHARE, samples=SAMPLES, units=6, levels=levels)
    np.testing.assert_allclose(limits.lower, np.arccos(nbs.upper), atol=1e-12)
    np.testing.assert_allclose(limits.upper, np.arccos(nbs.lower), atol=1e-12)


def test_between_says_where_no_y_reaches() -> None:
    limits = bounds.between("cka", "nbs", SHARE, samples=SAMPLES, units=1, levels=[0.5, 0.99])
    np.testing.assert_array_equal(np.isnan(limits.lower), [False, True])
    np.testing.assert_array_equal(np.isnan(limits.upper), [False, True])
    assert limits.lower[0] == pytest.approx(limits.upper[0], abs=1e-12)  # one unit: nbs^2 = cka ||rho||
    assert limits.lower[0] ** 2 == pytest.approx(0.5 * setting().norm, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("procrustes_angular", 1.5),
        ("procrustes_angle", -0.5),
        ("procrustes_angle", 6.0),
        ("procrustes_normalized", -0.5),
        ("nbs_squared", -0.1),
    ],
)
def test_between_knows_the_range_of_a_form(name: str, level: float) -> None:
    relation = bounds.relation(name)
    best = float(relation.forward(np.array(1.0)))
    limits = bounds.between(name, "cka", SHARE, samples=SAMPLES, units=6, levels=[level, best])
    np.testing.assert_array_equal(np.isnan(limits.lower), [True, False])
    assert limits.upper[1] == pytest.approx(1)


def test_cca_counts_the_units_of_x(rng: np.random.Generator) -> None:
    x = rng.standard_normal((SAMPLES, 3)) @ rng.standard_normal((3, 5))
    spectrum = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[:3] ** 2
    cca = measures.score(x, x, "cca")
    assert bounds.limits(Setting.of(spectrum, samples=SAMPLES, units=5, x_units=5))["cca"] == pytest.approx(
        cca
    )


@pytest.mark.parametrize(
    ("spectrum", "options", "message"),
    [
        ([1, -1], {}, "none negative"),
        ([0, 0], {}, "not all zero"),
        ([np.nan, 1], {}, "finite"),
        ([1] * 9, {"samples": 9}, "at most 8"),
        ([1] * 9, {"x_units": 4}, "at most 4"),
        ([1], {"units": 0}, "units"),
    ],
)
def test_refuses_a_spectrum_that_cannot_be(spectrum: list, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Setting.of(spectrum, **{"samples": SAMPLES, "units": 3, **options})


def test_refuses_a_measure_without_bounds() -> None:
    with pytest.raises(InputError, match="cka_rbf"):
        bounds.between("cka", "cka_rbf", SHARE, samples=SAMPLES, units=3, levels=[0.5])
