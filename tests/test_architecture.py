"""The arrows of the house: who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import simopt

PACKAGE = Path(simopt.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERS = [
    {"errors", "typing"},
    {"checks", "linalg", "pairwise", "components", "catalogue"},
    {"measures", "datasets"},
    {"optimization"},
    {"store", "theory"},
    {"analysis", "ranges"},
    {"report"},
    {"app", "examples"},
]
APART = [{"measures", "datasets"}]
APP_ONLY = {"hydra", "omegaconf", "typer", "rich"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update({node.module} | {f"{node.module}.{alias.name}" for alias in node.names})
    return names


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer(name: str) -> int:
    return next(i for i, rooms in enumerate(LAYERS) if name in rooms)


def rooms_of(names: set[str]) -> set[str]:
    parts = (name.split(".") for name in names)
    return {
        part[1] for part in parts if part[0] == "simopt" and len(part) > 1 and not part[1].startswith("__")
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    names = imported(path)
    own = room(path)
    if own == "__init__":
        return
    for other in rooms_of(names):
        assert layer(other) <= layer(own), f"{own} imports {other}"
        assert not any({own, other} <= rooms and own != other for rooms in APART), f"{own} imports {other}"
    if own != "app":
        assert not APP_ONLY & {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", sorted((PACKAGE / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_use_the_public_api_alone(path: Path) -> None:
    assert not {name for name in imported(path) if name.startswith("simopt.")}


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "oracles").glob("*.py")), ids=lambda path: path.stem
)
def test_the_oracles_share_nothing_with_the_package(path: Path) -> None:
    assert not {name for name in imported(path) if name.startswith("simopt")}


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
