"""MajajHong2015: macaque IT, 3200 images x 168 sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from simopt import checks
from simopt.datasets.assembly import LICENCE, opened, remote
from simopt.datasets.base import REPETITIONS, Dataset, Trials
from simopt.datasets.fetch import Remote
from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted
from simopt.errors import InputError

REGIONS = ("IT", "V4", "all")
_RESPONSES, _STIMULI = "assy_dicarlo_MajajHong2015_public.nc", "stimulus_hvm-public.csv"


@dataclass(frozen=True, kw_only=True)
class Majaj(Recording):
    """Responses to 3200 images of objects of 8 categories, repetitions averaged.

    Normalised firing rates 70 to 170 ms after the image, as published; the images are in the order of their
    ids, the sites in that of the file. Labels: ``category`` (8) and ``object`` (64).

    Parameters
    ----------
    region : {"IT", "V4", "all"}
        168, 88 or 256 sites.
    repetitions : {"average", "keep"}
        ``keep`` adds the single trials, about 46 of each image.
    """

    region: str = "IT"
    repetitions: str = "average"

    shape: ClassVar[tuple[int, ...]] = (3200, 168)
    citation: ClassVar[str] = (
        "Majaj, Hong, Solomon & DiCarlo 2015, J. Neurosci. 35(39):13402: Simple learned weighted sums of "
        "inferior temporal neuronal firing rates accurately predict human core object recognition performance"
    )
    licence: ClassVar[str] = LICENCE
    files: ClassVar[tuple[Remote, ...]] = (
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

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of(self.region, REGIONS, f"region of {self.name}")
        checks.one_of(self.repetitions, REPETITIONS, f"repetitions of {self.name}")

    def planted(self) -> Sequence[Planted]:
        """8 object categories of 400 images."""
        return [Planted("category", np.arange(3200) % 8, strength=0.671, centre=1.25, width=1.3, decay=0.39)]

    def read(self, folder: Path) -> Dataset:
        """Read the recording from the folder that holds its files.

        The labels are the assembly's own where it has them, else those of the table of stimuli.

        Raises
        ------
        InputError
            A file that is missing, broken, or of another layout.
        """
        with opened(folder / _RESPONSES) as assembly:
            if assembly.length("time_bin") != 1:
                raise InputError(
                    f"{assembly.path}: holds {assembly.length('time_bin')} time bins; {self.name} has one."
                )
            stimuli, units = assembly.stimuli(), assembly.units(self.region)
            names = {"category": "category_name", "object": "object_name"}
            labels = assembly.labels(names, stimuli, folder / _STIMULI)
            responses, trials = assembly.responses(stimuli, units, [(0, 1)], keep=self.repetitions == "keep")
        return Dataset(
            name=self.name,
            responses=responses[0],
            labels=labels,
            citation=self.citation,
            trials=None if trials is None else Trials(trials.responses[0], trials.condition),
        )
