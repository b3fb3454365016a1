"""Machine-checked derivations of sensitivities: ``to_text(derive("cka", "rotation"))`` shows one."""

from simopt.theory.derivation.build import derive, subjects
from simopt.theory.derivation.render import to_latex, to_markdown, to_text, write_pdf
from simopt.theory.derivation.setting import PERTURBATIONS
from simopt.theory.derivation.steps import Derivation, DerivationError

__all__ = [
    "PERTURBATIONS",
    "Derivation",
    "DerivationError",
    "derive",
    "subjects",
    "to_latex",
    "to_markdown",
    "to_text",
    "write_pdf",
]
