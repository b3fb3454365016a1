"""Whether the tests notice a changed line: random mutations of simopt, each tested in a copy.

A mutation swaps a sign, turns a comparison, changes a constant, or drops a statement. ``strict=True`` of zip
stays: no input of a user's makes a difference to it. The tests of the mutated module are run first, then
those of its package, then all, and a mutation counts as noticed once any test fails.

    python scripts/mutate.py --number 30 --seed 0
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("measures", "optimization", "store", "workflows")
KINDS = ("sign", "comparison", "constant", "dropped statement")
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult
}  # fmt: skip
FIRST = {
    "measures": ["tests/measures", "tests/contract", "tests/test_linalg.py"],
    "optimization": ["tests/optimization"],
    "store": ["tests/store"],
    "workflows": ["tests/workflows", "tests/app"],
}


def sites(tree: ast.Module) -> Iterator[tuple[str, ast.AST, str]]:
    """Give what can be mutated in the bodies of functions: the kind, the node, and the new text."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for statement in function.body:
            for node in _changeable(statement):
                if isinstance(node, ast.BinOp) and type(node.op) in SWAPPED and not _text(node):
                    swapped = ast.BinOp(node.left, SWAPPED[type(node.op)](), node.right)
                    yield "sign", node, f"({ast.unparse(swapped)})"
                elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
                    yield "sign", node, f"({ast.unparse(node.operand)})"
                elif isinstance(node, ast.Compare) and len(node.ops) == 1:
                    turned = ast.Compare(node.left, [TURNED[type(node.ops[0])]()], node.comparators)
                    yield "comparison", node, f"({ast.unparse(turned)})"
                elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
                    yield "constant", node, repr(not node.value)
                elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
                    yield "constant", node, repr(node.value + 1)
                elif isinstance(node, ast.AugAssign | ast.Delete) or _effect(node):
                    yield "dropped statement", node, "pass"


def _changeable(node: ast.AST) -> Iterator[ast.AST]:
    """Give a node and all below it, without the arguments ``strict=`` of zip."""
    if not (isinstance(node, ast.keyword) and node.arg == "strict"):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _changeable(child)


def _text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )


def _effect(node: ast.AST) -> bool:
    """Whether a statement acts by what it changes: a call, or a value put into an object."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript)


def replaced(source: str, node: ast.AST, text: str) -> str:
    """Return the source with the text of a node replaced; columns of ast count bytes."""
    lines = source.encode().splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    whole = source.encode()
    return (whole[:start] + text.encode() + whole[end:]).decode()


def draw(rng: random.Random) -> tuple[Path, str, ast.AST, str]:
    """Return a random mutation: a package by its lines, a kind, and a site of it."""
    while True:
        files = [path for name in PACKAGES for path in sorted((ROOT / "simopt" / name).rglob("*.py"))]
        path = rng.choices(files, weights=[path.stat().st_size for path in files])[0]
        kind = rng.choice(KINDS)
        fitting = [site for site in sites(ast.parse(path.read_text())) if site[0] == kind]
        if fitting:
            _, node, text = rng.choice(fitting)
            return path, kind, node, text


def noticed(copy: Path, module: Path, processes: int) -> str:
    """Return the first test that fails in the copy in which a module was mutated, or nothing."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    usual = [sys.executable, "-m", "pytest", "-q", "-x", "-n", str(processes), "-p", "no:cacheprovider"]
    tests = [str(path.relative_to(copy)) for path in sorted(copy.glob(f"tests/*/test_{module.stem}.py"))]
    for chosen in (tests, FIRST[module.parts[1]], []):
        if chosen is tests and not tests:
            continue
        done = subprocess.run(
            [*usual, *chosen], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            return failed[0] if failed else f"pytest ended with {done.returncode}"
    return ""


def main() -> None:
    """Mutate, test, and say what was noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="only list the mutations")
    chosen = parser.parse_args()
    rng, count = random.Random(chosen.seed), 0
    for number in range(chosen.number):
        path, kind, node, text = draw(rng)
        source = path.read_text()
        before = ast.get_source_segment(source, node) or ""
        where = f"{path.relative_to(ROOT)}:{node.lineno}"
        print(f"{number + 1:3} {where}: {kind}: {before!r} -> {text!r}", flush=True)
        if chosen.show:
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "simopt"
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "outputs", "*.pyc"))
            (copy / path.relative_to(ROOT)).write_text(replaced(source, node, text))
            failure = noticed(copy, path.relative_to(ROOT), chosen.processes)
        count += bool(failure)
        print(f"    {'noticed: ' + failure[:140] if failure else 'NOT NOTICED'}", flush=True)
    if not chosen.show:
        print(f"{count} of {chosen.number} noticed")


if __name__ == "__main__":
    main()
