"""Hatsopoulos2007: macaque motor cortex, 10 time bins x 395 reaches (inferred) x 141 units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted


@dataclass(frozen=True, kw_only=True)
class Hatsopoulos(Recording):
    """Single reaches to 8 targets, spikes smoothed."""

    shape: ClassVar[tuple[int, ...]] = (10, 395, 141)
    citation: ClassVar[str] = (
        "Hatsopoulos, Xu & Amit 2007, J. Neurosci. 27(19):5105: Encoding of movement fragments in the motor "
        "cortex; data in Suresh et al. 2020, eLife 9:e58848"
    )

    def planted(self) -> Sequence[Planted]:
        """8 reach targets in turn."""
        return [Planted("target", np.arange(395) % 8, first_pc=1, share=0.5)]
