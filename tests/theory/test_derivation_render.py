"""What is written of a derivation."""

import re
import shutil
import stat

import pytest
import sympy as sp

from simopt.errors import InputError, SimoptError
from simopt.theory.derivation import PERTURBATIONS, derive, render, subjects

SOME = [("cka", "rotation"), ("ridge", "noise"), ("cca", "noise_all"), ("linreg", "scaling")]
KNOWN = {
    *("begin", "end", "section", "textbf", "emph", "item", "documentclass", "usepackage", "setlength"),
    *(
        "parindent",
        "parskip",
        "allowdisplaybreaks",
        "textbackslash",
        "textasciicircum",
        "textbar",
        "textless",
    ),
    *(
        "textgreater",
        "quad",
        "left",
        "right",
        "frac",
        "sqrt",
        "sum",
        "operatorname",
        "mathbb",
        "lVert",
        "rVert",
    ),
    *("cdot", "cos", "sin", "lambda", "sigma", "rho", "eta", "nu", "delta", "epsilon", "pi", "Lambda"),
}


def balanced(text: str) -> None:
    """Braces, \\left and \\right, environments and displays, nested properly."""
    stack = []
    for token in re.findall(
        r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\left(?![a-z])|\\right(?![a-z])|\\[\[\]]|(?<!\\)[{}]", text
    ):
        if token.startswith(r"\begin"):
            stack.append(token[6:])
        elif token.startswith(r"\end"):
            assert stack.pop() == token[4:]
        elif token in ("{", r"\left", r"\["):
            stack.append(token)
        else:
            assert stack.pop() == {"}": "{", r"\right": r"\left", r"\]": r"\["}[token]
    assert stack == []


@pytest.mark.parametrize(("subject", "perturbation"), SOME)
def test_text_fits_a_terminal_and_holds_the_results(subject: str, perturbation: str) -> None:
    derivation = derive(subject, perturbation)
    text = render.to_text(derivation)
    assert max(map(len, text.splitlines())) <= 100
    for number, step in enumerate(derivation.steps, start=1):
        assert f"\n{number}. {step.of}: " in text
    assert text.count("\nScore:") == 1
    for symbol in derivation.symbols.keys() & derivation.result.free_symbols:
        assert sp.pretty(symbol, use_unicode=True) in text
    shown = sp.pretty(derivation.result, use_unicode=True, wrap_line=False).splitlines()
    if not derivation.result.has(sp.Sum):
        assert "\nScore:\n" + "".join(f"      {line.rstrip()}\n" for line in shown) in text


def test_every_assumption_is_said_once_where_it_enters() -> None:
    derivation = derive("procrustes_angular", "rotation")
    text = re.sub(r"\s+", " ", render.to_text(derivation))
    for assumption in {assumption for step in derivation.steps for assumption in step.assumptions}:
        assert text.count(f"Assumed: {assumption.words}.") == 1
    assert text.index("Assumed: t is less than 90 degrees") > text.index("loss: near Y = X")


@pytest.mark.parametrize(("subject", "perturbation"), SOME)
def test_markdown_holds_the_results(subject: str, perturbation: str) -> None:
    derivation = derive(subject, perturbation)
    text = render.to_markdown(derivation)
    assert f"$$\n{render.tex(derivation.result)}\n$$" in text
    assert text.count("$$") % 2 == 0
    for term in derivation.expansion:
        assert render.tex(term) in text
    if derivation.ratio is not None:
        assert render.tex(derivation.ratio) in text


def latex_is_sound(subject: str, perturbation: str) -> None:
    text = render.to_latex([derive(subject, perturbation)])
    balanced(text)
    assert text.isascii()
    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= KNOWN
    outside = re.sub(r"\\\[.*?\\\]|\$.*?\$", "", text, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)[_^&#%]", outside)


@pytest.mark.parametrize(("subject", "perturbation"), SOME)
def test_latex_is_sound(subject: str, perturbation: str) -> None:
    latex_is_sound(subject, perturbation)


@pytest.mark.slow
@pytest.mark.parametrize("subject", subjects())
def test_every_derivation_can_be_written(subject: str) -> None:
    for perturbation in PERTURBATIONS:
        derivation = derive(subject, perturbation)
        latex_is_sound(subject, perturbation)
        assert max(map(len, render.to_text(derivation).splitlines())) <= 100
        assert render.tex(derivation.result) in render.to_markdown(derivation)


def test_several_derivations_make_one_document() -> None:
    text = render.to_latex([derive("cka", "rotation"), derive("nbs", "scaling")])
    assert text.count(r"\begin{document}") == text.count(r"\end{document}") == 1
    assert text.count(r"\section*") == 2
    assert re.findall(r"\\usepackage\{(\w+)\}", text) == ["amsmath", "amssymb"]
    balanced(text)


def test_without_latex_the_source_is_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"no LaTeX is installed.*Install"):
        render.write_pdf([derive("nbs", "noise")], tmp_path / "out" / "nbs.pdf")
    assert (tmp_path / "out" / "nbs.tex").read_text() == render.to_latex([derive("nbs", "noise")])
    assert not (tmp_path / "out" / "nbs.pdf").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is installed")
def test_a_real_latex_compiles_all(tmp_path) -> None:
    every = [derive(subject, perturbation) for subject in subjects() for perturbation in PERTURBATIONS]
    assert render.write_pdf(every, tmp_path / "all.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["latexmk", "pdflatex", "tectonic"])
def test_the_latex_that_is_there_is_used(tmp_path, monkeypatch, name: str) -> None:
    engine(tmp_path / name, 'for last; do :; done; /bin/cp "$last" derivation.pdf')
    monkeypatch.setenv("PATH", str(tmp_path))
    made = render.write_pdf([derive("nbs", "noise")], tmp_path / "nbs.pdf")
    assert made == tmp_path / "nbs.pdf"
    assert made.read_text() == (tmp_path / "nbs.tex").read_text()


def test_a_failing_latex_is_reported(tmp_path, monkeypatch) -> None:
    engine(tmp_path / "pdflatex", "echo '! Undefined control sequence.'; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimoptError, match="pdflatex failed on .*nbs.tex: ! Undefined control sequence"):
        render.write_pdf([derive("nbs", "noise")], tmp_path / "nbs.pdf")


def engine(path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
