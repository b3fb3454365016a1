"""MajajHong2015: macaque IT, 3200 images x 168 sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simopt.datasets.assembly import AssemblyRecording, remote
from simopt.datasets.twin import Planted

_RESPONSES, _STIMULI = "assy_dicarlo_MajajHong2015_public.nc", "stimulus_hvm-public.csv"


@dataclass(frozen=True, kw_only=True)
class Majaj(AssemblyRecording):
    """Responses to 3200 images of objects of 8 categories, repetitions averaged.

    Normalized firing rates 70 to 170 ms after the image, as published; the images are in the order of their
    ids, the sites in that of the file. Labels: ``category`` (8) and ``object`` (64).

    Parameters
    ----------
    region : {"IT", "V4", "all"}
        168, 88 or 256 sites.
    repetitions : {"average", "keep"}
        ``keep`` adds the single trials, about 46 of each image.
    """

    region: str = "IT"

    regions = ("IT", "V4", "all")
    variables = (("category", "category_name"), ("object", "object_name"))
    shape = (3200, 168)
    citation = (
        "Majaj, Hong, Solomon & DiCarlo 2015, J. Neurosci. 35(39):13402: Simple learned weighted sums of "
        "inferior temporal neuronal firing rates accurately predict human core object recognition performance"
    )
    files = (
        remote(
            _RESPONSES,
            "13d28ca0ce88ee550b54db3004374ae19096e9b9",
            "about 200 MB",
            f"https://brainio.dicarlo.s3.amazonaws.com/{_RESPONSES}",
        ),
        remote(
            _STIMULI,
            "5ca7a3da00d8e9c694a9cd725df5ba0ad6d735af",
            "about 1 MB",
            "https://brainio.dicarlo.s3.amazonaws.com/image_dicarlo_hvm-public.csv",
        ),
    )

    def planted(self) -> Sequence[Planted]:
        """8 object categories of 400 images."""
        return [Planted("category", np.arange(3200) % 8, strength=0.671, center=1.25, width=1.3, decay=0.39)]
