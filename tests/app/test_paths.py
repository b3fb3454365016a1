"""The run id: what changes it and what does not."""

import re
from pathlib import Path

import numpy as np
import pytest
from simopt.app.compose import compose
from simopt.app.paths import config_hash, make_folder, run_place, source_of

from simopt import datasets
from simopt.datasets import Dataset
from simopt.errors import InputError

BASE = ["dataset=ultrametric"]


def digest(*overrides: str) -> str:
    config = compose([*BASE, *overrides]).config
    return config_hash(config, datasets.build(config.dataset).load())


SAME = [
    "device=cpu",
    "force=true",
    "log.dir=elsewhere",
    "log.flush_seconds=1",
    "log.checkpoint_seconds=1",
    "measure.name=x",
    "tf32=false",
    "cuda_graphs=true",
]
OTHER = [
    "seeds=[1]", "target=0.9", "max_steps=10", "dtype=float64", "optimizer.lr=0.2", "optimizer=sgd",
    "init.scale=2", "measure=nbs", "measure.form=angular", "dataset.seed=1", "track=[nbs]", "log.every=2",
    "log.final=false", "tf32=true", "nulls=10",
    "attribute=[pcs]",
]  # fmt: skip


@pytest.mark.parametrize("override", SAME)
def test_what_does_not_change_the_result_does_not_change_the_run(override: str) -> None:
    assert digest(override) == digest()


def test_what_changes_the_result_changes_the_run() -> None:
    digests = [digest(), *map(digest, OTHER)]
    assert len(set(digests)) == len(digests)


def test_the_data_counts_and_its_path_does_not(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((10, 3))
    hashes = []
    for folder, array in (("a", data), ("b", data), ("c", data + 1)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", array)
        hashes.append(digest("dataset=file", f"dataset.path='{tmp_path / folder / 'x.npy'}'"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_function_that_is_not_in_python_has_no_source() -> None:
    assert source_of("torch.dist") == ""
    assert source_of("json.dumps").startswith("def dumps(")
    assert source_of("simopt.measures.get") == ""


def test_the_source_is_in_the_path(tmp_path: Path) -> None:
    config = compose([*BASE, f"log.dir='{tmp_path}'"]).config
    folder = run_place(config, datasets.build(config.dataset).load(), "cka", "0123456789abcdef")
    assert folder == tmp_path / "ultrametric" / "cka" / "surrogate-0123456789ab"
    make_folder(folder)
    assert list(folder.iterdir()) == []


def test_names_and_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    dataset = Dataset("x", np.random.default_rng(0).standard_normal((5, 2)))
    config = compose([f"log.dir='{tmp_path / 'taken'}'"]).config
    with pytest.raises(
        InputError, match=r"cannot be written \(.*\); choose another folder with log.dir=FOLDER"
    ):
        make_folder(run_place(config, dataset, "cka", "0" * 12), "log.dir")
    with pytest.raises(InputError, match=re.escape("dataset name '../x' cannot be the name of a folder")):
        run_place(config, Dataset("../x", dataset.responses), "cka", "0" * 12)
    with pytest.raises(InputError, match="measure name"):
        run_place(config, dataset, "a/b", "0" * 12)
