"""The part of Y that the recording does not explain, and whether it looks like noise of single units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simopt.typing import FloatArray

FEWEST = 30
"""With fewer degrees of freedom the tests below have no power, and noise is not judged."""
_DEVIATIONS = 3.0
"""A test rejects beyond this many standard deviations, that is, wrongly in about 0.1 % of cases."""
_ZERO = 1e-12
"""A unit has no residual if its residual variance is less than this share of the largest."""


@dataclass(frozen=True)
class Residual:
    """The residual of a linear regression of Y on the recording.

    Attributes
    ----------
    share : float
        The share of the residual in the variance of Y, in [0, 1], corrected for the number of regressors.
    uncorrelated : bool
        Whether the residual may be uncorrelated between units of Y, as independent noise is.
    equal : bool
        Whether the residual may have the same variance in all units of Y. Noise with both properties is
        isotropic.
    """

    share: float
    uncorrelated: bool
    equal: bool


def residual(scores: FloatArray, Y: FloatArray) -> Residual | None:
    """Return the part of Y that the recording does not explain; None with too few samples to judge it.

    It is E = (I - U U') Y for centered Y and the normalized PC scores U (n, K) of the recording. It has m = n
    - 1 - K degrees of freedom. Two tests assume independent samples:

    - Uncorrelated [1]_: if units are independent, the sum of the squared correlations of q units has the mean
      q (q - 1) / (2 m) and the variance q (q - 1) (m - 1) / (m^2 (m + 2)).
    - Equal: if the noise is Gaussian with equal variance, m / 2 times the sum of (v_i / mean v - 1)^2 over
      the variances v_i of units is chi-squared with q - 1 degrees of freedom.

    Parameters
    ----------
    scores : array, (n, K)
        PC scores of the recording: orthogonal columns.
    Y : array, (n, q)

    References
    ----------
    .. [1] Schott 2005, Testing for complete independence in high dimensions, doi:10.1093/biomet/92.4.951.
    """
    freedom = len(Y) - 1 - scores.shape[1]
    if freedom < FEWEST:
        return None
    centered = Y - Y.mean(axis=0)
    basis = scores / np.linalg.norm(scores, axis=0)
    left = centered - basis @ (basis.T @ centered)
    variances = np.square(left).sum(axis=0)
    total = np.square(centered).sum() / (len(Y) - 1)
    share = min(1.0, float(variances.sum() / freedom / total))
    noisy = variances > _ZERO * variances.max(initial=0.0)
    units = int(noisy.sum())
    if units < 2:
        return Residual(share, uncorrelated=True, equal=units == Y.shape[1])
    unit_length = left[:, noisy] / np.sqrt(variances[noisy])
    # ||E'E|| = ||E E'||: the smaller of the two products is formed. Each of the q ones on the diagonal counts
    # once, each correlation twice.
    small = unit_length if units <= len(Y) else unit_length.T
    correlated = (np.square(small.T @ small).sum() - units) / 2
    pairs = units * (units - 1)
    expected, spread = pairs / (2 * freedom), np.sqrt(pairs * (freedom - 1) / (freedom + 2)) / freedom
    unequal = freedom / 2 * np.square(variances / variances.mean() - 1).sum()
    others = Y.shape[1] - 1
    return Residual(
        share,
        uncorrelated=bool(correlated - expected <= _DEVIATIONS * spread),
        equal=bool(unequal - others <= _DEVIATIONS * np.sqrt(2 * others)),
    )
