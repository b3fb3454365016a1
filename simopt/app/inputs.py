"""What the commands that compare a user's data with a recording are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simopt import checks, datasets
from simopt.app.build import as_node, find_own_code
from simopt.app.compose import compose
from simopt.app.memory import forget, load
from simopt.datasets import Dataset, base
from simopt.errors import InputError


def measures_among(overrides: Sequence[str], default: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split ``measure=a,b`` or ``measure=[a,b]`` from other overrides; return the names and the others.

    Raises
    ------
    InputError
        No name after ``measure=``.
    """
    names: list[str] = []
    others = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "measure":
            others.append(override)
            continue
        given = [name.strip() for name in value.strip("[]").split(",")]
        if not all(given):
            raise InputError(f"{override!r}: give measure=NAME, measure=NAME,NAME or measure=all.")
        names += given
    return list(dict.fromkeys(names)) or list(default), others


def of_dataset(overrides: Sequence[str]) -> list[str]:
    """Return those overrides that choose a dataset or set its options."""
    return [override for override in overrides if override.lstrip("+~").startswith("dataset")]


def as_overrides(recording: str, ids: str | None = None) -> list[str]:
    """Return the overrides of a recording: a dataset of the catalogue, or a file with the label ``ids``.

    Raises
    ------
    InputError
        Neither.
    """
    path = checks.expanded(recording, "the recording")
    if path.exists():
        labels = [] if ids is None else [f"dataset.labels=[{ids}]"]
        return ["dataset=file", f"dataset.path='{path.resolve()}'", *labels]
    if recording in datasets.names() and recording != "file":
        return [f"dataset={recording}"]
    if path.suffix:
        raise InputError(f"{recording}: there is no such file.")
    raise checks.unknown(recording, [*datasets.names()], "dataset, and no file,")


def recording(overrides: Sequence[str], config_dir: Path | None = None) -> Dataset:
    """Return the dataset of overrides, read anew; runs on it that follow do not read it again.

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    """
    forget()
    return kept(overrides, config_dir)


def kept(overrides: Sequence[str], config_dir: Path | None = None) -> Dataset:
    """Return the dataset of overrides, as this process has read it before if it has.

    Raises
    ------
    InputError
        As :func:`recording`.
    """
    find_own_code()
    return load(as_node(compose(overrides, config_dir).config.dataset, "dataset"))


def same_rows(X: Dataset, Y: Dataset, ids: str | None = None) -> None:
    """Refuse data whose rows are not those of the recording, by ``ids`` and all labels that both have.

    Raises
    ------
    InputError
        Other rows, or one side has no label ``ids``.
    """
    for dataset in (X, Y):
        if ids is not None:
            checks.one_of(ids, dataset.labels, f"label of {dataset.name}")
    base.same_rows(X, Y)


def file(path: str | Path, ids: str | None = None) -> Dataset:
    """Return the dataset of a file, constant units included, with the label ``ids`` if one is named."""
    options: dict[str, Any] = {} if ids is None else {"labels": [ids]}
    return datasets.load("file", path=str(path), constant_units="keep", **options)
