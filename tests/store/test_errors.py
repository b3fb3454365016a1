"""How errors of files are worded."""

import errno
from pathlib import Path

import pytest

from simopt.errors import InputError, OtherSchemaError, StorageError
from simopt.store.errors import reading_errors, resuming_errors, storage_errors, writing


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "no folder" / "f.txt"
    with pytest.raises(InputError) as caught, writing(path):
        path.write_text("")
    assert str(caught.value) == f"{path}: cannot be written (no such file or directory)."
    with pytest.raises(InputError, match=r"f\.txt: cannot be written \(Odd\)\."), writing(path):
        raise OSError("Odd")
    with pytest.raises(ValueError, match="other"), writing(path):
        raise ValueError("other")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "x"), "no space left on device"),
        (OSError("can't write: errno = 28, error message = 'x'"), "no space left on device"),
        (RuntimeError("first line\nsecond"), "first line"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_hdf5_and_the_system_say_is_one_line(error: Exception, reason: str) -> None:
    with pytest.raises(StorageError) as caught, storage_errors(Path("run.h5")):
        raise error
    assert str(caught.value) == f"run.h5: {reason}."
    with pytest.raises(StorageError) as caught, reading_errors(Path("run.h5"), "run file"):
        raise error
    assert str(caught.value) == f"run.h5: not a readable run file ({reason})."


def test_errors_of_ours_keep_their_words() -> None:
    with pytest.raises(OtherSchemaError, match="^as it is$"), reading_errors(Path("a.h5"), "run file"):
        raise OtherSchemaError("as it is")
    with pytest.raises(StorageError, match="^a.h5: too large$"), reading_errors(Path("a.h5"), "run file"):
        raise InputError("too large")
    with pytest.raises(ZeroDivisionError), storage_errors(Path("a.h5")):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "error", [KeyError("state"), TypeError("no state"), RuntimeError("shapes")], ids=repr
)
def test_a_checkpoint_of_another_kind_cannot_be_resumed(error: Exception) -> None:
    with (
        pytest.raises(StorageError, match=r"^run\.h5: cannot be resumed.*force=true"),
        resuming_errors(Path("run.h5")),
    ):
        raise error
