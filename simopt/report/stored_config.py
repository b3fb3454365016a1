"""The stored configuration of a run or an analysis, and the options by which runs differ.

Configurations are read as plain data, because a file may contain anything.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from simopt.store import config
from simopt.store.reader import Run

APART = ("seeds", "log", "device", "cuda_graphs", "force")
"""The entries that are left out: they do not change a result, or only select its replicates (seeds)."""

# A stored configuration may hold anything, so its size and its number of entries are bounded: a long run of
# YAML aliases would otherwise take minutes and all memory.
_LONGEST, _MOST_ENTRIES = 20_000, 2000
# Labels stay short: at most two options, with values of at most 16 characters, chosen among the first 20.
_NAMED, _SHORT, _CONSIDERED = 2, 16, 20
# Their options are named before others.
_NODES = ("measure", "dataset", "init", "optimizer")

_BLOCK = re.compile(rf"^(?:{'|'.join(APART)}):.*\n?(?:[ -].*\n?)*", re.MULTILINE)


def without_apart(text: str) -> str:
    """Return the YAML text of a configuration without the entries in :data:`APART`."""
    return _BLOCK.sub("", text)


def parsed(text: str) -> dict[Any, Any] | None:
    """Parse a configuration without the entries in :data:`APART`; None if the text is not a configuration.

    The returned dict is cached, so it must not be changed.

    Parameters
    ----------
    text : str
        The YAML text of the configuration. Its tags are ignored: only plain values are read.
    """
    # The entries are cut out of the text, so that runs that differ only in their seeds are parsed once.
    return _parsed(without_apart(text))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> dict[Any, Any] | None:
    content = config.parsed(text)
    return None if content is None else {key: value for key, value in content.items() if key not in APART}


def settings(run: Run) -> Mapping[str, str] | None:
    """Return the values of a run's stored configuration as text by dotted key; None if it cannot be read.

    The entries in :data:`APART` are left out.
    """
    text = run.attributes.get("config")
    content = parsed(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    if content is None:
        return None
    flat: dict[str, str] = {}
    open_nodes: list[tuple[str, Any]] = [(str(key), value) for key, value in content.items()]
    for _ in range(_MOST_ENTRIES):  # aliases may nest without an end
        if not open_nodes:
            return flat
        key, value = open_nodes.pop()
        if isinstance(value, (dict, list)) and value:
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            open_nodes += [(f"{key}.{name}", item) for name, item in itertools.islice(inner, _MOST_ENTRIES)]
        else:
            flat[key] = "null" if value is None else str(value)
    return None


def differences(runs: Sequence[Run], node: str = "") -> list[str]:
    """Return a text for each run that distinguishes it from all other runs, for instance ``lr=0.1``.

    The text contains all options that differ between the runs or, if there are many, the fewest that
    distinguish all runs, followed by dots. If options do not distinguish them, the runs are numbered in the
    order of their paths: ``no. 1``.

    Parameters
    ----------
    runs : sequence of Run
    node : str
        Only options whose dotted key begins with this text are used, for instance ``dataset.``.
    """
    read = [settings(run) for run in runs]
    configs = [config for config in read if config is not None and None not in read]
    keys = {key for config in configs for key in config if key.startswith(node)}
    values = {key: [config.get(key, "none") for config in configs] for key in keys}
    differing = [key for key in keys if len({*values[key]}) > 1]
    differing.sort(key=lambda key: (key.partition(".")[0] not in _NODES, key))
    short = [key for key in differing if max(map(len, values[key])) <= _SHORT][:_CONSIDERED]
    counts = range(len(short), 0, -1) if len(differing) <= _NAMED else range(1, _NAMED + 1)
    for chosen in itertools.chain.from_iterable(itertools.combinations(short, count) for count in counts):
        rows = list(zip(*(values[key] for key in chosen), strict=True))
        if len({*rows}) == len(runs):
            names = [key.partition(".")[2] or key for key in chosen]
            more = ["..."] if len(chosen) < len(differing) else []
            return [", ".join([*map("{}={}".format, names, row), *more]) for row in rows]
    order = sorted(range(len(runs)), key=lambda at: str(runs[at].path))
    return [f"no. {order.index(at) + 1}" for at in range(len(runs))]
