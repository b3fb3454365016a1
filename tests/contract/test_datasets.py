"""What every dataset yaml promises, checked for each."""

import warnings

import numpy as np
import pytest

import simopt
from simopt import catalogue, datasets
from simopt.datasets.recording import Recording
from simopt.errors import FetchError, InputError, SurrogateWarning

GENERATED = [name for name in datasets.names() if name != "file"]
RECORDINGS = [
    name for name in GENERATED if isinstance(datasets.build(catalogue.read("dataset", name)), Recording)
]


@pytest.mark.parametrize("name", GENERATED)
def test_a_dataset_is_the_same_for_the_same_seed_and_another_for_another(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SurrogateWarning)
        first, again, other = (simopt.load_dataset(name, seed=seed) for seed in (0, 0, 1))
    assert first.name == name
    assert first.source == "surrogate"
    assert first.data_hash() == again.data_hash() != other.data_hash()
    np.testing.assert_array_equal(first.responses, again.responses)


@pytest.mark.parametrize("name", GENERATED)
def test_labels_have_one_value_a_condition(name: str) -> None:
    dataset = datasets.build({**catalogue.read("dataset", name), **_surrogate(name)}).load()
    for values in dataset.labels.values():
        assert values.shape == (dataset.responses.shape[-2],)
        assert len(np.unique(values)) > 1


def _surrogate(name: str) -> dict:
    return {"source": "surrogate"} if name in RECORDINGS else {}


@pytest.mark.parametrize("name", RECORDINGS)
def test_without_files_auto_falls_back_with_a_warning_and_real_says_what_to_do(name: str) -> None:
    with pytest.warns(SurrogateWarning, match=f"{name} .*SURROGATE"):
        dataset = simopt.load_dataset(name)
    assert dataset.source == "surrogate"
    assert dataset.citation.startswith("Surrogate of: ")
    with pytest.raises(FetchError, match="By hand: (?s:.*)dataset.source=surrogate"):
        simopt.load_dataset(name, source="real")


OPTIONS = {"majaj": ("region", "V4"), "freeman_ziemba": ("region", "V1")}
OPTIONS |= {"mante": ("bin", 25), "hatsopoulos": ("bin", 25)}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_the_recording_are_refused_for_its_surrogate(name: str) -> None:
    option, other = OPTIONS[name]
    for source in ("auto", "surrogate"):
        with pytest.raises(InputError, match=f"{name}: {option} .*fetch {name}"):
            simopt.load_dataset(name, source=source, **{option: other})


def test_every_recording_with_options_of_its_own_is_tested_with_one() -> None:
    common = {"_target_", "name", "source", "seed", "groups", "blocks", "rows"}
    assert set(OPTIONS) == {name for name in RECORDINGS if set(catalogue.read("dataset", name)) - common}


def test_of_a_file_only_the_name_is_known() -> None:
    card = datasets.describe("file")
    assert (card["name"], card["shape"], card["labels"]) == ("file", None, [])


@pytest.mark.parametrize("name", GENERATED)
def test_descriptions_are_those_of_the_data(name: str) -> None:
    card = datasets.describe(name)
    assert card["name"] == name
    dataset = datasets.build({**catalogue.read("dataset", name), **_surrogate(name)}).load()
    assert card["shape"] == list(dataset.responses.shape)
    assert card["labels"] == list(dataset.labels)
    assert card["source"] == ("surrogate" if name in RECORDINGS else "generated")
    if name in RECORDINGS:
        assert all(card[key] for key in ("licence", "size", "citation"))


def test_only_recordings_have_files_to_fetch() -> None:
    for name in ("gaussian", "file", "majah"):
        with pytest.raises(InputError, match="Unknown"):
            datasets.recording(name)
    assert datasets.recording("mante").files


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("majah", "nearest: majaj"),
        ("", "there are"),
    ],
)
def test_unknown_names(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simopt.load_dataset(name)


def test_unknown_options_and_sources() -> None:
    with pytest.raises(InputError, match="no option 'sead'; it has: groups, blocks, rows, source, seed"):
        simopt.load_dataset("majaj", sead=1)
    with pytest.raises(InputError, match="Unknown source of majaj 'reel'"):
        simopt.load_dataset("majaj", source="reel")
    with pytest.raises(InputError, match="no option 'source'"):
        simopt.load_dataset("ultrametric", source="real")
