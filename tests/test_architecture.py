"""The arrows of the house: who imports whom, derived from the code; and what importing costs."""

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
    ["catalogue", "linalg", "pairwise", "components", "gradients", "checks"],
    ["errors", "typing"],
]
"""Rooms, the outermost first: each may import those of the lines below, and of its own those to its right."""
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


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "simopt"


ARROWS = {name: {other for other in imported(path) if other in MODULES} for name, path in MODULES.items()}
PLACE = {name: (line, column) for line, names in enumerate(ORDER) for column, name in enumerate(names)}


def test_every_room_has_its_place() -> None:
    assert {room(name) for name in MODULES} - OUTSIDE == set(PLACE)


def test_imports_go_one_way() -> None:
    wrong = []
    for name, others in ARROWS.items():
        for other in others - {"simopt"}:
            own, its = room(name), room(other)
            if own in OUTSIDE or own == its:
                continue
            if PLACE[its] <= PLACE[own] or {own, its} <= APART:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_there_is_no_circle_of_modules() -> None:
    # A package that imports its own modules to hand on their names is no circle with them.
    graph = {
        name: {other for other in others if not f"{name}.".startswith(f"{other}.")}
        for name, others in ARROWS.items()
        if name != "simopt"
    }
    list(graphlib.TopologicalSorter(graph).static_order())


def test_only_the_command_line_knows_its_libraries() -> None:
    wrong = [
        name
        for name, path in MODULES.items()
        if room(name) != "app" and APP_ONLY & {each.split(".")[0] for each in imported(path)}
    ]
    assert wrong == []


def test_examples_use_the_public_api() -> None:
    for name, path in MODULES.items():
        if room(name) == "examples":
            inner = {each for each in imported(path) if each.startswith("simopt.")}
            assert not inner & set(MODULES), name


def test_the_oracles_share_nothing_with_the_package() -> None:
    for path in (Path(__file__).parent / "oracles").glob("*.py"):
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
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = simopt.nothing


def test_submodules_do_not_take_the_names_of_functions() -> None:
    import simopt.ranges.region
    import simopt.workflows.joint

    assert callable(simopt.joint)
    assert callable(simopt.sensitivity)
