"""Write derivations as text for a terminal, as Markdown, and as a LaTeX document.

:func:`_blocks` yields the content as blocks of several kinds. Each format has a template for each kind.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sympy as sp

from simopt.errors import InputError, SimoptError
from simopt.theory.derivation.setting import PERTURBATIONS, Assumption
from simopt.theory.derivation.steps import Derivation

# Columns of the terminal text; equations are indented by 6.
_WIDTH = 100
# In order of preference, with the options that make them stop at an error instead of asking.
_ENGINES = {
    "latexmk": ("-pdf", "-interaction=nonstopmode", "-halt-on-error"),
    "pdflatex": ("-interaction=nonstopmode", "-halt-on-error"),
    "tectonic": (),
}
_PREAMBLE = r"""\documentclass[a4paper,11pt]{article}
\usepackage{amsmath}
\usepackage{amssymb}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\allowdisplaybreaks
\begin{document}
"""
_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "_": r"\_",
        "#": r"\#",
        "^": r"\textasciicircum{}",
        "|": r"\textbar{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
_MARKDOWN = {
    "title": "# {}\n\n",
    "perturbation": "{}.\n\n",
    "step": "**{}. {}**: {}. *({})*\n\n",
    "assumed": "Assumed: {}.\n\n",
    "equation": "$$\n{} = {}\n$$\n\n",
    "reached": "$$\n\\begin{{aligned}} & {} \\\\ & \\quad = {} \\end{{aligned}}\n$$\n\n",
    "results": "## Result\n\n",
    "result": "{}:\n\n$$\n{}\n$$\n\n",
    "symbols": "## Symbols\n\n",
    "symbol": "- ${}$: {}\n",
}
_LATEX = {
    "title": "\\section*{{{}}}\n",
    "perturbation": "{}.\n",
    "step": "\\textbf{{{}. {}}}: {}. \\emph{{({})}}\n",
    "assumed": "Assumed: {}.\n",
    "equation": "\\[ {} = {} \\]\n",
    "reached": "\\[ \\begin{{aligned}} & {} \\\\ & \\quad = {} \\end{{aligned}} \\]\n",
    "result": "\\textbf{{{}}}\n\\[ {} \\]\n",
    "symbols": "\\begin{{itemize}}\n",
    "symbol": "\\item ${}$: {}\n",
    "end": "\\end{{itemize}}\n",
}
"""Templates for the kinds of blocks of :func:`_blocks`; the parts of a block fill the braces."""


def to_text(derivation: Derivation) -> str:
    """Return a derivation as text for a terminal that is 100 columns wide."""
    lines: list[str] = []
    for block in _blocks(derivation):
        match block:
            case "title", title:
                lines += [title, "=" * len(title)]
            case "perturbation", words:
                lines += [words, ""]
            case "step", number, of, rule, check:
                lines += _wrapped(f"{number}. {of}: {rule}. [{check}]", "")
            case "assumed", words:
                lines += _wrapped(f"Assumed: {words}.", "   ")
            case "equation", left, right:
                lines += _equation(left, right)
            case "reached", before, after:
                lines += [*_equation(before, after), ""]
            case "result", words, expression:
                lines += [f"{words}:", *_indented(_drawn(expression)), ""]
            case "symbols", *_:
                lines.append("Symbols")
            case "symbol", symbol, words:
                lines.append(f"   {sp.pretty(symbol, use_unicode=True)}: {words}")
    return "\n".join(lines) + "\n"


def to_markdown(derivation: Derivation) -> str:
    """Return a derivation in Markdown, with formulas between dollar signs."""
    return _filled(derivation, _MARKDOWN, _escaped_markdown)


def to_latex(derivations: Sequence[Derivation]) -> str:
    """Return derivations as a complete LaTeX document, which needs the packages amsmath and amssymb."""
    sections = [_filled(derivation, _LATEX, _escaped_latex) for derivation in derivations]
    return _PREAMBLE + "".join(sections) + "\\end{document}\n"


def write_pdf(derivations: Sequence[Derivation], path: str | Path) -> Path:
    """Write derivations as a PDF, and their LaTeX source beside it.

    The PDF is made with latexmk, pdflatex or tectonic, the first of them that is installed.

    Parameters
    ----------
    derivations : sequence of Derivation
    path : str or Path
        Path of the PDF. The LaTeX source has the same name, ending in .tex.

    Returns
    -------
    Path of the PDF

    Raises
    ------
    InputError
        No LaTeX is installed. The .tex file is written in this case too.
    SimoptError
        LaTeX failed on the .tex file.
    """
    target = Path(path).with_suffix(".pdf")
    source = target.with_suffix(".tex")
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(to_latex(derivations), encoding="utf-8")
    engine = next((name for name in _ENGINES if shutil.which(name)), None)
    if engine is None:
        raise InputError(
            f"no LaTeX is installed, so only {source} was written, not {target.name}. Install one of "
            f"{', '.join(_ENGINES)}, or compile {source.name} elsewhere."
        )
    # In a folder of its own, as LaTeX leaves .aux and .log files.
    with TemporaryDirectory() as folder:
        shutil.copy(source, Path(folder) / "derivation.tex")
        command = [engine, *_ENGINES[engine], "derivation.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        made = Path(folder) / "derivation.pdf"
        if done.returncode != 0 or not made.is_file():
            printed = done.stdout.decode(errors="replace").splitlines()
            # LaTeX marks its errors by a leading exclamation mark.
            reason = next((line for line in printed if line.startswith("!")), "no PDF was made")
            raise SimoptError(f"{engine} failed on {source}: {reason}; compile it with another LaTeX.")
        shutil.copy(made, target)
    return target


def tex(expression: sp.Basic) -> str:
    """Return an expression in LaTeX."""
    if expression.is_Add and expression.getO() is not None:
        return f"{tex(expression.removeO())} + {sp.latex(expression.getO())}"
    return str(sp.latex(_subscripted(expression)))


def _blocks(derivation: Derivation) -> Iterator[tuple[Any, ...]]:
    """Yield the blocks of a derivation in order: the kind of a block, then its words and expressions."""
    yield "title", _title(derivation)
    yield "perturbation", PERTURBATIONS[derivation.perturbation].words
    shown: set[Assumption] = set()
    for number, step in enumerate(derivation.steps, start=1):
        yield "step", str(number), step.of, step.rule, step.check.words
        for assumption in step.assumptions:
            if assumption not in shown:
                shown.add(assumption)
                yield "assumed", assumption.words
                yield from (("equation", left, right) for left, right in assumption.equations)
        yield "reached", step.before, step.after
    yield ("results",)
    yield "result", "Definition", derivation.definition
    yield "result", "Score", derivation.result
    for order, term in zip(("leading", "next"), derivation.expansion, strict=False):
        yield "result", f"Loss, {order} term", term
    if not derivation.expansion:
        yield "result", "Loss: the score does not change", sp.Integer(0)
    if derivation.ratio is not None:
        yield "result", "Leading sensitivity to PC i over that to PC j", derivation.ratio
    if derivation.correction is not None:
        words = "Added to the mean score where w is random, to first order in 1 / (n - 2)"
        yield "result", words, derivation.correction
    yield ("symbols",)
    yield from (("symbol", symbol, words) for symbol, words in derivation.symbols.items())
    yield ("end",)


def _filled(derivation: Derivation, templates: dict[str, str], escaped: Callable[[str], str]) -> str:
    """Return the document: the template of each block, filled. Kinds without a template are left out."""
    document = ""
    for kind, *parts in _blocks(derivation):
        texts = (escaped(part) if isinstance(part, str) else tex(part) for part in parts)
        document += templates.get(kind, "").format(*texts)
    return document


def _title(derivation: Derivation) -> str:
    changed = {"noise": "noise on PC i", "noise_all": "noise on all of Y"}
    name = derivation.perturbation
    return f"Sensitivity of {derivation.subject} to {changed.get(name, f'{name} of PC i')}"


def _equation(left: sp.Basic, right: sp.Basic) -> list[str]:
    """Return an equation for the terminal: in one drawing, on two lines where it is too wide."""
    whole = _drawing(sp.Eq(left, right, evaluate=False))
    if whole is not None:
        return _indented(whole)
    return [*_indented(_drawn(left)), *_indented(["=", *_drawn(right)])]


def _subscripted(expression: sp.Basic) -> sp.Basic:
    """Write the entries of lambda, c, g and z as symbols with a subscript."""
    return expression.replace(sp.Indexed, lambda base, index: sp.Symbol(f"{base}_{index}", real=True))


def _drawn(expression: sp.Basic) -> list[str]:
    return _drawing(expression) or textwrap.wrap(str(_subscripted(expression)), _WIDTH - 6)


def _drawing(expression: sp.Basic) -> list[str] | None:
    lines = sp.pretty(_subscripted(expression), use_unicode=True, wrap_line=False).splitlines()
    return lines if max(map(len, lines)) <= _WIDTH - 6 else None


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"      {line}".rstrip() for line in lines]


def _wrapped(words: str, indent: str) -> list[str]:
    return textwrap.wrap(words, _WIDTH, initial_indent=indent, subsequent_indent="   ")


def _escaped_markdown(words: str) -> str:
    return re.sub(r"([_*|<>])", r"\\\1", words)


def _escaped_latex(words: str) -> str:
    return words.translate(_SPECIAL)
