"""What may be exchanged: orders that keep what is declared, signs that keep every frequency, or nothing."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import lfilter

from simopt.analysis.exchange import Exchange, choose
from simopt.rows import Rows

SIGNS = "frequency components of Y along the samples, with random signs and unchanged sizes"
X = np.random.default_rng(7).standard_normal((60, 3))


def rows(count: int = 60) -> np.ndarray:
    """Data whose values tell every sample from the others."""
    return np.arange(count, dtype=float)[:, None] * [1.0, 1000.0]


def drawn(exchange: Exchange, Y: np.ndarray, count: int = 20) -> list[np.ndarray]:
    return list(exchange.draws(Y, count, np.random.default_rng(1)))


def moved(exchange: Exchange, count: int = 20) -> list[np.ndarray]:
    """The former place of each sample, in each draw."""
    return [draw[:, 0].astype(int) for draw in drawn(exchange, rows(), count)]


def test_independent_samples_are_put_into_any_order() -> None:
    exchange = choose(X, rows())
    assert exchange.kind == "independent"
    for order in moved(exchange):
        np.testing.assert_array_equal(np.sort(order), np.arange(60))


@pytest.mark.parametrize("group", [np.arange(60) // 4, np.arange(60) % 15])
def test_groups_move_whole_whether_together_or_interleaved(group: np.ndarray) -> None:
    exchange = choose(X, rows(), Rows.of(60, group))
    assert (exchange.kind, exchange.null) == ("groups", "groups exchanged")
    for order in moved(exchange):
        np.testing.assert_array_equal(np.sort(order), np.arange(60))
        for members in (np.flatnonzero(group == one) for one in range(15)):
            assert len(set(group[order[members]])) == 1
            assert (np.diff(order[members]) > 0).all()  # the first to the first, the second to the second


def test_samples_and_groups_stay_within_their_blocks() -> None:
    block = np.arange(60) % 3
    for order in moved(choose(X, rows(), Rows.of(60, blocks=block))):
        np.testing.assert_array_equal(block[order], block)
    group = np.arange(60) // 2
    nested = choose(X, rows(), Rows.of(60, group, np.arange(60) // 20))
    for order in moved(nested):
        np.testing.assert_array_equal(order // 20, np.arange(60) // 20)
        np.testing.assert_array_equal(group[order[::2]], group[order[1::2]])
    # Each image once in each session: images change places, and every sample stays in its session.
    image, session = np.tile(np.arange(15), 4), np.repeat(np.arange(4), 15)
    for order in moved(choose(X, rows(), Rows.of(60, image, session))):
        np.testing.assert_array_equal(session[order], session)
        assert len({tuple(image[order[image == one]]) for one in range(15)}) == 15


def test_conditions_move_with_all_their_times() -> None:
    exchange = choose(X, rows(), conditions=15)
    assert exchange.kind == "conditions"
    for order in moved(exchange):
        by_time = order.reshape(4, 15)
        np.testing.assert_array_equal(by_time - 15 * np.arange(4)[:, None], np.tile(by_time[0], (4, 1)))
    assert choose(X, rows(), Rows.of(60, np.tile(np.arange(15), 4)), conditions=15).kind == "conditions"
    sides = np.tile(np.arange(15) % 3, 4)
    assert choose(X, rows(), Rows.of(60, sides), conditions=15).null is None  # 3 sides, 6 orders


def test_groups_of_unequal_size_move_among_their_own_size_if_there_are_five_of_each() -> None:
    group = np.repeat(np.arange(25), np.tile([2, 2, 2, 3, 3], 5))
    size = np.bincount(group)[group]
    for order in moved(choose(X, rows(), Rows.of(60, group))):
        np.testing.assert_array_equal(size[order], size)
    uneven = np.repeat(np.arange(25), [*[2] * 22, 5, 5, 6])
    exchange = choose(X, rows(), Rows.of(60, uneven))
    assert exchange.null == "means of groups exchanged"
    place = np.concatenate([np.arange(size) for size in np.bincount(uneven)])
    course = np.array([rows()[place == one].mean(axis=0) for one in range(6)])[place]

    def means(data: np.ndarray) -> np.ndarray:
        return np.array([(data - course)[uneven == one].mean(axis=0) for one in range(25)])

    for draw in drawn(exchange, rows()):
        assert sorted(means(draw)[:, 0].round(9)) == sorted(means(rows())[:, 0].round(9))
        np.testing.assert_allclose(
            draw - means(draw)[uneven], rows() - means(rows())[uneven], atol=1e-9
        )  # every sample keeps its deviation


def test_trials_of_unequal_length_with_one_course_are_exchanged_without_it() -> None:
    """The mean of a decaying response tells the length of the trial, which both sides share."""
    length = np.random.default_rng(5).integers(5, 30, 20)
    trial = np.repeat(np.arange(20), length)
    decay = np.exp(-np.concatenate([np.arange(size) for size in length]) / 5)[:, None]
    high = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X, Y = (3 * decay * rng.standard_normal(5) + rng.standard_normal((20, 5))[trial] for _ in range(2))
        exchange = choose(X, Y, Rows.of(len(trial), trial))
        scores = [np.square((X - X.mean(axis=0)).T @ draw).sum() for draw in [Y, *exchange.draws(Y, 19, rng)]]
        high += scores[0] == max(scores)
    assert high <= 6  # of 40, with a true rate of 5 %: more in 1 % of such tests


def test_groups_that_can_only_be_exchanged_across_blocks_have_no_null() -> None:
    group = np.repeat(np.arange(12), [*[4] * 10, 8, 12])
    exchange = choose(X, rows(), Rows.of(60, group, np.arange(60) % 7))
    assert exchange.null is None
    assert "several blocks" in exchange.why


def test_a_group_in_two_blocks_leaves_the_blocks_of_the_others() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(200) // 4
    block = np.where(np.arange(200) < 102, 0, 1)  # the 26th group lies in both
    offset = 20 * rng.standard_normal((2, 5))[block]
    sides = [offset + rng.standard_normal((50, 5))[group] for _ in range(2)]
    exchange = choose(*sides, Rows.of(200, group, block))
    assert exchange.null == "groups within blocks exchanged"
    for draw in drawn(exchange, sides[1]):
        np.testing.assert_array_equal(np.sort(draw[:100], axis=0), np.sort(sides[1][:100], axis=0))


def test_it_says_whether_blocks_restrict_groups() -> None:
    image, session = np.tile(np.arange(15), 4), np.repeat(np.arange(4), 15)
    whole, spanning = (choose(X, rows(), Rows.of(60, image, block)) for block in (None, session))
    assert (whole.null, spanning.null) == ("groups exchanged", "groups exchanged")
    assert spanning.why == f"{whole.why}; blocks rule out no order, as all groups lie in each"
    for one, other in zip(moved(whole), moved(spanning), strict=True):
        np.testing.assert_array_equal(one, other)
    apart = choose(X, rows(), Rows.of(60, image, image % 3))
    assert (apart.null, apart.why) == ("groups within blocks exchanged", whole.why)
    three = choose(X, rows(), Rows.of(60, blocks=np.tile(np.arange(15) % 3, 4)), conditions=15)
    assert three.null == "conditions within blocks exchanged"


def test_groups_of_two_sizes_have_the_frequencies_of_their_means() -> None:
    group = np.repeat(np.arange(60), np.tile([3, 4], 30))
    sides = (series(0.7)(np.random.default_rng(seed), 60)[group] for seed in range(2))
    exchange = choose(*sides, Rows.of(210, group))
    assert exchange.null == SIGNS.replace("the samples", "the means of groups")


def test_few_exchanges_are_all_made_once_and_too_few_none() -> None:
    orders = moved(choose(X, rows(), conditions=5), count=3)
    assert len({tuple(order) for order in orders}) == len(orders) == 119
    few = choose(X, rows(), conditions=3)
    assert (few.null, drawn(few, rows())) == (None, [])
    assert "6 orders are possible for" in few.why
    two_blocks = choose(X[:6], rows(6), Rows.of(6, blocks=[0, 0, 0, 1, 1, 1]))
    assert len(drawn(two_blocks, rows(6))) == 3 * 2 * 3 * 2 - 1


def series(a: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, n: lfilter([1], [1, -a], rng.standard_normal((n + 200, 10)), axis=0)[200:]


def test_few_signs_are_all_taken_once() -> None:
    """Ten samples have a mean, three slow changes, and six other frequencies: 2^6 signs, one the present."""
    one, other = np.random.default_rng(0).standard_normal((2, 10, 8))
    exchange = choose(one, other, Rows(order="time"))
    assert exchange.complete
    assert exchange.null == SIGNS
    draws = [draw.round(9).tobytes() for draw in exchange.draws(other, 5, np.random.default_rng(1))]
    assert len(draws) == len({*draws, other.round(9).tobytes()}) - 1 == 63


def test_signs_of_frequencies_keep_slow_changes_and_what_the_data_are() -> None:
    rng = np.random.default_rng(0)
    one, other = series(0.7)(rng, 150), series(0.7)(rng, 150) + 3
    exchange = choose(one, other)
    assert (exchange.kind, exchange.null) == ("time", SIGNS)
    draws = drawn(exchange, other)
    for draw in draws:
        np.testing.assert_allclose(draw.mean(axis=0), other.mean(axis=0), atol=1e-10)
        slow = np.vander(np.arange(150) / 150, 4)
        np.testing.assert_allclose(slow.T @ draw, slow.T @ other, atol=1e-8)
        neighbors = (draw[1:] * draw[:-1]).sum() / np.square(draw).sum()
        assert neighbors == pytest.approx((other[1:] * other[:-1]).sum() / np.square(other).sum(), abs=0.05)
    # Slow changes and what they do not predict may go together in the data, but not in the draws.
    assert np.mean([np.trace(np.cov(draw.T)) for draw in draws]) == pytest.approx(
        np.trace(np.cov(other.T)), rel=0.1
    )
    # What is left in the mean over draws is what the slow changes predict: half of the signs are negative.
    left = np.mean(draws, axis=0) - slow @ np.linalg.lstsq(slow, other, rcond=None)[0]
    assert np.abs(left).mean() < 0.5 * other.std()


def test_one_side_that_does_not_depend_on_its_order_is_enough() -> None:
    rng = np.random.default_rng(0)
    slow, free = series(0.95)(rng, 200), rng.standard_normal((200, 10))
    for one, other, name in ((slow, free, "Y"), (free, slow, "X")):
        exchange = choose(one, other)
        assert (exchange.kind, exchange.null) == ("independent", "samples exchanged")
        assert exchange.why.startswith(f"the samples of {name} ")


def test_what_is_declared_takes_the_place_of_the_tests() -> None:
    rng = np.random.default_rng(0)
    slow, free = (series(0.7)(rng, 200) for _ in range(2)), rng.standard_normal((2, 200, 10))
    assert choose(*slow, Rows(order="independent")).null == "samples exchanged"
    assert choose(*free).kind == "independent"
    declared = choose(*free, Rows(order="time"))
    assert (declared.kind, declared.why) == (
        "time",
        "neighboring samples are declared to depend on each other",
    )
    few = choose(free[0][:15], free[1][:15])
    assert (few.null, "fewer than 20" in few.why) == (None, True)
    assert choose(free[0][:15], free[1][:15], Rows(order="independent")).null == "samples exchanged"


def test_few_groups_with_slow_means_are_not_exchanged() -> None:
    group = np.repeat(np.arange(15), 8)
    refused = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, Y = (
            np.linspace(-3, 3, 15)[group, None] * rng.standard_normal(5) + rng.standard_normal((120, 5))
            for _ in range(2)
        )
        refused += choose(X, Y, Rows.of(120, group)).null != "groups exchanged"
    assert refused >= 19


def test_few_signs_are_refused() -> None:
    free = np.random.default_rng(0).standard_normal((2, 200, 10))
    signs = choose(free[0][:5], free[1][:5], Rows(order="time"))
    assert (signs.null, "different signs" in signs.why) == (None, True)


def test_nothing_can_be_exchanged_where_both_sides_jump() -> None:
    rng = np.random.default_rng(0)
    session = np.repeat(np.arange(5), 40)
    sides = [3 * rng.standard_normal((5, 10))[session] + rng.standard_normal((200, 10)) for _ in range(2)]
    undeclared = choose(*sides)
    assert undeclared.null is None
    assert "dataset.blocks" in undeclared.why
    declared = choose(*sides, Rows.of(200, blocks=session))
    assert (declared.kind, declared.null) == ("blocks", "samples within blocks exchanged")


def test_groups_of_one_sample_each_are_no_groups(rng: np.random.Generator) -> None:
    walks = np.cumsum(rng.standard_normal((2, 100, 5)), axis=1)
    few = rng.standard_normal((2, 10, 3))
    for one, other in (walks, few):
        single = choose(one, other, Rows(groups=rng.permutation(len(one))))
        plain = choose(one, other)
        assert (single.kind, single.null, single.why) == (plain.kind, plain.null, plain.why)
