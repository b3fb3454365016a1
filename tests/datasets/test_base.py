"""Datasets: how they print; averages and split halves of single trials; rows of two datasets that match."""

import html
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from simopt import datasets
from simopt.datasets import Dataset, Trials
from simopt.datasets.base import same_rows
from simopt.errors import InputError

CONDITION = np.array([0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 1])  # 4, 5 and 2 trials


def trials(rng: np.random.Generator) -> Trials:
    return Trials(rng.standard_normal((3, 11, 2)), CONDITION)


def test_average_is_the_mean_of_each_condition(rng: np.random.Generator) -> None:
    single = trials(rng)
    expected = [single.responses[:, CONDITION == k].mean(axis=1) for k in range(3)]
    np.testing.assert_allclose(single.average(), np.stack(expected, axis=1), rtol=1e-14)
    flat = Trials(single.responses[0], CONDITION)
    np.testing.assert_allclose(flat.average(), single.average()[0], rtol=1e-14)
    assert Trials(flat.responses.astype(np.float32), CONDITION).average().dtype == np.float32
    np.testing.assert_array_equal(Trials(np.array([[0], [1]]), np.zeros(2, int)).average(), [[0.5]])


def test_halves_share_no_trial_and_are_equally_large(rng: np.random.Generator) -> None:
    """A trial is a power of 3: which ones a mean holds, and how many, can be read off it."""
    single = Trials(3.0 ** np.arange(11)[:, None], CONDITION)
    seen = set()
    for seed in range(40):
        halves = [half[:, 0] for half in single.halves(seed)]
        for k, size in enumerate((2, 2, 1)):
            members = [np.rint(size * half[k]) for half in halves]
            digits = [[int(m // 3**i % 3) for i in range(11)] for m in members]
            assert all(set(d) <= {0, 1} and sum(d) == size for d in digits)
            assert not np.any(np.logical_and(*digits))
            assert all(CONDITION[np.flatnonzero(d)].tolist() == [k] * size for d in digits)
            seen.update(np.flatnonzero(np.add(*digits)))
    assert seen == set(range(11))  # the trial left out of five is not always the same
    for one, again in zip(single.halves(3), single.halves(3), strict=True):
        np.testing.assert_array_equal(one, again)


def test_halves_are_split_by_repeat(rng: np.random.Generator) -> None:
    """A trial is 10 to the power of its repeat, so that a mean shows which repeats it holds."""
    names, condition = np.array(["run 1", "run 2", "run 3", "run 4"]), np.tile(np.arange(5), 4)
    repeat = np.repeat(np.arange(4), 5)
    order = rng.permutation(20)
    named = Trials(10.0 ** repeat[order][:, None], condition[order], names[repeat[order]])
    numbered = Trials(10.0 ** repeat[:, None], condition)
    for single in (named, numbered):
        for seed in range(5):
            first, second = single.halves(seed)
            assert np.ptp(first) == np.ptp(second) == 0
            assert first[0, 0] + second[0, 0] == pytest.approx(1111 / 2)
    (one, two, three) = numbered.parts(3, np.arange(4))
    assert (one[0, 0], two[0, 0], three[0, 0]) == (11 / 2, 100, 1000)
    assert named.data_hash() != Trials(named.responses, named.condition).data_hash()


def test_each_unit_is_split_by_the_values_that_it_has(rng: np.random.Generator) -> None:
    values = rng.standard_normal((12, 3))
    values[[0, 1, 7], 1] = np.nan
    condition = np.repeat([0, 1], 6)
    single = Trials(values, condition)
    np.testing.assert_allclose(single.average()[0], np.nanmean(values[:6], axis=0))
    for seed in range(5):
        halves = single.halves(seed)
        for unit in (0, 2):
            whole = Trials(values[:, [unit]], condition).halves(seed)
            np.testing.assert_allclose([half[:, unit] for half in halves], [half[:, 0] for half in whole])
        assert np.mean([half[0, 1] for half in halves]) == pytest.approx(values[2:6, 1].mean())
    assert np.isnan(single.parts(5, np.arange(6))[4]).sum() == 1  # four values are not five parts


def test_two_trials_of_each_condition_are_needed() -> None:
    with pytest.raises(InputError, match=r"condition 2 has 1 trial.* 2 "):
        Trials(np.ones((5, 1)), np.array([0, 0, 1, 1, 2])).halves(0)
    with pytest.raises(InputError, match="no trial to average belongs to condition 1"):
        Trials(np.ones((3, 1)), np.array([0, 0, 2])).average()


def test_counts_and_lists_become_arrays_of_numbers() -> None:
    counts = [[0, 3], [1, 2], [2, 5], [4, 4]]
    dataset = Dataset("X", counts, {"side": ["left", "right", "left", "right"]})
    assert dataset.responses.dtype == np.float64
    assert len(dataset.spectrum()) == 2
    exact = Dataset("X", np.array(counts, float), {"side": np.array(["left", "right", "left", "right"])})
    assert dataset.data_hash() == exact.data_hash()
    with pytest.raises(InputError, match=r"X: label 'side' has shape \(3,\).* 4 conditions"):
        replace(dataset, labels={"side": [0, 1, 0]})


def test_rows_that_differ_and_rows_in_another_order() -> None:
    X = Dataset("X", np.arange(12.0).reshape(4, 3), {"image": np.array(["a", "b", "c", "d"])})
    same_rows(X, replace(X, labels={}))
    same_rows(X, replace(X, labels={"image": np.array(["a", "b", "c", "d"]), "other": np.arange(4)}))
    numbers, text = (replace(X, labels={"image": labels}) for labels in (np.arange(4), list("0123")))
    same_rows(numbers, text)
    missing = replace(X, labels={"image": np.array([0, np.nan, 2, 3])})
    same_rows(missing, missing)
    with pytest.raises(InputError, match="image of row 1 is nan in X and 1 in X"):
        same_rows(missing, numbers)
    session = replace(X, labels={"session": np.array(["a", "a", "b", "b"])})
    with pytest.raises(InputError, match="several rows share a value of session.*a label that differs"):
        same_rows(session, replace(X, labels={"session": np.array(["b", "a", "a", "b"])}))
    with pytest.raises(InputError, match="image of row 0 is a in X and b in X; .*another order: .*image"):
        same_rows(X, replace(X, labels={"image": np.array(["b", "a", "c", "d"])}))
    with pytest.raises(InputError, match="image of row 2 is c in X and e in X; 1 of 4 rows"):
        same_rows(X, replace(X, labels={"image": np.array(["a", "b", "e", "d"])}))


def cells(page: str) -> dict[str, str]:
    """Return the rows of a table of two columns, and check that nothing but the table is in it."""
    rows = re.findall("<tr><th>([^<>]*)</th><td>([^<>]*)</td></tr>", page)
    assert (
        page
        == f"<table><tbody>{''.join(f'<tr><th>{k}</th><td>{v}</td></tr>' for k, v in rows)}</tbody></table>"
    )
    return {key: html.unescape(value) for key, value in rows}


def test_a_dataset_prints_in_one_line_and_as_a_table() -> None:
    single = Trials(np.arange(24.0).reshape(2, 6, 2), np.repeat(np.arange(3), 2))
    labels = {"side": ["l", "r", "l"], "object": np.array([1.0, None, "x"], dtype=object)}
    dataset = Dataset("IT & V4", single.average(), labels, "real", "Doe <2020>", single)
    assert repr(dataset) == (
        "<Dataset 'IT & V4': source real; shape 2 times x 3 conditions x 2 units; "
        "labels 'side' (2 classes), 'object' (3 classes); trials 6>"
    )
    assert cells(dataset._repr_html_()) == {
        "name": "IT & V4",
        "source": "real",
        "shape": "2 times x 3 conditions x 2 units",
        "labels": "'side' (2 classes), 'object' (3 classes)",
        "trials": "6",
        "citation": "Doe <2020>",
    }


def test_what_a_dataset_lacks_is_not_printed_and_long_lists_of_labels_are_cut() -> None:
    plain = Dataset("<b>x\n</b>", np.arange(12.0).reshape(4, 3), source="surrogate")
    assert repr(plain) == r"<Dataset '<b>x\n</b>': source surrogate; shape 4 samples x 3 units>"
    table = cells(plain._repr_html_())
    assert table == {"name": "<b>x\n</b>", "source": "surrogate", "shape": "4 samples x 3 units"}
    many = replace(plain, name="x", labels={f"label {k}\n<i>": np.arange(4) for k in range(100)})
    assert "\n" not in repr(many)
    assert repr(many).endswith(r"'label 5\n<i>' (4 classes), 94 more>")
    assert cells(many._repr_html_())["labels"].endswith("94 more")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("file", {"path": "a folder/x.npy"}, "File(name='file', path='a folder/x.npy', title='x')"),
        ("gaussian", {}, "Gaussian(name='gaussian')"),
        ("gaussian", {"units": 3, "seed": 3}, "Gaussian(name='gaussian', units=3, seed=3)"),
        ("siegel", {"source": "real"}, "Siegel(name='siegel', source='real', seed=0)"),
    ],
)
def test_loaders_print_the_options_that_are_set(name: str, options: dict, expected: str) -> None:
    assert repr(datasets.loader(name, **options)) == expected


def test_long_options_of_loaders_are_cut() -> None:
    assert len(repr(datasets.loader("gaussian", spectrum=list(range(1, 1000))))) < 300


class Frame:
    """What pandas and xarray objects are to numpy: something that turns into an array."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.values, dtype=dtype)


@pytest.mark.parametrize(
    "wrap",
    [
        Frame,
        lambda x: torch.tensor(x, requires_grad=True),
        lambda x: torch.tensor(x.astype(np.float32)).to(torch.bfloat16),
        np.ndarray.tolist,
    ],
    ids=["frame", "tensor", "bfloat16", "list"],
)
def test_a_dataset_of_what_turns_into_an_array(wrap) -> None:
    X = np.arange(24.0).reshape(2, 3, 4)
    labels = {"side": Frame(np.array(["left", "right", "left"]))}
    for values in (X, X[0]):
        dataset = Dataset("X", wrap(values), labels if values.ndim == 3 else {})
        np.testing.assert_array_equal(dataset.responses, values)
        assert dataset.responses.dtype in (np.float32, np.float64)
    assert Dataset("X", wrap(X), labels).labels["side"].tolist() == ["left", "right", "left"]


@pytest.mark.parametrize("library", ["pandas", "xarray"])
def test_data_of_pandas_and_xarray(library: str) -> None:
    module = pytest.importorskip(library)
    X = np.random.default_rng(0).standard_normal((5, 3))
    wrapped = module.DataFrame(X) if library == "pandas" else module.DataArray(X)
    np.testing.assert_array_equal(Dataset("X", wrapped).responses, X)


def test_groups_of_conditions_are_those_of_the_first_time() -> None:
    responses = np.random.default_rng(0).standard_normal((3, 6, 2))
    labels = {"image": np.array([0, 0, 1, 1, 2, 2]), "session": np.arange(6)}
    grouped = Dataset("x", responses, labels, groups=["image"])
    np.testing.assert_array_equal(grouped.groups_of_conditions(), labels["image"])
    assert grouped.named_groups == {"image"}
    assert Dataset("x", responses, labels, groups="condition").groups_of_conditions() is None
    assert Dataset("x", responses, labels, groups="none").groups_of_conditions() is None
    assert Dataset("x", responses, labels, groups=[7, 7, 7, 8, 8, 8]).named_groups == set()


def test_labels_may_be_none_and_must_be_one_value_each() -> None:
    responses = np.arange(12.0).reshape(4, 3)
    assert Dataset("X", responses, labels=None).labels == {}  # type: ignore[arg-type]
    with pytest.raises(InputError, match="X: label 'side' is not a rectangular array"):
        Dataset("X", responses, labels={"side": [[1, 2], [3], [4], [5]]})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="responses of trials is not a rectangular array"):
        Trials([[1.0, 2.0], [3.0]], np.arange(2))  # type: ignore[arg-type]
