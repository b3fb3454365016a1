"""Reports: tables and figures of stored runs and analyses.

Shapes are given in T logged states, R replicates and K principal components (PCs).
:func:`simopt.optimization.trajectory.half_capture` defines the half capture of a PC.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from simopt import catalogue
from simopt.errors import InputError, StorageError, UnfinishedError
from simopt.report.selection import Facts, find, keeps, nothing_left
from simopt.report.tables import Summary, summarize
from simopt.store import analysis, reader, shelf
from simopt.store.errors import reading_errors
from simopt.store.reader import Run

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange

Content = TypeVar("Content")

_BUDGET = 100_000_000
"""The largest memory, in bytes, of the captured variance of all runs together; larger runs are thinned."""


@dataclass(frozen=True)
class Collected:
    """The stored results that passed the filters, and a line for each file that could not be read.

    Attributes
    ----------
    runs : list of Run
        A large run is thinned: it keeps only as many of its logged states as a figure needs. Its half
        captures are computed from all logged states. :meth:`whole` yields the runs with all logged states.
    broken : list of str
        A line for each file that could not be read.
    summaries : list of Summary
        The summaries of ``runs``, in the same order, computed from all logged states.
    sensitivities : list of Sensitivities
    joints : list of JointRange
    thinned : set of Path
        The files of the runs that are thinned.
    remarks : list of str
        A line for each result that is not finished or was made by an older revision of its code.
    """

    runs: list[Run]
    broken: list[str]
    summaries: list[Summary] = field(default_factory=list)
    sensitivities: list[Sensitivities] = field(default_factory=list)
    joints: list[JointRange] = field(default_factory=list)
    thinned: set[Path] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)

    def whole(self) -> Iterator[Run]:
        """Yield each run with all its logged states; thinned runs are read from their files again."""
        for run in self.runs:
            yield _run(run.path) if run.path in self.thinned else run


def collect(paths: Sequence[Path], filters: Facts = MappingProxyType({}), budget: int = _BUDGET) -> Collected:
    """Read the runs and analyses that are stored in some files and folders, and return those that match.

    Parameters
    ----------
    paths : sequence of Path
        Files, or folders that are searched with all folders inside.
    filters : mapping of lists of str
        Patterns by key, as :func:`simopt.report.selection.parse` returns them. A sensitivity keeps the
        measures that match. A joint range is kept if one of its two measures matches.
    budget : int
        The bytes of memory that the captured variance of all runs together may take.

    Raises
    ------
    InputError
        A path does not exist, the paths contain no stored result, or no stored result matches the filters.
    """
    files = find(paths)
    if not any(files.values()):
        places = ", ".join(map(str, paths))
        raise InputError(f"No run files in {places}; make a run with `simopt run measure=cka dataset=majaj`.")
    collected = Collected([], [])
    seen: list[Facts] = []

    def kept(kind: str, read: Callable[[Path], tuple[Content, Facts]]) -> Iterator[Content]:
        for path in files[kind]:
            try:
                # A hostile file may hold values that overflow.
                with reading_errors(path, "stored result"), np.errstate(all="ignore"):
                    content, facts = read(path)
                _check_names(path, facts)
            except MemoryError:
                collected.broken.append(f"{path}: too large for the memory here; log less with log.every=10.")
                continue
            except StorageError as error:
                lines = collected.remarks if isinstance(error, UnfinishedError) else collected.broken
                lines.append(str(error))
                continue
            seen.append(facts)  # before the filters, whose error names what there is
            if keeps(filters, facts):
                if revised := catalogue.outdated(shelf.parsed(analysis.attributes(path).get("revisions"))):
                    older = f"{path}: made by an older revision of {', '.join(revised)}"
                    collected.remarks.append(f"{older}; repeat the command that made the file.")
                yield content

    share = budget // max(1, len(files["run"]))
    for run, summary in kept("run", _summarized):
        thinned = _thin(run, share)
        if len(thinned.step) < len(run.step):
            thinned = replace(thinned, half_capture=summary.halves)
            assert run.path is not None  # it was read from a file
            collected.thinned.add(run.path)
        collected.runs.append(thinned)
        collected.summaries.append(summary)
    of_measures = {"measure": filters.get("measure", ["*"])}
    for result in kept("sensitivity", _sensitivity):
        curves = [curve for curve in result.curves if keeps(of_measures, {"measure": [curve.measure]})]
        collected.sensitivities.append(replace(result, curves=curves))
    collected.joints.extend(kept("joint", _joint))
    if not any(
        (collected.runs, collected.sensitivities, collected.joints, collected.broken, collected.remarks)
    ):
        raise nothing_left(filters, seen)
    return collected


def _check_names(path: Path, facts: Facts) -> None:
    """Refuse a name that contains control characters, which a terminal would execute, or invalid UTF-8."""
    for name in itertools.chain.from_iterable(facts.values()):
        if re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name):
            raise StorageError(
                f"{path}: the name {name!r} contains control characters or bytes that are not UTF-8 text."
            )


def _summarized(path: Path) -> tuple[tuple[Run, Summary], Facts]:
    run = _run(path)
    about = run.attributes
    return (run, summarize(run)), {
        "dataset": [str(about["dataset"])],
        "measure": [run.measure],
        "source": [str(about["source"])],
        "status": [run.status],
        "run": [run.run_id],
        "tracked": list(run.tracked),
        "variable": list(run.decoding),
    }


def _run(path: Path) -> Run:
    """Read a run, check that its arrays fit each other, and drop decoding after the last logged state."""
    run = reader.read(path)
    T, R, K = run.captured_variance.shape
    shapes = {"score": (run.score, (T, R)), "pc_variance": (run.pc_variance, (K,)), "step": (run.step, (T,))}
    shapes |= {name: (scores, (T, R)) for name, scores in run.tracked.items()}
    shapes |= {name: (values, (len(run.decoding_step), R)) for name, values in run.decoding.items()}
    if run.half_capture is not None:
        shapes["half_capture"] = (run.half_capture, (R, K))
    for name, (array, shape) in shapes.items():
        if array.shape != shape or array.dtype.kind not in "fi":
            raise StorageError(
                f"{path}: {name} has shape {array.shape} ({array.dtype}); expected numbers of shape {shape}."
            )
    if np.shape(run.attributes["seeds"]) != (R,):
        raise StorageError(f"{path}: {np.size(run.attributes['seeds'])} seeds for {R} replicates.")
    return _with_decoded(run, np.isin(run.decoding_step, run.step))


def _with_decoded(run: Run, states: np.ndarray) -> Run:
    """Return the run with the decoded states that ``states`` selects, a mask or indices, and no others."""
    decoding = {name: values[states] for name, values in run.decoding.items()}
    return replace(run, decoding_step=run.decoding_step[states], decoding=decoding)


def _thin(run: Run, budget: int) -> Run:
    """Return a run with so few evenly spaced states that captured variance takes at most ``budget`` bytes.

    At least four states are kept. At most half of the kept states are those that were decoded.
    """
    T, R, K = run.captured_variance.shape
    most = max(4, budget // max(1, R * K * run.captured_variance.itemsize))
    if most >= T:
        return run
    decoded = np.searchsorted(run.step, run.decoding_step)
    entries = spread(len(decoded), most // 2)
    states = np.union1d(spread(T, most - len(entries)), decoded[entries])
    return replace(
        _with_decoded(run, entries),
        step=run.step[states],
        score=run.score[states],
        captured_variance=run.captured_variance[states],
        tracked={name: scores[states] for name, scores in run.tracked.items()},
    )


def spread(length: int, most: int) -> np.ndarray:
    """Return at most ``most`` evenly spaced indices of a sequence, including the first and the last."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.int64))


def _sensitivity(path: Path) -> tuple[Sensitivities, Facts]:
    from simopt.analysis.sensitivity import read  # loads torch, which runs alone do not need

    result = read(path)
    shape = (len(result.strengths), 1 if result.perturbation == "noise_all" else len(result.variance_ratio))
    for curve in result.curves:
        for name in ("theory", "expected", "band", "experiment"):
            values = getattr(curve, name)
            if values is not None and values.shape[:2] != shape:
                raise StorageError(f"{path}: {name} of {curve.measure} is {values.shape}; expected {shape}.")
    return result, _analysis_facts(result, [curve.measure for curve in result.curves])


def _joint(path: Path) -> tuple[JointRange, Facts]:
    from simopt.ranges.result import read

    result = read(path)
    result.as_json()  # raises for arrays that do not fit: tables and files show nothing else
    if result.region is None and result.square is None:
        raise StorageError(f"{path}: the joint range has neither a region nor targets.")
    return result, _analysis_facts(result, result.names)


def _analysis_facts(result: Sensitivities | JointRange, measures: Sequence[str]) -> Facts:
    return {
        "dataset": [str(result.dataset)],
        "measure": measures,
        "source": [str(result.source)],
        "status": ["finished"],  # stored when done
        "run": [] if result.path is None else [result.path.parent.name],
    }
