"""MajajHong2015: macaque IT, 3200 images x 168 sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted


@dataclass(frozen=True, kw_only=True)
class Majaj(Recording):
    """Responses to 3200 images of objects of 8 categories, repetitions averaged."""

    shape: ClassVar[tuple[int, ...]] = (3200, 168)
    citation: ClassVar[str] = (
        "Majaj, Hong, Solomon & DiCarlo 2015, J. Neurosci. 35(39):13402: Simple learned weighted sums of "
        "inferior temporal neuronal firing rates accurately predict human core object recognition performance"
    )

    def planted(self) -> Sequence[Planted]:
        """8 object categories of 400 images."""
        return [Planted("category", np.arange(3200) % 8, first_pc=1, share=0.5)]
