"""Perturbations of data: what they keep, and that fewer rows change nothing."""

import numpy as np
import pytest
import torch

from simopt import measures
from simopt.errors import InputError
from simopt.measures import Reference
from simopt.theory.perturbations import Directions, check, mixture, perturb
from tests.theory.pairs import Exact

EXACT = Exact([4.0, 2.0, 1.0, 0.5, 0.1], units=7, samples=40)


@pytest.fixture
def directions():
    return Directions(Reference.of(EXACT.X + 3.0), (0, 5))


@pytest.mark.parametrize(("kind", "strength"), [("rotation", 50.0), ("scaling", 0.4), ("noise", 0.7)])
def test_one_pc_is_replaced_and_the_others_stay(directions, kind, strength):
    along, across = mixture(kind, strength)
    Y = perturb(directions, kind, strength, fewer_rows=False).of_pc(2)
    centered = Y - Y.mean(dim=1, keepdim=True)
    scores = centered @ EXACT.V
    for k in (0, 1, 3, 4):
        torch.testing.assert_close(scores[:, :, k], (EXACT.U * EXACT.S)[:, k].expand(2, -1))
    u = EXACT.U[:, 2]
    torch.testing.assert_close(scores[:, :, 2] @ u, (EXACT.S[2] * along).expand(2))
    size = EXACT.variances[2] * (along**2 + across**2)
    torch.testing.assert_close(scores[:, :, 2].square().sum(dim=1), size.expand(2))


def test_a_seed_draws_the_same_whatever_the_others_are(directions):
    alone = Directions(directions.reference, (5,))
    torch.testing.assert_close(alone.draw(1)[0], directions.draw(1)[1], rtol=0, atol=0)
    assert not torch.allclose(directions.draw(1)[0], directions.draw(1)[1])
    assert not torch.allclose(directions.draw(1)[0], directions.draw(2)[0])


@pytest.mark.parametrize("name", ["cka", "nbs", "procrustes_euclidean", "linreg", "ridge10", "cca"])
@pytest.mark.parametrize(("kind", "strength"), [("rotation", 50.0), ("scaling", 0.0), ("noise", 0.7)])
def test_fewer_rows_give_the_same_scores(directions, name, kind, strength):
    measure = measures.get(name)
    scores = []
    for fewer in (True, False):
        side = perturb(directions, kind, strength, fewer_rows=fewer)
        bound = measure.bind(side.reference)
        scores.append(torch.stack([bound(side.of_pc(i)) for i in range(5)]))
    assert side.of_pc(0).shape == (2, 40, 7)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-12, rtol=1e-12)


def test_fewer_rows_have_the_same_rank_where_no_other_direction_is_left():
    X = np.random.default_rng(0).standard_normal((6, 9))
    full = Directions(Reference.of(X), tuple(range(8)))
    assert len(full.values) == 5
    for fewer in (True, False):
        Y = perturb(full, "rotation", 90.0, fewer_rows=fewer).of_pc(0)
        values = torch.linalg.svdvals(Y - Y.mean(dim=1, keepdim=True))
        assert ((values > 1e-12 * values[:, :1]).sum(dim=1) == 4).all()


@pytest.mark.parametrize(("seeds", "message"), [((), "seeds is empty"), ((0, -1), "a seed is -1")])
def test_seeds_that_cannot_be_are_refused(seeds, message):
    with pytest.raises(InputError, match=message):
        Directions(Reference.of(EXACT.X), seeds)


def test_noise_on_all_has_the_variance_asked_for():
    reference = Reference.of(EXACT.X)
    noisy = perturb(Directions(reference, tuple(range(200))), "noise_all", 2.0, fewer_rows=False).of_pc(0)
    noise = noisy - noisy.mean(dim=1, keepdim=True) - EXACT.X
    ratio = float(noise.square().sum(dim=(1, 2)).mean() / EXACT.variances.sum())
    assert ratio == pytest.approx(4, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "strength", "message"),
    [("turn", 1.0, "perturbation"), ("rotation", 181.0, "180"), ("scaling", -1.0, "at least 0")],
)
def test_what_cannot_be_is_refused(kind, strength, message):
    with pytest.raises(InputError, match=message):
        check(kind, strength)


def test_quarter_turns_are_exact():
    assert [mixture("rotation", angle) for angle in (0, 90, 180)] == [(1, 0), (0, 1), (-1, 0)]
