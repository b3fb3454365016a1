"""Every command of the README and of the help pages works, and prints what the README says.

By default in this process, on small stand-ins for the recordings and with few steps; slow: a reader's day,
real processes and the text as it stands.
"""

import compileall
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from simopt.app.cli import app
from simopt.datasets import Dataset
from simopt.datasets.recording import Recording
from simopt.workflows import data

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(
    r"(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
NAME = re.compile(r"# (\S+\.(?:py|yaml))\n")
JOINT = ["starts=2", "rounds=1", "steps=30", "levels=[0.5,0.9]"]
FEWER = {
    "run": ["max_steps=5"],
    "sweep": ["max_steps=5"],
    "explain": ["max_steps=5"],
    "joint": [*JOINT, "per_side=2"],
    "card": ["--no-joint", "max_steps=5"],
}
"""What the tests add to commands, so that they take moments."""


@dataclass(frozen=True)
class Block:
    """A fenced block of the README."""

    section: str
    language: str
    text: str
    note: str

    @property
    def name(self) -> str | None:
        """The file that it is, if it says so."""
        named = NAME.match(self.text)
        return named[1] if named else None


BLOCKS = [
    Block(section.partition("\n")[0], m["language"], m["text"], m["note"] or "")
    for section in README.split("\n## ")
    for m in FENCE.finditer(section)
]


def commands(text: str) -> list[list[str]]:
    """Return the commands of a shell text, each as words, without comments."""
    lines = text.replace("\\\n", " ").replace("&&", "\n").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def pages(group: typer.core.TyperGroup, path: tuple[str, ...] = ("simopt",)) -> Iterator[tuple[str, object]]:
    """Give every command that has a help page, by its words."""
    yield " ".join(path), group
    for name, command in getattr(group, "commands", {}).items():
        yield from pages(command, (*path, name))


def printed(page: str, columns: int) -> str:
    """Return a help page as a terminal of some width shows it."""
    words = [*page.split()[1:], "--help"]
    done = CliRunner().invoke(app, words, prog_name="simopt", terminal_width=columns - 2)
    assert done.exit_code == 0, done.output
    return done.stdout


def examples(text: str) -> list[list[str]]:
    """Return the commands of the examples of a help page, unwrapped, as a shell splits them."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)]
    texts = [
        paragraph.removeprefix("Example: ") for paragraph in paragraphs if paragraph.startswith("Example: ")
    ]
    return [command for example in texts for command in commands(example)]


PAGES = dict(pages(typer.main.get_command(app)))
HELPS = {page: {columns: printed(page, columns) for columns in (60, 80, 200)} for page in PAGES}
RUN = [c for b in BLOCKS if b.language == "bash" and not b.note for c in commands(b.text)]
NOT_RUN = [c for b in BLOCKS if b.language == "bash" and b.note for c in commands(b.text)]
EXAMPLES = [
    command
    for widths in HELPS.values()
    for text in widths.values()
    for command in examples(text)
    if command not in RUN
]


HEAVY = (
    "--by units", "joint.pdf", "hydra/launcher=joblib", "measure=all", "--derivation", "+experiment",
    "explain", "card", "measures=[cka,nbs,linreg]", "--learning", "--bounds", "linreg_cv5", "attribute=[pcs]",
    "status=finished", "--latex", "--html", "--draws", "--published", "--figure majaj.pdf",
    "procrustes_angular dataset=majaj,mante",
)  # fmt: skip


def cases(listed: list[list[str]]) -> list:
    """Return the commands as parameters, those slow that take seconds even on small data."""
    texts = dict.fromkeys(" ".join(command) for command in listed)
    named = {" ".join(command): tuple(command) for command in listed}
    return [
        pytest.param(
            named[text], id=text, marks=pytest.mark.slow if any(part in text for part in HEAVY) else ()
        )
        for text in texts
    ]


def small(self: Recording) -> Dataset:
    """Stand in for ``Recording.surrogate``: the same labels, few samples."""
    rng = np.random.default_rng(self.seed)
    time = self.shape[:-2] and (2,)
    responses = rng.standard_normal((*time, 40, 6)) * np.geomspace(3, 0.3, 6)
    labels = {planted.variable: np.arange(40) % 2 for planted in self.planted()}
    for labeled in labels.values():
        responses[..., 1] += 2 * labeled
    return Dataset(name=self.name, responses=responses, labels=labels, source="surrogate")


def write_files(folder: Path) -> None:
    """Write the files that the README shows, and those that its commands presuppose."""
    for block in BLOCKS:
        if block.name:
            (folder / block.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.name).write_text(block.text, encoding="utf-8")
    rng = np.random.default_rng(0)
    np.save(folder / "trials.npy", rng.standard_normal((24, 5)))
    (folder / "trials.csv").write_text("object\n" + "\n".join("abcdef"[k % 6] for k in range(24)))
    (folder / "mine.csv").write_text("\n".join(f"{share:.4f}" for share in np.geomspace(1, 0.05, 12)))
    (folder / "my_module.py").write_text(
        "def my_function(X, Y):\n    return (X * Y).sum() / X.norm() / Y.norm()\n"
    )


def call(command: list[str] | tuple[str, ...]) -> str:
    """Run ``simopt ...`` in this process and return what it printed."""
    assert command[0] == "simopt"
    done = CliRunner().invoke(app, list(command[1:]), env={"NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder after the reader has made all files of the README, on small recordings, and a few runs."""
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(Recording, "surrogate", small)
        patch.setattr(data, "_cache", {})  # no other test in this process may find the small recordings
        patch.setenv("SIMOPT_DATA", str(folder / "none"))
        write_files(folder)
        for block in BLOCKS:
            if block.language == "python" and not block.name:
                exec(compile(block.text, "README.md", "exec"), {})
        shutil.copy("model.npy", "recording-model.npy")
        call(shlex.split("simopt sweep measure=cka,nbs dataset=majaj dataset.source=surrogate max_steps=5"))
        yield folder


@pytest.fixture
def here(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    shutil.copytree(desk, folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(Recording, "surrogate", small)
    monkeypatch.setattr(data, "_cache", {})
    return folder


def fewer(command: tuple[str, ...]) -> list[str]:
    if "mode=square" in command:
        return [*command, "steps=3", "per_side=2"]
    return [*command, *([] if "--dry-run" in command else FEWER.get(command[1], []))]


@pytest.mark.parametrize("command", cases(RUN))
def test_a_command_of_the_readme_works(here: Path, command: tuple[str, ...]) -> None:
    assert call(fewer(command))


@pytest.mark.parametrize("command", cases(EXAMPLES))
def test_an_example_of_the_help_works(here: Path, command: tuple[str, ...]) -> None:
    if command[1:3] == ("datasets", "fetch"):
        parse(command)
        return
    if "hydra/launcher=joblib" in command:  # its processes do not see the small recordings
        command = (*command, "--dry-run")
    if "recording.h5" in " ".join(command):
        import h5py

        with h5py.File("recording.h5", "w") as file:
            file["responses"] = np.load("recording.npy")
    if "model.npy" in command and "recording.npy" in command:
        np.save("model.npy", np.load("activations.npy"))
    assert call(fewer(command))


def parse(command: tuple[str, ...]) -> None:
    """Fail where the options or arguments of a command are not there."""
    group, words = typer.main.get_command(app), list(command[1:])
    context = group.make_context("simopt", list(words), resilient_parsing=True)
    while hasattr(group, "commands") and not words[0].startswith("-"):
        name, group, words = group.resolve_command(context, words)
        if not hasattr(group, "commands"):
            group.make_context(name, words, parent=context)


@pytest.mark.parametrize("command", cases(NOT_RUN))
def test_a_command_that_cannot_run_here_can_be_read(here: Path, command: tuple[str, ...]) -> None:
    if command[:2] == ("simopt", "sweep"):
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
        assert call([*command, "--dry-run"])
    elif command[0] == "simopt":
        parse(command)
    elif command[0] == "bash":
        subprocess.run(["bash", "-n", ROOT / command[1]], check=True)
    elif command[0] == "python":
        assert compileall.compile_file(ROOT / command[1], quiet=1)
    else:
        assert command[0] == "pip"
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        asked = re.findall(r"\[(.*)\]", " ".join(command))
        assert {extra for each in asked for extra in each.split(",")} <= set(extras)


def test_every_page_of_help_has_an_example_and_the_readme_names_every_command() -> None:
    for page, widths in HELPS.items():
        first, *others = [examples(text) for text in widths.values()]
        assert first, page
        assert [other for other in others if other != first] == []
    assert [name for name in HELPS if len(name.split()) == 2 and f"`{name}`" not in README] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_help_shows_every_word_of_its_texts(page: str) -> None:
    command = PAGES[page]
    texts = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
    for columns, shown in HELPS[page].items():
        words = shown.split()
        assert [word for text in texts for word in (text or "").split() if word not in words] == []
        assert max(map(len, shown.splitlines())) <= columns


def test_a_paragraph_of_help_is_wrapped_by_the_terminal() -> None:
    assert "seeds=[0,1,2]" in HELPS["simopt run"][80]
    for paragraph in re.split(r"\n\s*\n", HELPS["simopt joint"][80].partition("Arguments:")[0]):
        lines = paragraph.strip().splitlines()
        for line, following in itertools.pairwise(lines):  # a line ends where the next word does not fit
            assert len(f"{line} {following.split()[0]}") > 76


def test_the_measure_of_the_readme_is_what_it_states(here: Path) -> None:
    import torch

    from simopt import measures
    from simopt.analysis.invariances import related, transformed
    from simopt.measures.base import INVARIANCES

    measure = measures.build(yaml.safe_load(Path("mine/measure/unit_correlation.yaml").read_text()))
    rng = np.random.default_rng(0)
    X, _ = related(rng)
    Y = X + torch.from_numpy(rng.standard_normal(X.shape))
    expected = np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(X.T.numpy(), Y.T.numpy(), strict=True)])
    assert measure(X, Y).item() == pytest.approx(expected, abs=1e-12)
    assert measure(X, X).item() == pytest.approx(1)
    for kind in INVARIANCES:
        changed = abs(measure(X, transformed(kind, Y, rng)) - measure(X, Y)).item()
        assert (changed < 1e-9) == (kind in measure.facts.invariant_y), kind


def test_the_own_data_of_the_readme_score_as_it_says(here: Path) -> None:
    shown = call(shlex.split("simopt score recording.npy activations.npy measure=cka,nbs"))
    block = next(b for b in BLOCKS if b.language == "text" and "cka 0.473" in b.text)
    assert_shown(block.text.split("...")[0], shown)


def tokens(text: str) -> list[str]:
    """Return the words of a text, without the frames of tables and what ends a clause."""
    return [word.rstrip(".,;") for word in re.sub(r"[^\w\s.,;:%()+<>=/'-]", " ", text).split()]


def same(expected: str, found: str) -> bool:
    """Whether two words agree: numbers to three units of the last digit shown."""
    if expected == found:
        return True
    number = re.compile(r"[+-]?\d+(\.\d+)?")
    one, other = number.search(expected), number.search(found)
    if one is None or other is None or number.sub("#", expected) != number.sub("#", found):
        return False
    unit = 10.0 ** -len((one[1] or ".")[1:])
    return abs(float(one[0]) - float(other[0])) <= 3 * unit * (1 + 1e-9)


def assert_shown(expected: str, found: str) -> None:
    """Every piece of the expected text, split at dots, occurs in what was printed, word for word."""
    printed = tokens(found)
    for piece in re.split(r"^\.\.\.$|\.\.\.$", expected, flags=re.MULTILINE):
        for line in [piece] if piece.count("\n") > 3 else piece.strip().splitlines():
            words = tokens(line)
            starts = range(len(printed) - len(words) + 1)
            assert any(all(map(same, words, printed[k : k + len(words)])) for k in starts), line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell: str) -> None:
    def simopt(*arguments: str, **environment: str) -> str:
        return subprocess.run(
            [Path(sys.executable).parent / "simopt", *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    asked = {"COMP_WORDS": "simopt se", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "simopt se"}
    found = simopt(**asked, _TYPER_COMPLETE_FISH_ACTION="get-args", _SIMOPT_COMPLETE=f"complete_{shell}")
    assert "sensitivity" in found
    assert "measures" not in found
    assert "_SIMOPT_COMPLETE=complete_" in simopt(_SIMOPT_COMPLETE=f"source_{shell}")


SHORTER = {"--figure joint.pdf": "starts=2 rounds=2 steps=60", "--html card.html": "--no-joint"}
"""The settings for less work that the README names beside the two commands that take the longest.

A whole card on this recording is made in ``tests/app/test_card.py``.
"""

SECTIONS = dict.fromkeys(b.section for b in BLOCKS if b.language == "bash" and not b.note)


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_a_reader_who_does_everything_of_a_section(tmp_path: Path, section: str) -> None:
    """Real processes, whole recordings, the text as it stands but for two settings that it names itself; what
    is printed is what the README shows.
    """
    write_files(tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "NO_COLOR": "1", "PATH": path}

    def shell(text: str, *start: str) -> str:
        done = subprocess.run(
            [*start, text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, text + done.stderr
        return done.stdout + done.stderr

    if section in ("Results", "The paper's figures"):
        shell("simopt run dataset=ultrametric", "bash", "-c")
    printed = ""
    for block in BLOCKS:
        if block.section != section or block.note or block.name:
            continue
        if block.language == "bash":
            text = block.text
            for command, settings in SHORTER.items():
                assert f"`{settings}`" in README
                text = text.replace(command, f"{settings} {command}")
            printed += shell(text, "bash", "-euc")
        elif block.language == "python":
            printed += shell(block.text, sys.executable, "-c")
        elif block.language == "text":
            assert_shown(block.text, printed)
