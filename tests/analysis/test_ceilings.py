"""Noise ceilings against the score of a known signal, which simulation tells without any correction."""

import numpy as np
import pytest

from simopt import measures
from simopt.analysis.ceilings import Ceiling, from_snr, from_trials
from simopt.datasets.base import Trials
from simopt.datasets.twin import gaussian_responses
from simopt.errors import InputError

NAMES = ("cka", "nbs", "procrustes_angular", "linreg", "rsa_correlation_corr", "procrustes_euclidean")
COSINES = NAMES[:5]


def get(*names: str) -> list[measures.Measure]:
    return [measures.get(name) for name in names]


def power_law(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A signal of mean square 1 with spectrum 1/i."""
    spectrum = 1 / np.arange(1, shape[-1] + 1)
    return gaussian_responses(spectrum / spectrum.sum(), shape, rng)


def noise(shape: tuple[int, ...], snr: float, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape) / np.sqrt(snr)


def record(signal: np.ndarray, trials: int, snr: float, rng: np.random.Generator) -> Trials:
    """Trials of a signal (..., condition, unit), each with noise of variance 1 / snr."""
    conditions = signal.shape[-2]
    condition = np.tile(np.arange(conditions), trials)
    repeated = signal[..., condition, :]
    return Trials(repeated + noise(repeated.shape, snr, rng), condition)


def truth(
    signal: np.ndarray, trials: int, snr: float, rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean scores of the signal, and of a second recording, against a recording of so many trials."""
    flat = signal.reshape(-1, signal.shape[-1])
    value: dict[str, list[float]] = {name: [] for name in NAMES}
    replicate: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(10):
        first, second = (flat + noise(flat.shape, snr * trials, rng) for _ in range(2))
        for name in NAMES:
            value[name].append(measures.score(first, flat, name))
            replicate[name].append(measures.score(first, second, name))
    return tuple({name: float(np.mean(of[name])) for name in NAMES} for of in (value, replicate))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("snr", "trials", "bar"),
    [(0.1, 4, 0.06), (0.1, 10, 0.03), (0.5, 2, 0.05), (0.5, 4, 0.02), (2.0, 2, 0.02)],
)
def test_the_ceiling_is_the_score_of_the_known_signal(snr: float, trials: int, bar: float) -> None:
    rng = np.random.default_rng(0)
    signal = power_law((200, 30), rng)
    value, replicate = truth(signal, trials, snr, rng)
    ceilings = from_trials(record(signal, trials, snr, rng), get(*NAMES), splits=10)
    for name in COSINES:
        ceiling = ceilings[name]
        assert ceiling.value == pytest.approx(value[name], abs=bar), name
        assert ceiling.replicate == pytest.approx(replicate[name], abs=1.5 * bar), name
        halves = ceiling.halves.mean()
        spearman_brown = np.sqrt(2 * halves / (1 + halves))
        assert abs(ceiling.value - value[name]) < abs(halves - value[name])
        if name in ("procrustes_angular", "linreg"):
            assert abs(ceiling.value - value[name]) < abs(spearman_brown - value[name])
    assert ceilings["procrustes_euclidean"].value == pytest.approx(value["procrustes_euclidean"], rel=bar)


def test_for_one_unit_it_is_spearman_brown() -> None:
    # cka, linreg and nbs^2 are the squared correlation there, whose ceiling is 1 / (1 + c / T).
    rng = np.random.default_rng(1)
    trials = record(power_law((3000, 1), rng), 4, 0.5, rng)
    ceilings = from_trials(trials, get("cka", "linreg", "nbs"), splits=10)
    reliability = ceilings["nbs"].halves.mean()
    corrected = 2 * reliability / (1 + reliability)
    for ceiling, power in ((ceilings["cka"], 2), (ceilings["linreg"], 2), (ceilings["nbs"], 1)):
        assert ceiling.value == pytest.approx(corrected ** (power / 2), abs=0.01)
        assert ceiling.value == pytest.approx((1 / (1 + 1 / 2)) ** (power / 2), abs=0.02)
        assert ceiling.replicate == pytest.approx(corrected**power, abs=0.01)


def test_more_units_than_samples() -> None:
    rng = np.random.default_rng(2)
    spectrum = 1 / np.arange(1, 40)
    signal = gaussian_responses(spectrum / spectrum.sum(), (40, 60), rng)
    value, _ = truth(signal, 4, 1.0, rng)
    ceilings = from_trials(record(signal, 4, 1.0, rng), get(*NAMES), splits=10)
    for name in COSINES:
        assert ceilings[name].value == pytest.approx(value[name], abs=0.02), name
    assert ceilings["linreg"].value == pytest.approx(1)


def test_responses_with_time_and_unequal_numbers_of_trials() -> None:
    rng = np.random.default_rng(3)
    signal = power_law((4, 50, 10), rng)
    condition = np.repeat(np.arange(50), rng.integers(2, 7, 50))
    repeated = signal[:, condition, :]
    trials = Trials((repeated + noise(repeated.shape, 0.5, rng)).astype(np.float32), condition)
    ceilings = from_trials(trials, get("cka", "nbs"), splits=20)
    counts = np.bincount(condition)[:, None]
    flat = signal.reshape(-1, 10)
    for name, ceiling in ceilings.items():
        scores = [
            measures.score(
                (signal + noise(signal.shape, 0.5, rng) / np.sqrt(counts)).reshape(-1, 10), flat, name
            )
            for _ in range(20)
        ]
        assert ceiling.value == pytest.approx(np.mean(scores), abs=0.03)
        assert ceiling.interval[0] < ceiling.value < ceiling.interval[1]
        assert ceiling.halves.shape == (20,)


def test_the_halves_tell_whether_the_model_holds() -> None:
    rng = np.random.default_rng(4)
    signal = power_law((150, 10), rng)
    ceiling = from_trials(record(signal, 4, 1.0, rng), get("cka"), splits=20)["cka"]
    assert ceiling.expected_halves == pytest.approx(ceiling.halves.mean(), abs=0.03)
    assert ceiling.correction == "deconvolved signal, calibrated by halves"
    assert ceiling.halves.mean() < ceiling.replicate < ceiling.value < 1


def test_noise_in_few_directions_shows_in_the_halves_and_is_made_up_for(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((60, 100)) * np.arange(1, 101) ** -0.5
    signal = signal @ np.linalg.qr(rng.standard_normal((100, 100)))[0]
    scale = signal.std() * np.sqrt(2 / np.arange(1, 101) / np.mean(1 / np.arange(1, 101)))
    axes = scale[:, None] * np.linalg.qr(rng.standard_normal((100, 100)))[0]
    condition = np.tile(np.arange(60), 4)

    def trials() -> Trials:
        return Trials(signal[condition] + rng.standard_normal((240, 100)) @ axes, condition)

    true = np.mean([measures.score(trials().average(), signal, "cka") for _ in range(20)])
    recordings = [trials() for _ in range(5)]
    calibrated = [from_trials(recording, get("cka"), splits=8)["cka"].value for recording in recordings]
    monkeypatch.setattr("simopt.analysis.ceilings._calibrated", lambda measures, scores, *_: scores)
    plain = [from_trials(recording, get("cka"), splits=8)["cka"] for recording in recordings]
    assert np.mean([ceiling.halves.mean() - ceiling.expected_halves for ceiling in plain]) > 0.03
    error = np.mean([ceiling.value for ceiling in plain]) - true
    assert error < -0.03
    assert abs(np.mean(calibrated) - true) < 0.6 * abs(error)


def test_the_same_trials_give_the_same_ceiling(rng: np.random.Generator) -> None:
    trials = record(power_law((30, 4), rng), 4, 1.0, rng)
    one, same, other = (from_trials(trials, get("cka"), splits=splits)["cka"] for splits in (4, 4, 5))
    np.testing.assert_array_equal(one.halves, same.halves)
    assert (one.value, one.interval) == (same.value, same.interval)
    assert one.value != other.value


def test_a_ceiling_from_snr_has_a_closed_form_for_one_unit(rng: np.random.Generator) -> None:
    signal = power_law((4000, 1), rng) * 7 + 100
    ceilings = from_snr(signal, 3.0, get("cka", "nbs", "linreg"))
    for name, power in (("cka", 2), ("linreg", 2), ("nbs", 1)):
        assert ceilings[name].value == pytest.approx(0.75 ** (power / 2), abs=0.01)
        assert ceilings[name].replicate == pytest.approx(0.75**power, abs=0.015)
        assert ceilings[name].interval[0] < ceilings[name].value < ceilings[name].interval[1]


def test_noise_from_snr_is_as_large_in_every_unit_as_its_signal(rng: np.random.Generator) -> None:
    # R2 of each unit is snr / (1 + snr), and so is that of all, however the units are scaled.
    signal = rng.standard_normal((3000, 3)) * [1, 100, 10000]
    ceiling: Ceiling = from_snr(signal, 4.0, get("linreg"))["linreg"]
    assert ceiling.value == pytest.approx(0.8, abs=0.01)
    assert ceiling.halves.size == 0
    assert np.isnan(ceiling.expected_halves)
    quieter = from_snr(signal.reshape(30, 100, 3), 40.0, get("procrustes_euclidean"))["procrustes_euclidean"]
    noisy = from_snr(signal, 4.0, get("procrustes_euclidean"))["procrustes_euclidean"]
    assert 0 < quieter.value < noisy.value < noisy.replicate


def test_what_gives_no_ceiling_is_refused(rng: np.random.Generator) -> None:
    signal = power_law((20, 3), rng)
    with pytest.raises(InputError, match="two halves need at least 2"):
        from_trials(record(signal, 1, 1.0, rng), get("cka"))
    same = np.tile(rng.standard_normal((2, 1, 3)), (1, 20, 1)).reshape(40, 3)
    with pytest.raises(InputError, match="no signal is left to estimate"):
        from_trials(Trials(same + 1e-3 * rng.standard_normal((40, 3)), np.tile(np.arange(20), 2)), get("cka"))
    with pytest.raises(InputError, match="rsa_crossnobis"):
        from_snr(signal, 1.0, get("rsa_crossnobis"))
