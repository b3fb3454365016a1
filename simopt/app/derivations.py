"""``simopt sensitivity --derivation``: derivations of the measures asked for, on screen and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simopt.app.sensitivity import Request
from simopt.errors import InputError
from simopt.store.whole import put
from simopt.theory import derivation
from simopt.theory.derivation import Derivation


def derive_all(asked: Request) -> list[Derivation]:
    """Return the derivation of each measure under the perturbation that is asked for.

    Raises
    ------
    InputError
        A measure that nothing is derived of.
    """
    return [derivation.derive(_subject(name), asked.config.perturbation) for name in asked.measures]


def _subject(name: str) -> str:
    if name.startswith("ridge") and name.removeprefix("ridge").isdigit():
        return "ridge"
    known = derivation.subjects()
    if name not in known:
        raise InputError(f"{name}: no derivation; there are: {', '.join(known)} (ridge1 and so on as ridge).")
    return name


def texts(derived: list[Derivation]) -> Iterator[str]:
    """Give each derivation as text for a terminal."""
    return map(derivation.to_text, derived)


def as_json(derived: list[Derivation]) -> dict[str, Any]:
    """Return the results, as expressions that sympy reads, and the steps."""
    return {
        each.subject: {
            "perturbation": each.perturbation,
            "score": str(each.result),
            "loss": [str(term) for term in each.expansion],
            "ratio": None if each.ratio is None else str(each.ratio),
            "correction": None if each.correction is None else str(each.correction),
            "steps": [
                {"of": step.of, "rule": step.rule, "before": str(step.before), "after": str(step.after)}
                for step in each.steps
            ],
        }
        for each in derived
    }


def write(derived: list[Derivation], folder: Path) -> list[str]:
    """Write Markdown, LaTeX, and where a LaTeX is installed PDF; say what was written.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    markdown, latex, pdf = (folder / f"derivation.{suffix}" for suffix in ("md", "tex", "pdf"))
    try:
        put(markdown, "\n\n".join(map(derivation.to_markdown, derived)).encode())
        told = [f"written: {markdown}", f"written: {latex}"]
        return [*told, f"written: {derivation.write_pdf(derived, pdf)}"]
    except InputError as error:  # no LaTeX is installed
        return [*told, str(error)]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({(error.strerror or str(error)).lower()})."
        ) from error
