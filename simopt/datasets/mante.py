"""Mante2013: macaque prefrontal cortex, 15 time bins x 72 conditions x 727 units."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from simopt import checks
from simopt.datasets import matfile
from simopt.datasets.base import Dataset
from simopt.datasets.fetch import Remote
from simopt.datasets.recording import Recording
from simopt.datasets.twin import Planted
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

MONKEYS = {"ar": "PFC data 1", "fe": "PFC data 2"}
CONDITIONS = 72  # 2 contexts x 6 motion x 6 colour coherences

_ARCHIVE = "PFC data.zip"
_LARGEST = 500_000_000  # bytes of one unit's file, unpacked; 2000 trials of 751 ms are 12 MB
_VARIABLES = ("targ_dir", "stim_dir", "stim_col2dir", "context", "correct")


@dataclass(frozen=True, kw_only=True)
class Mante(Recording):
    """Condition averages of a context-dependent decision on moving, colored dots.

    The recording holds one file a unit, with its trials, 751 ms of the dots at 1 ms. As published: the
    trials of the same choice, motion coherence, colour coherence and context are averaged; conditions with
    an error are left out, which leaves the right choice of each of 2 contexts x 6 motion x 6 colour
    coherences; bins are means (spikes per ms) and the samples after the last whole bin are dropped; units
    without all 72 conditions are left out. Sessions differ in their coherences: the levels are matched by
    rank. Conditions are in the order of choice, then motion, colour, context, each ascending as in the
    files; units in the order of their file names.

    Labels: ``choice`` and the median splits ``motion`` and ``colour`` are 0 where the files have negative
    values, 1 where positive; ``context`` is 0 where motion decides (1 in the files), 1 where colour does (-1
    there).

    Single trials cannot be kept: the units come from different sessions, so no trial has all of them.

    Parameters
    ----------
    monkey : {"ar", "fe"}
    bin : int
        Milliseconds.
    """

    monkey: str = "ar"
    bin: int = 50

    shape = (15, 72, 727)
    citation = (
        "Mante, Sussillo, Shenoy & Newsome 2013, Nature 503:78: Context-dependent computation by recurrent "
        "dynamics in prefrontal cortex"
    )
    licence = "not stated; published by the authors for download"
    scale = 0.015
    files = (
        Remote(
            name=_ARCHIVE,
            url="https://www.ini.uzh.ch/dam/jcr:ca4213cf-1692-4c3d-8aeb-d4c5081d2fd1/PFC%20data.zip",
            by_hand="download it with a browser, or ask the authors for it; it is not to be unpacked",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of(self.monkey, MONKEYS, f"monkey of {self.name}")
        checks.whole(self.bin, 1, f"bin of {self.name}")

    def planted(self) -> Sequence[Planted]:
        """2 contexts x 6 motion x 6 colour coherences, correct choices only; coherences by median split."""
        context, motion, colour = (axis.ravel() for axis in np.indices((2, 6, 6)))
        motion, colour = motion // 3, colour // 3
        choice = np.where(context == 0, motion, colour)
        return [
            Planted("context", context, strength=0.94, center=4.353, width=0.06),
            Planted("choice", choice, strength=0.755, center=0.627, width=0.214),
            Planted("motion", motion, strength=0.4, center=1.854, width=0.189),
            Planted("colour", colour, strength=0.694, center=8.746, width=0.394),
        ]

    def read(self, folder: Path) -> Dataset:
        """Read the units of one monkey out of the archive, one after the other, without unpacking it.

        Raises
        ------
        InputError
            Not the published archive, a broken one, or no unit has all conditions.
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
                raise InputError(f"{what}: its {CONDITIONS} conditions are not those of the units before it.")
            if units and rates.shape != units[0].shape:
                raise InputError(
                    f"{what}: has {rates.shape[1]} bins, the units before it {units[0].shape[1]}."
                )
            units.append(rates)
            expected = ranks
        if expected is None:
            raise InputError(
                f"{path}: none of the {count} units of monkey {self.monkey} has all {CONDITIONS} conditions."
            )
        choice, motion, colour, context = expected.T
        labels = {"choice": choice, "context": 1 - context, "motion": motion // 3, "colour": colour // 3}
        return self.dataset(np.ascontiguousarray(np.stack(units).transpose(2, 1, 0)), labels)


def _members(path: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield title and content of the ``.mat`` files of one folder of the archive, sorted by name."""
    found = False
    try:
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.infolist(), key=lambda member: member.filename):
                name = PurePosixPath(member.filename)
                if name.is_absolute() or ".." in name.parts:
                    raise InputError(f"{path}: holds {member.filename!r}, which leads out of the archive.")
                if name.name.startswith(".") or name.suffix != ".mat" or name.parent.name != folder:
                    continue
                if member.file_size > _LARGEST:
                    raise InputError(
                        f"{path}: {name.name} would unpack to {member.file_size} bytes; "
                        f"a unit has at most {_LARGEST}."
                    )
                found = True
                yield f"{path}: {name.name}", archive.read(member)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise InputError(f"{path}: not a readable zip file ({error}).") from error
    if not found:
        raise InputError(f"{path}: holds no .mat file in a folder {folder!r}.")


def _averages(content: bytes, what: str, width: int) -> tuple[FloatArray, FloatArray]:
    """Return the conditions of a unit without errors, (conditions, 4), and its rates, (conditions, bins)."""
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
        raise InputError(f"{what}: response holds NaN or infinite values.")
    binned = _binned(response, time.ravel(), width, what)
    *variables, correct = (column.ravel() for column in columns)
    conditions, of = np.unique(np.stack(variables, axis=1), axis=0, return_inverse=True)
    same = of.ravel() == np.arange(len(conditions))[:, None]
    right = ~(same & (correct != 1)).any(axis=1)
    return conditions[right], (same[right] / same[right].sum(axis=1, keepdims=True)) @ binned


def _real(value: LabelArray | str, name: str, what: str) -> FloatArray:
    if isinstance(value, str) or value.dtype.kind not in "fiub" or value.ndim != 2:
        raise InputError(f"{what}: {name} is not a matrix of numbers.")
    return value.astype(np.float64, copy=False)


def _binned(response: FloatArray, time: FloatArray, width: int, what: str) -> FloatArray:
    steps = 1000 * np.diff(time)
    if not len(steps) or not np.allclose(steps, steps[0], atol=1e-3) or not steps[0] > 0:
        raise InputError(f"{what}: time does not go up in equal steps.")
    per = max(round(width / steps[0]), 1)
    if abs(per * steps[0] - width) > 1e-3 * width or per > len(time):
        raise InputError(
            f"{what}: a bin of {width} ms does not fit {len(time)} samples of {steps[0]:g} ms; "
            "dataset.bin must be a multiple of the step."
        )
    bins = len(time) // per
    # MATLAB keeps a column together, so that one sample of all trials is contiguous.
    binned: FloatArray = response.T[: bins * per].reshape(bins, per, len(response)).mean(axis=1)
    return binned.T


def _ranks(conditions: FloatArray) -> LabelArray | None:
    """Return each variable's levels as 0, 1, ..., (72, 4), or None where this is not the full set."""
    if len(conditions) != CONDITIONS:
        return None
    ranks = np.stack([np.unique(column, return_inverse=True)[1].ravel() for column in conditions.T], axis=1)
    crossed = len(np.unique(ranks[:, 1:], axis=0))
    levels = tuple(int(n) + 1 for n in ranks.max(axis=0))
    return ranks if crossed == CONDITIONS and levels == (2, 6, 6, 2) else None
