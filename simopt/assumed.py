"""Facts about values that are taken for granted now and looked at later.

Whether a matrix may be inverted is known on the device only; to ask makes the host wait for it. Where an
accelerator computes steps in advance, they go the usual way, and what they took for granted is looked at once
for all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_taken: ContextVar[list[Tensor] | None] = ContextVar("taken", default=None)


def holds(fact: Tensor) -> bool:
    """Whether all entries of a boolean tensor are true; within :func:`for_granted`, True without a look."""
    taken = _taken.get()
    if taken is None:
        return bool(fact.all())
    taken.append(fact.all())
    return True


@contextlib.contextmanager
def for_granted() -> Iterator[list[Tensor]]:
    """Take facts for granted, and hand out the list that they are kept in, each a boolean of no dimension.

    What was computed within is to be thrown away unless all of them are true.
    """
    facts: list[Tensor] = []
    token = _taken.set(facts)
    try:
        yield facts
    finally:
        _taken.reset(token)
