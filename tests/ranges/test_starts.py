"""Structures to start from, and problems between levels."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.measures import Reference
from simopt.optimization.span import Span, rows_suffice
from simopt.ranges import starts


@pytest.mark.parametrize(("samples", "units"), [(60, 4), (8, 4), (7, 9), (5, 3)])
def test_structures_have_the_scores_of_their_diagonals(
    samples: int, units: int, rng: np.random.Generator
) -> None:
    """CKA and NBS of a diagonal Y are known from its amplitudes, whatever rows there are."""
    X = rng.standard_normal((samples, 4)) * [3, 2, 1, 0.5]
    reference = Reference.of(X)
    pair = [measures.get("cka"), measures.get("nbs")]
    Y0 = torch.from_numpy(rng.standard_normal((samples, units)))
    span = Span(reference, Y0, rows_suffice(reference, units, pair))
    assert span.fewer == (samples == 60)
    amplitude = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[: len(span.amplitude)]
    built = starts.Structures(span, [measure.bind(span.reference) for measure in pair], units, 0)
    assert len(set(built.structures)) == len(built.structures)
    for structure, (cka, nbs) in zip(built.structures, built.scores.tolist(), strict=True):
        if structure.noise == "mixed":
            continue
        kept = slice(structure.first, structure.last)
        a = amplitude[kept] ** structure.exponent
        a = a / (np.linalg.norm(a) or 1)
        columns = {"none": 0, "one": 1, "beside": span.outside, "spread": span.outside}[structure.noise]
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
    Y0 = rng.standard_normal((30, 4))
    span = Span(Reference.of(X), torch.from_numpy(Y0 - Y0.mean(axis=0)))
    pair = [measures.get(name).bind(span.reference) for name in ("cka", "nbs")]
    built = starts.Structures(span, pair, 4, 0)
    Y = span.expand(built.build(built.structures[0]))
    torch.testing.assert_close(
        torch.from_numpy(X - X.mean(axis=0)).T @ Y, torch.zeros(4, 4, dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert float(torch.linalg.matrix_norm(Y)) == pytest.approx(np.linalg.norm(X - X.mean(axis=0)))


def test_between_levels_problems_stand_where_the_boundary_bends() -> None:
    """A steep end gets levels of the other measure, closer together towards the end; a distance falls."""
    levels = np.linspace(0, 1, 6)
    lower = np.array([0, 0.02, 0.04, 0.06, 0.1, 1.0])
    upper = np.array([0.9, 0.92, np.nan, 0.95, 0.98, 1.0])
    problems = starts.between(levels, np.column_stack([lower, upper]), 3)
    across = [problem for problem in problems if problem.constrained == 1]
    assert {(problem.side, problem.direction, problem.begin) for problem in across} == {(0, 1.0, 4)}
    heights = np.array([0.1, *(problem.level for problem in across), 1.0])
    assert len(across) > 10
    assert (np.diff(heights, 2) < 0).all()
    along = [problem for problem in problems if problem.constrained == 0]
    assert len(along) == 2 * 5 * 3
    assert all(problem.direction == 2 * problem.side - 1 for problem in along)
    unknown = [problem.begin for problem in along if problem.side == 1 and 0.2 < problem.level < 0.6]
    assert set(unknown) == {1, 3}
    falling = starts.between(levels, 1 - np.column_stack([upper, lower]), 3)
    assert {
        (problem.side, problem.direction, problem.begin) for problem in falling if problem.constrained == 1
    } == {(1, 1.0, 4)}
    nothing = starts.between(levels, np.full((6, 2), np.nan), 1)
    assert {problem.begin for problem in nothing} == {None}


def test_starts_are_near_the_level_and_on_the_side_that_is_sought(rng: np.random.Generator) -> None:
    reference = Reference.of(rng.standard_normal((60, 4)) * [3, 2, 1, 0.5])
    span = Span(reference, torch.from_numpy(rng.standard_normal((60, 4))))
    pair = [measures.get(name).bind(span.reference) for name in ("cka", "nbs")]
    built = starts.Structures(span, pair, 4, 0)

    def scores(direction: float) -> np.ndarray:
        Y = torch.stack(built.choose(0.6, direction, 3))
        return np.column_stack([bound(Y) for bound in pair])

    least, largest = scores(-1), scores(1)
    np.testing.assert_array_equal(least[0], largest[0])
    assert np.abs(least[:, 0] - 0.6).max() < 0.2
    assert np.abs(largest[:, 0] - 0.6).max() < 0.2
    assert least[1:, 1].max() < largest[1:, 1].min()
