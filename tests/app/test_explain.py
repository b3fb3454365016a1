"""`simopt explain` on data with known defects, and `simopt score` with null and ceiling."""

import functools
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import simopt as package
from simopt import components
from simopt.app.config import requests, settings
from simopt.errors import InputError
from simopt.store import shelf
from simopt.workflows import explain, session
from simopt.workflows.data import Data
from simopt.workflows.run_request import stored_runs

SAMPLES, UNITS, CLASSES = 240, 12, 4
LABELS = np.random.default_rng(7).permutation(np.arange(SAMPLES) % CLASSES)
"""In random order: classes in turn would make samples depend on each other."""
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
    centered = X - X.mean(axis=0)
    if defect == "components":
        left, values, right = np.linalg.svd(centered, full_matrices=False)
        values[2] = 0
        return left * values @ right
    if defect == "noise":
        return X + 0.4 * centered.std() * rng.standard_normal(X.shape)
    means = np.stack([X[LABELS == label].mean(axis=0) for label in range(CLASSES)])
    return X - means[LABELS] + means[rng.permutation(LABELS)]


def asked(
    *overrides: str, x: str = "recording.h5", y: str = "model.npy", **options
) -> explain.ExplainRequest:
    return requests.explain(x, Path(y), overrides, **{"draws": 5, **options})


def missing(request: explain.ExplainRequest) -> list[str]:
    """Return the measures without a stored run that fits."""
    return [
        each.measure["name"]
        for each in request.runs
        if shelf.find(each, functools.partial(explain.fits, each), stored_runs(each)) is None
    ]


def explained(Y: np.ndarray, *overrides: str) -> explain.ExplainResult:
    np.save("model.npy", Y)
    return explain.carry_out(asked(*QUICK, *overrides, draws=20))


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
    quick = QUICK[1:]
    assert missing(asked(*quick, "measure=cka,nbs")) == ["cka", "nbs"]
    explain.carry_out(asked(*quick, "measure=nbs"))
    assert missing(asked(*quick, "measure=cka,nbs")) == ["cka"]
    assert missing(asked(*quick, "measure=nbs", "target=0.9")) == ["nbs"]
    assert missing(asked(*quick, "measure=nbs", "optimizer.lr=0.05")) == []  # another way to the same score
    with h5py.File("recording.h5", "r+") as file:
        file["responses"][0, 0] += 1
    assert missing(asked(*quick, "measure=nbs")) == ["nbs"]


def test_runs_that_cannot_be_read_or_ended_early_are_not_used(here: Path, X: np.ndarray) -> None:
    np.save("model.npy", X)
    plain = ("measure=cka", "decoder=none")
    short = explain.carry_out(asked(*plain, "max_steps=2")).explained[0].run
    assert missing(asked(*plain, "max_steps=2")) == []
    assert missing(asked(*plain)) == ["cka"]
    long = explain.carry_out(asked(*plain, "seeds=[0,1]")).explained[0].run
    again = explain.carry_out(asked(*plain, "max_steps=100000")).explained[0].run
    assert again == long != short  # it stopped at its target
    long.write_bytes(b"broken")
    assert explain.carry_out(asked(*plain, "max_steps=2")).explained[0].run == short
    assert missing(asked(*plain)) == ["cka"]


def test_the_recording_is_the_one_that_is_named(here: Path, X: np.ndarray) -> None:
    np.save("model.npy", X)
    with pytest.raises(InputError, match="the recording is recording.h5"):
        asked(*QUICK, "dataset=majaj")
    np.save("model.npy", np.random.default_rng(0).standard_normal((100, 4)))
    request = asked(*QUICK, "dataset.seed=3", x="ultrametric")
    assert request.scores.dataset.dataset.data_hash() == Data.named("ultrametric", seed=3).dataset.data_hash()
    assert {each.dataset.name for each in request.runs} == {"ultrametric"}


def test_the_recording_is_decomposed_once_and_stored_runs_are_not_made(
    here: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("model.npy", X[:, :5])
    explain.carry_out(asked(*QUICK[1:], "measure=cka"))
    decomposed: list[bool] = []
    made: list[str] = []
    real, Session = components._svd, session.Session
    centered = (X - X.mean(axis=0)) / np.abs(X).max()

    def counted(matrix: np.ndarray):
        decomposed.append(matrix.shape == X.shape and np.allclose(matrix, centered))
        return real(matrix)

    def preparing(request, *rest):
        made.append(request.measure["name"])
        return Session(request, *rest)

    monkeypatch.setattr(session, "Session", preparing)
    monkeypatch.setattr(components, "_svd", counted)
    result = explain.carry_out(asked(*QUICK[1:], "measure=cka,nbs,linreg"))
    assert made == ["nbs", "linreg"]
    assert [each.standing.measure for each in result.explained] == ["cka", "nbs", "linreg"]
    assert sum(decomposed) == 1


def test_names_of_rows_are_not_decoded(here: Path, X: np.ndarray) -> None:
    names = np.array([f"stimulus {i}" for i in range(SAMPLES)])
    kind = {"class": LABELS}
    np.savez("x.npz", responses=X, stimulus=names, **kind)
    np.savez("y.npz", responses=X, stimulus=names, **kind)
    for more, decoded in ([], set()), (["dataset.labels=[stimulus,class]"], {"class"}):
        found = explain.carry_out(asked(*QUICK[:3], *more, x="x.npz", y="y.npz", ids="stimulus"))
        assert found.own.decoding.keys() == decoded


def test_labels_that_the_recording_does_not_hold_judge_nothing(
    here: Path, X: np.ndarray, simopt, rng: np.random.Generator
) -> None:
    """A label at random, a trial number, and a task label: the last one alone judges."""
    chance, trial = rng.permutation(LABELS), np.arange(SAMPLES) // CLASSES
    np.savez("x.npz", responses=X)
    np.savez("labels.npz", chance=chance, trial=trial, **{"class": LABELS})
    np.save("model.npy", rng.permutation(X))
    given = ("measure=cka", "max_steps=400", "seeds=[0]", "dataset.labels=labels.npz")
    found = explain.carry_out(asked(*given, x="x.npz", draws=20))
    assert set(found.unused_labels) == {"chance", "trial"}
    assert found.reference.keys() == {"chance", "class"}
    assert found.reference["chance"]["p_value"] > 0.02 > found.reference["class"]["p_value"]
    assert found.explained[0].good.keys() == {"class"}
    assert "chance" not in " ".join(defect.text for defect in found.defects if defect.kind == "label")
    text = " ".join([*found.sentences(), *found.advice])
    assert text.count("Label chance is not used") == text.count("Label trial is not used") == 1
    assert "in 240 independent predictions" in text
    # Asked for by name it is decoded.
    named = asked(*given, "decoder.variables=[trial]", "decoder.folds=2", x="x.npz", draws=5)
    assert explain.carry_out(named).own.decoding.keys() == {"trial"}


@pytest.mark.parametrize("rare", ["one sample of one class", "one sample of each class"])
def test_a_label_that_cannot_be_decoded_is_named_and_the_rest_goes_on(
    here: Path, X: np.ndarray, simopt, rng: np.random.Generator, rare: str
) -> None:
    labels = np.arange(SAMPLES) if "each" in rare else np.eye(SAMPLES, dtype=int)[0]
    np.savez("x.npz", responses=X)
    np.savez("labels.npz", rare=labels, **{"class": LABELS})
    np.save("model.npy", rng.permutation(X))
    quick = ("measure=cka", "max_steps=3", "seeds=[0]", "dataset.labels=labels.npz", "--draws", "2")
    for more in ([], ["decoder.folds=2"]):
        done = simopt("explain", "x.npz", "model.npy", *quick, *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Label rare is not used") == 1
        assert (
            "class"
            in json.loads(simopt("explain", "x.npz", "model.npy", *quick, *more, "--json").stdout)[
                "reference"
            ]
        )


def test_without_a_label_above_chance_nothing_is_recommended(
    here: Path, X: np.ndarray, rng: np.random.Generator
) -> None:
    np.save("model.npy", X)
    np.savez("x.npz", responses=X, noise=rng.permutation(LABELS))
    for more in (["dataset.labels=[noise]"], []):
        found = explain.carry_out(
            asked("measure=cka,nbs", "max_steps=50", "seeds=[0]", *more, x="x.npz", draws=20)
        )
        assert {each.verdict.kind for each in found.explained} == {"unjudged"}
        assert found.advice[0].startswith("No measure is recommended")
        assert "Use " not in " ".join(found.advice)


def test_without_a_null_nothing_is_said_of_unrelated_data(
    here: Path, simopt, rng: np.random.Generator
) -> None:
    """Of two random walks without relation nothing can be exchanged."""
    X, Y = rng.standard_normal((2, SAMPLES, UNITS)).cumsum(axis=1)
    np.savez("x.npz", responses=X, part=np.arange(SAMPLES) // (SAMPLES // CLASSES))
    np.save("model.npy", Y)
    given = ("measure=cka,nbs", "max_steps=20", *QUICK[2:], "dataset.labels=[part]")
    found = explain.carry_out(asked(*given, x="x.npz", draws=20))
    assert found.reference["part"]["p_value"] < 0.02
    assert {each.verdict.kind for each in found.explained} <= {"unjudged", "blind"}
    assert {each.kind for each in found.defects} <= {"label"}
    told = found.as_json()
    for facts in told["measures"].values():
        assert facts["percentile"] is None
        assert "4 are needed" in facts["percentile_reason"]
        assert facts["null"]["unrelated"]["draws"] == 0
        assert facts["rows"]["null"] is None
        assert facts["null"]["innovations"]["percentile"] == facts["percentile_innovations"]
    text = " ".join([*found.sentences(), *found.advice, *(each.text for each in found.defects)])
    assert text.count("no null holds for these rows") >= 2
    assert text.count("4 are needed") == 1
    assert "not known whether unrelated data" in text
    assert "nan" not in text
    assert "Use " not in text
    printed = " ".join(simopt("explain", "x.npz", "model.npy", *given).stdout.split())
    assert printed.count("4 are needed") == 1
    assert "null of innovations: frequency components of Y along the samples, with random signs" in printed
    assert "nan" not in printed


def test_which_null_was_used_is_said_once(here: Path, X: np.ndarray, simopt) -> None:
    np.save("model.npy", X)
    found = explained(X, "measure=nbs")
    (line,) = found.nulls
    assert line.startswith("null: samples exchanged, as the samples of ")
    assert found.sentences().count(line) == 1
    assert found.as_json()["nulls"] == found.nulls
    printed = simopt("explain", "recording.h5", "model.npy", *QUICK, "measure=nbs", "--draws", "20").stdout
    assert " ".join(printed.split()).count("null: samples exchanged") == 1


def test_equal_samples_and_split_conditions_are_said(here: Path, rng: np.random.Generator) -> None:
    shown = rng.standard_normal((SAMPLES // 4, UNITS))
    X, Y = np.repeat(shown, 4, axis=0), np.repeat(shown, 4, axis=0) + rng.standard_normal((SAMPLES, UNITS))
    np.savez("x.npz", responses=X)
    np.save("model.npy", Y)
    given = ("max_steps=5", "seeds=[0]", "decoder=none")
    found = explain.carry_out(asked(*given, "measure=cka,nbs", x="x.npz"))
    assert found.nulls[0] == "null: groups exchanged, as the samples of a group belong together"
    notes = [note for each in found.explained for note in each.standing.notes]
    assert len(found.nulls) == 2
    assert notes == [found.nulls[1]] * 2
    np.savez("x.npz", responses=rng.standard_normal((4, SAMPLES // 4, UNITS)))
    found = explain.carry_out(asked(*given, "measure=cka,linreg_cv5", x="x.npz"))
    assert [line for line in found.nulls if line.startswith("linreg_cv5: its folds")]


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
        (["recording.h5", "model.npy", "--snr", "-1"], "snr is -1"),
        (["recording.h5", "model.npy", "--draws", "0"], "draws is 0"),
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
    assert LABELS[0] != LABELS[-1]
    done = simopt("score", "recording.h5", "model.h5")
    assert done.returncode == 2
    assert f"class of row 0 is {LABELS[0]} in recording and {LABELS[-1]} in model" in done.stderr
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
        assert set(facts["null"]) == {"unrelated"}
        assert facts["rows"]["kind"] == "independent"
        assert facts["rows"]["null"] == "samples exchanged"
        assert facts["null"]["unrelated"]["end"] < facts["score"]
        assert facts["null"]["unrelated"]["end"] < facts["ceiling"] < 1
    plain = json.loads(simopt("score", "recording.h5", "model.npy", "--draws", "0", "--json").stdout)
    assert set(plain["measures"]["cka"]) == {"score"}


@pytest.mark.parametrize("draws", ["0", "5"])
def test_a_score_above_its_ceiling_is_commented_on(here: Path, X: np.ndarray, simopt, draws: str) -> None:
    """X shares all of its noise with itself."""
    np.save("model.npy", X)
    given = ("measure=cka,procrustes_euclidean", "--draws", draws, "--snr", "1")
    text = " ".join(simopt("score", "recording.h5", "model.npy", *given).stdout.split())
    assert text.count("cka 1.000 is above its ceiling of 0.") == 1
    assert text.count("procrustes_euclidean 0.000 is below its ceiling of") == 1
    result = package.compare(X, X, ("cka",), draws=int(draws), snr=1.0)
    assert "the same trials are on both sides" in result.caveats()[0]


def test_measures_are_split_from_other_overrides() -> None:
    def names(overrides: list[str]) -> tuple[list[str], list[str]]:
        nodes, rest = settings.measures(overrides, ["nbs"])
        return [node["name"] for node in nodes], rest

    given = ["measure=cka,nbs", "dataset.seed=1", "measure=[linreg]"]
    assert names(given) == (["cka", "nbs", "linreg"], ["dataset.seed=1"])
    assert names([]) == (["nbs"], [])
    with pytest.raises(InputError, match="give measure=NAME"):
        names(["measure="])
