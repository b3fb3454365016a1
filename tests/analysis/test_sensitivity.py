"""Results of sensitivities in files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simopt.analysis.sensitivity import ANALYSIS, Sensitivities, content, read
from simopt.errors import StorageError
from simopt.store import analysis
from simopt.theory.sensitivity import Local, Sensitivity

K, R = 3, 2
CURVE = Sensitivity(
    measure="cka",
    at_self=1.0,
    theory=np.array([[0.5, 0.7, 0.9]]),
    expected=None,
    band=None,
    experiment=np.linspace(0, 1, K * R).reshape(1, K, R),
    local=Local(np.full(K, 2.0), np.array([0.3, 0.2, np.nan]), 1.8, 2.0, "closed form"),
)
FOUND = Sensitivities(
    "x",
    "surrogate",
    "rotation",
    [90.0],
    R,
    np.array([0.6, 0.3, 0.1]),
    [CURVE],
    {"rsa_crossnobis": "needs repeats"},
    None,
    "done",
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sensitivity.h5"
    analysis.write(path, ANALYSIS, content(FOUND))
    again = read(path)
    assert (again.path, again.how) == (path, "found")
    assert again.as_json() == {**FOUND.as_json(), "path": str(path)}
    assert again.as_json()["measures"]["cka"]["weight"] == [0.3, 0.2, None]


@pytest.mark.parametrize("part", ["measures/cka/order", "measures/cka"])
def test_a_file_that_lacks_a_part_is_refused(tmp_path: Path, part: str) -> None:
    path = tmp_path / "sensitivity.h5"
    stored = content(FOUND)
    kept = {name: array for name, array in stored.arrays.items() if not name.startswith(part)}
    groups = {name: about for name, about in stored.groups.items() if name != part}
    analysis.write(path, ANALYSIS, replace(stored, arrays=kept, groups=groups))
    with pytest.raises(StorageError, match=r"sensitivity\.h5: "):
        read(path)
