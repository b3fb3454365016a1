"""Labels of samples: which are classes, which are continuous, and which are no task variables."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

from simopt.typing import LabelArray

_MOST_CLASSES = 10
"""Floating-point labels with at most this many distinct values are classes."""
_REPEAT = {"repeat", "repeats", "repetition", "repetitions", "rep", "reps", "trial", "trials"}
_REPEAT |= {"presentation", "presentations"}
"""Words that name the repeats of a condition."""
_BESIDE = {"id", "ids", "index", "idx", "number", "num", "nr", "no", "n", "of", "order"}
_BESIDE |= {"stimulus", "stim", "image", "condition"}
"""Words that may stand beside them. With other words, as in ``trial_type``, a label is a task variable."""


def is_continuous(labels: LabelArray) -> bool:
    """Return whether labels are decoded by regression.

    This is so for floating-point numbers with more than 10 distinct values, not all of them integers.
    """
    return bool(
        np.issubdtype(labels.dtype, np.floating)
        and len(np.unique(labels)) > _MOST_CLASSES
        and (labels % 1 != 0).any()
    )


def not_tasks(
    labels: Mapping[str, LabelArray], groups: Collection[str] = (), blocks: Collection[str] = ()
) -> dict[str, str]:
    """Return the reason for each label that is no task variable, as a clause without a full stop.

    A label is no task variable in one of four cases:

    - It is not continuous and has a different value in every sample, so it numbers or names the samples.
    - Its name says that it counts repeats (``repeat``, ``trial``, ``trial_id``, ``presentation_number``), and
      all its values end in a number. Labels like ``trial_type``, or ``trial`` with the values ``go`` and
      ``nogo``, are task variables.
    - It names the groups of samples. Folds keep groups together, so a class is never in training and test.
    - It names the blocks of samples, which share a nuisance.

    Parameters
    ----------
    labels : mapping of str to array, (samples,)
    groups, blocks : collection of str
        The names of the labels that define groups, and of those that define blocks.
    """
    reasons = {}
    for name, values in labels.items():
        array = np.asarray(values)
        if array.dtype == object:
            array = array.astype(str)
        if name in groups:
            reasons[name] = "it names the groups of samples, which folds keep together"
        elif name in blocks:
            reasons[name] = f"it names blocks, which share a nuisance (decoder.variables=[{name}] decodes it)"
        elif len(np.unique(array)) == len(array) and not is_continuous(array):
            reasons[name] = f"it has a different value in each of the {len(array)} samples"
        elif _names_repeats(name) and _numbered(array):
            reasons[name] = f"it numbers repeats (decoder.variables=[{name}] decodes it)"
    return reasons


def _names_repeats(name: str) -> bool:
    # trialNumber, trial_number, trial-number and trial2 are words alike.
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    return bool(words & _REPEAT) and words <= _REPEAT | _BESIDE


def _numbered(values: LabelArray) -> bool:
    if values.dtype == bool:
        return False
    if np.issubdtype(values.dtype, np.number):
        return bool((values % 1 == 0).all())
    texts = (value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist())
    return all(re.search(r"\d$", text) for text in texts)
