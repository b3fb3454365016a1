"""How errors of files are worded."""

from pathlib import Path

import pytest

from simopt.errors import InputError
from simopt.store.errors import writing


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "no folder" / "f.txt"
    with pytest.raises(InputError) as caught, writing(path):
        path.write_text("")
    assert str(caught.value) == f"{path}: cannot be written (no such file or directory)."
    with pytest.raises(InputError, match=r"f\.txt: cannot be written \(odd\)\."), writing(path):
        raise OSError("Odd")
    with pytest.raises(ValueError, match="other"), writing(path):
        raise ValueError("other")
