"""Decoding of task variables along a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from simopt import catalogue, checks
from simopt.analysis.decoding import Decoder, Decoding, Plan, storable
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.optimization.state import State, Thinning
from simopt.store import layout
from simopt.store.image import Array
from simopt.store.reader import Run
from simopt.typing import FloatArray


class RunDecoding:
    """Decodes task variables from the logged states of one run, and keeps the accuracies.

    Parameters
    ----------
    decoder : Decoder
    dataset : Dataset
        The recording, with labels.

    Raises
    ------
    InputError
        The dataset has no labels, a label that the decoder names is missing, or the decoder refuses a label.
    """

    def __init__(self, decoder: Decoder, dataset: Dataset) -> None:
        self.decoder, self.dataset = decoder, dataset
        self.plans = _plans(decoder, dataset)
        self._step: list[int] = []
        self._score: list[FloatArray] = []
        self._accuracy: dict[str, list[list[float]]] = {variable: [] for variable in self.plans}
        self._thinning = Thinning(decoder.score_step)
        self._reference: dict[str, Decoding] = {}

    def observe(self, state: State, Y: Tensor) -> None:
        """Decode a logged state if its score has moved by at least ``decoder.score_step``.

        Parameters
        ----------
        state : State
        Y : Tensor, (R, samples, units)
            The synthetic datasets of this state.
        """
        if not self._thinning.keeps(state):
            return
        if not self._reference:
            self._reference = self.decode(self.dataset.responses)
        shape = self.dataset.responses.shape[:-1]
        self._step.append(state.step)
        self._score.append(state.score.cpu().double().numpy())
        decoded = [self.decode(replicate.reshape(*shape, -1)) for replicate in Y.cpu().numpy()]
        for variable, rows in self._accuracy.items():
            rows.append([decodings[variable].accuracy for decodings in decoded])

    def restore(self, run: Run) -> None:
        """Take over the accuracies of the states that were decoded before the run was interrupted."""
        self._step = run.decoding_step.tolist()
        if not self._step:
            return
        self._score = list(run.decoding_score)
        self._accuracy = {variable: run.decoding[variable].tolist() for variable in self.plans}
        self._thinning = Thinning(self.decoder.score_step, self._score[-1])
        self._reference = self.decode(self.dataset.responses)

    def results(self) -> dict[str, Array]:
        """Return the arrays of the decoding by their paths in the run file.

        Before the first state is decoded, the dict is empty.
        """
        if not self._reference:
            return {}
        datasets = layout.DECODING_STEP.at(self._step)
        for variable, rows in self._accuracy.items():
            decoding = self._reference[variable]
            facts = {name: getattr(decoding, name) for name in layout.DECODING_ATTRIBUTES}
            datasets |= layout.decoding(variable).at(rows)
            datasets |= layout.reference_decoding(variable).at(decoding.over_time, **facts)
        return datasets

    def decode(self, responses: FloatArray) -> dict[str, Decoding]:
        """Decode all variables from responses.

        Parameters
        ----------
        responses : array, (conditions, units) or (time, condition, unit)
            Responses to the conditions of the recording, in the same order.

        Returns
        -------
        dict of Decoding, by name of the variable
        """
        return {variable: self.decoder.carry_out(plan, responses) for variable, plan in self.plans.items()}


def build(node: Mapping[str, Any], dataset: Dataset) -> RunDecoding:
    """Build the decoding along a run from its configuration.

    Parameters
    ----------
    node : mapping
        The configuration node ``decoder``: a dict with ``_target_`` and options.
    dataset : Dataset
        The recording, with labels.

    Raises
    ------
    InputError
        An option of the decoder is invalid, or :class:`RunDecoding` refuses the dataset.
    """
    return RunDecoding(catalogue.build(node, "decoder", Decoder), dataset)


def _plans(decoder: Decoder, dataset: Dataset) -> dict[str, Plan]:
    """Check the labels to decode and return their plans, whose folds are the same for all states of a run."""
    labels = dataset.labels
    if not labels:
        raise InputError(
            f"decoder: dataset {dataset.name} has no labels to decode; add labels, or use decoder=none."
        )
    groups, left_out = decoder.groups_of(dataset), decoder.left_out(dataset)
    chosen = [name for name in labels if name not in left_out]
    if decoder.variables is not None:
        chosen = list(decoder.variables)
    for name in chosen:
        checks.one_of(name, labels, f"label of {dataset.name}")
    if not chosen:
        why = "".join(f"\n{name}: {reason}." for name, reason in list(left_out.items())[:1])
        raise InputError(
            f"decoder: no label is left to decode; name labels in decoder.variables=[NAME, ...].{why}"
        )
    plans = {}
    for name in chosen:
        if not storable(name):
            raise InputError(f"decoder: a run file cannot store label {name!r}; rename the label.")
        try:
            plans[name] = decoder.plan(labels[name], dataset.responses.shape[-2], groups)
        except InputError as error:
            raise InputError(f"decoder: label {name!r}: {error}") from error
    return plans
