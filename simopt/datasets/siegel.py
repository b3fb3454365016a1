"""Load Siegel2015: macaque frontal eye field, 8 time bins x 59 conditions (inferred) x 278 units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simopt import checks
from simopt.datasets import formats
from simopt.datasets.base import Dataset, check_labels
from simopt.datasets.fetch import Remote
from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted
from simopt.errors import InputError

_FILE = "siegel.h5"


@dataclass(frozen=True, kw_only=True)
class Siegel(Recording):
    """Loader of condition averages of a context-dependent decision on moving, colored dots.

    The recording is not public. If you have it, save it as one HDF5 file, ``siegel.h5``, in the folder that
    ``simopt.datasets.fetch.folder("siegel")`` returns. The file holds these HDF5 datasets::

        responses            (time, condition, unit)  finite numbers; published: 8 x 59 x 278, bins of 50 ms,
                                                      0-500 ms of the stimulus, PCs that hold 99 % of FEF
        labels/<variable>    (condition,)             numbers or text; published: context, response, colour,
                                                      direction

    HDF5 attributes are not read.

    References
    ----------
    Siegel, Buschman & Miller 2015, doi:10.1126/science.aab0551.
    """

    shape = (8, 59, 278)
    citation = (
        "Siegel, Buschman & Miller 2015, Science 348:1352: Cortical information flow during flexible "
        "sensorimotor decisions, doi:10.1126/science.aab0551"
    )
    licence = "not public"
    files = (
        Remote(
            name=_FILE,
            url=None,
            by_hand="ask the authors, and write one HDF5 file with `responses` (time, condition, unit) and "
            "`labels/<variable>` (condition,)",
        ),
    )

    def planted(self) -> Sequence[Planted]:
        """Return four binary variables over 59 conditions, which occur in all 16 combinations."""
        # By trial: accuracy 0.865 for context within 0.03. No accuracy of the other three is compared.
        condition = np.arange(59)
        return [
            Planted("context", condition % 2, strength=0.7, center=5, width=0.3),
            Planted("response", condition // 2 % 2, strength=0.6, center=1.5, width=0.3),
            Planted("colour", condition // 4 % 2, strength=0.3, center=14, width=0.3),
            Planted("direction", condition // 8 % 2, strength=0.3, center=40, width=0.3),
        ]

    def read(self, folder: Path) -> Dataset:
        """Read ``siegel.h5``.

        Raises
        ------
        InputError
            The file does not exist, or does not have the layout that the class describes.
        """
        path = folder / _FILE
        with formats.opened(path, formats.Options(key="responses", labels="labels")) as content:
            responses = checks.responses(np.asarray(content.array), f"{path}: responses")
        if responses.ndim != 3:
            raise InputError(
                f"{path}: responses has shape {responses.shape}; expected (time, condition, unit)."
            )
        check_labels(content.labels, responses.shape[1], str(path))
        return self.dataset(responses, content.labels)
