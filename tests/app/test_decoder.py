"""Decoding along real runs: what the file holds, kills and interrupts, and what is refused."""

import os
import signal
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import simopt as package
from simopt.analysis.decoding import PUBLISHED, Decoder
from simopt.errors import InputError, InterruptedRunError, LabelWarning, RunFailedError
from simopt.optimization.state import State
from simopt.store import layout, reader
from simopt.workflows.run import RunResult
from tests.app.runs import PowerCutError, content, execute, same
from tests.conftest import Simopt

LEVEL1 = "decoder.variables=[level1]"


@pytest.fixture
def start(tmp_path: Path):
    def run(*overrides: str, progress=lambda state: None) -> RunResult:
        given = ["dataset=ultrametric", "decoder=standard", f"log.dir='{tmp_path}'", *overrides]
        return execute(given, progress)

    return run


def recording(folder: Path, **labels: np.ndarray) -> list[str]:
    """Write 3 time bins of 40 conditions and 6 units with labels, and return how to name them."""
    responses = np.random.default_rng(0).standard_normal((3, 40, 6))
    with h5py.File(folder / "recording.h5", "w") as file:
        file["responses"] = responses
        for name, values in labels.items():
            file[f"labels/{name}"] = values
    return [
        "dataset=file",
        f"dataset.path='{folder / 'recording.h5'}'",
        "dataset.axes=[time,condition,unit]",
        f"dataset.labels=[{','.join(labels)}]" if labels else "dataset.labels=null",
    ]


@pytest.mark.parametrize(("choice", "decoder"), [("standard", Decoder()), ("published", PUBLISHED)])
def test_the_run_file_holds_what_was_decoded(start, choice: str, decoder: Decoder) -> None:
    path = start("seeds=[0,1]", f"decoder={choice}", "max_steps=2").path
    run = reader.read(path)
    dataset = package.load_dataset("ultrametric")
    assert run.decoding.keys() == run.reference_decoding.keys() == {"level1", "level2"}
    assert (run.decoding_step[0], run.decoding_step[-1]) == (0, run.step[-1])
    final = content(path)["final/Y"]
    for variable, labels in dataset.labels.items():
        own = decoder.decode(dataset.responses, labels)
        reference = run.reference_decoding[variable]
        np.testing.assert_array_equal(reference.pop("over_time"), own.over_time)
        assert reference == {
            "accuracy": own.accuracy, "chance": own.chance, "classes": own.classes, "folds": 5,
            "predictions": own.predictions, "p_value": own.p_value,
        }  # fmt: skip
        expected = [decoder.decode(Y, labels).accuracy for Y in final]
        np.testing.assert_array_equal(run.decoding[variable][-1], expected)


def test_a_trial_number_is_not_decoded_unless_it_is_named(start, tmp_path: Path) -> None:
    labels = {"kind": np.arange(40) % 2, "trial": np.arange(40) // 4}
    given = (*recording(tmp_path, **labels), "max_steps=1", "decoder.folds=4")
    with pytest.warns(LabelWarning, match="label trial is not decoded: it numbers repeats") as said:
        assert reader.read(start(*given).path).decoding.keys() == {"kind"}
    assert len([each for each in said if each.category is LabelWarning]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", LabelWarning)
        named = start(*given, "decoder.variables=[trial]")
    assert reader.read(named.path).decoding.keys() == {"trial"}
    only = recording(tmp_path, trial=labels["trial"])
    with pytest.raises(InputError, match=r"no label is left to decode; .*\ntrial: it numbers repeats"):
        start(*only)


def test_states_are_decoded_where_a_logged_score_moved_far_enough(start) -> None:
    options = (LEVEL1, "log.every=2", "measure=nbs", "max_steps=30")
    run = reader.read(start(*options, "decoder.score_step=0.1").path)
    assert 2 < len(run.decoding_step) < len(run.step) / 2
    assert run.decoding.keys() == {"level1"}
    assert set(run.decoding_step) <= set(run.step)
    moved = np.abs(np.diff(run.decoding_score, axis=0)).max(axis=1)
    assert (moved[:-1] >= 0.1).all()
    every = reader.read(start(*options, "decoder.score_step=0").path)
    np.testing.assert_array_equal(every.decoding_step, every.step)
    np.testing.assert_array_equal(
        every.decoding["level1"][np.searchsorted(every.step, run.decoding_step)], run.decoding["level1"]
    )


def test_time_bins_continuous_variables_and_groups(start, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels = {"kind": np.arange(40) % 2, "speed": rng.standard_normal(40), "day": np.arange(40) // 4}
    run = reader.read(start(*recording(tmp_path, **labels), "decoder.groups=day", "max_steps=2").path)
    assert run.decoding.keys() == {"kind", "speed"}
    assert run.reference_decoding["speed"]["classes"] == run.reference_decoding["speed"]["chance"] == 0
    responses = np.random.default_rng(0).standard_normal((3, 40, 6))
    for variable in run.decoding:
        expected = Decoder().decode(responses, labels[variable], labels["day"])
        np.testing.assert_allclose(
            run.reference_decoding[variable]["over_time"], expected.over_time, rtol=1e-6
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_to_the_same_decoding(start, tmp_path: Path, number: int) -> None:
    def interrupt(state: State) -> None:
        if state.step == 13:
            os.kill(os.getpid(), number)

    options = (LEVEL1, "measure=nbs", "seeds=[0,1]", "decoder.score_step=0.3", "max_steps=20")
    with pytest.raises(InterruptedRunError):
        start(*options, progress=interrupt)
    (path,) = tmp_path.rglob("run.h5")
    interrupted = reader.read(path)
    assert interrupted.step[-1] == 13
    assert start(*options).how == "resumed"
    resumed, undisturbed = content(path), content(start(*options, "force=true").path)
    same(resumed, undisturbed)
    assert 14 not in undisturbed["trajectory/decoding/step"]


@pytest.mark.parametrize("step", [0, 1, 17])
def test_a_killed_run_goes_on_to_the_same_decoding(start, tmp_path: Path, step: int) -> None:
    def cut(state: State) -> None:
        if state.step == step:
            raise PowerCutError

    options = (LEVEL1, "measure=nbs", "decoder.score_step=0.05", "log.checkpoint_seconds=0", "max_steps=20")
    with pytest.raises(PowerCutError):
        start(*options, progress=cut)
    (path,) = tmp_path.rglob("run.h5")
    killed = reader.read(path)
    assert killed.status == reader.CRASHED
    assert start(*options).how == "resumed"
    resumed = content(path)
    same(resumed, content(start(*options, "force=true").path))


def test_a_failed_run_keeps_what_was_decoded(start, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError):
        start("optimizer.lr=1e30")
    (path,) = tmp_path.rglob("run.h5")
    run = reader.read(path)
    assert (run.status, run.decoding_step.tolist()) == (layout.FAILED, [0])
    assert run.reference_decoding["level1"]["classes"] == 2


def test_the_decoder_is_part_of_what_names_a_run(start) -> None:
    choices = ("decoder=none", "decoder=standard", "decoder=published", "decoder.folds=4")
    assert len({start(choice, "max_steps=1").path for choice in choices}) == 4
    assert start("max_steps=1").how == "found"
    assert not reader.read(start("decoder=none", "max_steps=1").path).decoding


@pytest.mark.parametrize(
    ("labels", "override", "says"),
    [
        ({}, "seeds=[0]", "decoder: dataset recording has no labels to decode"),
        ({"a": np.zeros(40)}, "seeds=[0]", "a: all 40 labels are 0"),
        ({"a": np.arange(40) // 3}, "seeds=[0]", "a: 5 folds .* class 13 has 1;"),
        ({"a": np.arange(40) // 4}, "seeds=[0]", "a: .* class 0 has 4; set decoder.folds=4"),
        ({"a": np.arange(40) % 2}, "decoder.variables=[b]", "Unknown label of recording 'b'"),
        ({"a": np.arange(40) % 2}, "decoder.groups=b", "Unknown label of recording 'b'"),
        ({"a": np.arange(40) % 2}, "decoder.groups=a", "no label is left to decode"),
        ({"step": np.arange(40) % 2}, "seeds=[0]", "step: a run file cannot store its name"),
        ({"a": np.arange(40) % 2}, "decoder.folds=1", "folds of the decoder is 1"),
        ({"a": np.arange(40) % 2}, "decoder.typo=1", "decoder has no option 'typo'"),
        ({"a": np.arange(40) % 2}, "decoder._target_=math.dist", "decoder"),
    ],
)
def test_what_cannot_be_decoded_leaves_nothing_behind(
    start, tmp_path: Path, labels: dict, override: str, says: str
) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=says):
        start(*recording(tmp_path / "data", **labels), f"log.dir='{tmp_path / 'out'}'", override)
    assert not (tmp_path / "out").exists()


def test_bad_labels_are_said_in_two_lines(simopt: Simopt) -> None:
    done = simopt("run", "dataset=gaussian", "decoder=standard")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no labels to decode" in done.stderr.replace("\n", " ")
    assert len(done.stderr.strip().splitlines()) <= 2
