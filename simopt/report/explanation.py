"""The sentences of an explanation (:mod:`simopt.analysis.explanation`) of scores of the user's own Y."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simopt.analysis.defects import says_nothing
from simopt.analysis.explanation import Explained, Explanation
from simopt.typing import FloatArray

_SHOWN = 5
"""The largest number of ranges of PCs that a sentence lists."""


def sentences(explanation: Explanation) -> Iterator[str]:
    """Yield for each measure a sentence on what its score means."""
    for explained in explanation.explained:
        yield _sentence(explained, explanation)


def own_sentence(explanation: Explanation) -> str:
    """Return a sentence on the PCs that the user's Y captures and the task variables that it decodes."""
    captured = _captured(explanation.own.mask, explanation, explanation.units)
    return f"Your Y captures {captured}{_decodes(explanation.own.decoding, {})}."


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
    text += _decodes(reading.decoding, explanation.reference)
    if standing.limit is not None:
        text += f"; the ceiling is {standing.limit:.3f}"
    null = standing.null["unrelated"]
    worse = "below" if null.larger_is_closer else "above"
    text += f"; unrelated data score {null.mean:.3f}, 95 % of them {worse} {standing.end:.3f}"
    return f"{text} (percentile {standing.percentile:.1f})."


def _captured(mask: npt.NDArray[np.bool_], explanation: Explanation, units: int) -> str:
    samples = explanation.samples
    if says_nothing(samples, units):
        return f"every PC (as anything of {units} units for {samples} samples does)"
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


def _decodes(decoding: Mapping[str, float], reference: Mapping[str, Mapping[str, Any]]) -> str:
    accuracies = []
    for variable, accuracy in decoding.items():
        facts = reference.get(variable)
        beside = ""
        if facts is not None:
            beside = f" (recording {float(facts['accuracy']):.2f}, chance {float(facts['chance']):.2f})"
        accuracies.append(f"{variable} at {accuracy:.2f}{beside}")
    return f" and decodes {', '.join(accuracies)}" if accuracies else ""
