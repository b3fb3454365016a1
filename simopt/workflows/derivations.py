"""Results of theory: derivations, proved bounds, and the predicted order in which PCs are learned.

The half capture of a PC is the score at which Y first captures half of its variance.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simopt.analysis.reading import median_half_capture
from simopt.errors import InputError, SimoptError
from simopt.store.errors import writing
from simopt.store.reader import Run
from simopt.store.whole import put
from simopt.theory import bounds as proved
from simopt.theory import derivation as derived
from simopt.theory.bounds import Range
from simopt.theory.derivation import Derivation
from simopt.theory.learning import Comparison, Prediction, StartGradient, compare, gradient_at_start, predict
from simopt.typing import FloatArray, Node
from simopt.workflows.request import as_listed, name_of
from simopt.workflows.result import Result, Rows
from simopt.workflows.run_request import runs_of
from simopt.workflows.sensitivity_request import SensitivityRequest

LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
"""The scores of one measure at which the proved limits on another measure are computed."""
_SEEDS = (0, 1, 2)
"""Seeds of the random starts over which a prediction is averaged."""


@dataclass(frozen=True, repr=False)
class DerivationResult(Result):
    """Derivations of the closed forms of scores; computer algebra verifies every step."""

    derivations: list[Derivation]

    @property
    def title(self) -> str:
        """One line that names the perturbation and the measures; there is no dataset."""
        perturbation = self.derivations[0].perturbation
        return f"score after {perturbation}, derived: {', '.join(one.subject for one in self.derivations)}"

    def main_numbers(self) -> list[str]:
        """Return the closed form of each score."""
        return [f"{derivation.subject} = {derivation.result}" for derivation in self.derivations]

    def values(self) -> Mapping[str, Any]:
        """Return the steps and the derived expressions, as text that sympy reads, of each measure by name."""
        return {
            derivation.subject: {
                "perturbation": derivation.perturbation,
                "score": str(derivation.result),
                "loss": [str(term) for term in derivation.expansion],
                "ratio": None if derivation.ratio is None else str(derivation.ratio),
                "correction": None if derivation.correction is None else str(derivation.correction),
                "steps": [
                    {"of": step.of, "rule": step.rule, "before": str(step.before), "after": str(step.after)}
                    for step in derivation.steps
                ],
            }
            for derivation in self.derivations
        }

    def table(self) -> Rows:
        """Return a row for each step of each derivation."""
        return [
            {"subject": derivation.subject, "of": step.of, "rule": step.rule, "after": str(step.after)}
            for derivation in self.derivations
            for step in derivation.steps
        ]

    def texts(self) -> Iterator[str]:
        """Yield each derivation as text for a terminal."""
        return map(derived.to_text, self.derivations)

    def write(self, folder: Path) -> list[str]:
        """Write the derivations as Markdown and LaTeX, and as PDF if LaTeX is installed.

        Return a line for each file.

        Raises
        ------
        InputError
            A file cannot be written in the folder.
        """
        markdown, latex, pdf = (folder / f"derivation.{suffix}" for suffix in ("md", "tex", "pdf"))
        with writing(folder):
            put(markdown, "\n\n".join(map(derived.to_markdown, self.derivations)).encode())
            written = [f"written: {markdown}", f"written: {latex}"]
            try:
                return [*written, f"written: {derived.write_pdf(self.derivations, pdf)}"]
            except InputError as error:  # no LaTeX is installed; the .tex is written before that is noticed
                return [*written, str(error)]


def derivation(request: SensitivityRequest) -> DerivationResult:
    """Return the derivation of the score of each measure under the perturbation of the request.

    Raises
    ------
    InputError
        A measure has no derivation.
    """
    subjects = [_subject(_default_name(node)) for node in request.measures]
    return DerivationResult([derived.derive(subject, request.perturbation) for subject in subjects])


def _default_name(node: Node) -> str:
    """Return the name of a measure with the options of the catalogue.

    Raises
    ------
    InputError
        It has other options: theory is only for the defaults.
    """
    if not as_listed(node):
        raise InputError(f"{name_of(node)} has changed options; derivations and bounds need the defaults.")
    return name_of(node)


def _subject(name: str) -> str:
    if name.startswith("ridge") and name.removeprefix("ridge").isdigit():
        return "ridge"
    subjects = derived.subjects()
    if name not in subjects:
        raise InputError(
            f"{name} has no derivation; give one of {', '.join(subjects)} (ridge1 counts as ridge)."
        )
    return name


@dataclass(frozen=True, repr=False)
class BoundsResult(Result):
    """The proved limits on the score of one measure at given scores of another measure.

    They hold for every recording with the same spectrum, and for every Y.

    Attributes
    ----------
    dataset, source : str
        The name of the recording, and its source: ``real`` or ``surrogate``.
    pairs : list of (given, implied, Range)
        For each ordered pair of measures: the limits on the score of the second (``implied``) if the first
        (``given``) has the scores :data:`LEVELS`. Limits are NaN at a score that no Y reaches.
    """

    dataset: str
    source: str
    pairs: list[tuple[str, str, Range]]

    @property
    def title(self) -> str:
        """One line that names the recording and the measures."""
        names = ", ".join(dict.fromkeys(given for given, _, _ in self.pairs))
        return f"proved bounds on {self.dataset} ({self.source}): {names}"

    def values(self) -> Mapping[str, Any]:
        """Return the limits for each ordered pair of measures, with null at a score that no Y reaches."""
        pairs = [
            {"given": given, "implied": implied, "lower": limits.lower, "upper": limits.upper}
            for given, implied, limits in self.pairs
        ]
        return {"dataset": self.dataset, "source": self.source, "levels": list(LEVELS), "bounds": pairs}

    def table(self) -> Rows:
        """Return a row for each ordered pair of measures and each score of the first."""
        return [
            {"given": given, "implied": implied, "level": level, "lower": float(low), "upper": float(high)}
            for given, implied, limits in self.pairs
            for level, low, high in zip(LEVELS, limits.lower, limits.upper, strict=True)
        ]


def bounds(request: SensitivityRequest) -> BoundsResult:
    """Return the proved limits on the score of each measure at given scores of every other measure.

    Raises
    ------
    InputError
        There are fewer than two measures, a measure has no proved bounds, or the data do not fit.
    """
    names = [_default_name(node) for node in request.measures]
    for name in names:
        proved.relation(name)  # raises InputError if nothing is proved
    if len(names) < 2:
        raise InputError(
            f"bounds need at least two measures, but {names[0]} is the only one; give measure=cka,nbs."
        )
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
    """The predicted learning order for one measure, and a stored run to compare it with.

    Attributes
    ----------
    measure : str
        The name of the measure.
    start : StartGradient or None
        The gradient of the score at random starts; None if the measure has no gradient.
    prediction : Prediction or None
        The predicted half captures; None if ``refusal`` gives a reason.
    refusal : str
        Why there is no prediction; empty if there is one.
    run : Run or None
        A finished run of the measure on the same data; None if none is stored.
    comparison : Comparison or None
        The comparison of prediction and run; None if one of them is missing.
    """

    measure: str
    start: StartGradient | None
    prediction: Prediction | None
    refusal: str
    run: Run | None
    comparison: Comparison | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values. PCs are numbered from 1. Null: a PC is never half captured."""
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


@dataclass(frozen=True, repr=False)
class LearningResult(Result):
    """The predicted order in which PCs are learned, with stored runs for comparison.

    Attributes
    ----------
    dataset, source : str
        The name of the recording, and its source: ``real`` or ``surrogate``.
    spectrum : array, (K,)
        The explained variance ratio of each PC.
    learned : list of Learned
        The prediction for each measure, and a stored run of it.
    """

    dataset: str
    source: str
    spectrum: FloatArray
    learned: list[Learned]

    @property
    def title(self) -> str:
        """One line that names the recording and the measures."""
        names = ", ".join(learned.measure for learned in self.learned)
        return f"order in which PCs of {self.dataset} ({self.source}) are learned: {names}"

    def main_numbers(self) -> list[str]:
        """Return a line for each measure that has a gradient: the PCs that it learns first."""
        return [
            f"{learned.measure} learns PCs {', '.join(map(str, learned.start.order[:5] + 1))} first"
            for learned in self.learned
            if learned.start is not None
        ]

    def caveats(self) -> list[str]:
        """Return a line for each measure without a prediction, with the reason."""
        return [f"{learned.measure}: {learned.refusal}" for learned in self.learned if learned.refusal]

    def values(self) -> Mapping[str, Any]:
        """Return the predictions by measure."""
        measures = {learned.measure: learned.as_json() for learned in self.learned}
        return {"dataset": self.dataset, "source": self.source, "measures": measures}

    def table(self) -> Rows:
        """Return a row for each measure and PC: its half capture as predicted, and in a stored run."""
        rows = []
        for learned in self.learned:
            predicted = None if learned.prediction is None else learned.prediction.half_capture()
            run = None if learned.run is None else median_half_capture(learned.run)
            for k in range(len(self.spectrum)):
                half = None if predicted is None else float(predicted[k])
                of_run = None if run is None else float(run[k])
                rows.append({"measure": learned.measure, "pc": k + 1, "predicted": half, "run": of_run})
        return rows


def learning(request: SensitivityRequest) -> LearningResult:
    """Predict, for each measure, which PCs are learned first and at which score each is half captured.

    Raises
    ------
    InputError
        The data do not fit.
    """
    dataset = request.dataset.dataset
    learned = [_learned(request, node) for node in request.measures]
    return LearningResult(dataset.name, dataset.source, dataset.spectrum(), learned)


def _learned(request: SensitivityRequest, node: Node) -> Learned:
    dataset, name = request.dataset.dataset, name_of(node)
    X = dataset.samples()
    samples, units = X.shape
    start = prediction = comparison = None
    refusal = ""
    # predict() needs a closed form; a measure without one still has `start`.
    try:
        start = gradient_at_start(X, request.built()[name], _SEEDS)
        prediction = predict(dataset.spectrum(), samples, units, _default_name(node), seeds=_SEEDS)
    except SimoptError as error:
        refusal = str(error)
    run = next(runs_of(node, request), None)
    if prediction is not None and run is not None:
        assert run.half_capture is not None
        comparison = compare(prediction, run.half_capture)
    return Learned(name, start, prediction, refusal, run, comparison)
