"""A state with a tensor of another shape is refused where it is restored."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from simopt import measures
from simopt.measures import Reference
from simopt.optimization.loop import Ascent
from simopt.ranges.boundary import Options
from simopt.ranges.pair import PairSearch
from simopt.ranges.square import Square, SquareOptions, edges
from simopt.store.errors import UNREADABLE

X = Reference.of(np.random.default_rng(0).standard_normal((8, 3)) * [3, 2, 1])
PAIR = measures.get("cka"), measures.get("nbs")


def ascent(optimizer: Callable[..., torch.optim.Optimizer], **options: Any) -> Ascent:
    Y0 = torch.randn(2, 8, 3, generator=torch.manual_seed(0), dtype=torch.float64)
    return Ascent(PAIR[0].bind(X), Y0, partial(optimizer, lr=0.01, **options), 1.0, 9)


SEARCHES: dict[str, Callable[[], Any]] = {
    "adam": partial(ascent, torch.optim.Adam),
    "fused": partial(ascent, torch.optim.AdamW, fused=True),
    "momentum": partial(ascent, torch.optim.SGD, momentum=0.9),
    "centered": partial(ascent, torch.optim.RMSprop, centered=True, momentum=0.5),
    "square": lambda: Square(X, *PAIR, edges(2), SquareOptions(max_steps=9)),
    "pair": lambda: PairSearch(X, *PAIR, [0.5, 0.9], [0.9], Options(starts=2, steps=9, rounds=1)),
}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the places of all tensors in a state."""
    if isinstance(node, Tensor):
        yield path
    for key, item in (
        node.items() if isinstance(node, dict) else enumerate(node) if type(node) is list else ()
    ):
        yield from places(item, (*path, key))


@pytest.mark.parametrize("name", SEARCHES)
def test_a_tensor_of_another_shape_is_refused(name: str) -> None:
    first = SEARCHES[name]()
    steps = iter(range(9))
    observe = {"observe": lambda _: None} if isinstance(first, Ascent) else {}
    first.run(**observe, should_stop=lambda: next(steps) >= 4)
    whole = copy.deepcopy(first.state())
    SEARCHES[name]().restore(copy.deepcopy(whole))
    found = list(places(whole))
    assert len(found) >= 3
    for *way, last in found:
        for other in (torch.zeros(0), torch.tensor(1.0), torch.zeros(2, 3, 4, 5), torch.zeros(8, 3, 1)):
            state = copy.deepcopy(whole)
            holder = state
            for key in way:
                holder = holder[key]
            shape, holder[last] = holder[last].shape, other
            if shape != other.shape:
                with pytest.raises(UNREADABLE):
                    SEARCHES[name]().restore(state)
