"""The base class of the published recordings, which load either the real data or a surrogate."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from simopt import checks
from simopt.datasets import fetch
from simopt.datasets.base import Dataset, Loader
from simopt.datasets.fetch import ProgressBar, Remote
from simopt.datasets.trials import Trials
from simopt.datasets.twin import Planted, gaussian_responses, published_spectrum, spectrum_file
from simopt.errors import InputError, SurrogateWarning, warn
from simopt.typing import FloatArray, LabelArray, Source


@dataclass(frozen=True, kw_only=True)
class Recording(Loader):
    """Base class of the loaders of published recordings.

    Parameters
    ----------
    source : {"auto", "real", "surrogate"}
        ``real`` takes the recording, and downloads it if it is not in the cache. ``auto`` never downloads: it
        takes the recording if it is in the cache, and otherwise takes the surrogate and warns. A surrogate is
        Gaussian data with the PC spectrum and shape of the recording.
    seed : int
        Seed of the surrogate.
    """

    source: Literal["auto", "real", "surrogate"] = "auto"
    seed: int = 0

    shape: ClassVar[tuple[int, ...]]  # of the published responses and of the surrogate
    citation: ClassVar[str]
    licence: ClassVar[str]
    # Root mean square of the surrogate's responses. It matters to decoders that do not standardize: see twin.
    scale: ClassVar[float] = 1.0
    files: ClassVar[tuple[Remote, ...]]  # all that ``read`` needs

    def __post_init__(self) -> None:
        checks.options(self, seed=0)

    @abstractmethod
    def planted(self) -> Sequence[Planted]:
        """Return the task variables of the surrogate, with their labels and the PCs that carry them."""

    @abstractmethod
    def read(self, folder: Path) -> Dataset:
        """Read the real recording from the folder that holds its files."""

    @property
    def available(self) -> bool:
        """Whether all files of the real recording are in the cache."""
        return fetch.cached(self.name, self.files)

    @property
    def origin(self) -> Source:
        """The source that ``load`` would take now: ``real`` or ``surrogate``."""
        return "real" if self.source == "real" or (self.source == "auto" and self.available) else "surrogate"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return a dict of plain values that identifies the data.

        For the real recording these are the hashes of its files, and the options. For the surrogate they are
        all numbers that determine it. If the hash of a file is published, it is used without reading the
        file, because ``load`` refuses a file with another hash. If a file has no published hash and is not in
        the cache, this method downloads the recording.

        Raises
        ------
        InputError, FetchError
            As for :meth:`load`.
        """
        if self.origin == "surrogate":
            self._refuse_options()
            # All that determines the surrogate but the code; changes of the code increase ``revision``.
            planted = json.dumps([checks.as_plain(asdict(variable)) for variable in self.planted()])
            planted = planted.replace('"center"', '"centre"')  # the name that is in the ids of stored results
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
        """Download the files that are missing, check all files, and read the real recording.

        Parameters
        ----------
        progress : ProgressBar, optional
            A bar that shows the progress of each download.

        Raises
        ------
        InputError
            A file has another hash or layout than expected, or the options do not fit the recording. A broken
            download is not kept.
        FetchError
            A file is not in the cache and cannot be downloaded.
        """
        missing = tuple(file.name for file in self.files if not fetch.cached(self.name, (file,)))
        folder = fetch.fetch(self.name, self.files, progress=progress)
        try:
            return self.read(folder)
        except InputError:
            # Either the files are broken or the options do not fit them. Only if the default options can read
            # the files were the options at fault, and then the files and their recorded hashes stay.
            if not (self._altered() and self._readable(folder)):
                fetch.forget(self.name, self.files, missing)
            raise

    def _readable(self, folder: Path) -> bool:
        """Whether the files can be read with the default options, so that they are not broken."""
        try:
            type(self)(name=self.name).read(folder)
        except InputError:
            return False
        return True

    def load(self) -> Dataset:
        """Return the recording or its surrogate, depending on ``source``.

        Raises
        ------
        InputError
            A file in the cache has another hash or layout than expected; or the surrogate would be loaded,
            but an option is set that applies only to the real recording.
        FetchError
            ``source`` is ``real``, but a file is not in the cache and cannot be downloaded.
        """
        if self.origin == "real":
            return self.real()
        self._refuse_options()
        if self.source == "auto":
            warn(
                f"{self.name} is a SURROGATE, not the recording: Gaussian data with the published PC "
                f"spectrum and planted labels. `simopt datasets fetch {self.name}` downloads the recording; "
                "dataset.source=surrogate takes the surrogate without this warning.",
                SurrogateWarning,
            )
        return self.surrogate()

    def dataset(
        self, responses: FloatArray, labels: Mapping[str, LabelArray], trials: Trials | None = None
    ) -> Dataset:
        """Return a dataset of the real recording's responses and labels, with its name and citation."""
        return Dataset(self.name, responses, labels, "real", self.citation, trials)

    def _refuse_options(self) -> None:
        """Refuse options that only the real recording has, before its surrogate is taken."""
        if altered := self._altered():
            raise InputError(
                f"{self.name}: {', '.join(altered)} can only be set for the real recording, and this command "
                f"would use its surrogate. `simopt datasets fetch {self.name}` downloads the recording."
            )

    def _altered(self) -> list[str]:
        """Return the names of the options of the real recording that are not at their defaults."""
        # As plain values: (0, 300) of a default equals [0, 300] of a yaml.
        options = checks.as_plain(self.options("source", "seed"))
        defaults = checks.as_plain(type(self)(name=self.name).options())
        return [name for name in options if options[name] != defaults[name]]

    def surrogate(self) -> Dataset:
        """Generate the surrogate; the same seed gives the same data."""
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
