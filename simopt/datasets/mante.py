"""Mante2013: macaque prefrontal cortex, 15 time bins x 72 conditions x 727 units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted


@dataclass(frozen=True, kw_only=True)
class Mante(Recording):
    """Condition averages of a context-dependent decision on moving, coloured dots."""

    shape: ClassVar[tuple[int, ...]] = (15, 72, 727)
    citation: ClassVar[str] = (
        "Mante, Sussillo, Shenoy & Newsome 2013, Nature 503:78: Context-dependent computation by recurrent "
        "dynamics in prefrontal cortex"
    )

    def planted(self) -> Sequence[Planted]:
        """2 contexts x 6 motion x 6 colour coherences, correct choices only; coherences by median split."""
        context, motion, colour = (axis.ravel() for axis in np.indices((2, 6, 6)))
        motion, colour = motion // 3, colour // 3
        choice = np.where(context == 0, motion, colour)
        return [
            Planted("choice", choice, first_pc=2, share=0.5),
            Planted("context", context, first_pc=4, share=0.5),
            Planted("motion", motion, first_pc=6, share=0.5),
            Planted("colour", colour, first_pc=7, share=0.5),
        ]
