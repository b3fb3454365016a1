"""What the linear measures need to know of X and Y: small matrices, computed once and shared.

A score, the captured variance and every tracked score of one state read the same two products, F'Y and
Y'Y, from one :class:`Moments`. No samples-by-samples matrix exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from simopt import checks, linalg
from simopt.components import principal_components
from simopt.errors import InputError, warn_renamed
from simopt.typing import ArrayLike, FloatArray


def from_array(array: FloatArray) -> Tensor:
    """Return a tensor that shares its memory with an array, where torch can share it."""
    shared = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if shared else array.copy())


@dataclass(frozen=True)
class Reference:
    """The recording's side of every comparison, computed once.

    Attributes
    ----------
    responses : Tensor, (n, p)
        As they came, not centered.
    scores : Tensor, (n, K)
        Principal-component scores U S of the centered responses, scaled to unit total variance. Columns
        are orthogonal, descending, one for each PC of nonzero variance; X X' = scores scores', so they
        stand for X in every measure that ignores rotations and scale of X.
    variance_ratio : Tensor, (K,)
        p_i = lambda_i / sum lambda, the explained variance ratio of each PC.
    norm : float
        Frobenius norm of the centered responses: ``norm * scores`` has their scale.
    """

    responses: Tensor
    scores: Tensor
    variance_ratio: Tensor
    norm: float

    @classmethod
    def of(
        cls,
        X: ArrayLike | Reference,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Reference:
        """Decompose responses (samples, units), in float64 whatever the dtype they are kept in.

        Raises
        ------
        InputError
            Not a finite 2-D numeric array of at least 3 samples, or constant.
        """
        if isinstance(X, Reference):
            return X
        if isinstance(X, torch.Tensor):
            device = X.device if device is None else device
            dtype = X.dtype if dtype is None and X.dtype in (torch.float32, torch.float64) else dtype
        array = checks.responses(X)
        if array.ndim != 2:
            raise InputError(
                f"X has shape {array.shape}; a measure takes (samples, units): "
                "reshape (time, condition, unit) to (time * condition, unit) first."
            )
        checks.varying(array)
        if dtype is None:
            dtype = torch.float32 if array.dtype == np.float32 else torch.float64
        pcs = principal_components(array, np.float32 if dtype == torch.float32 else np.float64)
        return cls(
            responses=from_array(array).to(dtype).to(device),
            scores=torch.from_numpy(pcs.scores).to(dtype).to(device),
            variance_ratio=torch.from_numpy(pcs.values**2).to(dtype).to(device),
            norm=pcs.norm,
        )

    def to(self, dtype: torch.dtype, device: torch.device | str) -> Reference:
        """Return the reference in a dtype and on a device, as if it had been decomposed for these."""
        if (self.scores.dtype, self.scores.device) == (dtype, torch.device(device)):
            return self
        tensors = ("responses", "scores", "variance_ratio")
        return replace(self, **{name: getattr(self, name).to(dtype).to(device) for name in tensors})

    @property
    def factor(self) -> Tensor:
        """F (n, K), orthogonal columns, with F F' = X X' for the centered X in its own scale."""
        return self.norm * self.scores

    @property
    def samples(self) -> int:
        """The number of samples, n."""
        return self.scores.shape[0]


class Moments:
    """The products of one Y, or a batch of them, with itself and with a reference.

    Parameters
    ----------
    reference : Reference
    Y : Tensor, (..., n, q), of the reference's dtype and device
    """

    def __init__(self, reference: Reference, Y: Tensor) -> None:
        self.reference = reference
        self.Y = Y

    @cached_property
    def centered(self) -> Tensor:
        """Y less its mean over samples, (..., n, q)."""
        return linalg.center(self.Y)

    @property
    def centred(self) -> Tensor:
        """The former name of :attr:`centered`, for one release."""
        warn_renamed("moments.centred", "moments.centered")
        return self.centered

    @cached_property
    def products(self) -> tuple[Tensor, Tensor]:
        """F'Y (..., K, q) and Y'Y (..., q, q), where a measure needs both: their gradients are fused."""
        return linalg.products(self.Y, self.reference.scores)

    @cached_property
    def cross(self) -> Tensor:
        """F'Y, (..., K, q)."""
        if "products" in self.__dict__:
            return self.products[0]
        if "cross_and_total" in self.__dict__:
            return self.cross_and_total[0]
        return self.reference.scores.mT @ self.centered

    @cached_property
    def gram(self) -> Tensor:
        """Y'Y of the centered Y, (..., q, q)."""
        return self.products[1] if "products" in self.__dict__ else linalg.gram(self.centered)

    @cached_property
    def kernel(self) -> Tensor:
        """YY' of the centered Y, (..., n, n): the small side where there are more units than samples."""
        return linalg.gram(self.centered.mT)

    @cached_property
    def cross_and_total(self) -> tuple[Tensor, Tensor]:
        """F'Y and ||Y||_F^2, where a measure needs both and no other: their gradients are fused."""
        if "products" in self.__dict__:
            return self.cross, self.total
        return linalg.cross_and_total(self.Y, self.reference.scores)

    @cached_property
    def nuclear(self) -> Tensor:
        """||F'Y||_*, (...)."""
        return linalg.nuclear_norm(self.cross_and_total[0])

    @cached_property
    def explained(self) -> tuple[Tensor, Tensor]:
        """F'Y (Y'Y)^-1 Y'F on its diagonal, (..., K), and the condition of Y'Y, (...)."""
        known = "cross_and_total" in self.__dict__
        cross, gram = (self.cross, self.gram) if known else self.products
        return linalg.explained(gram, cross.mT)

    @property
    def cross_and_small(self) -> tuple[Tensor, Tensor]:
        """F'Y, and the smaller one of Y'Y and YY': they have the same trace and norm."""
        if self.Y.shape[-1] <= self.Y.shape[-2]:
            return self.products
        return self.cross, self.kernel

    @cached_property
    def total(self) -> Tensor:
        """The total sum of squares of the centered Y, (...)."""
        return self.centered.square().sum(dim=(-2, -1))

    def detached(self) -> Moments:
        """Return the same moments, as far as they are known, without a gradient."""
        twin = Moments(self.reference, self.Y.detach())
        for name, tensors in self._known().items():
            twin._keep(name, [tensor.detach() for tensor in tensors])
        return twin

    @classmethod
    def joined(cls, parts: Sequence[Moments], Y: Tensor) -> Moments:
        """Return the moments of Y (R, n, q) from those of its parts along R; what is large is left out."""
        if len(parts) == 1:
            return parts[0]
        whole = cls(parts[0].reference, Y.detach())
        known = [part._known() for part in parts]
        for name in set(known[0]).intersection(*known) - {"centered", "kernel"}:
            columns = zip(*(tensors[name] for tensors in known), strict=True)
            whole._keep(name, [torch.cat(column) for column in columns])
        return whole

    @property
    def nbytes(self) -> int:
        """The memory of Y and of the moments that are known."""
        return self.Y.nbytes + sum(tensor.nbytes for known in self._known().values() for tensor in known)

    def _known(self) -> dict[str, tuple[Tensor, ...]]:
        """Return what was computed so far: one tensor, or a pair, by name."""
        computed = {name: value for name, value in vars(self).items() if name not in ("reference", "Y")}
        return {name: value if isinstance(value, tuple) else (value,) for name, value in computed.items()}

    def _keep(self, name: str, tensors: Sequence[Tensor]) -> None:
        vars(self)[name] = tensors[0] if len(tensors) == 1 else tuple(tensors)
