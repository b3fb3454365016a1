"""Reader of NWB files (Neurodata Without Borders), which counts spikes around an event of every trial.

An NWB file is an HDF5 file. A table is a group with one HDF5 dataset for each column. A ragged column, with
several values in each row, is one long dataset; a second dataset with the suffix ``_index`` holds the index
at which the values of each row end. For instance, ``units/spike_times`` holds the spikes of all units one
after the other, and ``units/spike_times_index`` holds the end of each unit's spikes.

References
----------
Rubel et al. 2022, doi:10.7554/eLife.78362.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simopt.datasets.formats.content import (
    Content,
    Options,
    named_labels,
    readable_names,
    unknown,
    variable_of,
)
from simopt.datasets.formats.hdf5 import dataset_in, datasets_inside, h5
from simopt.errors import InputError
from simopt.typing import FloatArray

_LEAST_INTERVALS = 50
"""Fewer intervals say nothing of their unit."""
_SHORT, _LONG = 0.1, 2.0  # s


def nwb(path: Path, options: Options, stack: ExitStack) -> Content:
    """Count the spikes of the sorted units around an event of every trial.

    The array has the shape (time, condition, unit), and each trial is a condition. The counts of a trial
    without the event are NaN. If the option ``key`` is set, the file is read like any other HDF5 file.
    """
    if options.key is not None:
        return h5(path, options, stack)
    datasets = datasets_inside(stack.enter_context(h5py.File(path, "r")))
    for name in ("units/spike_times", "units/spike_times_index", "intervals/trials/start_time"):
        if name not in datasets:
            raise InputError(f"{path}: there is no {name}; to read an array instead, set dataset.key=NAME.")
    units, trials = _table(datasets, "units"), _table(datasets, "intervals/trials")
    names, align = options.label_names, options.align or "start_time"
    if options.labels is None:  # all columns with text or whole numbers: floats are times rather than classes
        columns = {name: datasets[trials[name]] for name in trials if name != "id"}
        text = {name for name, column in columns.items() if h5py.check_string_dtype(column.dtype)}
        names = [n for n, x in columns.items() if x.ndim == 1 and (n in text or x.dtype.kind in "iub")]
    for name in (align, *names):
        if name not in trials:
            raise unknown(name, trials, "column of trials", path)
    if options.window is None:
        raise InputError(f"{path}: no window is set; set dataset.window=[START,STOP], in ms from {align}.")
    start, stop = options.window
    bins = round((stop - start) / (options.bin or stop - start))
    edges = np.linspace(start, stop, bins + 1) / 1000  # in s, as all times of NWB
    read = partial(dataset_in, datasets, path)
    events = _seconds(read(trials[align]), align, path)
    ends = np.asarray(read("units/spike_times_index"), dtype=np.int64)
    spikes = _seconds(read("units/spike_times"), "units/spike_times", path)
    if (np.diff(ends, prepend=0) < 0).any() or (ends.size and ends[-1] != spikes.size):
        raise ValueError("units/spike_times_index does not divide units/spike_times")
    units_spikes = np.split(spikes, ends[:-1]) if ends.size else []
    _check_seconds(units_spikes, events, align, path)
    others = [name for name in trials if name not in names]
    return Content(
        array=_counts(units_spikes, events, edges) if ends.size else np.zeros((1, 1, 0)),
        axes=("time", "condition", "unit"),
        labels=named_labels({name: trials[name] for name in names}, read, path),
        variable=variable_of(units, lambda name: read(units[name])),
        named=lambda axis: readable_names(others, lambda name: read(trials[name])) if axis == 1 else {},
        windowed=True,
    )


def _seconds(values: Any, name: str, path: Path) -> FloatArray:
    # numpy would read text such as "1.5" as a number, and an object array as what it holds.
    if np.asarray(values).dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} does not hold numbers; write its times in s.")
    return np.asarray(values, dtype=np.float64)


def _check_seconds(spikes: Sequence[FloatArray], events: FloatArray, align: str, path: Path) -> None:
    """Refuse times that cannot be seconds, by the intervals between spikes and by where the events are.

    A unit that fires at all has intervals below 0.1 s: at a rate of only 0.2 Hz these are 2 of 100. In ms the
    same intervals are below 0.1 ms, where the refractory period allows none, and half are longer than 2 ms.
    """
    intervals = np.concatenate([np.diff(np.sort(times)) for times in spikes] or [np.zeros(0)])
    if len(intervals) >= _LEAST_INTERVALS:
        shortest, middle = np.quantile(intervals, (0.01, 0.5))
        if shortest > _SHORT and middle > _LONG:
            raise InputError(
                f"{path}: half of the intervals between spikes are longer than {middle:.3g} s, and hardly "
                f"one is below {_SHORT} s: the times are not in s. If they are in ms, divide "
                "spike_times and the times of trials by 1000."
            )
    times = np.concatenate([*spikes, np.zeros(0)])
    known = events[~np.isnan(events)]
    outside = (known < times.min()) | (known > times.max()) if len(times) else np.zeros(len(known), bool)
    if len(times) >= _LEAST_INTERVALS and len(known) > 1 and outside.mean() > 0.5:
        raise InputError(
            f"{path}: {outside.sum()} of {len(known)} times of {align} are outside the spikes, which run "
            f"from "
            f"{times.min():.4g} to {times.max():.4g} s; write both in s (divide by 1000 what is in ms)."
        )


def _counts(spikes: Sequence[FloatArray], events: FloatArray, edges: FloatArray) -> FloatArray:
    """Return spike counts, (time, trial, unit), in half-open bins around events.

    Parameters
    ----------
    spikes : sequence of array
        Spike times of each unit in s, in any order.
    events : array, (trial,)
        The time of the event in each trial, in s. If it is NaN, the counts of the trial are NaN.
    edges : array, (time + 1,)
        Edges of the bins, in s from the event.
    """
    present = ~np.isnan(events)
    counts = np.full((len(edges) - 1, len(events), len(spikes)), np.nan)
    for unit, times in enumerate(spikes):
        # The number of spikes before each edge, (edge, trial); its differences are the counts.
        before = np.searchsorted(np.sort(times), events[present] + edges[:, None])
        counts[:, present, unit] = np.diff(before, axis=0)
    return counts


def _table(datasets: Mapping[str, h5py.Dataset], group: str) -> dict[str, str]:
    """Return a dict that maps each column of an NWB table that is not ragged to its HDF5 dataset's name."""
    names = {name.removeprefix(f"{group}/") for name in datasets if name.startswith(f"{group}/")}
    ragged = {name for name in names if f"{name}_index" in names}
    skipped = ragged | {f"{name}_index" for name in ragged}
    return {name: f"{group}/{name}" for name in sorted(names - skipped) if "/" not in name}
