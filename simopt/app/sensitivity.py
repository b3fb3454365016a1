"""The work of ``simopt sensitivity``: from overrides to a stored result, found again where it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from simopt import checks, measures
from simopt.analysis.sensitivity import ANALYSIS, Sensitivities, read, write
from simopt.app import inputs
from simopt.app.build import as_node, find_own_code
from simopt.app.compose import compose, compose_analysis
from simopt.app.guards import alone, tidy
from simopt.app.paths import analysis_place, bare, make_folder, source_of
from simopt.app.provenance import provenance
from simopt.app.schema import SensitivityConfig
from simopt.components import principal_components
from simopt.datasets import Dataset
from simopt.errors import InputError, InterruptedRunError, SimoptError
from simopt.measures import Measure
from simopt.store import reader
from simopt.theory.perturbations import DEFAULTS, KINDS, check
from simopt.theory.sensitivity import Sensitivity, chosen_pcs, experiment, predict
from simopt.typing import FloatArray

DEFAULT = ("cka", "nbs", "procrustes_angular")


@dataclass(frozen=True)
class Request:
    """What is asked; ``keep_going`` leaves out measures that do not apply."""

    config: SensitivityConfig
    strengths: list[float]
    measures: dict[str, Measure]
    nodes: dict[str, Any]
    overrides: list[str]
    keep_going: bool

    @property
    def needs_data(self) -> bool:
        """Whether it is about a recording, not a spectrum alone."""
        return self.config.spectrum is None

    @property
    def data(self) -> list[str]:
        """The overrides of the dataset."""
        return inputs.of_dataset(self.overrides)


def request(overrides: Sequence[str], config_dir: Path | None = None) -> Request:
    """Check overrides, without looking at data.

    Raises
    ------
    InputError
        A name, a value or an option that cannot be used.
    """
    find_own_code()
    own = [each for each in overrides if each.startswith("measure._target_=")]
    names, others = inputs.measures_among(overrides, () if own else DEFAULT)
    keep_going = names == ["all"]
    options = [each for each in others if each.lstrip("+~").startswith("measure.")]
    rest = [each for each in others if each not in options]
    nodes = {}
    chosen = [[f"measure={name}"] for name in (measures.names() if keep_going else names)] or [[]]
    for each in chosen:
        node = as_node(compose([*each, *options], config_dir).config.measure, "measure")
        nodes[measures.build(node).name] = node
    config = compose_analysis("sensitivity", rest, config_dir)
    checks.one_of(config.perturbation, KINDS, "perturbation")
    return Request(
        config,
        _strengths(config),
        {name: measures.build(node) for name, node in nodes.items()},
        nodes,
        rest,
        keep_going,
    )


def _strengths(config: SensitivityConfig) -> list[float]:
    given = DEFAULTS[config.perturbation] if config.strength is None else config.strength  # type: ignore[index]
    listed = list(given) if isinstance(given, list | tuple) else [given]
    if not listed:
        raise InputError("strength is empty; give a number, or a list of them.")
    for strength in listed:
        check(config.perturbation, strength)
    return [float(strength) for strength in listed]


def carry_out(
    asked: Request,
    config_dir: Path | None = None,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivities:
    """Load the recording, and find or make the result; of a spectrum alone nothing is stored.

    Raises
    ------
    InputError
        Data or an option that cannot be used, or a measure that does not apply.
    StorageError
        The result cannot be written.
    """
    if not asked.needs_data:
        return _from_spectrum(asked)
    return find_or_make(asked, inputs.recording(asked.data, config_dir), observe)


def place(asked: Request, dataset: Dataset) -> Path:
    """Return the file of the result; nothing is made."""
    config = asked.config
    tree = {
        "data": dataset.data_hash(),
        "measures": {name: bare(node) for name, node in asked.nodes.items()},
        "code": {name: source_of(node["_target_"]) for name, node in asked.nodes.items()},
        "perturbation": config.perturbation,
        "strengths": asked.strengths,
        "seeds": config.seeds,
        "pcs": config.pcs,
    }
    return analysis_place(config.dir, dataset.name, dataset.source, ANALYSIS, tree)


def find_or_make(
    asked: Request,
    dataset: Dataset,
    observe: Callable[[int, int], None] = lambda done, total: None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    wait: bool = False,
) -> Sensitivities:
    """Find the stored result, or perturb and score, and store it.

    Raises
    ------
    InputError
        A measure that does not apply, or a folder that cannot be written.
    StorageError
        The result cannot be written; a RunBusyError where another process is at it, and ``wait`` is false.
    InterruptedRunError
        It was told to stop.
    """
    config, path = asked.config, place(asked, dataset)
    found = None if config.force else reader.if_whole(read, path)
    if found is not None:
        tidy(path.parent)
        return found

    def step(done: int, total: int) -> None:
        if should_stop():
            raise InterruptedRunError(f"{path.parent}: interrupted; the same command begins again.")
        observe(done, total)

    variances = principal_components(dataset.samples()).values ** 2
    chosen_pcs(config.pcs, len(variances))
    make_folder(path.parent)
    with alone(path.parent, should_stop if wait else None):
        found = None if config.force else reader.if_whole(read, path)
        if found is not None:
            return found
        return _make(asked, dataset, variances, path, step)


def _make(
    asked: Request,
    dataset: Dataset,
    variances: FloatArray,
    path: Path,
    observe: Callable[[int, int], None],
) -> Sensitivities:
    config = asked.config
    curves, skipped = _curves(asked, dataset.samples(), observe)
    result = Sensitivities(
        dataset.name,
        dataset.source,
        config.perturbation,
        asked.strengths,
        len(config.seeds),
        variances,
        curves,
        skipped,
        path,
        "done",
    )
    about = {"data_hash": dataset.data_hash(), "config": yaml.safe_dump(asdict(config)), **provenance()}
    write(path, result, about)
    return result


def _curves(
    asked: Request, X: Any, observe: Callable[[int, int], None]
) -> tuple[list[Sensitivity], dict[str, str]]:
    config = asked.config
    options: dict[str, Any] = {"seeds": config.seeds, "pcs": config.pcs, "observe": observe}
    kind: Any = config.perturbation
    if not asked.keep_going:
        return experiment(X, list(asked.measures.values()), kind, asked.strengths, **options), {}
    found, skipped = [], {}
    for name, measure in asked.measures.items():
        try:
            found += experiment(X, [measure], kind, asked.strengths, **options)
        except InterruptedRunError:
            raise
        except SimoptError as error:
            skipped[name] = str(error)
    return found, skipped


def _from_spectrum(asked: Request) -> Sensitivities:
    config = asked.config
    if asked.data:
        raise InputError("give dataset=NAME or spectrum=FILE, not both.")
    path = Path(str(config.spectrum)).expanduser()
    variances = _spectrum(path)
    if config.units is None or config.samples is None:
        raise InputError("spectrum=FILE needs samples=N and units=N: how many the data have.")
    kind: Any = config.perturbation
    curves = predict(
        variances,
        list(asked.measures.values()),
        kind,
        asked.strengths,
        units=config.units,
        samples=config.samples,
    )
    ratio = np.sort(variances)[::-1] / variances.sum()
    return Sensitivities(
        path.stem, "spectrum", config.perturbation, asked.strengths, 0, ratio, curves, {}, None, "done"
    )


def _spectrum(path: Path) -> FloatArray:
    """Return the numbers of the last column of a csv, one PC a row, with or without a line of names."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not text'})."
        ) from error
    cells = [line.rpartition(",")[2].strip() for line in lines if line and not line.startswith("#")]
    if cells and not _is_number(cells[0]):
        cells = cells[1:]
    wrong = next((cell for cell in cells if not _is_number(cell)), None)
    if wrong is not None or not cells:
        raise InputError(f"{path}: {wrong!r} is no number; expected a csv with one PC's variance a row.")
    return np.array([value for value in map(float, cells) if value != 0], dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
