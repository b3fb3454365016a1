"""Load Mante2013: macaque prefrontal cortex, 15 time bins x 72 conditions x 727 units."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from simopt import checks
from simopt.datasets import matfile
from simopt.datasets.base import Dataset, readable
from simopt.datasets.fetch import Remote
from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

MONKEYS = {"ar": "PFC data 1", "fe": "PFC data 2"}
CONDITIONS = 72  # 2 contexts x 6 motion x 6 color coherences

_ARCHIVE = "PFC data.zip"
_VARIABLES = ("targ_dir", "stim_dir", "stim_col2dir", "context", "correct")


@dataclass(frozen=True, kw_only=True)
class Mante(Recording):
    """Loader of condition averages of a context-dependent decision on moving, colored dots.

    The recording has one file for each unit, with trials of 751 ms of the dots in steps of 1 ms. The files
    are preprocessed as in the publication, in this order:

    1. Trials with the same choice, motion coherence, color coherence and context are averaged. Conditions
    with error trials are left out. 2 contexts x 6 motion x 6 color coherences with correct choices remain. 2.
    The response in a bin is the mean over its steps (spikes per ms). Steps after the last whole bin are
       dropped.
    3. Units without all 72 conditions are left out.

    Coherences differ between sessions, so conditions of different units are matched by the rank of their
    coherences. Conditions are sorted by choice, then motion, color and context, each ascending as in the
    files. Units are in the order of their file names.

    Labels: ``choice``, ``motion`` and ``colour`` are 0 where the files have negative values and 1 where the
    files have positive values (for ``motion`` and ``colour`` this is a median split of the coherences).
    ``context`` is 0 where motion decides (1 in the files) and 1 where color decides (-1 in the files).

    Single trials cannot be kept, because the units come from different sessions: no trial has all units.

    Parameters
    ----------
    monkey : {"ar", "fe"}
        The monkey whose units to take, as the files abbreviate its name.
    bin : int
        Width of a bin in ms.

    References
    ----------
    Mante, Sussillo, Shenoy & Newsome 2013, doi:10.1038/nature12742.
    """

    monkey: Literal["ar", "fe"] = "ar"
    bin: int = 50

    shape = (15, 72, 727)
    citation = (
        "Mante, Sussillo, Shenoy & Newsome 2013, Nature 503:78: Context-dependent computation by recurrent "
        "dynamics in prefrontal cortex, doi:10.1038/nature12742"
    )
    licence = "not stated; published by the authors for download"
    scale = 0.015  # by trial, together with the strengths below: see twin
    files = (
        Remote(
            name=_ARCHIVE,
            url="https://www.ini.uzh.ch/dam/jcr:ca4213cf-1692-4c3d-8aeb-d4c5081d2fd1/PFC%20data.zip",
            by_hand="download it with a browser, or ask the authors for it; do not unpack it",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.options(self, bin=1)

    def planted(self) -> Sequence[Planted]:
        """Return context, choice, motion and color of 2 contexts x 6 motion x 6 color coherences.

        All choices are correct. Coherences are split at their median.
        """
        context, motion, color = (axis.ravel() for axis in np.indices((2, 6, 6)))
        motion, color = motion // 3, color // 3
        choice = np.where(context == 0, motion, color)
        # By trial: accuracy 0.89 for context within 0.03 on the recording, and for all four variables within
        # 0.06 (median) of the published accuracies along runs of cka and procrustes_angular.
        return [
            Planted("context", context, strength=0.94, center=4.353, width=0.06),
            Planted("choice", choice, strength=0.755, center=0.627, width=0.214),
            Planted("motion", motion, strength=0.4, center=1.854, width=0.189),
            Planted("colour", color, strength=0.694, center=8.746, width=0.394),
        ]

    def read(self, folder: Path) -> Dataset:
        """Read the units of one monkey from the archive, one after the other, without unpacking the archive.

        Raises
        ------
        InputError
            The archive is broken, is not the published archive, or holds no unit with all conditions.
        """
        path = folder / _ARCHIVE
        units: list[FloatArray] = []
        expected, count = None, 0
        for what, content in _members(path, MONKEYS[self.monkey]):
            count += 1
            conditions, rates = _averages(content, what, self.bin)
            ranks = _ranks(conditions)
            if ranks is None:
                continue
            if expected is not None and not np.array_equal(ranks, expected):
                raise InputError(f"{what}: its {CONDITIONS} conditions differ from those of earlier units.")
            if units and rates.shape != units[0].shape:
                raise InputError(
                    f"{what}: has {rates.shape[1]} bins; expected {units[0].shape[1]}, as in earlier units."
                )
            units.append(rates)
            expected = ranks
        if expected is None:
            raise InputError(
                f"{path}: none of the {count} units of monkey {self.monkey} has all {CONDITIONS} conditions."
            )
        choice, motion, color, context = expected.T
        labels = {"choice": choice, "context": 1 - context, "motion": motion // 3, "colour": color // 3}
        # (unit, condition, bin) -> (bin, condition, unit)
        return self.dataset(np.ascontiguousarray(np.stack(units).transpose(2, 1, 0)), labels)


def _members(path: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield title and content of the ``.mat`` files in one folder of the archive, sorted by name."""
    empty = True
    with readable(path, "zip"), zipfile.ZipFile(path) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            name = PurePosixPath(member.filename)
            if name.is_absolute() or ".." in name.parts:
                raise InputError(f"{path}: holds {member.filename!r}, a path outside it; fetch it again.")
            # Archives made on a Mac also hold files ._NAME.mat with attributes of the file system.
            if name.name.startswith(".") or name.suffix != ".mat" or name.parent.name != folder:
                continue
            empty, title = False, f"{path}: {name.name}"
            checks.unpacked(member.file_size, member.compress_size, title)
            yield title, archive.read(member)
    if empty:
        raise InputError(f"{path}: holds no .mat file in a folder {folder!r}; the published archive does.")


def _averages(content: bytes, what: str, width: int) -> tuple[FloatArray, FloatArray]:
    """Return the conditions of a unit without error trials, and its mean responses in them.

    Returns
    -------
    conditions : array, (conditions, 4)
        Choice, motion, color and context.
    rates : array, (conditions, bins)
    """
    names = ("unit.response", "unit.time", *(f"unit.task_variable.{name}" for name in _VARIABLES))
    response, time, *columns = (
        _real(value, name, what)
        for name, value in zip(names, matfile.read_all(io.BytesIO(content), names, what), strict=True)
    )
    trials, samples = response.shape
    if time.size != samples or any(column.size != trials for column in columns):
        raise InputError(
            f"{what}: response is {trials} trials x {samples} samples, but time has {time.size} values and "
            f"the task variables have {', '.join(str(column.size) for column in columns)}."
        )
    if not np.isfinite(response).all():
        raise InputError(f"{what}: response holds NaN or infinite values; expected counts of spikes.")
    binned = _binned(response, time.ravel(), width, what)  # (trials, bins)
    *variables, correct = (column.ravel() for column in columns)
    conditions, condition = np.unique(np.stack(variables, axis=1), axis=0, return_inverse=True)
    # Which trials are of which condition, (conditions, trials). Rows divided by their sums average trials.
    members = condition.ravel() == np.arange(len(conditions))[:, None]
    right = ~(members & (correct != 1)).any(axis=1)
    return conditions[right], (members[right] / members[right].sum(axis=1, keepdims=True)) @ binned


def _real(value: LabelArray | str, name: str, what: str) -> FloatArray:
    """Return a matrix in float64, or refuse what is none."""
    if isinstance(value, str) or value.dtype.kind not in "fiub" or value.ndim != 2:
        kind = "text" if isinstance(value, str) else f"{value.dtype} of shape {value.shape}"
        raise InputError(f"{what}: {name} is {kind}; expected a matrix of numbers.")
    return value.astype(np.float64, copy=False)


def _binned(response: FloatArray, time: FloatArray, width: int, what: str) -> FloatArray:
    """Return the mean response in bins of ``width`` ms, (trials, bins), from (trials, samples)."""
    steps = 1000 * np.diff(time)
    if not len(steps) or not np.allclose(steps, steps[0], atol=1e-3) or not steps[0] > 0:
        raise InputError(f"{what}: time must increase in equal steps, in s; correct it.")
    length = max(round(width / steps[0]), 1)  # samples in a bin
    if abs(length * steps[0] - width) > 1e-3 * width or length > len(time):
        raise InputError(
            f"{what}: a bin of {width} ms does not fit {len(time)} samples of {steps[0]:g} ms; "
            "dataset.bin must be a multiple of one sample, and at most all samples."
        )
    bins = len(time) // length
    # MATLAB stores matrices by columns: the transpose is contiguous, and reshaping it does not copy.
    binned: FloatArray = response.T[: bins * length].reshape(bins, length, len(response)).mean(axis=1)
    return binned.T


def _ranks(conditions: FloatArray) -> LabelArray | None:
    """Return the rank of each variable's value among its levels, (72, 4); None if a condition is missing."""
    if len(conditions) != CONDITIONS:
        return None
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in conditions.T], axis=1)
    crossed = len(np.unique(ranks[:, 1:], axis=0))
    levels = tuple(int(n) + 1 for n in ranks.max(axis=0))
    return ranks if crossed == CONDITIONS and levels == (2, 6, 6, 2) else None
