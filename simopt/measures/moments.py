"""The products of X and Y that linear measures depend on, computed once and shared.

Let F (n, K) be the PC scores of X. Most linear measures are functions of F'Y (K, q) and Y'Y (q, q). A
:class:`Moments` object computes these products once. The score, the captured variance and all tracked scores
of one Y share them. No (n, n) matrix is formed unless Y has more units than samples.
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
from simopt.rows import Rows
from simopt.typing import FloatArray, Responses


def from_array(array: FloatArray) -> Tensor:
    """Return an array as a tensor, without a copy if torch can share the memory."""
    # torch shares neither read-only memory nor negative strides (a reversed array).
    shared = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if shared else array.copy())


@dataclass(frozen=True)
class Reference:
    """X and its principal components, computed once.

    Attributes
    ----------
    responses : Tensor, (n, p)
        X as it was passed, not centered.
    scores : Tensor, (n, K)
        The PC scores F = U S / ||X||_F of the centered X = U S V', so that ||F||_F = 1. Each PC of nonzero
        variance has one column, and PCs of larger variance come first. As X X' = ||X||_F^2 F F', F can
        replace X in every measure that is invariant to rotations and scale of X.
    variance_ratio : Tensor, (K,)
        The explained variance ratio p_i = lambda_i / sum lambda of each PC. F'F = diag(p).
    norm : float
        ||X||_F of the centered responses; ``norm * scores`` has the scale of X.
    rows : Rows or None
        The groups and blocks of samples; None if there are none. Cross-validated measures keep the samples of
        a group together.
    """

    responses: Tensor
    scores: Tensor
    variance_ratio: Tensor
    norm: float
    rows: Rows | None = None

    @classmethod
    def of(
        cls,
        X: Responses | Reference,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        rows: Rows | None = None,
    ) -> Reference:
        """Return the Reference of responses X (samples, units), whose PCs are computed in float64.

        Parameters
        ----------
        X : array, tensor or Dataset, or a Reference, which keeps its dtype and device
        dtype : torch.dtype, optional
            The dtype of the tensors. If it is None, they are float32 if X is float32, else float64.
        device : torch.device or str, optional
            The device of the tensors. If it is None, they stay on the device of X.
        rows : Rows, optional
            The groups and blocks of samples. If it is None, a Reference keeps its rows.

        Raises
        ------
        InputError
            X is not numeric, not 2-D, not finite, or constant; X has fewer than 3 samples; or ``rows`` has
            another number of samples.
        """
        if isinstance(X, Reference):
            return X if rows is None else replace(X, rows=rows)
        if isinstance(X, torch.Tensor):
            device = X.device if device is None else device
        array = checks.responses(X)  # widens float16 and bfloat16
        if array.ndim != 2:
            raise InputError(
                f"X has shape {array.shape}, but a measure needs (samples, units). "
                "Reshape (time, condition, unit) to (time * condition, unit) first."
            )
        checks.varying(array)
        for part in () if rows is None else (rows.groups, rows.blocks):
            if part is not None and len(part) != len(array):
                raise InputError(f"X has {len(array)} samples, but rows has {len(part)}; give {len(array)}.")
        if dtype is None:
            dtype = torch.float32 if array.dtype == np.float32 else torch.float64
        # The decomposition is in float64; only its result is rounded to the dtype.
        pcs = principal_components(array, np.float32 if dtype == torch.float32 else np.float64)
        return cls(
            responses=from_array(array).to(dtype).to(device),
            scores=torch.from_numpy(pcs.scores).to(dtype).to(device),
            variance_ratio=torch.from_numpy(pcs.values**2).to(dtype).to(device),
            norm=pcs.norm,
            rows=rows,
        )

    def to(self, dtype: torch.dtype, device: torch.device | str) -> Reference:
        """Return the reference with this dtype and device; moving float32 to float64 adds no accuracy."""
        if (self.scores.dtype, self.scores.device) == (dtype, torch.device(device)):
            return self
        tensors = ("responses", "scores", "variance_ratio")
        return replace(self, **{name: getattr(self, name).to(dtype).to(device) for name in tensors})

    @property
    def factor(self) -> Tensor:
        """The PC scores A = U S, (n, K), of the centered X = U S V', at the scale of X: A A' = X X'."""
        return self.norm * self.scores

    @property
    def samples(self) -> int:
        """The number of samples, n."""
        return self.scores.shape[0]


class Moments:
    """The products of Y with itself and with X; each product is computed when it is first used.

    Parameters
    ----------
    reference : Reference
        X and its PC scores F.
    Y : Tensor, (..., n, q)
        One Y or a batch, with the dtype and device of ``reference``.
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
        """The former name of :attr:`centered`, which the next release will drop."""
        warn_renamed("moments.centred", "moments.centered")
        return self.centered

    @cached_property
    def products(self) -> tuple[Tensor, Tensor]:
        """F'Y (..., K, q) and Y'Y (..., q, q) of the centered Y, with one common backward pass."""
        return linalg.products(self.Y, self.reference.scores)

    @cached_property
    def cross(self) -> Tensor:
        """F'Y, (..., K, q)."""
        # It is read from a pair that is there already; no pair is computed for one of its halves only.
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
        """YY' of the centered Y, (..., n, n). It is smaller than Y'Y if Y has more units than samples."""
        return linalg.gram(self.centered.mT)

    @cached_property
    def cross_and_total(self) -> tuple[Tensor, Tensor]:
        """F'Y and ||Y||_F^2 of the centered Y, with one common backward pass."""
        if "products" in self.__dict__:
            return self.cross, self.total
        return linalg.cross_and_total(self.Y, self.reference.scores)

    @cached_property
    def nuclear(self) -> Tensor:
        """The nuclear norm ||F'Y||_*, of shape (...)."""
        return linalg.nuclear_norm(self.cross_and_total[0])

    @cached_property
    def explained(self) -> tuple[Tensor, Tensor]:
        """The diagonal of F'Y (Y'Y)^-1 Y'F, (..., K), and the condition number of Y'Y, of shape (...).

        Entry k of the diagonal is the sum of squares of PC k that is explained by a regression on Y.
        """
        # F'Y is not computed twice if another measure of the same Y has asked for it.
        cross_is_known = "cross_and_total" in self.__dict__
        cross, gram = (self.cross, self.gram) if cross_is_known else self.products
        return linalg.explained(gram, cross.mT)

    @property
    def cross_and_small(self) -> tuple[Tensor, Tensor]:
        """F'Y and the smaller of Y'Y and YY'. The last two have equal nonzero eigenvalues, trace and norm."""
        if self.Y.shape[-1] <= self.Y.shape[-2]:
            return self.products
        return self.cross, self.kernel

    @cached_property
    def total(self) -> Tensor:
        """The total sum of squares of the centered Y, of shape (...)."""
        return self.centered.square().sum(dim=(-2, -1))

    def detached(self) -> Moments:
        """Return Moments that hold all products computed so far, without their gradients."""
        twin = Moments(self.reference, self.Y.detach())
        for name, tensors in self._computed().items():
            twin._keep(name, [tensor.detach() for tensor in tensors])
        return twin

    @classmethod
    def joined(cls, parts: Sequence[Moments], Y: Tensor) -> Moments:
        """Return the moments of a batch Y (R, n, q), joined from the moments of its parts along R."""
        if len(parts) == 1:
            return parts[0]
        whole = cls(parts[0].reference, Y.detach())
        computed = [part._computed() for part in parts]
        # "centered" and "kernel" are as large as Y or larger: computing them again is better than a copy.
        for name in set(computed[0]).intersection(*computed) - {"centered", "kernel"}:
            columns = zip(*(tensors[name] for tensors in computed), strict=True)
            whole._keep(name, [torch.cat(column) for column in columns])
        return whole

    @property
    def nbytes(self) -> int:
        """The memory of Y and of the moments that have been computed so far, in bytes."""
        moments = self._computed().values()
        return self.Y.nbytes + sum(tensor.nbytes for tensors in moments for tensor in tensors)

    def _computed(self) -> dict[str, tuple[Tensor, ...]]:
        """Return the moments computed so far by name, each as a tuple of one tensor or two."""
        # cached_property stores its value in the instance's __dict__ under its own name.
        computed = {name: value for name, value in vars(self).items() if name not in ("reference", "Y")}
        return {name: value if isinstance(value, tuple) else (value,) for name, value in computed.items()}

    def _keep(self, name: str, tensors: Sequence[Tensor]) -> None:
        vars(self)[name] = tensors[0] if len(tensors) == 1 else tuple(tensors)
