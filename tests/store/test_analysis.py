"""Files of analyses: all or nothing, with a status, and read as data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simopt.errors import OtherSchemaError, StorageError
from simopt.store import analysis, image, layout
from simopt.store.analysis import Array, Stored

CONTENT = Stored(
    {"dataset": "mine", "seeds": np.array([1, 2])},
    {"measures/cka/theory": Array(np.arange(6.0).reshape(2, 3), "S K")},
    {"measures/cka": {"at_self": 1.0, "how": "closed form"}},
)


def as_stored(stored: Stored) -> Stored:
    return stored


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = analysis.write(tmp_path / "deep" / "a.h5", "sensitivity", CONTENT)
    content = analysis.read(path, "sensitivity", as_stored)
    np.testing.assert_array_equal(content.arrays["measures/cka/theory"].data, np.arange(6.0).reshape(2, 3))
    assert content.arrays["measures/cka/theory"].axes == "S K"
    assert content.groups["measures/cka"] == {"at_self": 1.0, "how": "closed form"}
    assert analysis.attributes(path)["analysis"] == "sensitivity"
    assert list(content.attributes["seeds"]) == [1, 2]
    assert analysis.unfinished(path, "sensitivity") is None
    assert [entry.name for entry in path.parent.iterdir()] == ["a.h5"]


def test_what_is_not_finished_is_no_result(tmp_path: Path) -> None:
    content = replace(CONTENT, groups={**CONTENT.groups, layout.RESUME: {"state": "{}"}})
    path = analysis.write(tmp_path / "a.h5", "joint", content, layout.INTERRUPTED)
    with pytest.raises(StorageError, match=r"a\.h5: not finished \(status interrupted\)"):
        analysis.read(path, "joint", as_stored)
    before = analysis.unfinished(path, "joint")
    assert before is not None
    assert before.attributes["status"] == layout.INTERRUPTED
    assert before.arrays.keys() == CONTENT.arrays.keys()
    assert before.groups[layout.RESUME] == {"state": "{}"}
    analysis.write(path, "joint", CONTENT, layout.RUNNING)  # nothing to resume from
    assert analysis.unfinished(path, "joint") is None


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = analysis.write(tmp_path / "a.h5", "joint", CONTENT)
    for read in (
        lambda: analysis.read(path, "sensitivity", as_stored),
        lambda: analysis.unfinished(path, "sensitivity"),
    ):
        with pytest.raises(StorageError, match="'joint'.*'sensitivity'"):
            read()
    image.write(path, Stored({"schema": 1}))
    with pytest.raises(StorageError, match="'run'.*'joint'"):
        analysis.read(path, "joint", as_stored)
    with pytest.raises(
        StorageError, match=r"none\.h5: not a readable joint file \(no such file or directory\)"
    ):
        analysis.read(tmp_path / "none.h5", "joint", as_stored)


@pytest.mark.parametrize(
    ("schema", "error"),
    [(3, OtherSchemaError), *((schema, StorageError) for schema in (0, None, "3", 3.5, [2, 3]))],
)
def test_only_a_later_schema_is_that_of_another_version(
    tmp_path: Path, schema: object, error: type[StorageError]
) -> None:
    path = tmp_path / "a.h5"
    about = {"analysis": "joint"} if schema is None else {"analysis": "joint", "schema": schema}
    image.write(path, Stored(about))
    with pytest.raises(StorageError) as caught:
        analysis.read(path, "joint", as_stored)
    assert type(caught.value) is error
    if schema != [2, 3]:  # an array, which cannot be compared
        told = f"the joint file has schema {schema!r}; this version of simopt reads schemas 1 to 2 only."
        assert str(caught.value) == f"{path}: {told}"


def test_a_file_of_schema_1_has_no_status_and_is_finished(tmp_path: Path) -> None:
    image.write(tmp_path / "a.h5", Stored({"schema": 1, "analysis": "joint", "dataset": "mine"}))
    assert analysis.read(tmp_path / "a.h5", "joint", as_stored).attributes["dataset"] == "mine"


@pytest.mark.parametrize("status", [5, 0.5, np.ones(2)], ids=str)
def test_a_status_that_is_no_text(tmp_path: Path, status: object) -> None:
    path = analysis.write(tmp_path / "a.h5", "joint", Stored({"status": status}))
    with pytest.raises(StorageError, match=r"a\.h5.*expected text"):
        analysis.read(path, "joint", as_stored)


def test_what_cannot_be_taken_from_a_file_is_said_of_the_file(tmp_path: Path) -> None:
    path = analysis.write(tmp_path / "a.h5", "joint", CONTENT)
    with pytest.raises(StorageError, match=r"a\.h5: not a readable joint file"):
        analysis.read(path, "joint", lambda stored: stored.arrays["missing"])
