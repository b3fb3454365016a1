"""Datasets that a process keeps, so that jobs on the same data load it once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from simopt import datasets
from simopt.app.build import as_node
from simopt.app.compose import Composed
from simopt.datasets import Dataset
from simopt.datasets.base import Loader

_KEPT_BYTES = 2**30
_kept: dict[str, Dataset] = {}


@dataclass(frozen=True, kw_only=True)
class Loaded(Loader):
    """A dataset that this process has loaded before, or loads now and keeps: up to a gigabyte, the latest.

    Parameters
    ----------
    node : dict
        The dataset's own node.
    """

    node: dict[str, Any]

    def load(self) -> Dataset:
        """Return the dataset."""
        return load(self.node)


def load(node: Mapping[str, Any]) -> Dataset:
    """Return the dataset of a node, loaded once."""
    key = json.dumps(node, sort_keys=True)
    dataset = _kept.pop(key) if key in _kept else datasets.build(node).load()
    _kept[key] = dataset
    while len(_kept) > 1 and sum(each.responses.nbytes for each in _kept.values()) > _KEPT_BYTES:
        del _kept[next(iter(_kept))]
    return dataset


def forget() -> None:
    """Drop the datasets that are kept: what lies behind them may have changed."""
    _kept.clear()


def from_memory(composed: Composed) -> Composed:
    """Return a configuration whose dataset is loaded once in a process; what names the run is the same."""
    target = f"{Loaded.__module__}.{Loaded.__qualname__}"
    node = as_node(composed.config.dataset, "dataset")
    loaded = {"_target_": target, "name": str(node.get("name", "")), "node": node}
    return replace(composed, config=replace(composed.config, dataset=loaded))
