"""Load MajajHong2015: macaque IT, 3200 images x 168 sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from simopt.datasets.assembly import AssemblyRecording, remote
from simopt.datasets.twin import Planted
from simopt.rows import Order

_RESPONSES, _STIMULI = "assy_dicarlo_MajajHong2015_public.nc", "stimulus_hvm-public.csv"


@dataclass(frozen=True, kw_only=True)
class Majaj(AssemblyRecording):
    """Loader of responses to 3200 images of objects in 8 categories, averaged over repetitions.

    Responses are normalized firing rates 70 to 170 ms after the onset of the image, as published. Images are
    in the order of their ids, sites in the order of the file. Labels: ``category`` (8 classes) and ``object``
    (64 classes). The surrogate has ``category`` only.

    Parameters
    ----------
    region : {"IT", "V4", "all"}
        The region whose sites to take: 168 sites of IT, 88 of V4, or all 256.
    repetitions : {"average", "keep"}
        ``average`` returns only averages; ``keep`` also keeps the single trials, about 46 of each image.

    References
    ----------
    Majaj, Hong, Solomon & DiCarlo 2015, doi:10.1523/JNEUROSCI.5181-14.2015.
    """

    region: str = "IT"
    # Each image was shown by itself, in random order; only the file is sorted.
    rows: Order | None = field(default="independent", repr=False)

    regions = ("IT", "V4", "all")
    variables = (("category", "category_name"), ("object", "object_name"))
    shape = (3200, 168)
    citation = (
        "Majaj, Hong, Solomon & DiCarlo 2015, J. Neurosci. 35(39):13402: Simple learned weighted sums of "
        "inferior temporal neuronal firing rates accurately predict human core object recognition "
        "performance, doi:10.1523/JNEUROSCI.5181-14.2015"
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
        """Return the object category, a variable with 8 classes of 400 images each."""
        # By trial: accuracy 0.85 within 0.03 on the recording, and within 0.06 (median) of the published
        # accuracies along runs of cka and procrustes_angular.
        return [Planted("category", np.arange(3200) % 8, strength=0.671, center=1.25, width=1.3, decay=0.39)]
