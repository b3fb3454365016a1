"""The published recordings: the real data if they are in the cache or can be fetched, else a surrogate."""

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
from simopt.datasets.base import Dataset, Loader, Trials
from simopt.datasets.fetch import ProgressBar, Remote
from simopt.datasets.twin import Planted, gaussian_responses, published_spectrum, spectrum_file
from simopt.errors import InputError, SurrogateWarning, warn
from simopt.typing import FloatArray, LabelArray, Source


@dataclass(frozen=True, kw_only=True)
class Recording(Loader):
    """One published recording.

    Parameters
    ----------
    source : {"auto", "real", "surrogate"}
        ``real`` takes the recording, and downloads it if it is not in the cache. ``auto`` takes the recording
        if it is in the cache, else the surrogate with a warning; it never downloads.
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
        """Return the surrogate's task variables: their labels, and how much of each lies in which PCs."""

    @abstractmethod
    def read(self, folder: Path) -> Dataset:
        """Read the real recording from the folder that holds its files."""

    @property
    def available(self) -> bool:
        """Whether all files of the real recording are in the cache."""
        return fetch.cached(self.name, self.files)

    @property
    def origin(self) -> Source:
        """The source that ``load`` will take; for ``auto`` it depends on the cache."""
        return "real" if self.source == "real" or (self.source == "auto" and self.available) else "surrogate"

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return the hashes of the recording's files with the options, or what determines the surrogate.

        A published hash is taken without reading the file: ``load`` refuses a file of another hash. If a file
        has no published hash and is not in the cache, ``source=real`` downloads the recording here.

        Raises
        ------
        InputError, FetchError
            As :meth:`load`.
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
            Told how far each download is.

        Raises
        ------
        InputError
            A file has another hash or layout than expected, or the options do not fit the recording. A broken
            download is not kept.
        FetchError
            The recording can be neither found nor downloaded.
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
        """Return the recording or its surrogate, as ``source`` says.

        Raises
        ------
        InputError
            A file in the cache has another hash or layout than expected; or the surrogate would be taken, and
            an option is set that only the real recording has.
        FetchError
            ``source`` is ``real``, and the recording can be neither found nor downloaded.
        """
        if self.origin == "real":
            return self.real()
        self._refuse_options()
        if self.source == "auto":
            warn(
                f"{self.name} is a SURROGATE: Gaussian data with the published PC spectrum and planted "
                f"labels, not the recording. `simopt datasets fetch {self.name}` downloads the recording; "
                "dataset.source=surrogate takes the surrogate without this warning.",
                SurrogateWarning,
            )
        return self.surrogate()

    def dataset(
        self, responses: FloatArray, labels: Mapping[str, LabelArray], trials: Trials | None = None
    ) -> Dataset:
        """Return responses and labels of the real recording as a dataset with its name and citation."""
        return Dataset(self.name, responses, labels, "real", self.citation, trials)

    def _refuse_options(self) -> None:
        """Refuse options that only the real recording has, before its surrogate is taken."""
        if altered := self._altered():
            raise InputError(
                f"{self.name}: {', '.join(altered)} can be set for the real recording only, but here its "
                f"surrogate would be taken. `simopt datasets fetch {self.name}` downloads the recording."
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
