"""Whether rows of data depend on the rows before them, and how. This decides which null holds.

A row here is what a null moves: a sample, or a whole group of samples as one long vector. Rows are
independent if their order says nothing, and stationary if their statistics do not change along the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, linalg, stats

from simopt.typing import FloatArray, LabelArray

LEAST = 20
"""Smallest number of rows. With fewer the tests have no power, and their normal approximation is poor."""

_LAGS, _LONGEST = 10, 2.0
"""The lags that are tested together, and the length, in medians, to which longer rows are shortened. If they
are not shortened, independent heavy-tailed rows seem to depend on each other in a quarter of cases."""


@dataclass(frozen=True)
class _Limits:
    """When rows depend on each other.

    Attributes
    ----------
    first, together, any : float
        The mean similarity of rows at lag 1, at lags 1 to 10 together, or at any lag up to half of the rows
        is this many standard deviations from its mean over all orders.
    slow : float
        The p-value of slow changes is less than this.
    """

    first: float
    together: float
    any: float
    slow: float


# An order is exchanged if one side is independent, so that independent rows on both sides are refused in the
# square of the share in which one side is taken for dependent. In simulations this share was 3 to 7 %, and 15
# to 25 % for rows of Cauchy variables.
_OF_ROWS, _OF_POWER = _Limits(2.5, 2.5, 4.0, 0.01), _Limits(3.0, 3.0, 4.5, 0.0)
_GO_TOGETHER = 3.0
"""Coefficients of neighboring frequencies count as dependent beyond this many standard deviations. With
random signs 0.8 % are beyond at one of three distances, and a null is refused only if both X and Y are."""

SLOW = 3
"""Polynomials of the position of a row up to this degree count as slow changes and keep their signs:
unrelated drifts of X and Y look alike, and cannot be exchanged."""

_COPIES, _WINDOWS, _NEIGHBORS = 199, 10, (1, 3, 10)
"""The test of stationarity: the number of simulated copies, the number of windows whose power is compared,
and the numbers of neighboring rows that are averaged before steps are compared."""

_LEAST_A, _LONG, _MOST = 0.05, 10, 2000
"""The basis: the smallest a; the smallest number of rows of a block from which a is estimated; and the
largest number of rows of a block for which eigenvectors are computed. For more, they are sines and
cosines."""
_LEADING = 20
"""Principal components that the test of stationarity looks at, so that many units take no more time."""
_BATCH = 2**23
"""Size of the copies that are held in memory at once, in numbers of float64 (64 MB)."""

_APART = (1, 2, 3)
"""Distances between frequencies at which coefficients are tested for dependence."""


def depend(rows: FloatArray, blocks: LabelArray, limits: _Limits = _OF_ROWS) -> bool:
    """Return whether rows are more, or less, similar to the rows before them than to other rows.

    The similarity of two rows is their inner product, after the mean of each block was subtracted. Its mean
    over pairs at a lag is compared with its exact mean and variance over all orders of the rows within
    blocks. Rows also depend on each other if they change slowly (:func:`slow`). Rows of more than twice the
    median length (Euclidean norm) are shortened to that, because a few long rows would decide the test.

    Parameters
    ----------
    rows : array, (m, d)
    blocks : array of int, (m,)
        The block of each row. Only rows of one block are compared; they are in their order in time.
    """
    rows = _centered(rows, blocks)
    lengths = np.linalg.norm(rows, axis=1)
    longest = _LONGEST * np.median(lengths)
    if longest > 0:
        rows *= np.minimum(1, longest / np.maximum(lengths, longest))[:, None]
    sums, means, variances = _similarities(rows, blocks)
    z = (sums - means) / np.sqrt(np.where(variances > 0, variances, np.inf))  # of lags 1, 2, ...
    first = z[:_LAGS]
    together = (np.square(first).sum() - len(first)) / np.sqrt(2 * len(first))
    similar = abs(z[0]) > limits.first or together > limits.together or np.abs(z).max() > limits.any
    return bool(similar or slow(rows, blocks) < limits.slow)


def power_depends(rows: FloatArray, blocks: LabelArray) -> bool:
    """Return whether the rank of a row's squared length depends on the ranks of the rows before it."""
    ranks = stats.rankdata(np.square(_centered(rows, blocks)).sum(axis=1))
    return depend(ranks[:, None], blocks, _OF_POWER)


def slow(rows: FloatArray, blocks: LabelArray) -> float:
    """Return the smallest of four p-values of slow changes of rows within their blocks.

    A slow change is the projection of the m rows of a block on polynomials of their positions. The four tests
    take degree 1 or degrees 1 to 3, for each block by itself or for all blocks together. Let T (m, k) be the
    orthonormal polynomials of a block and S = Z'Z / (m - 1) the covariance of its centered rows Z. Over all
    orders of the rows ||T'Z||^2 has the mean k tr S and about the variance 2 k ||S||^2. The p-value is that
    of a multiple of chi-square with the sums of these means and variances. Short blocks have fewer
    polynomials.

    References
    ----------
    Satterthwaite 1946, An approximate distribution of estimates of variance components, doi:10.2307/3002019.
    """
    parts = [rows[blocks == block] for block in range(blocks.max() + 1)]
    parts = [part - part.mean(axis=0) for part in parts if len(part) > 2]
    scaled = [part / np.sqrt(len(part) - 1) for part in parts]  # S is the product with itself
    p_values = []
    for degree in (1, SLOW):
        axes = [polynomials(len(part), degree)[:, 1:] for part in parts]
        along = np.zeros((len(parts), degree, rows.shape[1]))
        for changes, chosen, part in zip(along, axes, parts, strict=True):
            changes[: chosen.shape[1]] = chosen.T @ part
        # The blocks that have a polynomial of each degree.
        having = [[S for S, T in zip(scaled, axes, strict=True) if T.shape[1] > k] for k in range(degree)]
        mean = sum(float(np.square(S).sum()) for some in having for S in some)
        apart = sum(_squares(S) for some in having for S in some)
        together = sum(_squares(np.concatenate(some)) for some in having if some)
        for change, square in (
            (np.square(along).sum(), apart),
            (np.square(along.sum(axis=0)).sum(), together),
        ):
            if square > 0:
                p_values.append(float(stats.chi2.sf(change * mean / square, mean**2 / square)))
    return min(p_values, default=1.0)


def _squares(rows: FloatArray) -> float:
    """Return the sum of the squared inner products of rows (m, d)."""
    return float(np.square(rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T).sum())


def polynomials(m: int, degree: int) -> FloatArray:
    """Return orthonormal polynomials of the positions of m rows, (m, k), from degree 0 to at most ``degree``.

    Besides the mean there are at most (m - 1) / 2 polynomials, so that most of a short block is left.
    """
    degree = min(degree, (m - 1) // 2)
    axes, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, m), degree + 1, increasing=True))
    return np.asarray(axes)


def _centered(rows: FloatArray, blocks: LabelArray) -> FloatArray:
    centered = np.array(rows, dtype=np.float64)
    for block in range(blocks.max() + 1):
        centered[blocks == block] -= centered[blocks == block].mean(axis=0)
    return centered


def _similarities(rows: FloatArray, blocks: LabelArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sum_t x_t'x_(t + lag), its mean and its variance over all orders, each (lags,)."""
    sizes = np.bincount(blocks)
    lags = np.arange(1, max(2, int(sizes.max()) // 2 + 1))
    sums, means, variances = np.zeros((3, len(lags)))
    for block in np.flatnonzero(sizes >= 4):  # the moments need four different rows
        part = rows[blocks == block]
        part = part - part.mean(axis=0)
        m = len(part)
        size = fft.next_fast_len(2 * m, real=True)
        spectrum = np.square(np.abs(fft.rfft(part, size, axis=0))).sum(axis=1)
        at = np.zeros(len(lags))
        within = lags < m
        at[within] = fft.irfft(spectrum, size)[lags[within]]
        # With K = XX', whose rows sum to 0, and i, j, k, l different:
        #   sum K_ij = -tr K,  sum K_ij K_jk = sum K_jj^2 - sum K_ij^2,
        #   sum K_ij K_kl = (tr K)^2 + 2 sum K_ij^2 - 4 sum K_jj^2.
        power = np.square(part).sum(axis=1)  # K_jj
        gram = part.T @ part if m > part.shape[1] else part @ part.T
        trace, own = power.sum(), np.square(power).sum()
        square = np.square(gram).sum() - own
        pairs, chains = np.maximum(m - lags, 0.0), np.maximum(m - 2 * lags, 0.0)
        mean = -pairs * trace / (m * (m - 1))
        alike = square / (m * (m - 1))
        linked = (own - square) / (m * (m - 1) * (m - 2))
        apart = (trace**2 + 2 * square - 4 * own) / (m * (m - 1) * (m - 2) * (m - 3))
        second = pairs * alike + 2 * chains * linked + (pairs**2 - pairs - 2 * chains) * apart
        sums, means, variances = sums + at, means + mean, variances + np.maximum(second - mean**2, 0)
    return sums, means, variances


class Basis:
    """A basis of the rows of each block, ordered by frequency, in which stationary rows have random signs.

    Let C = a^|i - j| be the covariance of a stationary series in which each row is ``a`` times the row before
    plus noise, and P the orthonormal polynomials of the positions up to degree 3. P'Z are the slow
    coefficients of the rows Z. The rest that they do not predict, Z - C P (P'CP)^-1 P'Z, is independent of
    them. The other coefficients are those of the rest along the eigenvectors of its covariance C - C P
    (P'CP)^-1 P'C, which are close to sines and cosines. At a = 1, and for very long blocks, the basis is the
    discrete cosine transform.

    Parameters
    ----------
    blocks : array of int, (m,)
    a : float, 0 to 1
    """

    def __init__(self, blocks: LabelArray, a: float) -> None:
        self._members = [np.flatnonzero(blocks == block) for block in range(blocks.max() + 1)]
        # At a = 0 every basis has this property: a small a picks the one that is ordered by frequency.
        sizes = {size for size in map(len, self._members) if a < 1 and 1 < size <= _MOST}
        self._axes = {size: _Axes.of(size, max(a, _LEAST_A)) for size in sizes}
        positions = [np.arange(len(rows)) for rows in self._members]
        # The means of the blocks, and these with the slow changes.
        self.constant = np.concatenate([position == 0 for position in positions])
        self.kept = np.concatenate(
            [position <= min(SLOW, (len(position) - 1) // 2) for position in positions]
        )

    def coefficients(self, rows: FloatArray) -> FloatArray:
        """Return the coefficients, (m, d), of rows (m, d): block after block, from low to high frequency."""
        parts = []
        for chosen in self._members:
            axes = self._axes.get(len(chosen))
            part = rows[chosen]
            parts.append(fft.dct(part, norm="ortho", axis=0) if axes is None else axes.coefficients(part))
        return np.concatenate(parts)

    def rows(self, coefficients: FloatArray) -> FloatArray:
        """Return rows (..., m, d) by their coefficients (..., m, d)."""
        rows, start = np.empty_like(coefficients), 0
        for chosen in self._members:
            axes = self._axes.get(len(chosen))
            part = coefficients[..., start : start + len(chosen), :]
            rows[..., chosen, :] = fft.idct(part, norm="ortho", axis=-2) if axes is None else axes.rows(part)
            start += len(chosen)
        return rows

    def signs(self, count: int, rng: np.random.Generator, kept: LabelArray) -> FloatArray:
        """Return random signs of coefficients, (count, m, 1). Where ``kept`` is true, the sign is 1."""
        signs = rng.choice([-1.0, 1.0], size=(count, len(kept), 1))
        signs[:, kept] = 1.0
        return signs


@dataclass(frozen=True)
class _Axes:
    """The basis of a block of m rows.

    Attributes
    ----------
    slow, continued : array, (m, k)
        Orthonormal polynomials P, and C P (P'CP)^-1: what the coefficients along them predict of all rows.
    fast : array, (m, m - k)
        Orthonormal eigenvectors of the covariance of the rest, from low to high frequency.
    """

    slow: FloatArray
    continued: FloatArray
    fast: FloatArray

    @classmethod
    def of(cls, m: int, a: float) -> _Axes:
        """Return the basis for a series in which each row is ``a`` times the row before plus noise."""
        covariance = a ** np.abs(np.subtract.outer(np.arange(m), np.arange(m)))
        slow = polynomials(m, SLOW)
        along = covariance @ slow
        continued = np.linalg.solve(slow.T @ along, along.T).T
        fast = _symmetric_eigenvectors(covariance - continued @ along.T)
        return cls(slow, continued, fast[:, : m - slow.shape[1]])

    def coefficients(self, rows: FloatArray) -> FloatArray:
        """Return the coefficients (m, d) of rows (m, d), first the slow ones."""
        slow = self.slow.T @ rows
        return np.concatenate([slow, self.fast.T @ (rows - self.continued @ slow)])

    def rows(self, coefficients: FloatArray) -> FloatArray:
        """Return rows (..., m, d) by their coefficients (..., m, d)."""
        k = self.slow.shape[1]
        rows: FloatArray = self.continued @ coefficients[..., :k, :] + self.fast @ coefficients[..., k:, :]
        return rows


def _symmetric_eigenvectors(covariance: FloatArray) -> FloatArray:
    """Return the eigenvectors, (m, m), of a covariance that is the same read backwards, largest value first.

    They are symmetric or antisymmetric. Two problems of half the size take a quarter of the time of one.
    """
    m = len(covariance)
    half, middle = m // 2, m % 2
    near, far = covariance[:half, :half], covariance[:half, : -half - 1 : -1]
    odd_values, odd = linalg.eigh(near - far)
    even_block = np.empty((half + middle, half + middle))
    even_block[:half, :half] = near + far
    even_block[:half, half:] = np.sqrt(2) * covariance[:half, half : half + middle]
    even_block[half:, :half] = even_block[:half, half:].T
    even_block[half:, half:] = covariance[half : half + middle, half : half + middle]
    even_values, even = linalg.eigh(even_block)
    axes = np.zeros((m, m))
    axes[:half, : len(even)] = even[:half] / np.sqrt(2)
    axes[half : half + middle, : len(even)] = even[half:]
    axes[:half, len(even) :] = odd / np.sqrt(2)
    axes[half + middle :, : len(even)] = axes[:half, : len(even)][::-1]
    axes[half + middle :, len(even) :] = -axes[:half, len(even) :][::-1]
    ordered: FloatArray = axes[:, np.argsort(-np.concatenate([even_values, odd_values]), kind="stable")]
    return ordered


def lag_one(sides: tuple[FloatArray, ...], blocks: LabelArray) -> float:
    """Return the lag-one autocorrelation of rows, 0 to 1, pooled over sides and corrected for bias.

    If its true value is a, the estimate from m rows with unknown mean is on average a - (1 + 3 a) / m. Blocks
    of fewer than 10 rows are left out. If no longer block exists, 0 is returned.

    References
    ----------
    Kendall 1954, Note on bias in the estimation of autocorrelation, doi:10.1093/biomet/41.3-4.403.
    """
    sizes = np.bincount(blocks)
    long = np.flatnonzero(sizes >= _LONG)
    if not len(long):
        return 0.0
    correlations = []
    for rows in sides:
        parts = [rows[blocks == block] - rows[blocks == block].mean(axis=0) for block in long]
        power = sum(float(np.square(part).sum()) for part in parts)
        neighbors = sum(float((part[1:] * part[:-1]).sum()) for part in parts)
        correlations.append(neighbors / power if power > 0 else 0.0)
    m = float(sizes[long].mean())
    return float(np.clip((np.mean(correlations) + 1 / m) / (1 - 3 / m), 0, 1))


def innovations(sides: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return each row of both sides minus a times the row before, (n - 1, d), with a from :func:`lag_one`."""
    a = lag_one(sides, np.zeros(len(sides[0]), np.int64))
    x, y = (rows[1:] - a * rows[:-1] for rows in sides)
    return x, y


def stationary(rows: FloatArray, blocks: LabelArray, rng: np.random.Generator) -> float:
    """Return the p-value of a test of stationarity: small if rows jump, drift or change their power.

    Up to five statistics are compared with those of 199 copies, in which the discrete cosine coefficients of
    the rows have random signs: how much power differs between ten windows; how much the squared differences
    of successive means of 1, 3 and 10 rows vary, if there are four such means; and the largest
    autocorrelation at lags from a tenth to nine tenths of the rows. The result is 1 - (1 - p)^k, where p is
    the smallest of the k p-values. Of rows with more than 20 columns only 20 principal components are
    tested.
    """
    basis = Basis(blocks, 1.0)
    centered = _leading(_centered(rows, blocks))
    coefficients = basis.coefficients(centered)
    observed = _unevenness(centered)
    above: FloatArray = np.ones(len(observed))
    at_once = max(1, _BATCH // centered.size)
    for start in range(0, _COPIES, at_once):
        signs = basis.signs(min(at_once, _COPIES - start), rng, basis.constant)
        above += (_unevenness(basis.rows(signs * coefficients)) >= observed).sum(axis=0)
    return float(1 - (1 - above.min() / (_COPIES + 1)) ** len(observed))


def _leading(rows: FloatArray) -> FloatArray:
    """Return centered rows (m, d) in the coordinates of their leading principal components, (m, <= 20)."""
    if rows.shape[1] <= _LEADING:
        return rows
    if rows.shape[1] > len(rows):
        values, left = linalg.eigh(rows @ rows.T, subset_by_index=(len(rows) - _LEADING, len(rows) - 1))
        wide: FloatArray = left * np.sqrt(np.maximum(values, 0))
        return wide
    projected: FloatArray = (
        rows @ linalg.eigh(rows.T @ rows, subset_by_index=(rows.shape[1] - _LEADING, rows.shape[1] - 1))[1]
    )
    return projected


def _unevenness(rows: FloatArray) -> FloatArray:
    """Return the k <= 5 statistics of :func:`stationary`, (..., k), of rows (..., m, d)."""
    m = rows.shape[-2]
    power = np.square(rows).sum(axis=-1)
    starts = np.linspace(0, m, min(_WINDOWS, m // 2) + 1).astype(int)[:-1]
    windows = np.add.reduceat(power, starts, axis=-1) / np.diff([*starts, m])
    least = np.finfo(float).tiny  # of rows without any change
    statistics = [windows.std(axis=-1) / np.maximum(windows.mean(axis=-1), least)]
    for length in _NEIGHBORS:
        points = m // length
        if points >= 4:
            means = (
                rows[..., : points * length, :].reshape(*rows.shape[:-2], points, length, -1).mean(axis=-2)
            )
            steps = np.square(np.diff(means, axis=-2)).sum(axis=-1)
            statistics.append(steps.std(axis=-1) / np.maximum(steps.mean(axis=-1), least))
    size = fft.next_fast_len(2 * m, real=True)
    spectrum = np.square(np.abs(fft.rfft(rows, size, axis=-2))).sum(axis=-1)
    along = fft.irfft(spectrum, size, axis=-1)[..., :m] / np.arange(m, 0, -1)
    statistics.append(along[..., m // 10 + 1 : m - m // 10].max(axis=-1) / np.maximum(along[..., 0], least))
    return np.stack(statistics, axis=-1)


def go_together(coefficients: FloatArray, kept: LabelArray) -> bool:
    """Return whether coefficients (m, d) of neighboring frequencies depend on each other.

    If they do, random signs are not valid. For coefficients z_k with random signs the sum of z_k'z_(k + j)
    over frequencies k, divided by the root of the sum of its squared terms, is about standard normal.
    """
    moved = coefficients[~kept]
    for apart in _APART:
        products = (moved[apart:] * moved[:-apart]).sum(axis=1)
        if abs(products.sum()) > _GO_TOGETHER * np.sqrt(np.square(products).sum()):
            return True
    return False


def effective(x: FloatArray, y: FloatArray, constant: LabelArray) -> float:
    """Return the effective number of independent comparisons of X and Y: (sum w)^2 / sum w^2.

    w_k = a_k b_k, where a_k and b_k are the power of X and Y at frequency k.
    """
    weights = np.square(x[~constant]).sum(axis=1) * np.square(y[~constant]).sum(axis=1)
    return float(weights.sum() ** 2 / np.square(weights).sum()) if weights.any() else 0.0
