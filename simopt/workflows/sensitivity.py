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
from simopt.store import analysis, shelf
from simopt.store.config import parsed
from simopt.store.image import Stored
from simopt.theory.sensitivity import Sensitivity, chosen_pcs, experiment, predict
from simopt.typing import FloatArray, OnStep
from simopt.workflows import derivations
from simopt.workflows.data import Data, DataLike
from simopt.workflows.request import OnProgress, ShouldStop, measure_nodes, name_of, never, quiet, steps
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.sensitivity_request import DEFAULT, SensitivityRequest

_SHOWN_PCS = 5


@dataclass(frozen=True, repr=False)
class SensitivityResult(Result, Sensitivities):
    """The scores after each PC is perturbed, in theory and in experiment."""

    kind: ClassVar[str] = ANALYSIS

    @property
    def title(self) -> str:
        """The perturbation, the recording and the measures."""
        names = ", ".join([curve.measure for curve in self.curves])
        return f"{self.perturbation} of the PCs of {self.dataset} ({self.source}): {names}"

    def main_numbers(self) -> list[str]:
        """Return the scores of each measure after a perturbation of the first PCs, at the first strength."""
        lines = []
        for curve in self.curves:
            scores = curve.theory if curve.mean is None else curve.mean
            if scores is not None:
                shown = ", ".join(f"{score:.4f}" for score in scores[0, :_SHOWN_PCS])
                lines.append(f"{curve.measure} after strength {self.strengths[0]:g}, PC 1 first: {shown}")
        return lines

    def caveats(self) -> list[str]:
        """Return which measures were skipped, and why."""
        return [f"{name}: {reason}" for name, reason in self.skipped.items()]

    def table(self) -> Rows:
        """Return a row for each measure, strength and PC; under ``noise_all`` one for all PCs."""
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
        """Draw the first strength, theory as lines and experiments as dots, and return the axes."""
        from simopt.report.sensitivity import draw_sensitivity

        return draw_sensitivity(self, ax)

    @classmethod
    def load(cls, path: Path) -> SensitivityResult:
        """Return the sensitivities in a file."""
        return cls.of(read(path))

    def content(self) -> Stored:
        """Return the content of the file."""
        return content(self)


def carry_out(
    request: SensitivityRequest,
    observe: OnProgress = quiet,
    *,
    should_stop: ShouldStop = never,
    wait: bool = False,
) -> SensitivityResult:
    """Return the stored sensitivities, or compute and store them; those of a spectrum alone are not stored.

    Raises
    ------
    InputError
        Data or an option cannot be used, or a measure does not apply.
    InterruptedRunError
        ``should_stop`` returned True; nothing is kept.
    StorageError
        The result cannot be written; RunBusyError: another process works on it, and ``wait`` is False.
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
        raise InputError("spectrum=FILE needs samples=N and units=N, the shape of the data.")
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
        raise InputError(f"{path}: {wrong!r} is no number; expected a csv with the variance of one PC a row.")
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
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> Result:
    """Show which PCs of X the scores depend on: ``simopt sensitivity``.

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording. ``what="derivation"`` needs none: None.
    measures : str, Measure, or sequence of them
    what : {"experiment", "learning", "bounds", "derivation"}
        ``experiment``: scores after a perturbation of each PC, measured and by theory. ``learning``: which
        PCs are captured first, predicted, and in the runs stored in ``store``. ``bounds``: which scores of
        one measure a score of another proves. ``derivation``: the closed forms, step by step.
    perturbation : {"rotation", "scaling", "noise", "noise_all"}
        What is done to PC i, the column s_i u_i of X = U S V': rotation of u_i by an angle towards a random
        direction; scaling of s_i; noise on the PC; ``noise_all``: noise on all units of Y.
    strength : float or sequence of float, or None
        Rotation: degrees, 0 to 180 (None: 90). Scaling: factor (None: 0, which removes the PC). Noise:
        standard deviation over that of the PC (None: 1). ``noise_all``: standard deviation over the root mean
        variance of the units (None: 0.25, 0.5, 1, 2).
    seeds : sequence of int
        Each seed gives one random direction for every PC.
    pcs : sequence of int or None
        The PCs to perturb, from 1; None: all.
    store : path or None
        A folder. A result stored there is read, else computed and stored. None: nothing is written.
    force : bool
        Compute again what is stored.
    **options
        Options of the measures, for instance ``form="angular"``.

    Returns
    -------
    SensitivityResult, LearningResult, BoundsResult or DerivationResult

    Raises
    ------
    InputError
        Data, a name or an option cannot be used, or a measure does not apply.
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
        raise InputError(f'X is None; what="{what}" needs a recording: an array or a Dataset.')
    request = SensitivityRequest(
        dataset=Data({}) if X is None else X,
        measures=measure_nodes(measures, **options),
        perturbation=perturbation,
        strength=strength,
        seeds=seeds,
        pcs=pcs,
        log=store,
        force=force,
    )
    return kinds[what](request)
