"""Fewer rows hold all that Y can be."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.measures import Reference
from simopt.ranges import starts
from simopt.ranges.space import Space

NAMES = ["cka", "nbs", "linreg", "ridge100", "cca"]


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_the_same_in_fewer_rows(name: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 6)) @ rng.standard_normal((6, 8)) * 3 + 1
    Y0 = torch.from_numpy(rng.standard_normal((60, 4)) + 2)
    measure = measures.get(name)
    space = Space(Reference.of(X), Y0, [measure])
    assert space.fewer
    Y = space.reduce(torch.stack([Y0, Y0 + torch.from_numpy(X[:, :4])]))
    assert Y.shape == (2, 11, 4)
    expected = measure.bind(X)(torch.stack([Y0, Y0 + torch.from_numpy(X[:, :4])]))
    torch.testing.assert_close(measure.bind(space.reference)(Y), expected)
    torch.testing.assert_close(measure.bind(X)(space.expand(Y)), expected)
    torch.testing.assert_close(Y.mean(dim=-2), torch.zeros(2, 4, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("samples", "units"), [(60, 4), (8, 4), (7, 9), (5, 3)])
def test_structures_have_the_scores_of_their_diagonals(
    samples: int, units: int, rng: np.random.Generator
) -> None:
    """CKA and NBS of a diagonal Y are known from its amplitudes, whatever rows there are."""
    X = rng.standard_normal((samples, 4)) * [3, 2, 1, 0.5]
    reference = Reference.of(X)
    ms = [measures.get("cka"), measures.get("nbs")]
    space = Space(reference, torch.from_numpy(rng.standard_normal((samples, units))), ms)
    amplitude = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[: len(space.amplitude)]
    chosen = starts.structures(len(amplitude), units, space.outside)
    assert len(set(chosen)) == len(chosen)
    scores = starts.scored(space, [m.bind(space.reference) for m in ms], chosen, units, 0)
    for structure, (cka, nbs) in zip(chosen, scores.tolist(), strict=True):
        if structure.noise == "mixed":
            continue
        kept = slice(structure.first, structure.last)
        a = amplitude[kept] ** structure.exponent
        a = a / (np.linalg.norm(a) or 1)
        columns = {"none": 0, "one": 1, "beside": space.outside, "spread": space.outside}[structure.noise]
        noisy = np.arange(len(a) if structure.noise == "beside" else 0, columns)
        power = np.zeros(units)
        power[: len(a)] = a**2
        power[noisy] += structure.power / max(len(noisy), 1)
        cross = amplitude[kept] * a
        assert nbs == pytest.approx(cross.sum() / np.linalg.norm(amplitude) / np.sqrt(power.sum()), abs=1e-7)
        norms = np.linalg.norm(amplitude**2) * np.linalg.norm(power)
        assert cka == pytest.approx((cross**2).sum() / norms)


def test_noise_alone_is_outside_of_x(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 4))
    space = Space(Reference.of(X), torch.from_numpy(rng.standard_normal((30, 4))), [measures.get("cka")])
    alone = starts.structures(4, 4, 4)[0]
    Y = space.expand(starts.build(space, alone, 4, 0))
    torch.testing.assert_close(
        torch.from_numpy(X - X.mean(axis=0)).T @ Y, torch.zeros(4, 4, dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert float(torch.linalg.matrix_norm(Y)) == pytest.approx(np.linalg.norm(X - X.mean(axis=0)))


def test_between_levels_problems_stand_where_the_boundary_bends() -> None:
    """A steep end gets levels of the other measure, closer together towards the end; a distance falls."""
    levels = np.linspace(0, 1, 6)
    lower = np.array([0, 0.02, 0.04, 0.06, 0.1, 1.0])
    upper = np.array([0.9, 0.92, np.nan, 0.95, 0.98, 1.0])
    found = starts.between(levels, np.column_stack([lower, upper]), 3)
    across = [each for each in found if each.across]
    assert {(each.side, each.direction, each.begin) for each in across} == {(0, 1.0, 4)}
    heights = np.array([0.1, *(each.level for each in across), 1.0])
    assert len(across) > 10
    assert (np.diff(heights, 2) < 0).all()
    along = [each for each in found if not each.across]
    assert len(along) == 2 * 5 * 3
    assert all(each.direction == 2 * each.side - 1 for each in along)
    unknown = [each.begin for each in along if each.side == 1 and 0.2 < each.level < 0.6]
    assert set(unknown) == {1, 3}
    falling = starts.between(levels, 1 - np.column_stack([upper, lower]), 3)
    assert {(each.side, each.direction, each.begin) for each in falling if each.across} == {(1, 1.0, 4)}
    nothing = starts.between(levels, np.full((6, 2), np.nan), 1)
    assert {each.begin for each in nothing} == {None}
