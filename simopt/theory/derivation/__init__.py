"""Machine-checked derivations of what a measure sees: ``derive("cka", "rotation")``, then ``to_text``."""

from simopt.theory.derivation.build import derive, subjects
from simopt.theory.derivation.render import to_latex, to_markdown, to_text, write_pdf
from simopt.theory.derivation.setting import PERTURBATIONS, Assumption, Perturbation
from simopt.theory.derivation.steps import Check, Derivation, DerivationError, Step

__all__ = [
    "PERTURBATIONS",
    "Assumption",
    "Check",
    "Derivation",
    "DerivationError",
    "Perturbation",
    "Step",
    "derive",
    "subjects",
    "to_latex",
    "to_markdown",
    "to_text",
    "write_pdf",
]
