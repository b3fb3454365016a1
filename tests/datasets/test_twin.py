"""Surrogates: the published spectrum and shape, exactly; labels that can be decoded."""

import numpy as np
import pytest

import simopt
from simopt.datasets.twin import Planted, gaussian_responses, published_spectrum
from simopt.errors import InputError

# shape, participation ratio (published, one decimal), classes of each variable
FACTS = {
    "majaj": ((3200, 168), 16.3, {"category": 8}),
    "freeman_ziemba": ((2, 135, 205), 15.7, {"texture_type": 2}),
    "mante": ((15, 72, 727), 14.9, {"choice": 2, "context": 2, "motion": 2, "colour": 2}),
    "hatsopoulos": ((10, 395, 141), 23.7, {"target": 8}),
    "siegel": ((8, 59, 278), 7.3, {"context": 2, "response": 2, "colour": 2, "direction": 2}),
}


@pytest.mark.parametrize("name", FACTS)
def test_shape_spectrum_and_labels(name: str) -> None:
    shape, participation, classes = FACTS[name]
    dataset = simopt.load_dataset(name, source="surrogate")
    spectrum = dataset.spectrum()
    assert dataset.responses.shape == shape
    assert len(spectrum) == len(published_spectrum(name)) == shape[-1]
    np.testing.assert_allclose(spectrum, published_spectrum(name), rtol=1e-9)
    assert 1 / np.sum(spectrum**2) == pytest.approx(participation, abs=0.06)
    assert {v: len(np.unique(labels)) for v, labels in dataset.labels.items()} == classes
    assert dataset.samples().shape == (int(np.prod(shape[:-1])), shape[-1])


def test_mante_choices_follow_the_relevant_coherence() -> None:
    labels = simopt.load_dataset("mante", source="surrogate").labels
    relevant = np.where(labels["context"] == 0, labels["motion"], labels["colour"])
    np.testing.assert_array_equal(labels["choice"], relevant)
    assert all(np.mean(values) == 0.5 for values in labels.values())


@pytest.mark.parametrize(
    ("name", "variable", "bin_"), [("freeman_ziemba", "texture_type", 0), ("hatsopoulos", "target", 3)]
)
def test_planted_labels_can_be_decoded(name: str, variable: str, bin_: int) -> None:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import cross_val_score

    dataset = simopt.load_dataset(name, source="surrogate")
    labels = dataset.labels[variable]
    shuffled = np.random.default_rng(0).permutation(labels)
    decoder, responses = RidgeClassifier(alpha=100), dataset.responses[bin_]
    chance = np.bincount(labels).max() / len(labels)
    assert cross_val_score(decoder, responses, labels, cv=5).mean() > chance + 0.15
    assert cross_val_score(decoder, responses, shuffled, cv=5).mean() < chance + 0.1


def test_gaussian_responses_are_centred_with_orthogonal_pcs(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1, 2], 10)
    planted = [Planted("group", labels, first_pc=2, share=1.0)]
    X = gaussian_responses(np.array([0.5, 0.3, 0.2]), (2, 30, 5), rng, planted)
    flat = X.reshape(60, 5)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-12)
    assert np.mean(flat**2) == pytest.approx(1)
    left = np.linalg.svd(flat, full_matrices=False)[0][:, 1:3]
    group_means = [left[np.tile(labels, 2) == k].mean(axis=0) for k in range(3)]
    np.testing.assert_allclose(left[:10], np.tile(group_means[0], (10, 1)), atol=0.35)
    between = 20 * sum(np.sum(mean**2) for mean in group_means)
    assert between > 1.6  # of 2, had PC 1 not been drawn first


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"spectrum": [1.0, -1.0]}, "finite, positive"),
        ({"spectrum": []}, "finite, positive"),
        ({"spectrum": [1.0] * 60}, "60 PCs needs at least 60 units and 61 samples"),
        ({"samples": 2}, "at least 3"),
        ({"units": 0}, "units of gaussian is 0"),
    ],
)
def test_gaussians_that_cannot_be(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simopt.load_dataset("gaussian", **options)


def test_gaussian_has_the_spectrum_asked_for() -> None:
    given = simopt.load_dataset("gaussian", samples=40, units=6, spectrum=[1, 3, 4])
    np.testing.assert_allclose(given.spectrum(), [0.5, 0.375, 0.125])
    power_law = simopt.load_dataset("gaussian", samples=40, units=4, exponent=2).spectrum()
    np.testing.assert_allclose(power_law / power_law[0], [1, 1 / 4, 1 / 9, 1 / 16])


def test_ultrametric_classes_nest() -> None:
    tree = simopt.load_dataset("ultrametric")
    assert tree.responses.shape == (100, 50)
    assert set(np.unique(tree.responses)) == {0, 1}
    level1, level2 = tree.labels["level1"], tree.labels["level2"]
    assert [len(np.unique(level)) for level in (level1, level2)] == [2, 10]
    assert all(len(np.unique(level1[level2 == k])) == 1 for k in range(10))
    distance = np.abs(tree.responses[:, None] - tree.responses[None]).mean(axis=2)
    same2 = level2[:, None] == level2
    same1 = (level1[:, None] == level1) & ~same2
    near, middle, far = (
        distance[mask & ~np.eye(100, dtype=bool)].mean() for mask in (same2, same1, level1[:, None] != level1)
    )
    # two leaves differ in a unit if an odd number of 2, 4 or 6 draws of flip probability 0.1 flipped it
    expected = [(1 - 0.8**draws) / 2 for draws in (2, 4, 6)]
    np.testing.assert_allclose([near, middle, far], expected, atol=0.06)


def test_ultrametric_options_are_checked() -> None:
    with pytest.raises(InputError, match="resample of ultrametric is 1.5"):
        simopt.load_dataset("ultrametric", resample=1.5)
    with pytest.raises(InputError, match="branching of ultrametric is 0"):
        simopt.load_dataset("ultrametric", branching=[0, 2])
