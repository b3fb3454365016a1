"""`simopt explain` on data with known defects, and `simopt score` with null and ceiling."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from simopt.app import explain, inputs
from simopt.errors import InputError

SAMPLES, UNITS, CLASSES = 240, 12, 4
LABELS = np.arange(SAMPLES) % CLASSES
QUICK = ["measure=cka", "max_steps=400", "seeds=[0]", "decoder.score_step=0.1"]


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    """A decaying spectrum, and classes that show in weak dimensions."""
    means = np.zeros((CLASSES, UNITS))
    means[:, -4:] = rng.standard_normal((CLASSES, 4))
    data = 2 * rng.standard_normal((SAMPLES, UNITS)) * np.arange(1, UNITS + 1) ** -0.8 + means[LABELS]
    return data @ np.linalg.qr(rng.standard_normal((UNITS, UNITS)))[0]


@pytest.fixture
def here(tmp_path: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with h5py.File("recording.h5", "w") as file:
        file["responses"] = X
        file["labels/class"] = LABELS
    return tmp_path


def defective(X: np.ndarray, defect: str, rng: np.random.Generator) -> np.ndarray:
    centred = X - X.mean(axis=0)
    if defect == "components":
        left, values, right = np.linalg.svd(centred, full_matrices=False)
        values[2] = 0
        return left * values @ right
    if defect == "noise":
        return X + 0.4 * centred.std() * rng.standard_normal(X.shape)
    means = np.stack([X[LABELS == label].mean(axis=0) for label in range(CLASSES)])
    return X - means[LABELS] + means[rng.permutation(LABELS)]


def explained(Y: np.ndarray, *overrides: str) -> explain.Explanation:
    np.save("model.npy", Y)
    asked = explain.request("recording.h5", Path("model.npy"), [*QUICK, *overrides])
    return explain.explain(explain.make_missing(asked, _silent), draws=20)


class _silent:  # noqa: N801
    def __init__(self, name: str) -> None:
        pass

    def __enter__(self):
        return lambda state: None

    def __exit__(self, *exception: object) -> None:
        pass


def test_it_names_the_defect_of_each_model(here: Path, X: np.ndarray, rng: np.random.Generator) -> None:
    assert explained(X).defects == []
    for defect in ("components", "noise"):
        assert [each.kind for each in explained(defective(X, defect, rng)).defects] == [defect]
    # The components that carried the label are then missing as well.
    assert "label" in [each.kind for each in explained(defective(X, "label", rng)).defects]
    assert [each.kind for each in explained(rng.permutation(X)).defects] == ["rows"]
    runs = list(here.glob("outputs/recording/cka/*/run.h5"))
    assert len(runs) == 1  # found again every time


def test_what_it_says_is_what_the_run_holds(here: Path, X: np.ndarray, rng: np.random.Generator) -> None:
    found = explained(defective(X, "noise", rng))
    (each,) = found.explained
    with h5py.File(each.run) as file:
        score = file["trajectory/score"][:, 0]
        captured = file["trajectory/captured_variance"][:, 0]
        assert each.reading.steps == np.argmax(score >= each.standing.score)
        after = int(each.reading.steps)
        assert (each.reading.captured >= captured[after - 1 : after + 1].min(axis=0) - 1e-6).all()
        assert (each.reading.captured <= captured[after - 1 : after + 1].max(axis=0) + 1e-6).all()
    assert each.standing.percentile > 95
    assert found.own.decoding["class"] > 0.4
    assert found.reference["class"]["chance"] == 0.25


def test_stored_runs_are_used_and_the_missing_are_named(here: Path, X: np.ndarray) -> None:
    np.save("model.npy", X)
    ask = lambda *more: explain.request("recording.h5", Path("model.npy"), [*QUICK[1:], *more])  # noqa: E731
    asked = ask("measure=cka,nbs")
    assert asked.missing == ["cka", "nbs"]
    explain.make_missing(ask("measure=nbs"), _silent)
    asked = ask("measure=cka,nbs")
    assert asked.missing == ["cka"]
    assert explain.seconds_per_step(asked.runs["cka"]) > 0
    assert ask("measure=nbs", "target=0.9").missing == ["nbs"]
    assert ask("measure=nbs", "optimizer.lr=0.05").missing == []  # another run on the way to the same score
    with h5py.File("recording.h5", "r+") as file:
        file["responses"][0, 0] += 1
    assert ask("measure=nbs").missing == ["nbs"]


def test_runs_that_cannot_be_read_or_ended_early_are_not_used(here: Path, X: np.ndarray) -> None:
    np.save("model.npy", X)
    ask = lambda *more: explain.request("recording.h5", Path("model.npy"), ["measure=cka", *more])  # noqa: E731
    short = explain.make_missing(ask("max_steps=2", "decoder=none"), _silent)
    assert ask("max_steps=2", "decoder=none").missing == []
    assert ask("decoder=none").missing == ["cka"]
    long = explain.make_missing(ask("decoder=none", "seeds=[0,1]"), _silent)
    assert ask("decoder=none", "max_steps=100000").stored == long.stored  # it stopped at its target
    long.stored["cka"].write_bytes(b"broken")
    assert ask("max_steps=2", "decoder=none").stored == short.stored
    assert ask("decoder=none").missing == ["cka"]


def test_the_recording_is_that_of_the_runs(here: Path, X: np.ndarray) -> None:
    np.save("model.npy", X)
    with pytest.raises(InputError, match="The recording is recording.h5"):
        explain.request("recording.h5", Path("model.npy"), [*QUICK, "dataset=majaj"])
    (here / "mine" / "experiment").mkdir(parents=True)
    (here / "mine" / "experiment" / "other.yaml").write_text("# @package _global_\ndataset:\n  seed: 3\n")
    np.save("model.npy", np.random.default_rng(0).standard_normal((100, 4)))
    asked = explain.request(
        "ultrametric", Path("model.npy"), [*QUICK, "+experiment=other"], None, here / "mine"
    )
    assert asked.X.data_hash() == inputs.kept(["dataset=ultrametric", "dataset.seed=3"]).data_hash()


def test_names_of_rows_are_not_decoded(here: Path, X: np.ndarray) -> None:
    names = np.array([f"stimulus {i}" for i in range(SAMPLES)])
    kind = {"class": LABELS}
    np.savez("x.npz", responses=X, stimulus=names, **kind)
    np.savez("y.npz", responses=X, stimulus=names, **kind)
    for more, decoded in ([], set()), (["dataset.labels=[stimulus,class]"], {"class"}):
        asked = explain.request("x.npz", Path("y.npz"), [*QUICK[:3], *more], "stimulus")
        found = explain.explain(explain.make_missing(asked, _silent), draws=5)
        assert found.own.decoding.keys() == decoded


def test_from_the_command_line(here: Path, X: np.ndarray, simopt, rng: np.random.Generator) -> None:
    np.save("model.npy", defective(X, "components", rng))
    done = simopt("explain", "recording.h5", "model.npy", *QUICK, "--draws", "20", "--json")
    told = json.loads(done.stdout)
    assert told["measures"]["cka"]["percentile"] > 95
    assert told["own"]["pcs"] == [1, 2, *range(4, UNITS + 1)]
    assert told["defects"][0]["kind"] == "components"
    assert told["measures"]["cka"]["verdict"] in told["advice"][0] or told["advice"]
    assert "no stored run" in done.stderr
    again = simopt("explain", "recording.h5", "model.npy", *QUICK, "--draws", "20")
    assert "no stored run" not in again.stderr
    text = " ".join(again.stdout.split())
    assert "Your Y captures PCs 1-2, 4-12 of 12" in text
    assert "components: PC 3 of the recording missing" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recordng.h5", "model.npy"], "recordng.h5: there is no such file"),
        (["majai", "model.npy"], "the nearest: majaj"),
        (["recording.h5", "model.npy", "measure=mutual_knn"], "mutual_knn has no gradient"),
        (["recording.h5", "short.npy"], "X has 240 samples and Y has 239"),
        (["recording.h5", "model.npy", "--snr", "-1"], "--snr is -1"),
        (["recording.h5", "model.npy", "--draws", "0"], "--draws is 0"),
    ],
)
def test_bad_input(here: Path, X: np.ndarray, simopt, arguments: list[str], says: str) -> None:
    np.save("model.npy", X)
    np.save("short.npy", X[:-1])
    done = simopt("explain", *arguments, "max_steps=2", "seeds=[0]", "decoder=none")
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_rows_are_checked_by_the_labels_that_both_have(here: Path, X: np.ndarray, simopt) -> None:
    with h5py.File("model.h5", "w") as file:
        file["responses"], file["labels/class"] = X, LABELS[::-1]
    done = simopt("score", "recording.h5", "model.h5")
    assert done.returncode == 2
    assert "class of row 0 is 0 in recording and 3 in model" in done.stderr
    assert "another order" in done.stderr
    np.savez("model.npz", responses=X, **{"class": LABELS})
    assert simopt("score", "recording.h5", "model.npz", "--ids", "class", "--draws", "0").returncode == 0
    done = simopt("score", "recording.h5", "model.npz", "--ids", "clas")
    assert done.returncode == 2
    assert "clas" in done.stderr
    done = simopt("score", "majaj", "model.npz", "dataset.source=surrogate", "--ids", "class")
    assert "Unknown label of majaj 'class'" in done.stderr


def test_a_score_stands_between_null_and_ceiling(here: Path, X: np.ndarray, simopt, rng) -> None:
    np.save("model.npy", defective(X, "noise", rng))
    arguments = ("measure=cka,nbs", "--draws", "30", "--snr", "5", "--json")
    done = simopt("score", "recording.h5", "model.npy", *arguments)
    told = json.loads(done.stdout)["measures"]
    for facts in told.values():
        assert facts["percentile"] > 95
        assert set(facts["null"]) == {"unrelated", "shuffled", "gaussian"}
        assert facts["null"]["unrelated"]["end"] < facts["score"]
        assert facts["null"]["unrelated"]["end"] < facts["ceiling"] < 1
    plain = json.loads(simopt("score", "recording.h5", "model.npy", "--draws", "0", "--json").stdout)
    assert set(plain["measures"]["cka"]) == {"score"}


def test_measures_are_split_from_other_overrides() -> None:
    given = ["measure=cka,nbs", "dataset.seed=1", "measure=[linreg]"]
    assert inputs.measures_among(given, ["x"]) == (["cka", "nbs", "linreg"], ["dataset.seed=1"])
    assert inputs.measures_among([], ["x"]) == (["x"], [])
    with pytest.raises(InputError, match="give measure=NAME"):
        inputs.measures_among(["measure="], ["x"])
