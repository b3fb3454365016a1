"""Which principal components a score depends on, by experiment and by theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simopt import checks
from simopt.analysis.sensitivity import ANALYSIS, Sensitivities, content, read
from simopt.errors import InputError, InterruptedRunError, SimoptError
from simopt.measures import Measure
from simopt.rows import Order
from simopt.store import analysis, shelf
from simopt.store.config import parsed
from simopt.store.image import Stored
from simopt.theory.sensitivity import Sensitivity, chosen_pcs, experiment, predict
from simopt.typing import FloatArray, OnStep
from simopt.workflows import derivations
from simopt.workflows.data import Data, DataLike, structured, told_rows
from simopt.workflows.request import OnProgress, ShouldStop, measure_nodes, name_of, never, quiet, steps
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.sensitivity_request import DEFAULT, SensitivityRequest

_SHOWN_PCS = 5


@dataclass(frozen=True, repr=False)
class SensitivityResult(Result, Sensitivities):
    """The scores after each PC is perturbed: measured in an experiment, and predicted by theory."""

    kind: ClassVar[str] = ANALYSIS

    @property
    def title(self) -> str:
        """The perturbation, the recording and the measures, in one line."""
        names = ", ".join([curve.measure for curve in self.curves])
        return f"{self.perturbation} of the PCs of {self.dataset} ({self.source}): {names}"

    def main_numbers(self) -> list[str]:
        """Return a line for each measure: its scores after single PCs are perturbed at the first strength."""
        lines = []
        for curve in self.curves:
            scores = curve.theory if curve.mean is None else curve.mean
            if scores is not None:
                shown = ", ".join(f"{score:.4f}" for score in scores[0, :_SHOWN_PCS])
                lines.append(f"{curve.measure} after strength {self.strengths[0]:g}, PC 1 first: {shown}")
        return lines

    def caveats(self) -> list[str]:
        """Return a line for each skipped measure, with the reason."""
        return [f"{name}: {reason}" for name, reason in self.skipped.items()]

    def table(self) -> Rows:
        """Return a row for each measure, strength and PC; ``noise_all`` has one row for all PCs together."""
        all_pcs = self.perturbation == "noise_all"
        return [
            {
                "measure": curve.measure,
                "strength": strength,
                "pc": None if all_pcs else k + 1,
                "variance_ratio": None if all_pcs else float(self.variance_ratio[k]),
                "theory": None if curve.theory is None else float(curve.theory[s, k]),
                "experiment": None if curve.mean is None else float(curve.mean[s, k]),
            }
            for curve in self.curves
            for s, strength in enumerate(self.strengths)
            for k in range(1 if all_pcs else len(self.variance_ratio))
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw theory as lines and experiment as dots, at the first strength, and return the axes."""
        from simopt.report.sensitivity import draw_sensitivity

        return draw_sensitivity(self, ax)

    @classmethod
    def load(cls, path: Path) -> SensitivityResult:
        """Return the sensitivities that a file stores."""
        return cls.of(read(path))

    def content(self) -> Stored:
        """Return the content of the file of the sensitivities."""
        return content(self)


def carry_out(
    request: SensitivityRequest,
    observe: OnProgress = quiet,
    *,
    should_stop: ShouldStop = never,
    wait: bool = False,
) -> SensitivityResult:
    """Return the stored sensitivities of a request, or compute and store them.

    If the request has a ``spectrum`` instead of data, nothing is stored.

    Raises
    ------
    InputError
        The data do not fit, an option is out of its range, or a measure cannot be applied to the data.
    InterruptedRunError
        ``should_stop`` returned True; nothing is kept.
    StorageError
        The result cannot be written.
    RunBusyError
        Another process is working on the same result, and ``wait`` is False.
    """
    if request.spectrum is not None:
        return SensitivityResult.of(_from_spectrum(request))

    def make() -> Callable[[Stored | None], Sensitivities]:
        chosen = request.built()
        dataset = request.dataset.dataset
        X, variances = dataset.samples(), dataset.spectrum()
        chosen_pcs(request.pcs, len(variances))

        def work(before: Stored | None) -> Sensitivities:
            curves, skipped = _curves(request, X, chosen, steps("perturbing", observe, should_stop))
            result = Sensitivities(
                dataset=dataset.name,
                source=dataset.source,
                perturbation=request.perturbation,
                strengths=list(request.strength),
                seeds=len(request.seeds),
                variance_ratio=variances,
                curves=curves,
                skipped=skipped,
                path=request.path,
                how="done",
            )
            request.write(content(result))
            return result

        return work

    result, how = shelf.find_or_make(request, make, wait=should_stop if wait else None)
    named = _renamed(request, result) if how == "found" else result
    return replace(SensitivityResult.of(named), how=how)


def _renamed(request: SensitivityRequest, stored: Sensitivities) -> Sensitivities:
    """Return a stored result with the measures' names in the request: it may be stored under aliases."""
    if stored.path is None:
        return stored
    config = parsed(analysis.attributes(stored.path).get("config")) or {}
    names = dict(zip(map(name_of, config["measures"]), map(name_of, request.measures), strict=True))
    curves = [replace(curve, measure=names[curve.measure]) for curve in stored.curves]
    skipped = {names[name]: reason for name, reason in stored.skipped.items()}
    return replace(stored, curves=curves, skipped=skipped)


def _curves(
    request: SensitivityRequest, X: FloatArray, chosen: Mapping[str, Measure], observe: OnStep
) -> tuple[list[Sensitivity], dict[str, str]]:
    options: dict[str, Any] = {"seeds": list(request.seeds), "pcs": request.pcs, "observe": observe}
    options["rows"] = told_rows(request.dataset.dataset)
    kind: Any = request.perturbation
    if not request.keep_going:
        return experiment(X, list(chosen.values()), kind, request.strength, **options), {}
    curves, skipped = [], {}
    for name, measure in chosen.items():
        try:
            curves += experiment(X, [measure], kind, request.strength, **options)
        except InterruptedRunError:
            raise
        except SimoptError as error:
            skipped[name] = str(error)
    return curves, skipped


def _from_spectrum(request: SensitivityRequest) -> Sensitivities:
    path = Path(str(request.spectrum)).expanduser()
    variances = _spectrum(path)
    if request.units is None or request.samples is None:
        raise InputError("spectrum=FILE also needs the shape of the data; add samples=N and units=N.")
    kind: Any = request.perturbation
    sizes = {"units": request.units, "samples": request.samples}
    curves = predict(variances, list(request.built().values()), kind, request.strength, **sizes)
    ratio = np.sort(variances)[::-1] / variances.sum()
    return Sensitivities(
        path.stem, "spectrum", kind, list(request.strength), 0, ratio, curves, {}, None, "done"
    )


def _spectrum(path: Path) -> FloatArray:
    """Return the nonzero numbers in the last column of a csv, one PC a row, with or without a header."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{path}: cannot be read ({reason}).") from error
    cells = [line.rpartition(",")[2].strip() for line in lines if line and not line.startswith("#")]
    if cells and not _is_number(cells[0]):
        cells = cells[1:]
    wrong = next((cell for cell in cells if not _is_number(cell)), None)
    if wrong is not None or not cells:
        raise InputError(
            f"{path}: {wrong!r} is not a number; give a csv with the variance of a PC in each row."
        )
    return np.array([value for value in map(float, cells) if value != 0], dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def sensitivity(
    X: DataLike | None,
    measures: str | Sequence[str | Measure] = DEFAULT,
    *,
    what: str = "experiment",
    perturbation: str = "rotation",
    strength: float | Sequence[float] | None = None,
    seeds: Sequence[int] = tuple(range(10)),
    pcs: Sequence[int] | None = None,
    groups: Any = None,
    blocks: Any = None,
    rows: Order | None = None,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> Result:
    """Return which PCs of X the scores depend on.

    The command is ``simopt sensitivity``.

    Parameters
    ----------
    X : array, tensor or Dataset
        The recording, of shape (samples, units) or (time, condition, unit). Give None for
        ``what="derivation"``, which needs no data.
    measures : str, Measure, or sequence of them
        The measures, by name or as Measures.
    what : {"experiment", "learning", "bounds", "derivation"}
        What to return. ``experiment``: the measured and the predicted scores of copies of X in each of
        which one PC is perturbed. ``learning``: which PCs are captured first, as predicted and in the runs
        that ``store`` holds. ``bounds``: the proved limits on the score of one measure at given scores of
        another. ``derivation``: the closed forms of the scores, derived step by step.
    perturbation : {"rotation", "scaling", "noise", "noise_all"}
        What is done to PC i, which is s_i u_i for the singular value decomposition X = U S V'. ``rotation``
        rotates u_i by an angle towards a random direction, ``scaling`` multiplies s_i by a factor, and
        ``noise`` adds noise to the PC. ``noise_all`` adds noise to all units of Y at once.
    strength : float or sequence of float, or None
        The strength of the perturbation; None stands for the default in parentheses. ``rotation``: the angle
        in degrees, from 0 to 180 (90). ``scaling``: the factor (0, which removes the PC). ``noise``: the
        standard deviation of the noise, divided by that of the PC (1). ``noise_all``: the standard deviation
        of the noise, divided by the root of the mean variance of the units (0.25, 0.5, 1, 2).
    seeds : sequence of int
        The seeds. Each seed gives one random direction for every PC.
    pcs : sequence of int or None
        The PCs to perturb, numbered from 1. None: all PCs.
    groups, blocks, rows
        Which samples belong together, and whether they depend on each other; :class:`simopt.Dataset` explains
        them. None: what a Dataset says.
    store : path or None
        The folder of stored results. A result that it holds is read; otherwise it is computed and stored.
        None: nothing is stored.
    force : bool
        Whether to compute the result again although it is stored.
    **options
        Options that override the defaults of every measure, for instance ``form="angular"``.

    Returns
    -------
    SensitivityResult, LearningResult, BoundsResult or DerivationResult

    Raises
    ------
    InputError
        The data do not fit, a name or an option is unknown or out of its range, or a measure cannot be
        applied to the data.
    StorageError
        The result cannot be written.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((60, 5)) * [5, 4, 3, 2, 1]
    >>> result = simopt.sensitivity(X, ("cka", "nbs"), seeds=(0, 1))
    >>> [curve.measure for curve in result.curves]
    ['cka', 'nbs']
    """
    kinds: dict[str, Callable[[SensitivityRequest], Result]] = {
        "experiment": carry_out,
        "learning": derivations.learning,
        "bounds": derivations.bounds,
        "derivation": derivations.derivation,
    }
    checks.one_of(what, kinds, "what")
    if X is None and what != "derivation":
        raise InputError(f'what="{what}" needs a recording, but X is None; give an array or a Dataset as X.')
    request = SensitivityRequest(
        dataset=Data({}) if X is None else structured(X, groups, blocks, rows),
        measures=measure_nodes(measures, **options),
        perturbation=perturbation,
        strength=strength,
        seeds=seeds,
        pcs=pcs,
        log=store,
        force=force,
    )
    return kinds[what](request)
