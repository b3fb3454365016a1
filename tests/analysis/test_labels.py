"""Which labels are task variables: trial numbers and names of samples are not, task labels are kept."""

import numpy as np
import pytest

from simopt.analysis.labels import not_tasks

FOUR = np.arange(40) % 4


@pytest.mark.parametrize(
    "name",
    [
        *("repeat", "Repetition", "rep", "trial", "trial_id", "trialNumber", "TRIAL", "presentation_index"),
        *("stimulus_repeat", "trial 2", "image-repetition-nr", "n_rep"),
    ],
)
@pytest.mark.parametrize(
    "values", [FOUR, FOUR.astype(float), np.array([f"r{value}" for value in FOUR]), FOUR.astype("S1")]
)
def test_numbers_of_repeats_are_no_task_variables(name: str, values: np.ndarray) -> None:
    assert not_tasks({"category": FOUR, name: values}).keys() == {name}
    assert f"decoder.variables=[{name}]" in not_tasks({name: values})[name]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("trial_type", FOUR),
        ("trial_outcome", FOUR),
        ("trial", np.array(["go", "nogo"])[FOUR % 2]),
        ("repeat", FOUR > 1),  # a stimulus seen before, or not
        ("report", FOUR),
        ("industrial", FOUR),
        ("representation", FOUR),
        ("trial_length", np.linspace(0.1, 0.9, 40)),
        ("speed", np.linspace(0.1, 0.9, 40)),  # all different, but continuous
        ("image", FOUR),
        ("category", np.array(["r1", "r2", "r3", "r4"])[FOUR]),
    ],
)
def test_task_variables_are_kept(name: str, values: np.ndarray) -> None:
    assert not_tasks({name: values}) == {}


@pytest.mark.parametrize(
    "values",
    [
        np.arange(40),
        np.arange(40.0),
        np.array([f"stimulus {i}" for i in range(40)]),
        np.arange(40).astype(object),
    ],
)
def test_a_label_with_another_value_for_each_sample_names_the_samples(values: np.ndarray) -> None:
    assert not_tasks({"x": values})["x"] == "it has a different value in each of the 40 samples"


def test_a_label_that_names_blocks_judges_nothing() -> None:
    session = np.repeat(["a", "b"], 20)
    assert not_tasks({"session": session, "category": session}, blocks={"session"}).keys() == {"session"}
