"""Neurodata Without Borders: the spikes of a table of units, counted around an event of every trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from simopt.datasets.formats.content import Content, Wanted, named_labels, unknown, variable_of
from simopt.datasets.formats.hdf5 import dataset_in, datasets_inside, h5
from simopt.errors import InputError
from simopt.typing import FloatArray


def nwb(path: Path, wanted: Wanted, stack: ExitStack) -> Content:
    """Count the spikes of the sorted units around an event of every trial; NaN where a trial lacks it."""
    if wanted.key is not None:
        return h5(path, wanted, stack)
    inside = datasets_inside(stack.enter_context(h5py.File(path, "r")))
    for name in ("units/spike_times", "units/spike_times_index", "intervals/trials/start_time"):
        if name not in inside:
            raise InputError(f"{path}: there is no {name}; another array is named by dataset.key=NAME.")
    units, trials = _table(inside, "units"), _table(inside, "intervals/trials")
    names, align = wanted.named, wanted.align or "start_time"
    if wanted.labels is None:  # all columns of one value a trial that is text or a whole number
        columns = {name: inside[trials[name]] for name in trials if name != "id"}
        text = {name for name, column in columns.items() if h5py.check_string_dtype(column.dtype)}
        names = [n for n, x in columns.items() if x.ndim == 1 and (n in text or x.dtype.kind in "iub")]
    for name in (align, *names):
        if name not in trials:
            raise unknown(name, trials, "column of trials", path)
    if wanted.window is None:
        raise InputError(f"{path}: say which part of a trial: dataset.window=[START,STOP], in ms.")
    start, stop = wanted.window
    edges = np.linspace(start, stop, round((stop - start) / (wanted.bin or stop - start)) + 1) / 1000
    read = partial(dataset_in, inside, path)
    events = np.asarray(read(trials[align]), dtype=np.float64)
    ends = np.asarray(read("units/spike_times_index"), dtype=np.int64)
    spikes = np.asarray(read("units/spike_times"), dtype=np.float64)
    if (np.diff(ends, prepend=0) < 0).any() or (ends.size and ends[-1] != spikes.size):
        raise ValueError("units/spike_times_index does not divide units/spike_times")
    return Content(
        array=_counts(np.split(spikes, ends[:-1]), events, edges) if ends.size else np.zeros((1, 1, 0)),
        axes=("time", "condition", "unit"),
        labels=named_labels({name: trials[name] for name in names}, read, path),
        variable=variable_of(units, lambda name: read(units[name])),
    )


def _counts(spikes: Sequence[FloatArray], events: FloatArray, edges: FloatArray) -> FloatArray:
    """Return spike counts, (time, trial, unit), in the half-open bins between edges around events, in s."""
    held = ~np.isnan(events)
    counts = np.full((len(edges) - 1, len(events), len(spikes)), np.nan)
    for unit, times in enumerate(spikes):
        before = np.searchsorted(np.sort(times), events[held] + edges[:, None])
        counts[:, held, unit] = np.diff(before, axis=0)
    return counts


def _table(inside: Mapping[str, h5py.Dataset], group: str) -> dict[str, str]:
    """Return the datasets of an NWB table that have one value a row, by column name."""
    names = {name.removeprefix(f"{group}/") for name in inside if name.startswith(f"{group}/")}
    ragged = {name for name in names if f"{name}_index" in names}
    left_out = ragged | {f"{name}_index" for name in ragged}
    return {name: f"{group}/{name}" for name in sorted(names - left_out) if "/" not in name}
