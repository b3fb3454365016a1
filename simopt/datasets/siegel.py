"""Siegel2015: macaque frontal eye field, 8 time bins x 59 conditions (inferred) x 278 units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted


@dataclass(frozen=True, kw_only=True)
class Siegel(Recording):
    """Condition averages of a context-dependent decision on moving, coloured dots."""

    shape: ClassVar[tuple[int, ...]] = (8, 59, 278)
    citation: ClassVar[str] = (
        "Siegel, Buschman & Miller 2015, Science 348:1352: Cortical information flow during flexible "
        "sensorimotor decisions"
    )

    def planted(self) -> Sequence[Planted]:
        """Four crossed binary variables over 59 conditions."""
        condition = np.arange(59)
        return [
            Planted("context", condition % 2, first_pc=2, share=0.5),
            Planted("response", condition // 2 % 2, first_pc=4, share=0.5),
            Planted("colour", condition // 4 % 2, first_pc=6, share=0.5),
            Planted("direction", condition // 8 % 2, first_pc=7, share=0.5),
        ]
