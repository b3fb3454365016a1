"""Starting points that a user's own code makes are looked at before they are used."""

from collections.abc import Callable

import pytest
import torch

from simopt.errors import InputError
from simopt.optimization import init as inits
from simopt.optimization.init import GaussianInit
from simopt.optimization.optimizers import probe


def test_each_replicate_depends_on_its_own_seed_alone() -> None:
    together = inits.start(GaussianInit(units=3), [4, 9], 5, 8, torch.float64)
    alone = inits.start(GaussianInit(units=3), [9], 5, 8, torch.float64)
    assert together.shape == (2, 5, 3)
    assert torch.equal(together[1:], alone)


@pytest.mark.parametrize(
    ("init", "says"),
    [
        (lambda seeds, samples, units, dtype: None, "Y0 .*NoneType"),
        (lambda seeds, samples, units, dtype: torch.ones(samples, units), r"Y0 .*\(5, 8\)"),
        (lambda seeds, samples, units, dtype: torch.ones(2, samples, units), r"\(1, 5, units\)"),
        (lambda seeds: torch.ones(1), "init: .* takes 1 positional argument"),
    ],
)  # fmt: skip
def test_what_is_no_start(init: Callable, says: str) -> None:
    with pytest.raises(InputError, match=says):
        inits.start(init, [0], 5, 8, torch.float32)


def test_what_cannot_be_called() -> None:
    with pytest.raises(InputError, match="init: .*'pathlib.Path'.*PosixPath"):
        inits.build({"_target_": "pathlib.Path"})


@pytest.mark.parametrize(
    ("optimizer", "says"), [(list, "list.*torch.optim.Optimizer"), (torch.load, "optimizer: ")]
)
def test_what_is_no_optimizer(optimizer: Callable, says: str) -> None:
    with pytest.raises(InputError, match=says):
        probe(optimizer)
