"""How often unrelated data rank at or above percentile 95, and how often related data do.

Each cell draws pairs of data sets of one kind and ranks them as ``simopt.compare`` does. Alarms: the pairs
are unrelated, and 5 % of percentiles that hold are at or above 95. Power: Y is X times a random matrix plus
noise of the same kind, at the noise at which the exact exchange, told the kind, finds 80 % of the pairs. The
table is stored in tests/data/measured/nulls.json; a cell that is run again replaces its row.

    python scripts/calibrate_nulls.py --pairs 1000 [--cells independent "AR(1) 0.5"] [--seed 0] [--power]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

import simopt
from simopt.analysis.nulls import UNRELATED, nulls
from simopt.rows import Rows

TABLE = Path(__file__).parents[1] / "tests" / "data" / "measured" / "nulls.json"
N, UNITS, DRAWS = 200, 20, 99
MEASURES = ("cka", "nbs", "linreg")
Make = Callable[[np.random.Generator], np.ndarray]


def series(numerator: list[float], denominator: list[float]) -> Make:
    """Return a maker of stationary series, from the coefficients of an ARMA process."""

    def make(rng: np.random.Generator) -> np.ndarray:
        return lfilter(numerator, denominator, rng.standard_normal((N + 500, UNITS)), axis=0)[500:]

    return make


def autoregressive(a: float) -> Make:
    """Return a maker of AR(1) series of variance 1."""
    return series([np.sqrt(1 - a * a)], [1, -a])


def walk(rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.standard_normal((N, UNITS)), axis=0)


def independent(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, UNITS))


def heavy(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_t(2.5, (N, 1)) * rng.standard_normal((N, UNITS))


def courses(conditions: int, course: float = 1.0) -> Make:
    """Return a maker of time x condition data with a course that all conditions share, (20 x C, units)."""
    slow = [np.sqrt(1 - 0.81)], [1, -0.9]

    def make(rng: np.random.Generator) -> np.ndarray:
        drawn = lfilter(*slow, rng.standard_normal((70, conditions + 1, UNITS)), axis=0)[50:]
        return (course * drawn[:, :1] + drawn[:, 1:]).reshape(-1, UNITS)

    return make


IMAGE, SESSION = np.repeat(np.arange(50), 4), np.repeat(np.arange(5), 40)
BY_REPEAT = np.argsort(np.tile(np.arange(4), 50), kind="stable")


def images(order: np.ndarray | slice) -> Make:
    return lambda rng: (rng.standard_normal((50, UNITS))[IMAGE] + rng.standard_normal((N, UNITS)))[order]


def sessions(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, UNITS))[SESSION] + rng.standard_normal((N, UNITS))


def categories(rng: np.random.Generator) -> np.ndarray:
    return np.repeat(rng.standard_normal((8, UNITS)), 25, axis=0) + rng.standard_normal((N, UNITS))


def counts(a: float) -> Make:
    rate = autoregressive(a)
    return lambda rng: rng.poisson(np.exp(0.5 + 0.5 * rate(rng))).astype(float)


@dataclass(frozen=True)
class Cell:
    """A kind of data: how X and Y are drawn, and what is declared of them."""

    x: Make
    y: Make | None = None
    declared: dict[str, Any] = field(default_factory=dict)
    given: bool = True  # whether a percentile has to be given in at least 95 % of pairs
    also: dict[str, dict[str, Any]] = field(default_factory=dict)  # more measures, with their options


ALL = slice(None)
PROCRUSTES: dict[str, dict[str, Any]] = {"procrustes_angular": {}}
CELLS = {
    "independent": Cell(independent, also=PROCRUSTES),
    "heavy-tailed": Cell(heavy),
    "AR(1) 0.2": Cell(autoregressive(0.2)),
    "AR(1) 0.5": Cell(autoregressive(0.5), also=PROCRUSTES),
    "AR(1) 0.9": Cell(autoregressive(0.9)),
    "AR(1) 0.9 against 0.5": Cell(autoregressive(0.9), autoregressive(0.5)),
    "ARMA": Cell(series([1, 0.6], [1, -1.2, 0.6])),
    "walks": Cell(walk, given=False),
    "5 conditions": Cell(courses(5), declared={"conditions": 5}),
    "10 conditions": Cell(courses(10), declared={"conditions": 10}),
    "images": Cell(images(ALL), declared={"rows": Rows.of(N, IMAGE)}, also=PROCRUSTES),
    "images, by repeat": Cell(
        images(BY_REPEAT),
        declared={"rows": Rows.of(N, IMAGE[BY_REPEAT])},
        also={"rsa_crossnobis": {"repeats": 4}},
    ),
    "sessions": Cell(sessions, declared={"rows": Rows.of(N, blocks=SESSION)}),
    "sorted against independent": Cell(categories, independent),
    "5 conditions, undeclared": Cell(courses(5), given=False),
    "10 conditions, undeclared": Cell(courses(10), given=False),
    "images, undeclared": Cell(images(ALL), given=False),
    "sessions, undeclared": Cell(sessions, given=False),
    "sorted against sorted": Cell(categories, given=False),
    "counts of AR(1) 0.5": Cell(counts(0.5), given=False),
    "counts of AR(1) 0.9": Cell(counts(0.9), given=False),
}
POWER = {
    "independent": ("independent", 0.70),
    "10 conditions": ("10 conditions", 0.70),
    "images": ("images", 0.70),
    "sessions": ("sessions", 0.70),
    "AR(1) 0.2": ("independent", 0.70),
    "AR(1) 0.5": ("independent", 0.40),
    "AR(1) 0.9": ("independent", None),
    "walks": ("independent", None),
}
"""For each cell, the cell whose noise it has, and the least share of pairs that have to be found."""


def ranked(cell: Cell, X: np.ndarray, Y: np.ndarray, seed: int) -> dict[str, Any]:
    """Return percentiles by measure and kind of null."""
    named = {**{name: {} for name in MEASURES}, **cell.also}
    chosen = [simopt.measures.get(name, **options) for name, options in named.items()]
    drawn = nulls(X, Y, chosen, draws=DRAWS, seed=seed, **cell.declared)
    shown = {}
    for measure in chosen:
        for kind, null in drawn[measure.name].items():
            score = simopt.score(X, Y, measure) if kind == UNRELATED else null.observed
            shown[measure.name, kind] = null.percentile(score)
    return shown


def summary(percentiles: list[dict[Any, float]]) -> dict[str, Any]:
    """Return how often a percentile was given, and how often it was at or above 95, by measure and null."""
    table: dict[str, Any] = {}
    for key in sorted({key for drawn in percentiles for key in drawn}):
        values = np.array([drawn.get(key, np.nan) for drawn in percentiles])
        given = np.isfinite(values)
        at = float((values[given] >= 95).mean()) if given.any() else None
        row = {"given": float(given.mean()), "above_95": at}
        table[" ".join(key) if key[1] != UNRELATED else key[0]] = row
    return table


def alarms(name: str, pairs: int, seed: int) -> dict[str, Any]:
    """Return the shares of unrelated pairs of a cell."""
    cell = CELLS[name]
    percentiles = []
    for pair in range(pairs):
        rng = np.random.default_rng([seed, pair, 23])
        X, Y = cell.x(rng), (cell.y or cell.x)(rng)
        percentiles.append(ranked(cell, X, Y, pair))
    return summary(percentiles)


def related(name: str, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair of which Y is X times a random matrix plus noise of the kind of the cell."""
    make = CELLS[name].x
    X = make(rng)
    return X, X @ rng.standard_normal((UNITS, UNITS)) / np.sqrt(UNITS) + noise * make(rng)


def exact(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return one order of the samples by the exact exchange of a kind, in plain numpy."""
    if name == "independent":
        return rng.permutation(N)
    if name == "10 conditions":
        return (np.arange(20)[:, None] * 10 + rng.permutation(10)).reshape(-1)
    if name == "images":
        return (rng.permutation(50)[:, None] * 4 + np.arange(4)).reshape(-1)
    return np.concatenate([40 * session + rng.permutation(40) for session in range(5)])


def cka(X: np.ndarray, Y: np.ndarray) -> float:
    """Return the squared norm of X'Y, to which CKA is proportional under exchanges of Y."""
    return float(np.square((X - X.mean(axis=0)).T @ Y).sum())


def noise_of_80(name: str, pairs: int) -> float:
    """Return the noise at which the exact exchange finds 80 % of related pairs by CKA, by bisection."""
    low, high = np.log(0.3), np.log(30)
    for _ in range(9):
        middle, found = (low + high) / 2, 0
        for pair in range(pairs):
            rng = np.random.default_rng([pair, 29])
            X, Y = related(name, float(np.exp(middle)), rng)
            draws = [cka(X, Y[exact(name, rng)]) for _ in range(DRAWS)]
            found += np.mean(np.array(draws) < cka(X, Y)) >= 0.95
        low, high = (middle, high) if found > 0.8 * pairs else (low, middle)
    return float(np.exp((low + high) / 2))


def main() -> None:
    """Run the cells and store their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--cells", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--power", action="store_true")
    chosen = parser.parse_args()
    noise: dict[str, float] = {}
    for name in chosen.cells or (POWER if chosen.power else CELLS):
        start = time.process_time()
        if chosen.power:
            source, bar = POWER[name]
            noise[source] = noise.get(source) or noise_of_80(source, min(chosen.pairs, 300))
            percentiles = []
            for pair in range(chosen.pairs):
                X, Y = related(name, noise[source], np.random.default_rng([chosen.seed, pair, 31]))
                percentiles.append(ranked(CELLS[name], X, Y, pair))
            row = {"noise": noise[source], "bar": bar, **summary(percentiles)}
        else:
            row = alarms(name, chosen.pairs, chosen.seed)
        row |= {"pairs": chosen.pairs, "seed": chosen.seed}
        stored = json.loads(TABLE.read_text()) if TABLE.exists() else {}
        stored.setdefault("power" if chosen.power else "alarms", {})[name] = row
        TABLE.write_text(json.dumps(stored, indent=1) + "\n")
        rates = {key: value for key, value in row.items() if isinstance(value, dict)}
        shown = [f"{key} {rate['given']:.3f}/{rate['above_95'] or 0:.3f}" for key, rate in rates.items()]
        noisy = f"noise {row['noise']:.2f}" if "noise" in row else ""
        print(f"{name:28} {time.process_time() - start:5.0f} s", *shown, noisy, flush=True)


if __name__ == "__main__":
    main()
