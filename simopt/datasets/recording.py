"""The published recordings: the real data where it can be had, their surrogate otherwise."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simopt import checks
from simopt.datasets.base import Dataset, Loader
from simopt.datasets.twin import Planted, gaussian_responses, published_spectrum
from simopt.errors import InputError, SurrogateWarning

SOURCES = ("auto", "real", "surrogate")


@dataclass(frozen=True, kw_only=True)
class Recording(Loader):
    """One published recording.

    Parameters
    ----------
    source : {"auto", "real", "surrogate"}
        ``auto`` takes the real recording when it is at hand, else the surrogate with a warning.
    seed : int
        Of the surrogate.
    """

    source: str = "auto"
    seed: int = 0

    shape: ClassVar[tuple[int, ...]]
    citation: ClassVar[str]

    def __post_init__(self) -> None:
        checks.one_of(self.source, SOURCES, f"source of {self.name}")
        checks.whole(self.seed, 0, f"seed of {self.name}")

    @abstractmethod
    def planted(self) -> Sequence[Planted]:
        """The task variables of the surrogate, and how strongly each is planted in which PCs."""

    def recorded(self) -> Dataset | None:
        """Return the real recording, or None where it is not at hand."""
        return None

    def load(self) -> Dataset:
        """Return the recording or its surrogate, as ``source`` says.

        Raises
        ------
        InputError
            ``source`` is ``real`` and the recording is not at hand.
        """
        recorded = self.recorded() if self.source != "surrogate" else None
        if recorded is not None:
            return recorded
        if self.source == "real":
            raise InputError(
                f"{self.name}: this version of simopt cannot read the real recording. Use "
                "dataset.source=surrogate, or your own copy with dataset=file dataset.path=FILE."
            )
        if self.source == "auto":
            warnings.warn(
                f"{self.name} is a SURROGATE: Gaussian data with the published PC spectrum and planted "
                "labels, not the recording (dataset.source=surrogate says so on purpose).",
                SurrogateWarning,
                stacklevel=2,
            )
        return self.surrogate()

    def surrogate(self) -> Dataset:
        """Generate the surrogate: the same for the same seed."""
        planted = self.planted()
        responses = gaussian_responses(
            published_spectrum(self.name), self.shape, np.random.default_rng(self.seed), planted
        )
        return Dataset(
            name=self.name,
            responses=responses,
            labels={variable.variable: variable.labels for variable in planted},
            source="surrogate",
            citation=f"Surrogate of: {self.citation}",
        )
