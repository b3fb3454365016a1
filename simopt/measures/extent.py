"""How many dimensions X and Y span: if one of them spans all, many scores are the same for every Y."""

from __future__ import annotations

from typing import Literal

import numpy as np

from simopt import checks
from simopt.components import principal_components
from simopt.measures.moments import Reference
from simopt.typing import FloatArray, Responses

Side = Literal["X", "Y"]


class Extent:
    """The sizes and ranks of X and Y; a rank is computed when it is first needed.

    Parameters
    ----------
    X : array, tensor, Dataset or Reference
    Y : array, tensor or Dataset

    Attributes
    ----------
    samples : int
    units : dict of int
        The numbers of units of ``X`` and of ``Y``.
    """

    def __init__(self, X: Responses | Reference, Y: Responses) -> None:
        self._reference = X if isinstance(X, Reference) else None
        x = X.responses if isinstance(X, Reference) else X
        self.responses: dict[Side, FloatArray] = {
            "X": checks.flatten(checks.responses(x, "X")),
            "Y": checks.flatten(checks.responses(Y, "Y")),
        }
        self.samples = len(self.responses["X"])
        self._powers: dict[Side, FloatArray] = {}  # variance ratios of the PCs
        self.units: dict[Side, int] = {side: array.shape[1] for side, array in self.responses.items()}

    def rank(self, side: Side, variance: float = 1.0) -> int:
        """Return how many leading PCs hold more than the share ``variance``, or the rank if it is 1."""
        if side not in self._powers:
            if side == "X" and self._reference is not None:
                self._powers[side] = self._reference.variance_ratio.cpu().double().numpy()
            else:
                self._powers[side] = principal_components(self.responses[side]).values ** 2
        powers = self._powers[side]
        before = np.cumsum(powers) - powers  # the share of the PCs before each
        return len(powers) if variance == 1 else int(np.sum(before <= variance))

    def share(self, side: Side, variance: float = 1.0) -> float:
        """Return the rank of X or Y divided by n - 1, the largest rank of n centered samples.

        If units / (n - 1) is at most a half, this quotient is returned, and no rank is computed.
        """
        largest = self.samples - 1
        units = min(1.0, self.units[side] / largest)
        return units if units <= 0.5 else self.rank(side, variance) / largest

    def spanned(self, sides: tuple[Side, ...], consequence: str, variance: float = 1.0) -> str | None:
        """Return a warning that ends in ``consequence`` if a side spans all n - 1 dimensions, else None."""
        for side in sides:
            if self.share(side, variance) >= 1:
                return f"{self.units[side]} units of {side} >= {self.samples} samples - 1: {consequence}"
        return None
