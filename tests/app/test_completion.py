"""What shells are offered for overrides, asked as they ask."""

import re

import pytest
from typer.testing import CliRunner

from simopt import measures
from simopt.app.cli import app


def offered(shell: str, line: str) -> list[str]:
    """Ask as a shell does: bash splits at ``=``, the others do not."""
    words = (line.replace("=", " = ") if shell == "bash" else line).split()
    at = len(words) - (0 if line.endswith(" ") else 1)
    environment = {
        "_SIMOPT_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(at),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = CliRunner().invoke(app, [], prog_name="simopt", env=environment)
    return re.findall(r'"([^"]+)"', done.stdout) if shell == "zsh" else done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_of_a_group(shell: str) -> None:
    before = "" if shell == "bash" else "measure="
    found = offered(shell, "simopt run dataset=mante measure=procrustes_a")
    assert found == [f"{before}{name}" for name in measures.names() if name.startswith("procrustes_a")]
    assert f"{before}nbs" in offered(shell, "simopt run measure=")
    assert f"{before}cka,nbs" in offered(shell, "simopt sweep measure=cka,nb")


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_keys_of_a_command(shell: str) -> None:
    assert {"measure=", "dataset=", "max_steps=", "log.dir="} <= set(offered(shell, "simopt run "))
    assert offered(shell, "simopt run max_st") == ["max_steps=1000"]
    assert {"thresholds=", "thresholds_b="} <= set(offered(shell, "simopt joint th"))
    assert "thresholds=" not in offered(shell, "simopt run th")
    assert offered(shell, "simopt run no_such") == []
    assert "dataset.region=" in offered(shell, "simopt run dataset=majaj dataset.re")
    assert "dataset.samples=" in offered(shell, "simopt run dataset=gaussian dataset.")


def test_values_of_a_key() -> None:
    assert offered("fish", "simopt run tf") == ["tf32=true", "tf32=false"]
    assert "measures=[cka,nbs" in offered("fish", "simopt joint measures=[cka,nb")
    assert "+experiment=paper" in offered("fish", "simopt sweep +experiment=pa")
    assert offered("bash", "simopt run measure=cka optimizer=adamw") == ["adamw"]
