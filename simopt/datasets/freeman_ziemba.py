"""FreemanZiemba2013: macaque V1 and V2, 2 time bins x 135 texture images x 205 units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted


@dataclass(frozen=True, kw_only=True)
class FreemanZiemba(Recording):
    """Responses to 135 images of textures and spectrally matched noise, repetitions averaged."""

    shape: ClassVar[tuple[int, ...]] = (2, 135, 205)
    citation: ClassVar[str] = (
        "Freeman, Ziemba, Heeger, Simoncelli & Movshon 2013, Nat. Neurosci. 16:974: A functional and "
        "perceptual signature of the second visual area in primates"
    )

    def planted(self) -> Sequence[Planted]:
        """Texture or noise, by turns."""
        return [Planted("texture_type", np.arange(135) % 2, first_pc=3, share=0.5)]
