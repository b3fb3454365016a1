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


def pcs(X: np.ndarray) -> np.ndarray:
    return np.linalg.svd(X.reshape(-1, X.shape[-1]), full_matrices=False)[0]


def explained(contrast: np.ndarray, U: np.ndarray) -> np.ndarray:
    """R2 of a contrast from each of some orthonormal columns."""
    return (U.T @ contrast) ** 2 / np.sum(contrast**2)


def test_gaussian_responses_are_centered_and_hold_what_was_planted(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1, 2], [12, 10, 8])
    spectrum = np.array([0.4, 0.3, 0.2, 0.1])
    planted = [Planted("group", labels, strength=0.8, center=2, width=0.5, decay=0.5)]
    X = gaussian_responses(spectrum, (2, 30, 5), rng, planted)
    flat = X.reshape(60, 5)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-12)
    assert np.mean(flat**2) == pytest.approx(1)
    np.testing.assert_allclose(np.linalg.svd(flat, compute_uv=False)[:4] ** 2 / 300, spectrum)
    U = pcs(X)[:, :4]
    weights = np.exp(-((np.log(np.arange(1, 5) / 2) / 0.5) ** 2) / 2)
    for k, contrast in enumerate(planted[0].contrasts().T):
        parts = explained(np.tile(contrast, 2), U)
        share = weights[k::2] / weights[k::2].sum()
        np.testing.assert_allclose(parts[k::2], (0.8, 0.4)[k] * share, atol=1e-12)
        np.testing.assert_allclose(parts[1 - k :: 2], 0, atol=1e-12)


def test_a_later_variable_is_planted_by_what_the_earlier_ones_leave(rng: np.random.Generator) -> None:
    first, second = np.repeat([0, 1], 20), np.tile([0, 0, 0, 1], 10)
    second[first == 1] = 1 - second[first == 1]  # related to the first
    planted = [
        Planted("first", first, strength=0.9, center=1, width=0.1),
        Planted("second", second, strength=0.3, center=3, width=0.1),
    ]
    U = pcs(gaussian_responses(np.array([0.4, 0.3, 0.2, 0.1]), (40, 6), rng, planted))[:, :4]
    c, d = (variable.contrasts()[:, 0] for variable in planted)
    np.testing.assert_allclose(explained(c, U), [0.9, 0, 0, 0], atol=1e-9)
    assert abs(c @ d) > 0.4
    np.testing.assert_allclose(explained(d - c * (c @ d), U)[2], 0.3, atol=0.01)


def test_what_cannot_be_planted_is_refused(rng: np.random.Generator) -> None:
    first, second = np.repeat([0, 1], 20), np.tile([0, 1], 20)
    planted = [Planted(name, x, 0.9, center=1.5, width=1) for name, x in (("a", first), ("b", second))]
    with pytest.raises(InputError, match="a, b are .*strength"):
        gaussian_responses(np.array([0.5, 0.3, 0.2]), (40, 6), rng, planted)


def test_pcs_and_contrasts_need_as_many_samples_together(rng: np.random.Generator) -> None:
    planted = [Planted("side", np.arange(6) % 2, 0.5, center=1, width=1)]
    spectrum = np.array([0.4, 0.3, 0.2, 0.1])
    X = gaussian_responses(spectrum, (6, 5), rng, planted)
    np.testing.assert_allclose(np.linalg.svd(X, compute_uv=False)[:4] ** 2 / 30, spectrum)
    with pytest.raises(InputError, match="4 PCs .*4 units and 6 samples.*5 samples x 5 units"):
        gaussian_responses(spectrum, (5, 5), rng, [Planted("side", np.arange(5) % 2, 0.5, 1, 1)])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"spectrum": [1.0, -1.0]}, r"spectrum of gaussian is \[1.0, -1.0\]"),
        ({"spectrum": []}, r"spectrum of gaussian is \[\]"),
        ({"spectrum": [1.0] * 60}, "60 PCs .*60 units and 61 samples.*500 samples x 50 units"),
        ({"samples": 2}, "samples of gaussian is 2; .*3"),
        ({"units": 0}, "units of gaussian is 0"),
    ],
)
def test_gaussians_that_cannot_be(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        simopt.load_dataset("gaussian", **options)


def test_gaussian_has_the_spectrum_of_its_options() -> None:
    listed = simopt.load_dataset("gaussian", samples=40, units=6, spectrum=[1, 3, 4])
    np.testing.assert_allclose(listed.spectrum(), [0.5, 0.375, 0.125])
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
