"""``simopt report`` as a user meets it."""

import csv
import json
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

STORED = Path(__file__).parents[1] / "data" / "run_schema1.h5"


def store(folder: Path, dataset: str, measure: str, run_id: str, **attributes) -> Path:
    path = folder / dataset / measure / run_id / "run.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(STORED.read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs.update({"dataset": dataset, "measure": measure, **attributes})
    return path


def test_what_is_selected_is_shown_and_exported(simopt, tmp_path: Path) -> None:
    for dataset, measure in (("majaj", "cka"), ("majaj", "nbs"), ("mante", "[/cka]")):
        store(tmp_path / "outputs", dataset, measure, "surrogate-0123456789ab")
    data = ("dataset=gaussian", "dataset.samples=20", "dataset.units=4", "log.dir=outputs")
    assert simopt("sensitivity", *data, "measure=[cka,nbs]", "seeds=[0,1]").returncode == 0
    shown = simopt("report", "outputs/*", "--figures", "figures")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "[/cka]" in shown.stdout  # as it stands, though it is markup
    assert "gaussian (surrogate): sensitivity to rotation 90" in shown.stdout
    files = ("--csv", "data", "--latex", "runs.tex", "--json", "--figures", "figures", "--format", "pdf,svg")
    files += ("--published",)
    done = simopt("report", "outputs", "measure=nbs", *files)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert [(row["dataset"], row["measure"]) for row in told["runs"]] == [("majaj", "nbs")]
    assert [list(found["measures"]) for found in told["sensitivities"]] == [["nbs"]]
    assert (told["joints"], told["broken"]) == ([], [])
    assert sorted(Path(figure).name for figure in told["figures"]) == [
        "half_capture_vs_variance_surrogate.pdf", "half_capture_vs_variance_surrogate.svg",
        "majaj_surrogate_captured.pdf", "majaj_surrogate_captured.svg",
        "majaj_surrogate_score.pdf", "majaj_surrogate_score.svg",
        "pcs_vs_score_surrogate.pdf", "pcs_vs_score_surrogate.svg",
        "sensitivity_surrogate.pdf", "sensitivity_surrogate.svg",
    ]  # fmt: skip
    assert told["published"] == []
    assert all((tmp_path / path).exists() for path in told["files"])
    assert len(told["files"]) == 9
    with (tmp_path / "data" / "sensitivity.csv").open() as file:
        assert {row["measure"] for row in csv.DictReader(file)} == {"nbs"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["outputs", "measure=nbz"], 2, "Unknown measure 'nbz'; the nearest: nbs"),
        (["outputs", "colour=red"], 2, "Unknown filter 'colour'"),
        (["outputs", "--format", "gif"], 2, "gif"),
        (["outputs/*/nothing"], 2, "No file or folder fits"),
        (["outputs", "--html", "page.pdf"], 2, "page.pdf: the name of the output file must end in .html"),
        (["outputs", "--latex", "runs.txt"], 2, "runs.txt: the name of the output file must end in .tex"),
        (["outputs", "--csv", "taken"], 2, "cannot be written"),
        (["outputs", "broken"], 1, "skipped broken/joint.h5: damaged"),
    ],
)
def test_what_cannot_be_reported(simopt, tmp_path: Path, arguments, code: int, says: str) -> None:
    store(tmp_path / "outputs", "majaj", "nbs", "surrogate-0123456789ab")
    (tmp_path / "taken").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "joint.h5").write_text("nothing")
    done = simopt("report", *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert ("Stored runs" in done.stdout) == (code == 1)


# What the system says of a child that has ended counts the process that it was forked from as well.
PEAK = """
import atexit, pathlib
from simopt.app import cli
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: pathlib.Path("peak").write_text(status.read_text().partition("VmHWM:")[2].split()[0]))
cli.main()
"""


def processor_seconds() -> float:
    """Return the processor time of all children that have ended: waiting for other work is not in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_500_runs_in_35_seconds_of_a_processor_and_500_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    T, R, K = 100, 2, 168
    score, captured = np.sort(rng.random((T, R)), axis=0), np.sort(rng.random((T, R, K)), axis=0)
    with h5py.File(STORED) as file:
        about = dict(file.attrs)
    measures, datasets = (
        ("cka", "nbs", "linreg", "ridge100", "procrustes_angular"),
        ("majaj", "mante", "siegel"),
    )
    for at in range(500):
        dataset, measure = datasets[at % 3], measures[at % 5]
        path = tmp_path / "outputs" / dataset / measure / f"surrogate-{at:012x}" / "run.h5"
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            file.attrs.update({**about, "dataset": dataset, "measure": measure, "seeds": np.arange(R)})
            file.attrs["config"] = f"{about['config']}\nnumber: {at}\n"  # else they are one curve a measure
            file["reference/pc_variance"] = np.full(K, 1 / K)
            file["trajectory/step"] = np.arange(T)
            file["trajectory/score"] = score
            file["trajectory/captured_variance"] = captured.astype("f4")
            file["summary/half_capture"] = np.full((R, K), 0.5)
            file["trajectory/decoding/step"] = np.arange(0, T, 5)
            file["trajectory/decoding/category"] = np.sort(rng.random((20, R)), axis=0)
            facts = {"accuracy": 0.9, "chance": 0.1, "classes": 8, "folds": 5}
            file.create_dataset("reference/decoding/category", data=np.ones(1)).attrs.update(facts)
    command = [sys.executable, "-c", PEAK, "report", "--csv", "data", "--latex", "runs.tex", "--json"]
    before = processor_seconds()
    with (tmp_path / "out.json").open("w") as out, (tmp_path / "err").open("w") as err:
        subprocess.run(command, cwd=tmp_path, stdout=out, stderr=err, check=True)
    seconds = processor_seconds() - before
    assert len(json.loads((tmp_path / "out.json").read_text())["runs"]) == 500
    assert "figures show 12 of 167 runs of majaj (surrogate)" in (tmp_path / "err").read_text()
    assert seconds < 35  # 24 where seven processes shared two cores; a third of it is reading the files
    assert 1024 * int((tmp_path / "peak").read_text()) < 500e6
