"""What theory alone says of scores: derivations, proved bounds, and the order in which PCs are learned."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simopt.analysis.reading import median_half_capture
from simopt.errors import InputError, SimoptError
from simopt.store import shelf
from simopt.store.errors import writing
from simopt.store.reader import Run, finished
from simopt.store.whole import put
from simopt.theory import bounds as proved
from simopt.theory import derivation as derived
from simopt.theory.bounds import Range
from simopt.theory.derivation import Derivation
from simopt.theory.learning import Comparison, Prediction, StartGradient, compare, gradient_at_start, predict
from simopt.typing import FloatArray
from simopt.workflows.request import as_listed, name_of
from simopt.workflows.result import Result
from simopt.workflows.run_request import RunRequest, stored_runs
from simopt.workflows.sensitivity_request import SensitivityRequest

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
"""The scores of one measure at which it is said what they prove about another."""
_STARTS = (0, 1, 2)


@dataclass(frozen=True)
class DerivationResult(Result):
    """Derivations of closed forms, every step checked."""

    derivations: list[Derivation]

    def values(self) -> Mapping[str, Any]:
        """Return the results, as expressions that sympy reads, and the steps."""
        return {
            each.subject: {
                "perturbation": each.perturbation,
                "score": str(each.result),
                "loss": [str(term) for term in each.expansion],
                "ratio": None if each.ratio is None else str(each.ratio),
                "correction": None if each.correction is None else str(each.correction),
                "steps": [
                    {"of": step.of, "rule": step.rule, "before": str(step.before), "after": str(step.after)}
                    for step in each.steps
                ],
            }
            for each in self.derivations
        }

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each step of each derivation."""
        return [
            {"subject": each.subject, "of": step.of, "rule": step.rule, "after": str(step.after)}
            for each in self.derivations
            for step in each.steps
        ]

    def texts(self) -> Iterator[str]:
        """Give each derivation as text for a terminal."""
        return map(derived.to_text, self.derivations)

    def write(self, folder: Path) -> list[str]:
        """Write Markdown, LaTeX, and where a LaTeX is installed PDF; say what was written.

        Raises
        ------
        InputError
            The folder cannot be written.
        """
        markdown, latex, pdf = (folder / f"derivation.{suffix}" for suffix in ("md", "tex", "pdf"))
        with writing(folder):
            put(markdown, "\n\n".join(map(derived.to_markdown, self.derivations)).encode())
            told = [f"written: {markdown}", f"written: {latex}"]
            try:
                return [*told, f"written: {derived.write_pdf(self.derivations, pdf)}"]
            except InputError as error:  # no LaTeX is installed
                return [*told, str(error)]


def derivation(request: SensitivityRequest) -> DerivationResult:
    """Return the derivation of each measure under the perturbation that is asked for.

    Raises
    ------
    InputError
        A measure that nothing is derived of.
    """
    subjects = [_subject(_listed(node)) for node in request.measures]
    return DerivationResult([derived.derive(each, request.perturbation) for each in subjects])


def _listed(node: Mapping[str, Any]) -> str:
    """Return the name of a measure that is as the catalogue has it.

    Raises
    ------
    InputError
        It has options of its own: what is known of the name does not hold for it.
    """
    if not as_listed(node):
        raise InputError(f"{name_of(node)} with options of its own: nothing is derived or proved of it.")
    return name_of(node)


def _subject(name: str) -> str:
    if name.startswith("ridge") and name.removeprefix("ridge").isdigit():
        return "ridge"
    known = derived.subjects()
    if name not in known:
        raise InputError(f"{name}: no derivation; there are: {', '.join(known)} (ridge1 and so on as ridge).")
    return name


@dataclass(frozen=True)
class BoundsResult(Result):
    """What a score of one measure proves about another, on the spectrum of a recording.

    Attributes
    ----------
    dataset, source : str
    pairs : list of (given, implied, Range)
        Between what the second lies at :data:`LEVELS` of the first; NaN where no Y reaches the level.
    """

    dataset: str
    source: str
    pairs: list[tuple[str, str, Range]]

    def values(self) -> Mapping[str, Any]:
        """Return the limits of each ordered pair; null where no Y reaches the level."""
        pairs = [
            {"given": given, "implied": implied, "lower": limits.lower, "upper": limits.upper}
            for given, implied, limits in self.pairs
        ]
        return {"dataset": self.dataset, "source": self.source, "levels": list(LEVELS), "bounds": pairs}

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each ordered pair and level."""
        return [
            {"given": given, "implied": implied, "level": level, "lower": float(low), "upper": float(high)}
            for given, implied, limits in self.pairs
            for level, low, high in zip(LEVELS, limits.lower, limits.upper, strict=True)
        ]


def bounds(request: SensitivityRequest) -> BoundsResult:
    """Return what a score of each measure proves about each other one.

    Raises
    ------
    InputError
        Fewer than two measures, one that nothing is proved of, or data that cannot be used.
    """
    names = [_listed(node) for node in request.measures]
    for name in names:
        proved.relation(name)
    if len(names) < 2:
        raise InputError("--bounds needs two measures or more, for instance measure=[cka,nbs].")
    dataset = request.dataset.dataset
    samples, units = dataset.samples().shape
    sizes = {"samples": samples, "units": units, "x_units": units}
    pairs = [
        (given, implied, proved.between(given, implied, dataset.spectrum(), levels=LEVELS, **sizes))
        for given, implied in itertools.permutations(names, 2)
    ]
    return BoundsResult(dataset.name, dataset.source, pairs)


@dataclass(frozen=True)
class Learned:
    """What is predicted of one measure, and what a stored run did.

    Attributes
    ----------
    measure : str
    start : StartGradient or None
        None without a gradient.
    prediction : Prediction or None
    refusal : str
        Why nothing is predicted; empty where something is.
    run : Run or None
        A finished one of this measure on the same data.
    comparison : Comparison or None
    """

    measure: str
    start: StartGradient | None
    prediction: Prediction | None
    refusal: str
    run: Run | None
    comparison: Comparison | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values; PCs are counted from 1, never is null."""
        differences = ("median_difference", "largest_difference", "rank_correlation")
        return {
            "first_pcs": None if self.start is None else self.start.order[:10] + 1,
            "half_capture": None if self.prediction is None else self.prediction.half_capture(),
            "assumption": None if self.prediction is None else self.prediction.assumption,
            "refusal": self.refusal or None,
            "run": None if self.run is None else str(self.run.path),
            "run_half_capture": None if self.run is None else median_half_capture(self.run),
            **{name: self.comparison and getattr(self.comparison, name) for name in differences},
        }


@dataclass(frozen=True)
class LearningResult(Result):
    """The predicted order in which PCs are learned, beside the runs that are stored."""

    dataset: str
    source: str
    spectrum: FloatArray
    learned: list[Learned] = field(default_factory=list)

    def values(self) -> Mapping[str, Any]:
        """Return what is predicted, by measure."""
        found = {each.measure: each.as_json() for each in self.learned}
        return {"dataset": self.dataset, "source": self.source, "measures": found}

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each measure and PC: the score at half capture, predicted and of a stored run."""
        rows = []
        for each in self.learned:
            predicted = None if each.prediction is None else each.prediction.half_capture()
            run = None if each.run is None else median_half_capture(each.run)
            for k in range(len(self.spectrum)):
                half = None if predicted is None else float(predicted[k])
                of_run = None if run is None else float(run[k])
                rows.append({"measure": each.measure, "pc": k + 1, "predicted": half, "run": of_run})
        return rows


def learning(request: SensitivityRequest) -> LearningResult:
    """Predict, for each measure, which PCs are learned first and where each is half captured.

    Raises
    ------
    InputError
        Data that cannot be used.
    """
    dataset = request.dataset.dataset
    learned = [_learned(request, node) for node in request.measures]
    return LearningResult(dataset.name, dataset.source, dataset.spectrum(), learned)


def _learned(request: SensitivityRequest, node: Mapping[str, Any]) -> Learned:
    dataset, name = request.dataset.dataset, name_of(node)
    X = dataset.samples()
    samples, units = X.shape
    start = prediction = comparison = None
    refusal = ""
    try:
        start = gradient_at_start(X, request.built()[name], _STARTS)
        prediction = predict(dataset.spectrum(), samples, units, _listed(node), seeds=_STARTS)
    except SimoptError as error:
        refusal = str(error)
    runs = stored_runs(RunRequest(measure=node, dataset=request.dataset, log=request.log.dir))
    run = next(filter(None, (shelf.if_whole(finished, path) for path in runs)), None)
    if prediction is not None and run is not None:
        assert run.half_capture is not None
        comparison = compare(prediction, run.half_capture)
    return Learned(name, start, prediction, refusal, run, comparison)
