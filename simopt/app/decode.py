"""Decoding along a run: which variables, at which logged states, and what was found so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simopt import catalogue, checks
from simopt.analysis.decoding import Decoder, Decoding, Plan
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.optimization import State
from simopt.optimization.trajectory import Thinning
from simopt.store import layout
from simopt.store.layout import Entry
from simopt.typing import FloatArray


class RunDecoding:
    """What a decoder finds in the logged states of one run.

    The rows are kept here and in the checkpoint, and written with the results when the run ends or is
    interrupted: a killed run decodes again what came after its last checkpoint.

    Parameters
    ----------
    decoder : Decoder
    dataset : Dataset

    Raises
    ------
    InputError
        A dataset without labels; a label that is not there, or that the decoder refuses.
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
        """Decode a logged state, Y (R, samples, units), if its score has moved far enough."""
        if not self._thinning.keeps(state):
            return
        if not self._reference:
            self._reference = self.decode(self.dataset.responses)
        shape = self.dataset.responses.shape[:-1]
        replicates = [each.reshape(*shape, -1) for each in Y.cpu().numpy()]
        self._step.append(state.step)
        self._score.append(state.score.cpu().double().numpy())
        found = [self.decode(each) for each in replicates]
        for variable, rows in self._accuracy.items():
            rows.append([each[variable].accuracy for each in found])

    def state(self) -> dict[str, Any]:
        """Return the rows so far, for a checkpoint."""
        return {
            "step": self._step,
            "score": torch.from_numpy(np.array(self._score)),
            "accuracy": self._accuracy,
        }

    def restore(self, state: Mapping[str, Any], before_step: int) -> None:
        """Take up the rows of the steps before ``before_step``."""
        kept = int(np.searchsorted(state["step"], before_step))
        self._step = state["step"][:kept]
        self._score = list(state["score"].numpy()[:kept])
        self._accuracy = {variable: state["accuracy"][variable][:kept] for variable in self.plans}
        self._thinning = Thinning(self.decoder.score_step, self._score[-1] if kept else None)

    def score(self) -> FloatArray:
        """Return the scores of the states that were decoded, (D, R)."""
        return np.array(self._score)

    def curves(self) -> dict[str, tuple[FloatArray, float, float]]:
        """Return accuracy (D, R), chance, and the accuracy of the recording, by variable."""
        return {
            variable: (np.array(self._accuracy[variable]), found.chance, found.accuracy)
            for variable, found in self._reference.items()
        }

    def results(self) -> dict[Entry, Any]:
        """Return the datasets of the run file; none before the first state was decoded."""
        if not self._reference:
            return {}
        found: dict[Entry, Any] = {layout.DECODING_STEP: np.array(self._step, np.int64)}
        for variable, rows in self._accuracy.items():
            found[layout.decoding(variable)] = np.array(rows)
            found[layout.reference_decoding(variable)] = self._reference[variable].over_time
        return found

    def attributes(self) -> dict[Entry, dict[str, Any]]:
        """Return the attributes of the datasets of the recording itself."""
        return {
            layout.reference_decoding(variable): {
                name: getattr(decoding, name) for name in layout.DECODING_ATTRIBUTES
            }
            for variable, decoding in self._reference.items()
        }

    def decode(self, responses: FloatArray) -> dict[str, Decoding]:
        """Decode all variables from responses of the conditions, and time bins, of the recording."""
        return {variable: self.decoder.carry_out(plan, responses) for variable, plan in self.plans.items()}


def build(node: Mapping[str, Any], dataset: Dataset) -> RunDecoding:
    """Return the decoding of a run, of the node ``decoder`` of its configuration.

    Raises
    ------
    InputError
        As :class:`RunDecoding`, or an option of the decoder.
    """
    return RunDecoding(catalogue.build(node, "decoder", Decoder), dataset)


def _plans(decoder: Decoder, dataset: Dataset) -> dict[str, Plan]:
    labels = dataset.labels
    if not labels:
        raise InputError(
            f"decoder: {dataset.name} has no labels to decode; give it some, or use decoder=none."
        )
    chosen = [name for name in labels if name != decoder.groups]
    if decoder.variables is not None:
        chosen = list(decoder.variables)
    for name in chosen if decoder.groups is None else (*chosen, decoder.groups):
        checks.one_of(name, labels, f"label of {dataset.name}")
    if not chosen:
        raise InputError("decoder: there is no variable to decode; name some with decoder.variables=[NAME].")
    groups = None if decoder.groups is None else np.asarray(labels[decoder.groups])
    plans = {}
    for name in chosen:
        if name == "step" or "/" in name or name.strip(".") == "":
            raise InputError(f"label {name!r} cannot name a dataset of the run file; rename it to decode it.")
        try:
            plans[name] = decoder.plan(labels[name], dataset.responses.shape[-2], groups)
        except InputError as error:
            raise InputError(f"decoder: label {name!r}: {error}") from error
    return plans
