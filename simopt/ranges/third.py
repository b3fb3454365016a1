"""The range of a third measure where two others are held at given scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simopt.errors import InputError
from simopt.measures import Measure, Reference
from simopt.ranges.boundary import Boundary, Options


def third_range(
    reference: Reference,
    fixed: Sequence[Measure],
    sought: Measure,
    pairs: npt.ArrayLike,
    options: Options | None = None,
) -> Boundary:
    """Return the search for the least and largest third score at each pair of the first two.

    Where two scores cannot occur together nothing is found, and the search's ``feasibility`` says how near
    it came. On the boundary of their region the gradients of the two are parallel, and the third is found
    less surely than inside.

    Parameters
    ----------
    reference : Reference
    fixed : pair of Measure
    sought : Measure
    pairs : array-like, (L, 2)
        Scores of the fixed measures; neighbours in this order are started from each other.
    options : Options

    Raises
    ------
    InputError
        As :class:`Boundary`, or other than two fixed measures.
    """
    if len(fixed) != 2:
        raise InputError(f"{len(fixed)} fixed measures were given; a third measure's range has two.")
    return Boundary(reference, fixed, sought, np.asarray(pairs, dtype=np.float64), options)
