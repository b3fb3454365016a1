"""Which package imports which, derived from the code; and what importing costs."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import simopt

PACKAGE = Path(simopt.__file__).parent
MODULES = {
    ".".join(("simopt", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
ORDER = [
    ["app"],
    ["workflows"],
    ["report"],
    ["ranges", "analysis"],
    ["theory"],
    ["optimization"],
    ["measures", "datasets", "store"],
    ["catalogue", "linalg", "norms", "pairwise", "components", "gradients", "rows", "checks", "sides"],
    ["errors", "typing"],
]
"""Packages, outermost first: each may import those of lower lines, and in its own line those to its right."""
APART = {"measures", "datasets", "store"}
OUTSIDE = {"examples", "simopt"}
APP_ONLY = {"hydra", "omegaconf", "typer", "rich"}


def imported(path: Path) -> set[str]:
    """Return all that a file imports, also within functions and for type checkers."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update({node.module} | {f"{node.module}.{alias.name}" for alias in node.names})
    return names


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "simopt"


IMPORTS = {name: {other for other in imported(path) if other in MODULES} for name, path in MODULES.items()}
PLACE = {name: (line, column) for line, names in enumerate(ORDER) for column, name in enumerate(names)}


def test_every_package_has_its_place() -> None:
    assert {package_of(name) for name in MODULES} - OUTSIDE == set(PLACE)


def test_imports_go_one_way() -> None:
    wrong = []
    for name, others in IMPORTS.items():
        for other in others - {"simopt"}:
            importer, imported_ = package_of(name), package_of(other)
            if importer in OUTSIDE or importer == imported_:
                continue
            if PLACE[imported_] <= PLACE[importer] or {importer, imported_} <= APART:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_there_is_no_circle_of_modules() -> None:
    # A package that imports its own modules to hand on their names is no circle with them.
    graph = {
        name: {other for other in others if not f"{name}.".startswith(f"{other}.")}
        for name, others in IMPORTS.items()
        if name != "simopt"
    }
    list(graphlib.TopologicalSorter(graph).static_order())


def test_only_the_command_line_knows_its_libraries() -> None:
    wrong = [
        name
        for name, path in MODULES.items()
        if package_of(name) != "app" and APP_ONLY & {module.split(".")[0] for module in imported(path)}
    ]
    assert wrong == []


def test_examples_use_the_public_api() -> None:
    examples = {name: path for name, path in MODULES.items() if package_of(name) == "examples"}
    assert len(examples) >= 3
    for name, path in examples.items():
        inner = {module for module in imported(path) if module.startswith("simopt.")}
        assert not inner & set(MODULES), name


def test_the_oracles_share_nothing_with_the_package() -> None:
    oracles = list((Path(__file__).parent / "oracles").glob("*.py"))
    assert oracles
    for path in oracles:
        assert not {name for name in imported(path) if name.startswith("simopt")}, path.name


@pytest.mark.parametrize("statement", ["import simopt", "import simopt.app.cli"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    heavy = "torch", "hydra", "h5py", "matplotlib", "scipy", "sklearn"
    code = f"{statement}; import sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_there() -> None:
    for name in simopt.__all__:
        assert hasattr(simopt, name)
        assert name in dir(simopt)
