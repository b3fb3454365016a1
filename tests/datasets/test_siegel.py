"""Siegel2015 from the file of an owner: the documented layout, and what is said of any other."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from simopt.datasets.siegel import Siegel
from simopt.errors import InputError

RESPONSES = np.random.default_rng(0).standard_normal((4, 6, 5))
LABELS = {"context": np.arange(6) % 2, "response": np.array([b"left", b"right"] * 3)}


def write(folder: Path, responses: object = RESPONSES, labels: dict | None = None) -> Path:
    with h5py.File(folder / "siegel.h5", "w") as file:
        if responses is not None:
            file["responses"] = responses
        for variable, values in (LABELS if labels is None else labels).items():
            file[f"labels/{variable}"] = values
    return folder / "siegel.h5"


def load(folder: Path):
    return Siegel(name="siegel", source="real").read(folder)


def test_the_documented_layout(tmp_path: Path) -> None:
    write(tmp_path)
    dataset = load(tmp_path)
    np.testing.assert_array_equal(dataset.responses, RESPONSES)
    assert dataset.labels["context"].tolist() == [0, 1] * 3
    assert dataset.labels["response"].tolist() == ["left", "right"] * 3
    assert (dataset.name, dataset.source) == ("siegel", "real")
    assert dataset.citation.startswith("Siegel, Buschman & Miller 2015")


def test_there_is_no_public_source() -> None:
    (file,) = Siegel.files
    assert (file.name, file.url) == ("siegel.h5", None)


NAN = np.where(RESPONSES > 2, np.nan, RESPONSES)
BAD = [
    ({"responses": None}, "key 'responses'"),
    ({"responses": RESPONSES[0]}, r"responses has shape \(6, 5\); .*\(time, condition, unit\)"),
    ({"responses": RESPONSES[0, 0]}, r"responses has shape \(5,\); "),
    ({"responses": NAN}, "responses holds .* NaN"),
    (
        {"responses": RESPONSES.transpose(1, 0, 2)},
        r"label 'context' has shape \(6,\); .* 4 conditions",
    ),
    ({"responses": np.array([[[b"a"]]])}, "responses"),
    ({"labels": {}}, "group 'labels'.*: responses"),
    ({"labels": {"context": np.arange(5)}}, r"label 'context' has shape \(5,\)"),
    ({"labels": {"deep/context": np.arange(6)}}, "labels/deep "),
]


@pytest.mark.parametrize(("content", "says"), BAD, ids=[says[:30] for _, says in BAD])
def test_other_layouts(tmp_path: Path, content: dict, says: str) -> None:
    write(tmp_path, **content)
    with pytest.raises(InputError, match=f"siegel.h5: .*{says}"):
        load(tmp_path)


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path).rename(tmp_path / "other.h5")
    write(tmp_path, responses=None)
    with h5py.File(tmp_path / "siegel.h5", "r+") as file:
        file["responses"] = h5py.ExternalLink("other.h5", "responses")
    with pytest.raises(InputError, match="siegel.h5: .*key 'responses'"):
        load(tmp_path)


def test_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="siegel.h5: there is no such file"):
        load(tmp_path)
    whole = write(tmp_path).read_bytes()
    for part in (0, 0.1, 0.9):
        (tmp_path / "siegel.h5").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(InputError, match="siegel.h5: not a readable .h5 file"):
            load(tmp_path)
