"""Noise ceilings against the score of a known signal, least squares with dummies, and closed forms."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

import simopt
from simopt import measures
from simopt.analysis.ceilings import Ceiling, from_snr, from_trials
from simopt.analysis.ceilings.noise import Noise
from simopt.analysis.ceilings.recording import Recording
from simopt.analysis.ceilings.spectra import Signal
from simopt.app.terminal.tables import scores_table
from simopt.datasets import Trials
from simopt.datasets.twin import gaussian_responses
from simopt.errors import InputError
from simopt.rows import Rows
from simopt.store.state import build

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "data" / "measured" / "ceilings.json"
CORES = ("cka", "cka_debiased", "nbs", "procrustes_angular")


def get(*names: str) -> list[measures.Measure]:
    return [measures.get(name) for name in names]


def power_law(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A signal of mean square 1 with spectrum 1/i."""
    spectrum = 1 / np.arange(1, shape[-1] + 1)
    return gaussian_responses(spectrum / spectrum.sum(), shape, rng)


def record(signal: np.ndarray, repeats: int, noise: float, rng: np.random.Generator) -> Trials:
    """Repeats of a signal (..., condition, unit), each with noise of variance ``noise``."""
    condition = np.tile(np.arange(signal.shape[-2]), repeats)
    repeated = signal[..., condition, :]
    return Trials(repeated + np.sqrt(noise) * rng.standard_normal(repeated.shape), condition)


def truth(trials: Trials, signal: np.ndarray, name: str) -> float:
    A, S = (of.reshape(-1, signal.shape[-1]) for of in (trials.average(), signal))
    return measures.score(A, S, name)


@pytest.mark.parametrize(
    ("units", "noise", "repeats", "bar"), [(1, 0.5, 4, 0.05), (8, 2.0, 4, 0.03), (60, 5.0, 8, 0.03)]
)
def test_the_ceiling_is_the_score_of_the_known_signal(
    units: int, noise: float, repeats: int, bar: float, rng: np.random.Generator
) -> None:
    signal = power_law((100, units), rng)
    trials = record(signal, repeats, noise, rng)
    names = [*CORES, *(["ridge_cv", "linreg_cv5", "linreg", "rsa"] if units == 8 else [])]
    for name, ceiling in from_trials(trials, get(*names), splits=4).items():
        true = truth(trials, signal, name)
        assert ceiling.interval[0] < true < ceiling.interval[1], name
        assert name not in CORES or ceiling.value == pytest.approx(true, abs=bar), name
        assert ceiling.interval[0] < ceiling.value < ceiling.interval[1]
        assert ceiling.halves.mean() < ceiling.replicate < ceiling.value, name
        low, high = ceiling.expected_halves_interval
        assert low < ceiling.halves.mean() < high, name
        assert ceiling.reason == ""


def test_for_one_unit_it_is_the_share_of_the_signal(rng: np.random.Generator) -> None:
    """CKA is the squared correlation, which the classical reliability of the average estimates."""
    trials = record(power_law((2000, 1), rng), 4, 2.0, rng)
    values = trials.responses.reshape(4, 2000)
    values = values - values.mean(axis=1, keepdims=True)
    noise = values.var(axis=0, ddof=1).sum() / 4 * 2000 / 1999
    reliability = 1 - noise / np.square(values.mean(axis=0)).sum()
    found = from_trials(trials, get("cka", "nbs", "cka_debiased"), splits=0)
    assert found["cka"].share == pytest.approx(reliability, abs=1e-3)
    assert found["cka"].value == pytest.approx(reliability, abs=1e-3)
    assert found["nbs"].value == pytest.approx(np.sqrt(reliability), abs=1e-3)
    assert found["cka_debiased"].value == pytest.approx(reliability, abs=0.01)


@pytest.mark.parametrize("unequal", [False, True])
def test_a_constant_of_each_repeat_moves_no_ceiling(unequal: bool, rng: np.random.Generator) -> None:
    signal = power_law((40, 6), rng)
    trials = record(signal, 5, 1.0, rng)
    repeat = np.repeat([10, 20, 30, 40, 50], 40)
    kept = rng.random(200) < 0.8 if unequal else np.ones(200, dtype=bool)
    kept[:80] = True  # two repeats of each
    plain = Trials(trials.responses[kept], trials.condition[kept], repeat[kept])
    offsets = dict(zip((10, 20, 30, 40, 50), 30 * rng.standard_normal((5, 6)), strict=True))
    shifted = plain.responses + np.array([offsets[r] for r in plain.repeat])
    names = (*CORES, "linreg_cv5", "rsa_spearman")
    moved = from_trials(Trials(shifted, plain.condition, plain.repeat), get(*names), splits=2)
    for name, ceiling in from_trials(plain, get(*names), splits=2).items():
        assert moved[name].value == pytest.approx(ceiling.value, abs=1e-6), name
        assert moved[name].interval == pytest.approx(ceiling.interval, abs=1e-6), name
        np.testing.assert_allclose(moved[name].halves, ceiling.halves, atol=1e-6)


def test_constants_and_degrees_of_freedom_are_those_of_least_squares(rng: np.random.Generator) -> None:
    condition, repeat = np.repeat(np.arange(25), 4), np.tile(np.arange(4), 25)
    values = rng.standard_normal((100, 3)) + 5 * rng.standard_normal((4, 3))[repeat]
    missing = rng.random((100, 3)) < 0.3
    missing[repeat < 2] = False
    values[missing] = np.nan
    recording = Recording.of(Trials(values, condition, repeat))
    power = np.zeros(3)
    for unit in range(3):
        there = ~missing[:, unit]
        dummies = np.hstack([condition[:, None] == np.arange(25), repeat[:, None] == np.arange(1, 4)])[there]
        fitted, *_ = np.linalg.lstsq(dummies.astype(float), values[there, unit], rcond=None)
        residuals = values[there, unit] - dummies @ fitted
        counts = np.bincount(condition[there])
        centered = fitted[:25] - fitted[:25].mean()
        np.testing.assert_allclose(recording.average[0, :, unit], centered, atol=1e-10)
        freedom = there.sum() - 25 - 3
        # Of each condition: the residuals' variance by the degrees of freedom, over the number of repeats.
        scaled = residuals**2 * (there.sum() - 25) / freedom / (counts * (counts - 1))[condition[there]]
        power[unit] = scaled.sum()
    np.testing.assert_allclose(np.square(recording.deviations).sum(axis=(0, 1)), power, rtol=1e-10)


def test_the_noise_of_the_average_is_the_known_one(rng: np.random.Generator) -> None:
    axes = rng.standard_normal((8, 8)) * np.array([3, 1, 1, 1, 1, 1, 0.3, 0.1])
    weights = np.where(np.arange(150) < 50, 4.0, 1.0)
    condition = np.repeat(np.arange(150), 3)
    estimates = []
    for _ in range(20):
        N = rng.standard_normal((450, 8)) @ axes.T * np.sqrt(weights[condition])[:, None]
        estimates.append(Noise.of(Recording.of(Trials(N, condition))))
    P = axes @ axes.T * weights.mean() / 3
    assert np.mean([of.trace for of in estimates]) == pytest.approx(np.trace(P), rel=0.05)
    assert np.mean([of.squares for of in estimates]) == pytest.approx(np.square(P).sum(), rel=0.05)
    excess = np.mean(weights**2) / np.mean(weights) ** 2
    assert np.mean([of.excess for of in estimates]) == pytest.approx(excess, rel=0.05)
    one = estimates[0]
    drawn = np.stack([one.draw(rng)[0] for _ in range(200)])  # (draw, C, units)
    assert np.square(drawn).sum(axis=2).mean() == pytest.approx(one.trace, rel=0.03)
    U = np.linalg.qr(rng.standard_normal((150, 4)))[0]
    along = np.stack([one.along(U[None], rng) for _ in range(400)])
    direct = np.einsum("cr,dcu->dru", U, drawn)
    np.testing.assert_allclose(np.square(along).mean(), np.square(direct).mean(), rtol=0.1)


def test_the_spectrum_is_debiased(rng: np.random.Generator) -> None:
    """Squared singular values of a signal with noise are far too large; without the noise they are right."""
    U, V = (np.linalg.qr(rng.standard_normal((size, 3)))[0] for size in (200, 50))
    true = np.array([4000.0, 2000.0, 1500.0])
    condition = np.repeat(np.arange(200), 4)
    found, raw = [], []
    for _ in range(10):
        values = ((U * np.sqrt(true)) @ V.T)[condition] + 4 * rng.standard_normal((800, 50))
        recording = Recording.of(Trials(values, condition))
        signal = Signal.of(recording.average, Noise.of(recording))
        found.append(signal.visible[:3])
        raw.append(np.linalg.svd(recording.average[0], compute_uv=False)[:3] ** 2)
        for broad, errors in ((False, 0.0), (True, 0.0), (True, 1.5)):
            spectrum = signal.spectrum(broad=broad, errors=errors)
            assert spectrum.sum() == pytest.approx(signal.size + errors * signal.error)
    np.testing.assert_allclose(np.mean(found, axis=0), true, rtol=0.12)
    assert (np.mean(raw, axis=0) > 1.25 * true).all()


def test_units_with_numbers_of_repeats_of_their_own(rng: np.random.Generator) -> None:
    signal = power_law((80, 12), rng)
    values = signal[:, None] + np.sqrt(2) * rng.standard_normal((80, 10, 12))
    for unit in range(12):
        values[:, 4 + unit % 5 :, unit] = np.nan
    trials = Trials(values.reshape(800, 12), np.repeat(np.arange(80), 10), np.tile(np.arange(10), 80))
    for name, ceiling in from_trials(trials, get(*CORES), splits=3).items():
        true = truth(trials, signal, name)
        assert ceiling.interval[0] < true < ceiling.interval[1], name
        assert ceiling.value == pytest.approx(true, abs=0.03), name


@pytest.mark.parametrize("repeats", [2, 4])
def test_noise_that_lasts_over_times(repeats: int, rng: np.random.Generator) -> None:
    condition = np.repeat(np.arange(60), repeats)
    errors, held, halves = [], [], []
    for _ in range(6):
        signal = power_law((5, 60, 8), rng)
        steps = rng.standard_normal((5, len(condition), 8)).cumsum(axis=0)
        N = steps / np.sqrt(np.arange(1, 6))[:, None, None]
        trials = Trials((signal[:, condition] + np.sqrt(repeats / 2) * N).astype(np.float32), condition)
        for name, of in from_trials(trials, get(*CORES[:3]), splits=2).items():
            true, (low, high) = truth(trials, signal, name), of.expected_halves_interval
            errors.append(of.value - true)
            held.append(of.interval[0] < true < of.interval[1])
            halves.append(low < of.halves.mean() < high)
    assert abs(np.mean(errors)) < 0.01
    assert np.mean(held) > 0.8
    assert np.mean(halves) > 0.8


def test_forms_are_functions_of_one_score(rng: np.random.Generator) -> None:
    trials = record(power_law((40, 6), rng), 4, 1.0, rng)
    names = ("cka", "cka_angular", "nbs", "nbs_squared", "procrustes_angle", "procrustes_angular")
    distances = [measures.get("procrustes_normalized", form=form) for form in ("distance", "disparity")]
    named = [measures.get(name) for name in names]
    found = from_trials(trials, named, splits=0)
    cka, nbs = found["cka"], found["nbs"]
    assert found["cka_angular"].value == pytest.approx(1 - 2 / np.pi * np.arccos(cka.value))
    assert found["nbs_squared"].interval == pytest.approx(tuple(np.square(nbs.interval)))
    assert found["procrustes_angle"].value == pytest.approx(np.arccos(nbs.value))
    assert found["procrustes_angle"].interval == pytest.approx(tuple(np.arccos(nbs.interval[::-1])))
    assert found["procrustes_angular"].value == pytest.approx(1 - 2 / np.pi * np.arccos(nbs.value))
    for measure, value in zip(distances, (np.sqrt(2 - 2 * nbs.value), 1 - nbs.value**2), strict=True):
        assert from_trials(trials, [measure], splits=0)[measure.name].value == pytest.approx(value)


def test_repeats_without_noise_have_the_ceiling_1(rng: np.random.Generator) -> None:
    signal = power_law((30, 4), rng)
    found = from_trials(Trials(np.repeat(signal, 3, axis=0), np.repeat(np.arange(30), 3)), get(*CORES))
    for ceiling in found.values():
        assert ceiling.value == pytest.approx(1, abs=1e-6)
        assert ceiling.interval[1] <= 1


def test_more_units_than_conditions(rng: np.random.Generator) -> None:
    signal = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 300))
    trials = record(signal, 4, 5.0, rng)
    for name, ceiling in from_trials(trials, get(*CORES), splits=0).items():
        assert ceiling.interval[0] < truth(trials, signal, name) < ceiling.interval[1], name


def test_a_ceiling_depends_on_nothing_but_the_trials(rng: np.random.Generator) -> None:
    trials = record(power_law((30, 4), rng), 4, 1.0, rng)
    one, same = (from_trials(trials, get("cka"), splits=4)["cka"] for _ in range(2))
    other = from_trials(trials, get("nbs", "cka", "rsa"), splits=2)["cka"]
    np.testing.assert_array_equal(one.halves, same.halves)
    assert (one.value, one.interval) == (same.value, same.interval) == (other.value, other.interval)


def reasons(trials: Trials, *names: str) -> list[str]:
    found = from_trials(trials, get(*names), splits=1)
    assert all(np.isnan(ceiling.value) and ceiling.known is None for ceiling in found.values())
    return [ceiling.reason for ceiling in found.values()]


def test_a_ceiling_that_cannot_be_had_has_a_reason(rng: np.random.Generator) -> None:
    signal = power_law((40, 12), rng)
    (reason,) = reasons(record(signal, 1, 1.0, rng), "cka")
    assert "condition 0 has 1 repeat; at least 2" in reason
    (reason,) = reasons(record(signal[:12], 4, 1.0, rng), "cka")
    assert "12 conditions; at least 20" in reason
    (reason,) = reasons(record(0 * signal, 4, 1.0, rng), "nbs")
    assert "not told from the noise" in reason
    (reason,) = reasons(record(power_law((200, 40), rng), 4, 20.0, rng), "nbs")
    assert "of the variance of the average, less than 25%" in reason
    clear = record(signal, 4, 1.0, rng)
    (reason,) = reasons(clear, "linreg_cv5")
    assert "12 units are more than 25% of the 40 samples" in reason
    (reason,) = reasons(clear, "rsa_crossnobis")
    assert "repeats" in reason
    missing = clear.responses.copy()
    missing[:120, 3] = np.nan
    (reason,) = reasons(Trials(missing, clear.condition), "cka")
    assert "condition 0 has 1 repeat in unit 3" in reason
    single = Trials(clear.responses, clear.condition, np.arange(160))
    (reason,) = reasons(single, "cka")
    assert "no two conditions share a repeat" in reason


def test_without_a_ceiling_there_is_a_score(rng: np.random.Generator) -> None:
    X = simopt.Dataset("X", rng.standard_normal((12, 5)), trials=record(np.zeros((12, 5)), 3, 1.0, rng))
    result = simopt.compare(X, rng.standard_normal((12, 5)), measures=("cka", "rsa_spearman"), draws=0)
    told = json.loads(json.dumps(result.as_json(), allow_nan=False))["measures"]
    for facts in told.values():
        assert facts["ceiling"] is None
        assert "12 conditions" in facts["ceiling_reason"]
        assert "ceiling_interval" not in facts
    assert [row["ceiling"] for row in result.table()] == [None, None]
    assert "no ceiling of cka, rsa_spearman: 12 conditions; at least 20" in scores_table(result).note


def test_a_ceiling_that_was_stored_before_is_read() -> None:
    before = {"measure": "cka", "value": 0.9, "replicate": 0.8, "halves": np.array([0.7])}
    before |= {"expected_halves": 0.71, "interval": [0.8, 0.95], "correction": "given SNR"}
    read = build(Ceiling, before)
    assert (read.known, read.interval, read.reason) == (0.9, (0.8, 0.95), "")
    assert read.as_json()["ceiling_interval"] == [0.8, 0.95]


def calibration() -> object:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import calibrate_ceilings
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return calibrate_ceilings


@pytest.mark.parametrize(
    "cell",
    [
        ("gaussian", "rank 3", 1, 0.5, 4),
        ("gaussian", "flat", 10, 5.0, 8),
        ("counts", "1/k", 10, 5.0, 8),
        ("unequal conditions", "rank 10", 10, 0.5, 2),
        ("unequal repeats", "1/k", 10, 0.5, 4),
    ],
    ids=str,
)
def test_intervals_hold_the_truth(cell: tuple) -> None:
    for name, entry in calibration().run((*cell, "kernels"), 10_000, 12)["measures"].items():
        # Of 12 intervals that hold the truth with probability .92, fewer than 9 do in one case of 250.
        assert entry["given"] == 1, name
        assert entry["covered"] >= 9 / 12, name
        assert abs(entry["bias"]) < 0.03, name


@pytest.mark.slow
def test_the_measured_intervals_hold_the_truth() -> None:
    """The bars hold in cells of 300 data sets or more; smaller ones may miss them by chance."""
    script = calibration()
    table = json.loads(TABLE.read_text())
    assert len(table) > 50
    for key, entry in table.items():
        last = entry.get("again", entry)  # a cell under the bar is run once more, and that counts
        for name, of in last["measures"].items():
            given = round(of["given"] * last["sets"])
            if given:
                fewest = script.BAR * given if given >= 300 else binom.ppf(1e-3, given, script.BAR)
                assert round(of["covered"] * given) >= fewest, (key, name)
            if entry["share"] >= 0.5:
                assert given >= binom.ppf(1e-3, last["sets"], 0.95), (key, name)
                if last["sets"] >= 300:
                    unequal = "conditions" in key and name in ("nbs", "procrustes_angular")
                    assert abs(of["bias"]) < (0.035 if unequal else 0.02), (key, name)


@pytest.mark.parametrize("scale", [1e-85, 1e60, 1e100, np.inf])
def test_values_whose_squares_overflow_have_a_reason(scale: float, rng: np.random.Generator) -> None:
    trials = record(power_law((30, 5), rng), 4, 1.0, rng)
    with np.errstate(invalid="ignore"):
        scaled = Trials(trials.responses * scale, trials.condition)
    found = from_trials(scaled, get(*CORES, "linreg_cv5"))
    assert all("scale them to about 1" in ceiling.reason for ceiling in found.values())


def test_ceilings_keep_groups_together(rng: np.random.Generator) -> None:
    """With the other repeats of an image in train, the noise-free signal is predicted from itself."""
    image = rng.permutation(np.repeat(np.arange(30), 4))
    signal = rng.standard_normal((30, 20))[image] + 0.2 * rng.standard_normal((120, 20))
    rows = Rows.of(120, image)
    (measure,) = get("linreg_cv5")
    noisy = signal + signal.std(axis=0) * np.random.default_rng(1).standard_normal(signal.shape)
    for groups in (None, image):
        expected = float(measure(noisy, signal, groups=groups))
        kept = None if groups is None else rows
        found = from_snr(signal, 1.0, [measure], rows=kept)["linreg_cv5"]
        assert found.value == pytest.approx(expected, abs=0.08)
    trials = record(signal, 6, 1.0, rng)
    apart, together = (from_trials(trials, [measure], rows=kept)["linreg_cv5"] for kept in (None, rows))
    assert together.halves.mean() < apart.halves.mean() - 0.05
    assert (
        together.interval[0] < float(measure(trials.average(), signal, groups=image)) < together.interval[1]
    )


def test_trials_of_other_data_are_refused(rng: np.random.Generator) -> None:
    trials = record(rng.standard_normal((30, 5)), 4, 1.0, rng)
    with pytest.raises(InputError, match=r"condition of trials has shape \(119,\)"):
        Trials(trials.responses, trials.condition[1:])
    with pytest.raises(InputError, match=r"average has shape \(30, 3\)"):
        simopt.Dataset("x", trials.average(), trials=Trials(trials.responses[:, :3], trials.condition))


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


def test_from_snr_says_which_measure_has_none(rng: np.random.Generator) -> None:
    found = from_snr(power_law((20, 3), rng), 1.0, get("cka", "rsa_crossnobis"), draws=2)
    assert found["cka"].known is not None
    assert found["rsa_crossnobis"].known is None
    assert "rsa_crossnobis" in found["rsa_crossnobis"].reason
