"""Which principal components a score depends on: by experiment and theory, by proof, and along a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simopt import checks
from simopt.analysis.sensitivity import ANALYSIS, Sensitivities, content, read
from simopt.errors import InputError, InterruptedRunError, SimoptError
from simopt.store import analysis, shelf
from simopt.store.config import parsed
from simopt.store.image import Stored
from simopt.theory.sensitivity import Sensitivity, chosen_pcs, experiment, predict
from simopt.typing import FloatArray
from simopt.workflows import derivations
from simopt.workflows.data import Data
from simopt.workflows.request import OnProgress, measure_nodes, name_of, never, quiet, steps
from simopt.workflows.result import Result
from simopt.workflows.sensitivity_request import DEFAULT, SensitivityRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.measures import Measure
    from simopt.typing import ArrayLike


@dataclass(frozen=True)
class SensitivityResult(Result, Sensitivities):
    """The scores after each PC is perturbed, in theory and in experiment."""

    kind: ClassVar[str] = ANALYSIS

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each measure, strength and PC."""
        whole = self.perturbation == "noise_all"
        return [
            {
                "measure": curve.measure,
                "strength": strength,
                "pc": None if whole else k + 1,
                "variance_ratio": None if whole else float(self.variance_ratio[k]),
                "theory": None if curve.theory is None else float(curve.theory[s, k]),
                "experiment": None if curve.mean is None else float(curve.mean[s, k]),
            }
            for curve in self.curves
            for s, strength in enumerate(self.strengths)
            for k in range(1 if whole else len(self.variance_ratio))
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the first strength: theory as lines, experiments as dots; return the axes."""
        from simopt.report.sensitivity import draw_sensitivity

        return draw_sensitivity(self, ax)

    @classmethod
    def load(cls, path: Path) -> SensitivityResult:
        """Return the sensitivities of a file."""
        return cls.of(read(path))

    def content(self) -> Stored:
        """Return what the file holds."""
        return content(self)


def carry_out(
    request: SensitivityRequest,
    observe: OnProgress = quiet,
    *,
    should_stop: Callable[[], bool] = never,
    wait: bool = False,
) -> SensitivityResult:
    """Find the stored result, or perturb and score; of a spectrum alone nothing is stored.

    Raises
    ------
    InputError
        Data or an option that cannot be used, or a measure that does not apply.
    InterruptedRunError
        It was told to stop.
    StorageError
        The result cannot be written; a RunBusyError where another process is at it, and ``wait`` is false.
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
            found = Sensitivities(
                dataset=dataset.name,
                source=dataset.source,
                perturbation=request.perturbation,
                strengths=request.strengths,
                seeds=len(request.seeds),
                variance_ratio=variances,
                curves=curves,
                skipped=skipped,
                path=request.path,
                how="done",
            )
            request.write(content(found))
            return found

        return work

    found, how = shelf.find_or_make(request, make, wait=should_stop if wait else None)
    named = _renamed(request, found) if how == "found" else found
    return replace(SensitivityResult.of(named), how=how)


def _renamed(request: SensitivityRequest, found: Sensitivities) -> Sensitivities:
    """Return what was found under the names of the request: it may have been stored under aliases."""
    if found.path is None:
        return found
    stored = parsed(analysis.attributes(found.path).get("config")) or {}
    names = dict(zip(map(name_of, stored["measures"]), map(name_of, request.measures), strict=True))
    curves = [replace(curve, measure=names[curve.measure]) for curve in found.curves]
    skipped = {names[name]: reason for name, reason in found.skipped.items()}
    return replace(found, curves=curves, skipped=skipped)


def _curves(
    request: SensitivityRequest,
    X: FloatArray,
    chosen: Mapping[str, Measure],
    observe: Callable[[int, int], None],
) -> tuple[list[Sensitivity], dict[str, str]]:
    options: dict[str, Any] = {"seeds": list(request.seeds), "pcs": request.pcs, "observe": observe}
    kind: Any = request.perturbation
    if not request.keep_going:
        return experiment(X, list(chosen.values()), kind, request.strengths, **options), {}
    found, skipped = [], {}
    for name, measure in chosen.items():
        try:
            found += experiment(X, [measure], kind, request.strengths, **options)
        except InterruptedRunError:
            raise
        except SimoptError as error:
            skipped[name] = str(error)
    return found, skipped


def _from_spectrum(request: SensitivityRequest) -> Sensitivities:
    path = Path(str(request.spectrum)).expanduser()
    variances = _spectrum(path)
    if request.units is None or request.samples is None:
        raise InputError("spectrum=FILE needs samples=N and units=N: how many the data have.")
    kind: Any = request.perturbation
    sizes = {"units": request.units, "samples": request.samples}
    curves = predict(variances, list(request.built().values()), kind, request.strengths, **sizes)
    ratio = np.sort(variances)[::-1] / variances.sum()
    return Sensitivities(
        path.stem, "spectrum", request.perturbation, request.strengths, 0, ratio, curves, {}, None, "done"
    )


def _spectrum(path: Path) -> FloatArray:
    """Return the numbers of the last column of a csv, one PC a row, with or without a line of names."""
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
        raise InputError(f"{path}: {wrong!r} is no number; expected a csv with one PC's variance a row.")
    return np.array([value for value in map(float, cells) if value != 0], dtype=np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def sensitivity(
    X: ArrayLike | Data,
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
    """Return which PCs of X the scores depend on: ``simopt sensitivity``.

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording; of no account for ``what="derivation"``, which takes None.
    measures : sequence of str or Measure
    what : {"experiment", "learning", "bounds", "derivation"}
        ``experiment``: each PC is perturbed, and the scores are set beside what theory says. ``learning``:
        which PCs are learned first, beside the runs in ``store``. ``bounds``: what a score of one measure
        proves about another. ``derivation``: the closed forms, derived.
    perturbation : {"rotation", "scaling", "noise", "noise_all"}
    strength : float or sequence of float, or None
        Degrees, amplitude or level; None: 90, 0, 1, or (0.25, 0.5, 1, 2).
    seeds : sequence of int
        One random direction each for every PC.
    pcs : sequence of int or None
        The PCs to perturb, from 1; None: all.
    store : path or None
        A folder: a result that is stored there is found. None: nothing is written.
    force : bool
        Compute anew what is stored.
    **options
        Of the measures, for instance ``form="angular"``.

    Returns
    -------
    SensitivityResult, LearningResult, BoundsResult or DerivationResult

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.

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
