"""The sentences of an explanation (:mod:`simopt.analysis.explanation`) of scores of the user's own Y."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from simopt.analysis.defects import says_nothing
from simopt.analysis.explanation import Explained, Explanation
from simopt.analysis.remarks import above_ceiling, other_comparisons, percentile_words
from simopt.analysis.standing import Standing
from simopt.typing import FloatArray

_SHOWN = 5
"""The largest number of ranges of PCs that a sentence lists."""


def sentences(explanation: Explanation) -> Iterator[str]:
    """Yield a sentence on what the score of each measure means."""
    for explained in explanation.explained:
        yield _sentence(explained, explanation)


def own_sentence(explanation: Explanation) -> str:
    """Return a sentence on the PCs that the user's Y captures and the task variables that it decodes."""
    captured = _captured(explanation.own.mask, explanation, explanation.units)
    text = f"Your Y captures {captured}{_decodes(explanation.own.decoding, explanation, beside=False)}"
    if all(math.isnan(explained.standing.end) for explained in explanation.explained):
        # What counts as captured is compared with what noise of independent rows captures.
        text += "; without a null it is not known whether unrelated data would capture them as well"
    return f"{text}."


def label_sentences(explanation: Explanation) -> Iterator[str]:
    """Yield a sentence for each label that is not used to judge a measure, with the reason."""
    for label, reason in explanation.unused_labels.items():
        yield f"Label {label} is not used: {reason}."


def _sentence(explained: Explained, explanation: Explanation) -> str:
    reading, standing = explained.reading, explained.standing
    if reading.below_noise:
        reached = f"noise scores {reading.start:.3f} without optimization"
    elif reading.reached:
        reached = f"optimized noise reaches this score after {reading.steps:.0f} steps"
    else:
        reached = f"optimized noise ends before this score, at {reading.end:.3f},"
    captured = _captured(reading.half, explanation, explained.units)
    text = f"{standing.measure} {standing.score:.3f}: {reached} and then captures {captured}"
    text += _decodes(reading.decoding, explanation)
    if standing.limit is not None:
        text += f"; the ceiling is {standing.limit:.3f}"
    text += f"; {_among_unrelated(standing)}{other_comparisons(standing)}"
    return f"{text}. {above_ceiling(standing)}".rstrip()


def _among_unrelated(standing: Standing) -> str:
    if math.isnan(standing.end):
        return percentile_words(standing)
    null = standing.null["unrelated"]
    worse = "below" if null.larger_is_closer else "above"
    unrelated = f"unrelated data score {null.mean:.3f}, 95 % of them {worse} {standing.end:.3f}"
    return f"{unrelated} ({percentile_words(standing)})"


def _captured(mask: npt.NDArray[np.bool_], explanation: Explanation, units: int) -> str:
    samples = explanation.samples
    if says_nothing(samples, units):
        return f"every PC (as any data of {units} units and {samples} samples do)"
    return _pcs(mask, explanation.variance_ratio)


def _pcs(mask: npt.NDArray[np.bool_], ratio: FloatArray) -> str:
    """Return the PCs in a mask as text, for instance ``PCs 1-3, 5 of 168 (42% of variance)``."""
    if not mask.any():
        return f"none of {len(mask)} PCs"
    pcs = np.flatnonzero(mask) + 1
    blocks = np.split(pcs, np.flatnonzero(np.diff(pcs) > 1) + 1)
    shown = [f"{block[0]}-{block[-1]}" if len(block) > 1 else f"{block[0]}" for block in blocks[:_SHOWN]]
    more = f" and {sum(map(len, blocks[_SHOWN:]))} more" if len(blocks) > _SHOWN else ""
    return f"PCs {', '.join(shown)}{more} of {len(mask)} ({ratio[mask].sum():.0%} of variance)"


def _decodes(decoding: Mapping[str, float], explanation: Explanation, *, beside: bool = True) -> str:
    """Return the accuracy of each label that judges, beside that of the recording and chance if asked for."""
    accuracies = []
    for label, accuracy in decoding.items():
        if label in explanation.unused_labels:
            continue
        facts = explanation.reference[label]
        reference, chance = float(facts["accuracy"]), float(facts["chance"])
        below = ", below chance" if accuracy < chance else ""
        numbers = f" (recording {reference:.2f}, chance {chance:.2f})" if beside else ""
        accuracies.append(f"{label} at {accuracy:.2f}{below}{numbers}")
    return f" and decodes {', '.join(accuracies)}" if accuracies else ""
