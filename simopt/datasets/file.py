"""A user's own recording: npy, npz or h5, read as numbers and nothing else."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt import checks
from simopt.datasets.base import Dataset, Loader
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray

CONSTANT_UNITS = ("error", "drop", "keep")


@dataclass(frozen=True, kw_only=True)
class File(Loader):
    """A recording in a file.

    Parameters
    ----------
    path : str
        ``.npy``, ``.npz``, ``.h5`` or ``.hdf5``, holding (samples, units) or (time, condition, unit).
    title : str or None
        How tables and folders call the recording; None takes the file's name.
    key : str or None
        The array of an npz, the dataset of an h5. None takes ``responses``, or the only array there.
    labels : str or None
        The h5 group with one dataset a task variable, one value a condition. None takes ``labels`` where
        there is one.
    constant_units : {"error", "drop", "keep"}
        What to do with units that never vary.
    """

    path: str
    title: str | None = None
    key: str | None = None
    labels: str | None = None
    constant_units: str = "error"

    def __post_init__(self) -> None:
        checks.one_of(self.constant_units, CONSTANT_UNITS, "constant_units of file")

    def load(self) -> Dataset:
        """Read the file.

        Raises
        ------
        InputError
            No such file, another format, a broken file, no such key, or data that cannot be used.
        """
        path = Path(self.path).expanduser()
        read = _READERS.get(path.suffix.lower())
        if read is None:
            raise InputError(f"{path}: unknown kind of file {path.suffix!r}; expected {', '.join(_READERS)}.")
        if not path.is_file():
            raise InputError(f"{path}: there is no such file.")
        try:
            array, labels = read(path, self)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path}: not a readable {path.suffix} file of numbers ({_brief(error)})."
            ) from error
        responses = self._varying(checks.responses(array, str(path)), path)
        return Dataset(name=self.title or path.stem, responses=responses, labels=labels, source="real")

    def _varying(self, responses: FloatArray, path: Path) -> FloatArray:
        constant = np.ptp(checks.flatten(responses), axis=0) == 0
        if not constant.any() or self.constant_units == "keep":
            return responses
        if self.constant_units == "drop" and not constant.all():
            return responses[..., ~constant]
        raise InputError(
            f"{path}: {constant.sum()} of {constant.size} units never vary, the first is column "
            f"{int(np.argmax(constant))}; dataset.constant_units=drop leaves them out."
        )


Read = tuple[Any, dict[str, LabelArray]]


def _npy(path: Path, options: File) -> Read:
    with path.open("rb") as handle:
        return np.load(handle), {}


def _npz(path: Path, options: File) -> Read:
    with path.open("rb") as handle, np.load(handle) as archive:
        return archive[_choose(options.key, archive.files, path)], {}


def _h5(path: Path, options: File) -> Read:
    with h5py.File(path, "r") as file:
        datasets: dict[str, h5py.Dataset] = {}
        file.visititems(
            lambda name, item: datasets.update({name: item}) if isinstance(item, h5py.Dataset) else None
        )
        candidates = [name for name, item in datasets.items() if item.ndim >= 2]
        key = _choose(options.key, candidates if options.key is None else list(datasets), path)
        return datasets[key][()], _labels(file, options.labels, path)


_READERS: dict[str, Callable[[Path, File], Read]] = {".npy": _npy, ".npz": _npz, ".h5": _h5, ".hdf5": _h5}


def _choose(key: str | None, present: list[str], path: Path) -> str:
    if key is not None:
        if key.strip("/") not in present:
            raise InputError(f"{path}: {checks.unknown(key, present, 'key')}")
        return key.strip("/")
    if "responses" in present:
        return "responses"
    if len(present) == 1:
        return present[0]
    if not present:
        raise InputError(f"{path}: holds no array of two or three dimensions.")
    raise InputError(
        f"{path}: holds {len(present)} arrays ({', '.join(sorted(present)[:8])}); "
        "say which one with dataset.key=NAME."
    )


def _labels(file: h5py.File, group: str | None, path: Path) -> dict[str, LabelArray]:
    node = file.get(group or "labels")
    if node is None and group is None:
        return {}
    if not isinstance(node, h5py.Group):
        raise InputError(f"{path}: there is no group {group or 'labels'!r} of labels.")
    labels = {}
    for variable, values in node.items():
        if not isinstance(values, h5py.Dataset):
            raise InputError(f"{path}: {values.name} is not a dataset; labels are one dataset a variable.")
        text = h5py.check_string_dtype(values.dtype) is not None
        labels[variable] = np.asarray(values.asstr()[()] if text else values[()])
    return labels


def _brief(error: Exception) -> str:
    if "object" in str(error).lower():
        return "it holds Python objects, which are never loaded, or no array at all"
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
