"""What extreme Y captured and what is decoded from them."""

import numpy as np
import torch

import simopt
from simopt.analysis.decoding import reference_decoding, standard_plans
from simopt.analysis.extremes import inspect


def test_x_itself_captures_and_decodes_as_the_recording_does():
    dataset = simopt.load_dataset("ultrametric")
    X = torch.from_numpy(dataset.samples().copy()).double()
    nothing = torch.full_like(X, torch.nan)
    without_first = X - X.mean(dim=0)
    left, values, right = torch.linalg.svd(without_first, full_matrices=False)
    without_first = left[:, 1:] * values[1:] @ right[1:]
    Y = torch.stack([torch.stack([X, without_first]), torch.stack([nothing, X])])
    extremes = inspect(Y, dataset.responses, standard_plans(dataset)[0])
    np.testing.assert_allclose(extremes.captured[0, 0], 1, atol=1e-9)
    np.testing.assert_allclose(
        extremes.captured[0, 1], [0, *[1] * (extremes.captured.shape[-1] - 1)], atol=1e-9
    )
    assert np.isnan(extremes.captured[1, 0]).all()
    reference = reference_decoding(dataset)
    assert extremes.decoding.keys() == reference.keys() != set()
    for label, accuracy in extremes.decoding.items():
        assert accuracy[0, 0] == reference[label]["accuracy"]
        assert np.isnan(accuracy[1, 0])
    spectrum = dataset.spectrum()
    share = extremes.half_captured(spectrum)
    np.testing.assert_allclose([share[0, 0], share[0, 1]], [1, 1 - spectrum[0]], atol=1e-12)
    assert np.isnan(share[1, 0])


def test_labels_are_decoded_only_where_they_are_given():
    dataset = simopt.load_dataset("gaussian", samples=30, units=4)
    Y = torch.from_numpy(dataset.samples().copy())[None, None].repeat(1, 2, 1, 1)
    assert inspect(Y, dataset.responses).decoding == {}
