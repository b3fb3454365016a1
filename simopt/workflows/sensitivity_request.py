"""The request of sensitivities, bounds, derivations, and the order in which PCs are learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from simopt import checks, measures
from simopt.analysis.sensitivity import ANALYSIS, Sensitivities, read
from simopt.errors import InputError
from simopt.measures import Measure
from simopt.theory.perturbations import DEFAULTS, KINDS, check
from simopt.workflows.request import Request, measure_nodes, name_of, no_influence

DEFAULT = ("cka", "nbs", "procrustes_angular")
"""The default measures."""


@dataclass(frozen=True, kw_only=True)
class SensitivityRequest(Request[Sensitivities]):
    """The request of sensitivities: the scores after each PC is perturbed.

    The attributes are the keys of ``simopt sensitivity``.

    Attributes
    ----------
    measures : tuple of dict
        The configuration node of each measure: a dict with ``_target_`` and options.
    perturbation : {"rotation", "scaling", "noise", "noise_all"}
        What is done to each PC; :func:`simopt.sensitivity` explains it.
    strength : float, sequence of float, or None
        The angle in degrees (rotation), the factor (scaling), or the noise level. None: the default of the
        perturbation.
    seeds : sequence of int
        The seeds. Each seed gives one random direction for every PC.
    pcs : sequence of int, or None
        The PCs to perturb, numbered from 1. None: all PCs.
    spectrum : str or None
        The path of a csv file with the variance of one PC in each row. It takes the place of the data: then
        only theory is evaluated, and nothing is stored.
    samples, units : int or None
        The numbers of samples and units of the data; only used with ``spectrum``.
    keep_going : bool
        Whether a measure that cannot be applied is skipped, with the reason, instead of raising an error.
    """

    kind: ClassVar[str] = ANALYSIS

    measures: Sequence[Any] = DEFAULT
    perturbation: str = "rotation"
    strength: Any = None
    seeds: Sequence[int] = tuple(range(10))
    pcs: Sequence[int] | None = None
    spectrum: str | None = None
    samples: int | None = None
    units: int | None = None
    keep_going: bool = no_influence(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("measures", measure_nodes(self.measures))
        checks.one_of(self.perturbation, KINDS, "perturbation")
        checks.seeds(self.seeds)
        self._set("seeds", tuple(self.seeds))
        self._set("pcs", None if self.pcs is None else tuple(self.pcs))
        self._set("strength", _strengths(self.perturbation, self.strength))
        for size in ("samples", "units"):
            if getattr(self, size) is not None:
                checks.whole(getattr(self, size), 1, size)

    def revises(self) -> list[str]:
        """Return the dotted names of the code that computes the scores."""
        return ["simopt.theory.sensitivity.experiment", *(str(node["_target_"]) for node in self.measures)]

    def read(self, path: Path) -> Sensitivities:
        """Return the sensitivities that a file stores."""
        return read(path)

    def built(self) -> dict[str, Measure]:
        """Return the measures by name.

        Raises
        ------
        InputError
            An option is out of its range.
        """
        return {name_of(node): measures.build(node) for node in self.measures}

    def check(self) -> None:
        """Check all options by building everything that needs no data.

        Raises
        ------
        InputError
            An option is out of its range.
        """
        self.built()
        if self.spectrum is None:
            super().check()


def _strengths(perturbation: str, strength: Any) -> tuple[float, ...]:
    values = DEFAULTS[perturbation] if strength is None else strength  # type: ignore[index]
    listed = values if isinstance(values, list | tuple) else [values]
    if not listed:
        raise InputError("strength is empty; give a number, or a list of numbers.")
    for value in listed:
        check(perturbation, value)
    return tuple(map(float, listed))
