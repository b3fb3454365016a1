"""The paper's numbers beside those of stored runs."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

import simopt
from simopt import catalogue
from simopt.analysis import sensitivity
from simopt.app.terminal.render import as_rich
from simopt.app.terminal.report_tables import report_tables
from simopt.ranges import result as joint
from simopt.ranges.pair import Implied
from simopt.report import Collected, collect
from simopt.report.exports import save_published
from simopt.report.published import Comparison, compare, numbers
from simopt.report.published.comparison import GOOD, LARGEST, MEDIAN, NEVER, STEPS
from simopt.report.tables import summarize
from simopt.store import analysis
from simopt.store.reader import Run
from simopt.theory.sensitivity import Local, Sensitivity

VARIABLES = {"majaj": ("category", 0.85, 1 / 8), "mante": ("context", 0.89, 1 / 2)}
UNITS = {"majaj": 168, "mante": 727}
CELLS = [("majaj", "cka"), ("majaj", "procrustes_angular"), ("mante", "nbs"), ("mante", "linreg")]


def settings(dataset: str, measure: str, decoder: str = "published") -> dict:
    names = {
        "dataset": dataset, "measure": measure, "optimizer": "adam", "init": "gaussian", "decoder": decoder,
    }  # fmt: skip
    return {node: catalogue.read(node, name) for node, name in names.items()} | {"target": 0.99}


def as_published(
    dataset: str, measure: str, shift: float = 0.0, later: int = 0, seed: int = 0, config: object = None
) -> Run:
    """Return a run with the published numbers, half captures shifted, and so many more steps at the start."""
    variable, reference, chance = VARIABLES[dataset]
    score, accuracy = (values[1:, None] for values in numbers.decoding(dataset, measure, variable))
    score, accuracy = (np.concatenate([v[:1]] * later + [v]) for v in (score, accuracy))
    known = numbers.half_capture(dataset, measure)
    rest = np.full(UNITS[dataset] - len(known), 0.5)
    never = int(numbers.runs(dataset)[measure]["never_captured"]) - int(np.isnan(known).sum())
    rest[:never] = np.nan
    step = np.arange(len(score))
    shown = settings(dataset, measure) if config is None else config
    if not isinstance(shown, str):
        shown = yaml.safe_dump({**shown, "seeds": [seed]}, sort_keys=False)
    return Run(
        path=Path("outputs") / dataset / measure / f"surrogate-{seed:012x}" / "run.h5",
        attributes={
            "dataset": dataset, "source": "surrogate", "measure": measure, "stop_reason": "why",
            "data_hash": "aa", "seeds": np.array([seed]),
            "config": shown,
        },
        status="finished",
        pc_variance=np.full(UNITS[dataset], 1 / UNITS[dataset]),
        step=step,
        score=score,
        captured_variance=np.zeros((len(step), 1, UNITS[dataset])),
        tracked={},
        half_capture=np.concatenate([known, rest])[None] + shift,
        decoding_step=step,
        decoding={variable: accuracy},
        reference_decoding={variable: {"accuracy": reference, "chance": chance, "classes": 2, "folds": 5}},
    )  # fmt: skip


def collected(*runs: Run, **analyses) -> Collected:
    return Collected(list(runs), [], [summarize(run) for run in runs], **analyses)


def compared(*runs: Run, **analyses) -> tuple[list[Comparison], list[str]]:
    return compare(collected(*runs, **analyses))


def by_what(rows: list[Comparison]) -> dict[str, Comparison]:
    assert len({row.what for row in rows}) == len(rows)
    return {row.what: row for row in rows}


def test_numbers_known_from_the_publication() -> None:
    assert numbers.half_capture("majaj", "cka")[0] == 0.146331
    assert numbers.runs("mante")["cka"] == {"first_score": 0.074863, "steps": 44, "never_captured": 677}
    assert numbers.runs("siegel")["cka"] == {"never_captured": 265}
    assert numbers.figure("mante", "sensitivity", "nbs") == numbers.Number(0.8, "by eye")
    assert numbers.figure("mante", "accuracy", "choice") is None
    assert len(numbers.half_capture("siegel", "cka")) == 0
    for dataset, measure in CELLS:
        score, _ = numbers.decoding(dataset, measure, VARIABLES[dataset][0])
        known = numbers.runs(dataset)[measure]
        assert (len(score), score[0], score[1]) == (known["steps"] + 2, known["first_score"], score[0])


@pytest.mark.parametrize("measure", ["procrustes_angular", "cka_angular", "nbs", "ridge100_cv5"])
def test_published_good_scores_against_a_search_by_hand(measure: str) -> None:
    score, accuracy = numbers.decoding("majaj", measure, "category")
    level = 0.125 + 0.9 * (0.85 - 0.125)
    at = next(t for t in range(1, len(accuracy)) if accuracy[t] >= level)
    found = numbers.good_score("majaj", measure, "category")
    expected = np.interp(level, accuracy[at - 1 : at + 1], score[at - 1 : at + 1])
    assert (found.value, found.origin, found.note) == (pytest.approx(expected), "rounded data", "")


def test_a_published_curve_that_never_gets_there_says_so() -> None:
    found = numbers.good_score("majaj", "cka", "category")
    assert np.isnan(found.value)
    assert found.note == "published accuracy reaches 0.733 at most, good is 0.777"
    assert numbers.good_score("mante", "cka", "choice") is None


def test_a_published_curve_that_begins_above_the_level_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = np.array([0.1, 0.1, 0.5]), np.array([0.2, 0.9, 0.95])  # the first state, decoded twice
    monkeypatch.setattr(numbers, "decoding", lambda *_: curve)
    found = numbers.good_score.__wrapped__("majaj", "cka", "category")
    assert found == numbers.Number(0.1, "rounded data", "published accuracy begins at 0.900, good is 0.777")


@pytest.mark.parametrize(("dataset", "measure"), CELLS)
def test_the_published_numbers_differ_in_nothing_from_themselves(dataset: str, measure: str) -> None:
    rows, left_out = compared(as_published(dataset, measure))
    assert left_out == []
    found = by_what(rows)
    variable = VARIABLES[dataset][0]
    good = found.pop(f"{GOOD}, {variable}")
    accuracy = f"accuracy of the recording, {variable}"
    assert set(found) == {"first score", STEPS, NEVER, MEDIAN, LARGEST, accuracy}
    assert {row.difference for row in found.values()} == {0}
    never = np.isnan(good.published)
    assert good.here == pytest.approx(good.published, nan_ok=True)
    assert good.note.startswith("both never; published accuracy reaches") if never else good.note == ""


def test_known_shifts_are_found() -> None:
    rows, _ = compared(as_published("majaj", "cka", shift=0.03, later=4))
    found = by_what(rows)
    assert found[MEDIAN].difference == pytest.approx(0.03)
    assert found[LARGEST].difference == pytest.approx(0.03)
    assert (found[MEDIAN].published, found[MEDIAN].here) == (None, None)
    assert found[MEDIAN].note == "27 of 38 PCs half captured here and in the paper, 0 in one only"
    assert (found[STEPS].published, found[STEPS].here, found[STEPS].difference) == (80, 84, 4)


def test_the_largest_difference_names_its_pc_and_one_sided_pcs_are_counted() -> None:
    run = as_published("majaj", "nbs")
    run.half_capture[0, 6] -= 0.2
    run.half_capture[0, 9] = np.nan
    found = by_what(compared(run)[0])
    assert found[LARGEST].difference == pytest.approx(-0.2)
    assert found[LARGEST].published == numbers.half_capture("majaj", "nbs")[6]
    assert found[LARGEST].note == "PC 7"
    assert found[MEDIAN].difference == 0
    assert found[MEDIAN].note == "37 of 38 PCs half captured here and in the paper, 1 in one only"
    assert found[NEVER].difference == 1


def test_seeds_in_several_files_are_one_mean() -> None:
    runs = [
        as_published("majaj", "nbs", shift, later, seed)
        for seed, shift, later in ((0, 0.02, 0), (5, 0.04, 3))
    ]
    rows, _ = compared(*runs)
    found = by_what(rows)
    assert found[MEDIAN].difference == pytest.approx(0.03)
    assert (found[STEPS].here, found[STEPS].replicates) == (42.5, (41, 44))


def test_configurations_of_one_measure_are_told_apart() -> None:
    other = settings("majaj", "nbs", "standard")
    rows, left_out = compared(
        as_published("majaj", "nbs"), as_published("majaj", "nbs", seed=1, config=other)
    )
    assert left_out == []
    good = [row for row in rows if row.what == f"{GOOD}, category"]
    assert len({row.note for row in good}) == 2
    assert "decoder here: standardize True, max_iter 1000" in good[1].note
    assert "decoder here" not in good[0].note


def changed(node: str, **options: object) -> dict:
    config = settings("majaj", "cka")
    return {**config, node: {**config[node], **options}}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (changed("optimizer", lr=0.05), "optimizer.lr is 0.05, published 0.1"),
        (changed("optimizer", _target_="torch.optim.SGD"), "published 'torch.optim.Adam'"),
        (changed("optimizer", weight_decay=1), "optimizer.weight_decay is 1, published 'not set'"),
        (changed("dataset", region="V4"), "dataset.region is 'V4', published 'IT'"),
        (changed("measure", estimator="song"), "measure.estimator is 'song', published 'biased'"),
        (changed("init", units=50), "init.units is 50, published None"),
        (settings("majaj", "cka") | {"target": 0.9}, "target is 0.9, published 0.99"),
        (settings("majaj", "cka") | {"target": "\x1b[31m"}, r"target is '\x1b[31m', published 0.99"),
        (settings("majaj", "cka") | {"init": {"\x1b[31m": {"a": [1]}}}, r"init.'\x1b[31m' is something else"),
        (settings("majaj", "cka") | {"optimizer": "adam"}, "optimizer is 'adam'"),
        ("{", "the stored configuration cannot be read"),
        ("- 1", "the stored configuration cannot be read"),
        ("a: !!bool maybe", "the stored configuration cannot be read"),
    ],
)  # fmt: skip
def test_a_run_of_other_settings_is_left_out_with_its_reason(config: object, reason: str) -> None:
    rows, (line,) = compared(as_published("majaj", "cka", config=config))
    assert rows == []
    assert line.startswith("not compared (runs: 1): ")
    assert reason in line
    assert line.isprintable()


def test_runs_of_something_else_and_unfinished_ones_are_left_out() -> None:
    run = as_published("majaj", "cka")
    short = {
        name: getattr(run, name)[:40] for name in ("step", "score", "captured_variance", "decoding_step")
    }
    decoding = {name: values[:40] for name, values in run.decoding.items()}
    others = [
        replace(run, attributes={**run.attributes, "dataset": "d"}),
        replace(run, attributes={**run.attributes, "dataset": "siegel", "measure": "nbs"}),
        replace(run, status="interrupted"),
        replace(run, **short, decoding=decoding),
        replace(run, **short, decoding=decoding),
    ]
    assert compared(*others) == (
        [],
        [
            "not compared (runs: 1): d is not a recording of the paper",
            "not compared (runs: 1): the published runs on siegel are those of cka, procrustes_angular",
            "not compared (runs: 1): the status of the run is interrupted",
            "not compared (runs: 2): the score did not reach 0.99",
        ],
    )


def perturbed(dataset: str, perturbation: str = "rotation") -> sensitivity.Sensitivities:
    local = Local(np.full(2, 2.0), np.ones(2), 1.5, np.nan, "closed form")
    theory = np.array([[0.9, 1.0], [0.57, 0.9]])
    experiment = np.array([[[0.9, 0.9], [1.0, 1.0]], [[0.58, 0.62], [0.9, 0.9]]])
    curves = [
        Sensitivity("cka", 1.0, theory, None, None, experiment, local),
        Sensitivity("nbs", 1.0, theory, None, None, None, local),
        Sensitivity("linreg", 1.0, theory, None, None, experiment, local),
    ]
    return sensitivity.Sensitivities(
        dataset, "surrogate", perturbation, [45.0, 90.0], 2, np.array([0.75, 0.25]), curves, {}, None, "found"
    )


def test_sensitivities() -> None:
    rows, left_out = compared(
        sensitivities=[perturbed("majaj"), perturbed("d"), perturbed("majaj", "scaling")]
    )
    cka, nbs = rows
    assert (cka.published, cka.here, cka.difference) == (0.58, pytest.approx(0.6), pytest.approx(0.02))
    assert (cka.origin, cka.note, cka.replicates) == ("by eye", "theory 0.570", (0.58, 0.62))
    assert (nbs.here, nbs.difference) == (0.57, pytest.approx(-0.27))  # theory, where there is no experiment
    assert left_out == [
        "not compared (sensitivities: 1): d is not a recording of the paper",
        "not compared (sensitivities: 1): no score of PC 1 under this perturbation is published",
    ]


def pair(path: Path, config: dict, given: str = "cka") -> joint.JointRange:
    names = ("procrustes_angular", "cka")
    told = [Implied(name, names[name == names[0]], 0.9, 0.2, 1.0) for name in names if name == given]
    found = joint.JointRange("majaj", "surrogate", names, "boundary", path, implied=told)
    about = {"config": yaml.safe_dump(config), "data_hash": "aa"}
    stored = joint.content(found)
    analysis.write(path, joint.ANALYSIS, replace(stored, attributes={**stored.attributes, **about}))
    return found


def test_joint_ranges(tmp_path: Path) -> None:
    own = pair(tmp_path / "a" / "joint.h5", settings("majaj", "cka"))
    V4 = pair(tmp_path / "b" / "joint.h5", changed("dataset", region="V4"))
    other = pair(tmp_path / "c" / "joint.h5", settings("majaj", "cka"), given="procrustes_angular")
    rows, left_out = compared(joints=[own, V4, other])
    (row,) = rows
    assert (row.published, row.here, row.difference) == (0.25, 0.2, pytest.approx(-0.05))
    assert (row.measure, row.what, row.origin) == (
        "procrustes_angular", "joint, lowest along cka = 0.9", "by eye",
    )  # fmt: skip
    assert left_out == [
        "not compared (joint ranges: 1): dataset.region is 'V4', published 'IT'",
        "not compared (joint ranges: 1): no number for this pair of measures and mode is published",
    ]


def test_what_is_printed_and_written(tmp_path: Path) -> None:
    runs = [as_published("majaj", "cka", 0.03), as_published("mante", "nbs", later=2)]
    found = collected(*runs, sensitivities=[perturbed("majaj")])
    rows, _ = compare(found)
    tables = [table for table in report_tables(found, rows) if table.id == "published"]
    console = Console(width=200, record=True, file=io.StringIO())
    for table in tables:
        console.print(as_rich(table))
    text = console.export_text()
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    assert [table.caption for table in tables] == [
        f"{name} (surrogate): published numbers" for name in ("majaj", "mante")
    ]
    assert ["cka", STEPS, "80", "80", "0", "data", ""] in lines
    assert ["nbs", STEPS, "23", "25", "+2", "data", ""] in lines
    assert ["cka", "first score", "0.016", "0.016", "0.000", "data", ""] in lines
    assert [
        "cka",
        "sensitivity, PC 1 at 90 degrees",
        "0.58",
        "0.60 ± 0.02",
        "+0.020",
        "by eye",
        "theory 0.570",
    ] in lines
    with save_published(rows, tmp_path).open(newline="", encoding="utf-8") as file:
        header, *written = csv.reader(file)
    assert header == [
        "dataset", "source", "measure", "what", "published", "here", "difference", "origin", "replicates",
        "note",
    ]  # fmt: skip
    assert written[1] == ["majaj", "surrogate", "cka", STEPS, "80.0", "80.0", "0.0", "data", "1", ""]


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["cka", "procrustes_angular"])
def test_a_run_on_the_twin_of_majaj(tmp_path: Path, measure: str) -> None:
    simopt.optimize(simopt.load_dataset("majaj", source="surrogate"), measure, store=tmp_path)
    rows, left_out = compare(collect([tmp_path]))
    assert left_out == []
    found = by_what(rows)
    assert 0 < found[MEDIAN].difference < 0.02
    assert abs(found[STEPS].difference) <= 0.03 * found[STEPS].published
