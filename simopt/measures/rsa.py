"""Representational similarity analysis: comparisons of representational dissimilarity matrices (RDMs)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.measures import crossnobis, rdm
from simopt.measures.base import AFFINE, ROTATIONAL, Facts, Measure, Score, both, over_batch
from simopt.measures.crossnobis import NOISE, RESIDUALS, Noise, Residuals
from simopt.measures.extent import Extent
from simopt.measures.moments import Reference
from simopt.measures.rdm import DIRECTIONAL, RDM, Embedding
from simopt.measures.rdm_comparison import BURES, RANKED, Comparison, compare_with
from simopt.rows import condition_of
from simopt.typing import LabelArray

DISTANCES = frozenset({"bures_sq_distance", "euclidean_norm"})
CENTERED = {*RANKED, "pearson", "corr_cov"}
"""Comparisons that subtract the mean of an RDM. They are undefined if all entries of the RDM are equal."""

_FORMULAS: dict[Comparison, str] = {
    "cosine": "v'w / (||v|| ||w||), v and w the upper triangles",
    "pearson": "r(v, w), v and w the upper triangles",
    "spearman": "r(rank v, rank w), average ranks",
    "tau_a": "(concordant - discordant) / all pairs of entries of v and w",
    "tau_b": "(concordant - discordant) / sqrt(pairs untied in v * pairs untied in w)",
    "cosine_cov": "<K, L> / (||K|| ||L||), K = -H D H / 2",
    "corr_cov": "<K, L> / (||K|| ||L||), K = -H D H / 2 after subtracting the mean of the upper triangle",
    "bures": "tr (K^1/2 L K^1/2)^1/2 / sqrt(tr K tr L), K = -H D H / 2",
    "bures_sq_distance": "tr K + tr L - 2 tr (K^1/2 L K^1/2)^1/2, K = -H D H / 2",
    "euclidean_norm": "||v - w||, v and w the upper triangles",
}
_WHITENED = "Diedrichsen et al. 2021, Comparing Representational Geometries (whitened), arXiv:2007.02789"
_BURES = "Harvey et al. 2023, Duality of Bures and Shape Distances, arXiv:2311.11436"
_SOURCES: dict[Comparison, str] = {
    "cosine_cov": _WHITENED,
    "corr_cov": _WHITENED,
    "bures": _BURES,
    "bures_sq_distance": _BURES,
    "tau_a": "Nili et al. 2014, A Toolbox for RSA, doi:10.1371/journal.pcbi.1003553",
}
_CROSSNOBIS = "Walther et al. 2016, Multi-voxel Pattern Analysis, doi:10.1016/j.neuroimage.2015.12.012"
_RSA = "Kriegeskorte et al. 2008, Representational Similarity Analysis, doi:10.3389/neuro.06.004.2008"

_INVARIANT: dict[RDM, frozenset[str]] = {
    "sqeuclidean": ROTATIONAL,
    "euclidean": ROTATIONAL,
    "correlation": frozenset({"permutation", "isotropic_scaling"}),
    "cosine": ROTATIONAL - {"translation"},
    "mahalanobis": AFFINE,
}


@dataclass(frozen=True, kw_only=True)
class RSA(Measure):
    """A comparison of the representational dissimilarity matrices of X and Y.

    Parameters
    ----------
    rdm : {"sqeuclidean", "euclidean", "correlation", "cosine", "mahalanobis", "crossnobis"}
        The dissimilarity of two samples, see :data:`simopt.measures.rdm.FORMULAS`. Crossnobis distances are
        between conditions, see :mod:`simopt.measures.crossnobis`.
    comparison : {"cosine", "pearson", "spearman", "tau_a", "tau_b", "cosine_cov", "corr_cov", "bures",
        "bures_sq_distance", "euclidean_norm"}
        How the two RDMs are compared; ``facts.formula`` states the formula.
    center_units : bool
        Whether the mean over samples of each unit is subtracted first. It changes correlation and cosine
        RDMs only.
    repeats : int, >= 2, or None
        The number of repeats M of each condition, for crossnobis RDMs only. The samples must be M repeats of
        the conditions, one repeat after the other.
    noise : {"none", "diagonal", "full", "ledoit_wolf"}
        How the units are whitened, for crossnobis RDMs only; see :data:`simopt.measures.crossnobis.NOISE`.
    residuals : {"two_way", "condition"}
        The means that are subtracted to get the noise, for crossnobis RDMs only. ``condition``: the mean of
        the condition, as in rsatoolbox. ``two_way``: also the mean of the repeat, so that offsets of repeats
        are not noise. See :data:`simopt.measures.crossnobis.RESIDUALS`.

    Raises
    ------
    InputError
        An option has a value that is not listed; ``repeats`` is set for an RDM other than crossnobis; or a
        Bures comparison is chosen for a crossnobis RDM, whose kernel is not positive semidefinite.

    References
    ----------
    Kriegeskorte et al. 2008, doi:10.3389/neuro.06.004.2008. Nili et al. 2014,
    doi:10.1371/journal.pcbi.1003553. Walther et al. 2016, doi:10.1016/j.neuroimage.2015.12.012.
    Diedrichsen et al. 2021, arXiv:2007.02789. Harvey et al. 2023, arXiv:2311.11436.
    """

    rdm: RDM
    comparison: Comparison
    center_units: bool = False
    repeats: int | None = None
    noise: Noise = "ledoit_wolf"
    residuals: Residuals = "two_way"

    def __post_init__(self) -> None:
        checks.options(self, repeats=2)
        if self.repeats is not None and self.rdm != "crossnobis":
            raise InputError(f"repeats of {self.name} needs rdm=crossnobis; unset it for rdm={self.rdm}.")
        if self.rdm == "crossnobis" and self.comparison in BURES:
            raise InputError(
                f"comparison of {self.name} is {self.comparison!r}, but the kernel of a crossnobis RDM is "
                "not positive semidefinite. Choose comparison=cosine, pearson, cosine_cov or spearman."
            )

    @property
    def facts(self) -> Facts:
        """The RDM determines the invariances of the score, and the comparison determines its range."""
        distance = self.comparison in DISTANCES
        pairs = (self.rdm, self.comparison), ("any", self.comparison)
        # Crossnobis distances may be negative, so their cosine may be too.
        signed = self.comparison in CENTERED or (self.rdm == "crossnobis" and not distance)
        details = f", {self._noise()}" if self.rdm == "crossnobis" else ""
        if self.center_units and self.rdm in DIRECTIONAL:
            details = " of centered units"
        return Facts(
            family="rsa",
            formula=f"{_FORMULAS[self.comparison]}; {rdm.FORMULAS[self.rdm]}{details}",
            source=_CROSSNOBIS if self.rdm == "crossnobis" else _SOURCES.get(self.comparison, _RSA),
            low=-1.0 if signed else 0.0,
            high=math.inf if distance else 1.0,
            at_self=None if self.comparison == "tau_a" else 0.0 if distance else 1.0,
            larger_is_closer=not distance,
            **both(self._invariant()),
            differentiable=self.comparison not in RANKED,
            cost=self._cost(),
            relations=tuple(_RELATIONS[key] for key in pairs if key in _RELATIONS),
        )

    def _noise(self) -> str:
        residuals = "" if self.noise == "none" else f", {RESIDUALS[self.residuals]}"
        return NOISE[self.noise] + residuals

    def _invariant(self) -> frozenset[str]:
        invariant = _INVARIANT[self.rdm] if self.rdm != "crossnobis" else crossnobis.INVARIANT[self.noise]
        if self.center_units and self.rdm in DIRECTIONAL:
            return invariant | {"translation"}
        # A common scale of the RDM cancels in all comparisons but distances.
        scaled = self.rdm.endswith("euclidean") or (self.rdm == "crossnobis" and self.noise == "none")
        return invariant - {"isotropic_scaling"} if scaled and self.comparison in DISTANCES else invariant

    def _cost(self) -> str:
        if self.comparison in RANKED:
            return "n^2 p + n^2 log n"
        if self.rdm == "crossnobis":
            return "n^2 p / repeats" + {"none": "", "diagonal": ""}.get(self.noise, " + n p^2 + p^3")
        if self.rdm == "euclidean":
            return "n^3 + n^2 p" if self.comparison.startswith("bures") else "n^2 p"
        return "n^2 p" if self.comparison == "euclidean_norm" else "n p^2, n^2 p where 2 p > n"

    def weakness(self, extent: Extent) -> str | None:
        """Return a warning if Y has too few units for the RDM, or too many for its covariance, else None."""
        samples, units = extent.samples, extent.units["Y"]
        # Over 2 units a correlation is 1 or -1, and so is a cosine over 1 unit.
        fewest = {"correlation": 3, "cosine": 2}.get(self.rdm, 1)
        if units < fewest:
            return f"{units} unit(s): every entry of a {self.rdm} RDM is 0 or 2, and no gradient moves it."
        if self.rdm == "mahalanobis" and units >= samples - 1:
            return f"{units} units in {samples} samples: the covariance of a Mahalanobis RDM is singular."
        if not self.repeats or self.noise != "full":
            return None
        if units <= crossnobis.freedom(samples, self.repeats, self.residuals):
            return None
        return f"{units} units, {self.repeats} repeats, {samples} samples: the noise covariance is singular."

    def groups_of(self, samples: int) -> LabelArray | None:
        """Return the condition of each sample, (n,), if ``repeats`` is set, else None."""
        if self.repeats is None:
            return None
        conditions = crossnobis.conditions_of(samples, self.repeats, self.name)
        return condition_of(samples, conditions)  # one repeat after the other

    def prepare(self, reference: Reference) -> Score:
        """Return a function from the moments of Y to the score, which is NaN if it is undefined for Y.

        Raises
        ------
        InputError
            The RDM of X is zero; all its entries are equal and the comparison subtracts their mean; X has a
            single unit (correlation) or a singular covariance (Mahalanobis, crossnobis); or the samples are
            not repeats of conditions (crossnobis). The returned function raises this error if Y has a single
            unit or a singular covariance.
        """
        # The RDM of X is computed once, in float64 whatever the dtype of the scores.
        X = self._embed(reference.responses.double(), "X")
        if self.comparison in CENTERED:
            undefined = bool(X.levels.max() == 0)
        else:
            undefined = self.comparison != "euclidean_norm" and self.rdm in DIRECTIONAL and not X.points.any()
        if undefined:
            raise InputError(
                f"{self.name}: all entries of the {self.rdm} RDM of X are equal, so no RDM can be compared "
                "with it. Choose rdm=euclidean or rdm=sqeuclidean."
            )
        if self.comparison in RANKED:
            correlate = RANKED[self.comparison]

            def ranked(Y: Tensor) -> Tensor:
                # In float64, so that ties are recognized.
                return Y.new_tensor(correlate(X.levels, self._embed(Y.detach().double(), "Y").levels))

            return over_batch(ranked)
        compare = compare_with(self.comparison, X, reference.scores)
        return lambda moments: compare(self._embed(moments.Y, "Y"))

    def _embed(self, responses: Tensor, dataset: str) -> Embedding:
        what = f"{self.name}: {dataset}"
        if self.rdm == "crossnobis":
            return crossnobis.embed(responses, self.repeats, self.noise, what, self.residuals)
        return rdm.embed(self.rdm, responses, what, center_units=self.center_units)


_RELATIONS: dict[tuple[str, str], str] = {
    ("sqeuclidean", "cosine_cov"): "equals linear CKA",
    ("sqeuclidean", "corr_cov"): "linear CKA of the kernels less their mean eigenvalue",
    ("sqeuclidean", "bures"): "equals NBS",
    ("sqeuclidean", "bures_sq_distance"): (
        "equals the squared Procrustes distance of the centered X / sqrt p and Y / sqrt q"
    ),
    ("correlation", "cosine_cov"): "equals linear CKA of samples z-scored over units",
    ("correlation", "bures"): "equals NBS of samples z-scored over units",
    ("cosine", "cosine_cov"): "equals linear CKA of samples scaled to unit norm",
    ("cosine", "bures"): "equals NBS of samples scaled to unit norm",
    ("mahalanobis", "cosine_cov"): "equals the sum of squared canonical correlations over sqrt(p q)",
    ("mahalanobis", "bures"): "equals the sum of canonical correlations over sqrt(p q)",
    ("sqeuclidean", "spearman"): "equals that of the euclidean RDM, which has the same ranks",
    ("euclidean", "spearman"): "equals that of the sqeuclidean RDM, which has the same ranks",
    ("any", "tau_a"): "equals tau-b where no two entries of an RDM tie, else it is nearer 0",
    ("any", "tau_b"): "equals tau-a where no two entries of an RDM tie, else it is further from 0",
}
