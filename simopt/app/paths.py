"""Where a run lives, and the hash that names it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simopt import catalogue, checks
from simopt.app.schema import RunConfig
from simopt.datasets import Dataset
from simopt.errors import InputError

_ID_LENGTH = 12


def config_hash(config: RunConfig, dataset: Dataset) -> str:
    """Return the SHA-256 of what changes the result of a run, in hexadecimal.

    The data enters by its hash, not by its path. Device, how its kernels are launched, folders, and how often
    the disk is written do not enter; nor do names.
    """
    tree = asdict(config)
    for key in ("force", "device", "cuda_graphs", "dataset"):
        del tree[key]
    for key in ("tf32", "nulls", "attribute"):  # of no account while they are not used
        if not tree[key]:
            del tree[key]
    tree["log"] = {"every": config.log.every, "final": config.log.final}
    if config.log.score_step:
        tree["log"]["score_step"] = config.log.score_step
    tree["measure"] = bare(tree["measure"])
    tree["code"] = source_of(tree["measure"]["_target_"])
    tree["data"] = {"source": dataset.source, "hash": dataset.data_hash()}
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def bare(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node of a measure without its names."""
    return {key: value for key, value in node.items() if key not in ("name", "aliases")}


def source_of(target: str) -> str:
    """Return the source, if there is one, of the user's own measure, which simopt's version does not tell."""
    if target.startswith("simopt."):
        return ""
    try:
        return inspect.getsource(catalogue.locate(target, "measure"))
    except (OSError, TypeError):
        return ""


def run_place(config: RunConfig, dataset: Dataset, measure: str, digest: str) -> Path:
    """Return ``<log.dir>/<dataset>/<measure>/<source>-<hash>``; nothing is made.

    Raises
    ------
    InputError
        A name that cannot be a folder.
    """
    checks.folder_name(dataset.name, "dataset name")
    checks.folder_name(measure, "measure name")
    root = Path(config.log.dir).expanduser()
    return root / dataset.name / measure / f"{dataset.source}-{digest[:_ID_LENGTH]}"


def make_folder(folder: Path, key: str = "dir") -> None:
    """Make a folder for results, and see that files can be made there.

    Raises
    ------
    InputError
        They cannot; ``key`` is what chooses another folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise not_writable(folder, error, key) from error


def not_writable(folder: Path, error: OSError, key: str) -> InputError:
    """Word the error for a folder in which nothing can be made; ``key`` is what chooses another."""
    reason = (error.strerror or str(error)).lower()
    return InputError(f"{folder}: cannot be written ({reason}); choose another folder with {key}=FOLDER.")


def analysis_place(root: str, dataset: str, source: str, analysis: str, tree: Mapping[str, Any]) -> Path:
    """Return ``<root>/<dataset>/<analysis>/<source>-<hash>/<analysis>.h5``; nothing is made.

    Parameters
    ----------
    root, dataset, source, analysis : str
    tree : mapping
        What the result depends on, as plain values.

    Raises
    ------
    InputError
        A dataset's name that cannot be a folder.
    """
    checks.folder_name(dataset, "dataset name")
    digest = hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
    folder = f"{source}-{digest[:_ID_LENGTH]}"
    return Path(root).expanduser() / dataset / analysis / folder / f"{analysis}.h5"
