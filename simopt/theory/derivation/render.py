"""A derivation on paper: readable text, Markdown, and a LaTeX document."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import sympy as sp

from simopt.errors import InputError, SimoptError
from simopt.theory.derivation.setting import PERTURBATIONS, Assumption
from simopt.theory.derivation.steps import Derivation, Step

_WIDTH = 100
_TITLE = "What {subject} sees of {perturbation}"
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
_SPECIAL = {
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


def to_text(derivation: Derivation) -> str:
    """Return a derivation for a terminal of 100 columns."""
    lines = [
        _title(derivation),
        "=" * len(_title(derivation)),
        PERTURBATIONS[derivation.perturbation].words,
        "",
    ]
    shown: set[Assumption] = set()
    for number, step in enumerate(derivation.steps, start=1):
        lines += textwrap.wrap(
            f"{number}. {step.of}: {step.rule}. [{step.check.words}]", _WIDTH, subsequent_indent="   "
        )
        for assumption in step.assumptions:
            if assumption not in shown:
                shown.add(assumption)
                lines += textwrap.wrap(
                    f"Assumed: {assumption.words}.", _WIDTH, initial_indent="   ", subsequent_indent="   "
                )
                for left, right in assumption.equations:
                    lines += _equation(left, right)
        lines += [*_equation(step.before, step.after), ""]
    for words, expression in _results(derivation):
        lines += [f"{words}:", *_indented(_drawn(expression)), ""]
    lines += ["Symbols"]
    for symbol, words in derivation.symbols.items():
        lines += [f"   {sp.pretty(symbol, use_unicode=True)}: {words}"]
    return "\n".join(lines) + "\n"


def to_markdown(derivation: Derivation) -> str:
    """Return a derivation in Markdown, its formulas between dollars."""
    blocks = [f"# {_title(derivation)}", f"{PERTURBATIONS[derivation.perturbation].words}."]
    shown: set[Assumption] = set()
    for number, step in enumerate(derivation.steps, start=1):
        blocks.append(f"**{number}. {_escaped(step.of)}**: {_escaped(step.rule)}. *({step.check.words})*")
        for assumption in step.assumptions:
            if assumption not in shown:
                shown.add(assumption)
                blocks.append(f"Assumed: {_escaped(assumption.words)}.")
                blocks += [f"$$\n{_one_line(left, right)}\n$$" for left, right in assumption.equations]
        blocks.append(f"$$\n{_aligned(step)}\n$$")
    blocks.append("## Result")
    for words, expression in _results(derivation):
        blocks += [f"{words}:", f"$$\n{tex(expression)}\n$$"]
    blocks.append("## Symbols")
    blocks.append(
        "\n".join(f"- ${tex(symbol)}$: {_escaped(words)}" for symbol, words in derivation.symbols.items())
    )
    return "\n\n".join(blocks) + "\n"


def to_latex(derivations: Derivation | Sequence[Derivation]) -> str:
    """Return one or several derivations as a complete LaTeX document; it needs amsmath and amssymb."""
    several = [derivations] if isinstance(derivations, Derivation) else derivations
    return (
        _PREAMBLE + "\n".join(block for each in several for block in _section(each)) + "\n\\end{document}\n"
    )


def write_pdf(derivations: Derivation | Sequence[Derivation], path: str | Path) -> Path:
    """Write derivations as PDF, with latexmk, pdflatex or tectonic, and their LaTeX beside it.

    Parameters
    ----------
    derivations : Derivation or sequence of Derivation
    path : str or Path
        Of the PDF; the LaTeX has the same name, ending in .tex.

    Returns
    -------
    Path of the PDF

    Raises
    ------
    InputError
        No LaTeX is installed; the .tex is there all the same.
    SimoptError
        LaTeX failed.
    """
    target = Path(path).with_suffix(".pdf")
    source = target.with_suffix(".tex")
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(to_latex(derivations), encoding="utf-8")
    engine = next((name for name in _ENGINES if shutil.which(name)), None)
    if engine is None:
        raise InputError(
            f"no LaTeX is installed, so {target.name} was not made; {source} was written. Install "
            f"{', '.join(_ENGINES)}, or compile it elsewhere."
        )
    with TemporaryDirectory() as folder:
        shutil.copy(source, Path(folder) / "derivation.tex")
        done = subprocess.run(
            [engine, *_ENGINES[engine], "derivation.tex"],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        made = Path(folder) / "derivation.pdf"
        if done.returncode != 0 or not made.is_file():
            reason = next(
                (line for line in done.stdout.splitlines() if line.startswith("!")), "no PDF was made"
            )
            raise SimoptError(f"{engine} failed on {source}: {reason}")
        shutil.copy(made, target)
    return target


def tex(expression: sp.Basic) -> str:
    """Return an expression in LaTeX."""
    if isinstance(expression, sp.Expr) and not getattr(expression, "is_Matrix", False):
        order = expression.getO() if expression.is_Add else None
        if order is not None:
            return f"{tex(expression.removeO())} + {sp.latex(order)}"
    return str(sp.latex(_subscripted(expression)))


def _section(derivation: Derivation) -> Iterator[str]:
    yield rf"\section*{{{_escaped_tex(_title(derivation))}}}"
    yield f"{_escaped_tex(PERTURBATIONS[derivation.perturbation].words)}."
    shown: set[Assumption] = set()
    for number, step in enumerate(derivation.steps, start=1):
        yield (
            rf"\textbf{{{number}. {_escaped_tex(step.of)}}}: {_escaped_tex(step.rule)}. "
            rf"\emph{{({_escaped_tex(step.check.words)})}}"
        )
        for assumption in step.assumptions:
            if assumption not in shown:
                shown.add(assumption)
                yield f"Assumed: {_escaped_tex(assumption.words)}."
                yield from (rf"\[ {_one_line(left, right)} \]" for left, right in assumption.equations)
        yield rf"\[ {_aligned(step)} \]"
    for words, expression in _results(derivation):
        yield f"\\textbf{{{_escaped_tex(words)}}}\n\\[ {tex(expression)} \\]"
    yield r"\begin{itemize}"
    yield from (
        rf"\item ${tex(symbol)}$: {_escaped_tex(words)}" for symbol, words in derivation.symbols.items()
    )
    yield r"\end{itemize}"


def _title(derivation: Derivation) -> str:
    perturbation = {"noise_all": "noise on all of Y"}.get(derivation.perturbation, derivation.perturbation)
    on = "" if PERTURBATIONS[derivation.perturbation].whole else " of PC i"
    if derivation.perturbation == "noise":
        on = " on PC i"
    return _TITLE.format(subject=derivation.subject, perturbation=perturbation + on)


def _results(derivation: Derivation) -> Iterator[tuple[str, sp.Expr]]:
    yield "Definition", derivation.definition
    yield "Score", derivation.result
    yield from zip(("Loss, leading term", "Loss, next term"), derivation.expansion, strict=False)
    if not derivation.expansion:
        yield "Loss: the score does not change", sp.Integer(0)
    if derivation.ratio is not None:
        yield "Leading sensitivity to PC i over that to PC j", derivation.ratio
    if derivation.correction is not None:
        yield (
            "Added to the mean score where w is random, to first order in 1 / (n - 2)",
            derivation.correction,
        )


def _one_line(left: sp.Basic, right: sp.Basic) -> str:
    return f"{tex(left)} = {tex(right)}"


def _aligned(step: Step) -> str:
    return rf"\begin{{aligned}} & {tex(step.before)} \\ & \quad = {tex(step.after)} \end{{aligned}}"


def _equation(left: sp.Basic, right: sp.Basic) -> list[str]:
    """Return an equation for the terminal: in one drawing, on two lines where it is too wide."""
    whole = _drawing(sp.Eq(left, right, evaluate=False))
    if whole is not None:
        return _indented(whole)
    return [*_indented(_drawn(left)), *_indented(["=", *_drawn(right)])]


def _subscripted(expression: sp.Basic) -> sp.Basic:
    """Write the entries of lambda, c, g and z as symbols with a subscript."""
    return expression.replace(
        lambda part: isinstance(part, sp.Indexed),
        lambda part: sp.Symbol(f"{part.base}_{part.indices[0]}", real=True),
    )


def _drawn(expression: sp.Basic) -> list[str]:
    return _drawing(expression) or textwrap.wrap(str(_subscripted(expression)), _WIDTH - 6)


def _drawing(expression: sp.Basic) -> list[str] | None:
    lines = sp.pretty(_subscripted(expression), use_unicode=True, wrap_line=False).splitlines()
    return lines if max(map(len, lines)) <= _WIDTH - 6 else None


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"      {line}".rstrip() for line in lines]


def _escaped(words: str) -> str:
    return re.sub(r"([_*|<>])", r"\\\1", words)


def _escaped_tex(words: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in words)
