"""The published recordings: the real data where it can be had, their surrogate otherwise."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simopt import checks
from simopt.datasets import fetch
from simopt.datasets.base import Dataset, Loader, Trials
from simopt.datasets.fetch import ProgressBar, Remote
from simopt.datasets.twin import Planted, gaussian_responses, published_spectrum, spectrum_file
from simopt.errors import InputError, SurrogateWarning, warn
from simopt.typing import FloatArray, LabelArray, Source

SOURCES = ("auto", "real", "surrogate")


@dataclass(frozen=True, kw_only=True)
class Recording(Loader):
    """One published recording.

    Parameters
    ----------
    source : {"auto", "real", "surrogate"}
        ``real`` downloads the recording if need be; ``auto`` takes it where it is in the cache, else the
        surrogate with a warning: no run starts a download that nobody asked for.
    seed : int
        Of the surrogate.
    """

    source: str = "auto"
    seed: int = 0

    shape: ClassVar[tuple[int, ...]]
    citation: ClassVar[str]
    licence: ClassVar[str]
    scale: ClassVar[float] = 1.0  # root mean square of the surrogate's responses
    files: ClassVar[tuple[Remote, ...]]

    def __post_init__(self) -> None:
        checks.one_of(self.source, SOURCES, f"source of {self.name}")
        checks.whole(self.seed, 0, f"seed of {self.name}")

    @abstractmethod
    def planted(self) -> Sequence[Planted]:
        """The task variables of the surrogate, and how strongly each is planted in which PCs."""

    @abstractmethod
    def read(self, folder: Path) -> Dataset:
        """Read the real recording from the folder that holds its files."""

    @property
    def available(self) -> bool:
        """Whether the real recording is in the cache."""
        return fetch.cached(self.name, self.files)

    @property
    def origin(self) -> Source:
        """``auto`` is the recording where it is in the cache now."""
        return "real" if self.source == "real" or (self.source == "auto" and self.available) else "surrogate"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return the hashes of the recording's files with its options, or what the surrogate is drawn from.

        Published hashes are taken without looking at the files. ``source=real`` downloads the recording where
        a file has no published hash and is not there.

        Raises
        ------
        InputError, FetchError
            As :meth:`load`.
        """
        if self.origin == "surrogate":
            self._refuse_options()
            planted = json.dumps([checks.as_plain(asdict(variable)) for variable in self.planted()])
            return self.recipe(
                seed=self.seed,
                shape=self.shape,
                scale=self.scale,
                spectrum=hashlib.sha256(spectrum_file(self.name).read_bytes()).hexdigest(),
                planted=hashlib.sha256(planted.encode()).hexdigest(),
            )
        if not self.available and any(file.hash is None for file in self.files):
            self.real()
        folder = fetch.folder(self.name)
        hashes = {file.name: file.hash or hash_of(folder / file.name) for file in self.files}
        return self.recipe(files=hashes, **self.options("source", "seed"))

    def real(self, progress: ProgressBar | None = None) -> Dataset:
        """Download what is missing of the real recording, check all of it, and read it.

        Raises
        ------
        InputError
            A file in the cache or just downloaded is not what it should be, or the options do not fit it. Of
            a broken download nothing is kept.
        FetchError
            The recording can be neither found nor downloaded.
        """
        missing = tuple(file.name for file in self.files if not fetch.cached(self.name, (file,)))
        folder = fetch.fetch(self.name, self.files, progress=progress)
        try:
            return self.read(folder)
        except InputError:
            if not (self._altered() and self._readable(folder)):
                fetch.forget(self.name, self.files, missing)
            raise

    def _readable(self, folder: Path) -> bool:
        """Whether the files can be read with the default options: then they are sound."""
        try:
            type(self)(name=self.name).read(folder)
        except InputError:
            return False
        return True

    def load(self) -> Dataset:
        """Return the recording or its surrogate, as ``source`` says.

        Raises
        ------
        InputError
            A file in the cache is not what it should be; options of the real recording were given and the
            surrogate is taken.
        FetchError
            ``source`` is ``real`` and the recording can be neither found nor downloaded.
        """
        if self.origin == "real":
            return self.real()
        self._refuse_options()
        if self.source == "auto":
            warn(
                f"{self.name} is a SURROGATE: Gaussian data with the published PC spectrum and planted "
                f"labels, not the recording. `simopt datasets fetch {self.name}` gets the recording; "
                "dataset.source=surrogate takes the surrogate on purpose.",
                SurrogateWarning,
            )
        return self.surrogate()

    def dataset(
        self, responses: FloatArray, labels: Mapping[str, LabelArray], trials: Trials | None = None
    ) -> Dataset:
        """Return what was read of the recording as a dataset."""
        return Dataset(self.name, responses, labels, "real", self.citation, trials)

    def _refuse_options(self) -> None:
        """Refuse options of the real recording where the surrogate is taken."""
        altered = self._altered()
        if altered:
            raise InputError(
                f"{self.name}: {', '.join(altered)} can be set for the real recording only, and this would "
                f"take its surrogate. `simopt datasets fetch {self.name}` gets the recording."
            )

    def _altered(self) -> list[str]:
        """Return which options of the real recording are not at their defaults."""
        options = self.options("source", "seed")
        usual = checks.as_plain(type(self)(name=self.name).options())
        return [name for name in options if checks.as_plain(options[name]) != usual[name]]

    def surrogate(self) -> Dataset:
        """Generate the surrogate: the same for the same seed."""
        planted = self.planted()
        responses = self.scale * gaussian_responses(
            published_spectrum(self.name), self.shape, np.random.default_rng(self.seed), planted
        )
        return Dataset(
            name=self.name,
            responses=responses,
            labels={variable.variable: variable.labels for variable in planted},
            source="surrogate",
            citation=f"Surrogate of: {self.citation}",
        )
