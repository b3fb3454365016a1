"""A measure made of a user's own function of (X, Y)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from simopt.errors import InputError, SimoptError
from simopt.measures.base import Facts, Measure, Score, both, over_batch
from simopt.measures.moments import Reference


@dataclass(frozen=True, kw_only=True)
class FunctionMeasure(Measure):
    """A measure made of a user's own function of X and Y.

    The range and invariances of the score are unknown. The measure can be optimized if the value that the
    function returns has a gradient.

    Parameters
    ----------
    function : callable
        A function of two tensors, X (n, p) and Y (n, q), that returns a number or a tensor of one element. It
        is called once for each Y of a batch.
    options : mapping
        Keyword arguments of the function.
    """

    function: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """The facts assume nothing about the function, except that larger scores are closer."""
        return Facts(
            family="your own",
            formula=f"{self.function.__module__}.{getattr(self.function, '__qualname__', self.function)}",
            source=(self.function.__doc__ or "").strip().partition("\n")[0],
            **both(frozenset()),
            low=-float("inf"),
            high=float("inf"),
            at_self=None,
            symmetric=False,
            direction="unknown",
            cost="unknown",
        )

    def prepare(self, reference: Reference) -> Score:
        """Return a function of the moments of Y that calls the user's function for each Y of a batch.

        Raises
        ------
        InputError
            The user's function cannot be called with X, Y and the options.
        """
        try:
            inspect.signature(self.function).bind(reference.responses, reference.responses, **self.options)
        except TypeError as error:
            raise InputError(
                f"{self.facts.formula} cannot be called with X and Y ({error}); give a function of X and Y."
            ) from error
        except ValueError:  # a builtin may have no signature
            pass
        return over_batch(lambda Y: self._call(reference.responses, Y))

    def _call(self, X: Tensor, Y: Tensor) -> Tensor:
        try:
            value = self.function(X, Y, **self.options)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            if isinstance(error, SimoptError):
                raise
            reason = next(iter(str(error).splitlines()), "").rstrip(".")
            raise InputError(
                f"{self.facts.formula} cannot score two tensors ({type(error).__name__}: {reason}); give a "
                "function of X and Y that returns a number."
            ) from error
        try:
            # A tensor keeps its gradient; a plain number becomes a tensor without one.
            score = torch.as_tensor(value, dtype=Y.dtype, device=Y.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{self.name} returned a {type(value).__name__}; return a number.") from error
        if score.numel() != 1:
            raise InputError(f"{self.name} returned shape {tuple(score.shape)}; return one number.")
        return score.reshape(())
