"""Files of analyses: all or nothing, and read as data."""

import h5py
import numpy as np
import pytest

from simopt.errors import StorageError
from simopt.store import analysis
from simopt.store.analysis import Array, Stored

CONTENT = Stored(
    {"dataset": "mine", "seeds": np.array([1, 2])},
    {"measures/cka/theory": Array(np.arange(6.0).reshape(2, 3), "S K")},
    {"measures/cka": {"at_self": 1.0, "how": "closed form"}},
)


def as_stored(stored: Stored) -> Stored:
    return stored


def test_what_was_written_is_read(tmp_path):
    path = analysis.write(tmp_path / "deep" / "a.h5", "sensitivity", CONTENT)
    found = analysis.read(path, "sensitivity", as_stored)
    np.testing.assert_array_equal(found.arrays["measures/cka/theory"].data, np.arange(6.0).reshape(2, 3))
    assert found.arrays["measures/cka/theory"].axes == "S K"
    assert found.groups["measures/cka"] == {"at_self": 1.0, "how": "closed form"}
    assert found.attributes["dataset"] == "mine"
    assert list(found.attributes["seeds"]) == [1, 2]
    assert [each.name for each in path.parent.iterdir()] == ["a.h5"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = analysis.write(tmp_path / "a.h5", "sensitivity", CONTENT)
    bad = Stored({}, {"x": Array(np.array([object()]), "K")}, {})
    with pytest.raises((StorageError, TypeError)):
        analysis.write(path, "sensitivity", bad)
    assert analysis.read(path, "sensitivity", as_stored).attributes["dataset"] == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["a.h5"]


def test_other_files_are_refused(tmp_path):
    path = analysis.write(tmp_path / "a.h5", "joint", CONTENT)
    with pytest.raises(StorageError, match="holds 'joint'; expected 'sensitivity'"):
        analysis.read(path, "sensitivity", as_stored)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(StorageError, match="not a readable file of joint"):
        analysis.read(path, "joint", as_stored)
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = 1
    with pytest.raises(StorageError, match="holds None"):
        analysis.read(path, "joint", as_stored)
