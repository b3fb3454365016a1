"""Generate Gaussian data with a given spectrum, or with the spectrum and shape of another dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simopt import checks
from simopt.datasets.base import Dataset, Loader
from simopt.datasets.twin import gaussian_responses, normalized
from simopt.errors import InputError
from simopt.typing import FloatArray, Source

_LONGEST_NAME = 120  # characters; a folder of results has this name


@dataclass(frozen=True, kw_only=True, repr=False)
class Gaussian(Loader):
    """Generator of Gaussian responses whose principal components have exactly the given variances.

    Parameters
    ----------
    samples, units : int or None
        The shape of the responses. None stands for 500 samples and 50 units.
    spectrum : sequence of float, or None
        Variances of the PCs, in any unit. None gives PC i the variance i^-exponent.
    exponent : float or None
        Exponent of this power law. None stands for 1.
    twin_of : str, mapping or None
        Another dataset, whose spectrum, shape and time axis replace the options above. Nothing else is
        imitated. Give the dataset's name, the path of a file, or a mapping with ``name`` or ``_target_`` and
        options.
    source : {"auto", "real", "surrogate"}
        The ``source`` of the recording that ``twin_of`` names. If ``twin_of`` is a mapping, set ``source`` in
        the mapping instead.
    seed : int
        Seed of the responses.
    """

    samples: int | None = None
    units: int | None = None
    spectrum: Sequence[float] | None = None
    exponent: float | None = None
    twin_of: str | Mapping[str, Any] | None = None
    source: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        checks.options(self, samples=checks.MIN_SAMPLES, units=1, seed=0, exponent=0)
        checks.holdable(self._shape, self.name)
        if self.twin_of is None:
            if self.source != "auto":
                raise InputError(f"source of {self.name} is {self.source!r}; leave it out, or set twin_of.")
            return
        replaced = ("samples", "units", "spectrum", "exponent")
        conflicting = [option for option in replaced if getattr(self, option) is not None]
        if conflicting:
            raise InputError(
                f"{self.name}: {', '.join(conflicting)} cannot be set together with twin_of, because twin_of "
                "takes spectrum and shape from another dataset."
            )

    @property
    def title(self) -> str:
        """The name of the dataset; with ``twin_of``, followed by the title of the other dataset."""
        if self.twin_of is None:
            return self.name
        # The title of the other dataset is free text; as part of the name of a folder it must be tame.
        return re.sub(r"[^\w.+-]+", "_", f"{self.name}_{self._other().title}")[:_LONGEST_NAME]

    @property
    def origin(self) -> Source:
        """``surrogate`` for all Gaussian data, even if ``twin_of`` is a real recording."""
        return "surrogate"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return a dict of the seed, shape and spectrum, or of the seed and the identity of ``twin_of``."""
        if self.twin_of is not None:
            return self.recipe(seed=self.seed, twin_of=self._other().identity(hash_of))
        samples, units = self._shape
        return self.recipe(
            seed=self.seed,
            samples=samples,
            units=units,
            spectrum=None if self.spectrum is None else self._spectrum(),
            exponent=self._exponent if self.spectrum is None else None,
        )

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.samples or 500, self.units or 50

    @property
    def _exponent(self) -> float:
        return 1.0 if self.exponent is None else float(self.exponent)

    def load(self) -> Dataset:
        """Draw the responses; the same seed gives the same responses.

        Raises
        ------
        InputError
            The dataset that ``twin_of`` names cannot be loaded.
        """
        if self.twin_of is None:
            spectrum, shape, citation = self._spectrum(), self._shape, ""
            rng = np.random.default_rng(self.seed)
        else:
            other = self._other().load()
            spectrum, shape = other.spectrum(), other.responses.shape
            citation = f"Gaussian data with the spectrum and shape of: {other.citation or other.name}"
            # A surrogate is drawn from default_rng(seed): from the same numbers its twin would get the same
            # PCs.
            rng = np.random.default_rng([self.seed, 1])
        responses = gaussian_responses(spectrum, shape, rng)
        return Dataset(self.title, responses, source="surrogate", citation=citation)

    def _spectrum(self) -> FloatArray:
        samples, units = self._shape
        # Centered samples have rank at most samples - 1, and so many PCs.
        power_law = np.arange(1, min(units, samples - 1) + 1) ** -self._exponent
        return normalized(list(power_law) if self.spectrum is None else self.spectrum, self.name)

    def _other(self) -> Loader:
        """Return the loader of the dataset that ``twin_of`` names."""
        from simopt import catalogue, datasets

        twin_of = self.twin_of
        if isinstance(twin_of, Mapping):
            if self.source != "auto":
                raise InputError(f"{self.name}: twin_of is a mapping; set twin_of.source in place of source.")
            defaults = {} if "_target_" in twin_of else catalogue.read("dataset", str(twin_of.get("name")))
            return datasets.build({**defaults, **twin_of})
        if not isinstance(twin_of, str):
            raise InputError(f"twin_of of {self.name} is {twin_of!r}; expected a name, a path or a mapping.")
        if twin_of == "file":
            raise InputError(f"{self.name}: twin_of=file names no file; set twin_of to the file's path.")
        if twin_of not in datasets.names() and Path(twin_of).suffix:
            return datasets.loader("file", source=self.source, path=twin_of)
        return datasets.loader(twin_of, source=self.source)
