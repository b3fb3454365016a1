"""Try to break the bounds of ``simopt.theory.bounds``: adversarial random pairs, then gradient ascent.

X = diag(sqrt(p)) in the space of the centered samples. This loses no generality, because all scores ignore
rotations of samples and of units. For each bound the script prints how many pairs were tried, the worst
margin (above 0: the bound is broken), and the smallest gap (how nearly the bound is reached) among pairs
where neither the given score nor the limit is close to an end of its range. Given scores are taken as known
to 1e-12.

Besides the bounds of the package, the script attacks bounds between CKA and NBS for known spectra of X and
Y. With rho = XX' / tr XX' and sigma = YY' / tr YY', T = tr(rho sigma) = cka / sqrt(PR_x PR_y) and nbs =
tr (rho^1/2 sigma rho^1/2)^1/2, the root fidelity of two quantum states; mu_i are the singular values of
rho^1/2 sigma^1/2, T = sum mu_i^2 and nbs = sum mu_i. ``participation`` is not a bound: it checks that the
attack can break a false one.

    python scripts/attack_bounds.py [--pairs 100000] [--starts 8] [--steps 150] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simopt.theory import bounds
from simopt.theory.bounds.setting import Floats, Setting

ROUNDING = 1e-12
FALSE = "participation"
CORE = ("cka", "nbs", "linreg", "cca")
PAIRS = [(a, b) for a in CORE for b in CORE if a != b]


@dataclass
class Tally:
    """How one bound fared: pairs tried, worst margin, smallest gap."""

    tried: int = 0
    worst: float = -np.inf
    gap: float = np.inf

    def add(self, margins: Floats, inside: npt.NDArray[np.bool_]) -> None:
        self.tried += len(margins)
        self.worst = max(self.worst, float(np.nanmax(margins)))
        if inside.any():
            self.gap = min(self.gap, float(np.abs(margins[inside]).min()))


def inner(level: Floats, most: float) -> npt.NDArray[np.bool_]:
    """Whether a level is at least 2 % of its range away from both ends."""
    return (level > 0.02 * most) & (level < 0.98 * most)


def scores(share: Tensor, Y: Tensor) -> dict[str, Tensor]:
    """Return all quantities in the bounds, (B,) each, for p (B, K) or (K,) and Y (B, N, q)."""
    K, q = share.shape[-1], Y.shape[-1]
    left, values, _ = torch.linalg.svd(Y, full_matrices=False)
    inside = values > 1e-10 * values[..., :1]
    values = values * inside  # leave out of Y what is too small to count towards its rank
    basis = left[..., :K, :] * inside[..., None, :]
    cross = share.sqrt()[..., :, None] * basis * values[..., None, :]
    total = values.square().sum(-1)
    mu = torch.linalg.svdvals(cross)
    fourth_y = values.pow(4).sum(-1)
    rank = inside.sum(-1).clamp(max=K).to(Y.dtype)
    return {
        "cka": mu.square().sum(-1) / (share.square().sum(-1) * fourth_y).sqrt(),
        "nbs": mu.sum(-1) / total.sqrt(),
        "linreg": (share.sqrt()[..., :, None] * basis).square().sum((-2, -1)),
        "cca": torch.linalg.svdvals(basis).sum(-1) / min(K, q),
        "x_ratio": (1 / share.square().sum(-1)).expand(total.shape),
        "y_ratio": total.square() / fourth_y,
        "rank": rank,
        "fourth": mu.pow(4).sum(-1) / total.square(),
    }


def overlap(cka: Floats, x_ratio: Floats, y_ratio: Floats) -> Floats:
    """Return T = cka / sqrt(PR_x PR_y), elementwise, PR the participation ratios of the spectra.

    ||K||_F / tr K = 1 / sqrt(PR).
    """
    return np.asarray(cka) / (np.asarray(x_ratio) * np.asarray(y_ratio)) ** 0.5


def ranks(cka: Floats, x_ratio: Floats, y_ratio: Floats, rank: Floats) -> tuple[Floats, Floats]:
    """Return T and min(k_x, k_y) T, between which nbs^2 lies; k are ranks.

    sum mu^2 <= (sum mu)^2 <= rank sum mu^2 (Cauchy-Schwarz). Sharp below where one side has rank one, above
    where all mu are equal. The ranks cannot be replaced by participation ratios, as
    ``participation`` would have it.

    Parameters
    ----------
    cka, x_ratio, y_ratio : array
        x_ratio and y_ratio are participation ratios.
    rank : array
        The smaller rank.
    """
    low = overlap(cka, x_ratio, y_ratio)
    return low, np.asarray(rank) * low


def participation(cka: Floats, x_ratio: Floats, y_ratio: Floats) -> Floats:
    """Return min(PR_x, PR_y) cka, which does NOT bound nbs^2 from above, though it has been stated to.

    The spectrum 1 - e and a flat tail e / N against Y of the flat tail alone: nbs^2 = e and
    cka = e / sqrt(N (1 - e)^2 + e^2), so that min(PR) cka, with PR_x = 1 / ((1 - e)^2 + e^2 / N), falls
    below nbs^2 as N grows. It is here so that the attack has a false bound to break.
    """
    return np.minimum(x_ratio, y_ratio) * np.asarray(cka)


def super_fidelity(cka: Floats, x_ratio: Floats, y_ratio: Floats) -> Floats:
    """Return T + sqrt((1 - 1/PR_x) (1 - 1/PR_y)), an upper limit of nbs^2.

    Sharp for ranks up to 2 in a common plane, where nbs^2 = T + 2 sqrt(det rho det sigma) and
    2 det = 1 - 1/PR, and at Y = X.

    Source: Miszczak et al. 2009, Sub- and super-fidelity as bounds for quantum fidelity.
    """
    mixedness: Floats = np.maximum(1 - 1 / np.asarray(x_ratio), 0) * np.maximum(
        1 - 1 / np.asarray(y_ratio), 0
    )
    return overlap(cka, x_ratio, y_ratio) + mixedness**0.5


def sub_fidelity(cka: Floats, x_ratio: Floats, y_ratio: Floats, fourth: Floats) -> Floats:
    """Return T + sqrt(2 (T^2 - tr rho sigma rho sigma)), a lower limit of nbs^2.

    (sum mu)^2 = T + 2 e_2(mu) and 2 e_2(mu^2) = T^2 - sum mu^4; e_2(mu)^2 >= e_2(mu^2), as the other products
    are not negative. Sharp where at most two mu are not zero.

    Parameters
    ----------
    cka, x_ratio, y_ratio : array
    fourth : array
        tr rho sigma rho sigma = sum mu^4.

    Source: Miszczak et al. 2009, Sub- and super-fidelity as bounds for quantum fidelity.
    """
    product = overlap(cka, x_ratio, y_ratio)
    rest: Floats = np.maximum(product**2 - np.asarray(fourth), 0)
    return product + (2 * rest) ** 0.5


GENERAL: dict[str, tuple[tuple[str, ...], Callable[..., Floats], int]] = {
    "ranks, lower": (("cka", "x_ratio", "y_ratio", "rank"), lambda *f: ranks(*f)[0], -1),
    "ranks, upper": (("cka", "x_ratio", "y_ratio", "rank"), lambda *f: ranks(*f)[1], 1),
    "super_fidelity": (("cka", "x_ratio", "y_ratio"), super_fidelity, 1),
    "sub_fidelity": (("cka", "x_ratio", "y_ratio", "fourth"), sub_fidelity, -1),
    FALSE: (("cka", "x_ratio", "y_ratio"), participation, 1),
}


def spectrum(rng: np.random.Generator, K: int) -> Floats:
    kind = rng.integers(6)
    if kind == 0:
        values = np.arange(1, K + 1) ** -rng.uniform(0, 4)
    elif kind == 1:
        spike = rng.uniform(0.01, 0.99)
        values = np.array([spike] + [(1 - spike) / max(K - 1, 1)] * (K - 1))
    elif kind == 2:
        values = np.array([1.0] + [10 ** -rng.uniform(1, 8)] * (K - 1))
    elif kind == 3:
        values = rng.choice(10 ** -rng.uniform(0, 4, size=3), size=K)
    elif kind == 4:
        values = np.exp(-rng.uniform(0, 3) * np.arange(K))
    else:
        values = rng.exponential(size=K)
    values = np.sort(values)[::-1]
    return values / values.sum()


def datasets(rng: np.random.Generator, share: Floats, N: int, q: int, B: int) -> Floats:
    """Return Y, (B, N, q), of an adversarial family drawn at random."""
    K = len(share)
    X = np.zeros((B, N, q))
    d = min(K, q)
    X[:, range(d), range(d)] = np.sqrt(share[:d])
    noise = rng.standard_normal((B, N, q))
    size = 10 ** rng.uniform(-6, 1, size=(B, 1, 1))
    kind = rng.integers(9)
    if kind == 0:
        return noise
    if kind == 1:
        return noise * 10 ** rng.uniform(-4, 0, size=(B, N, 1))
    if kind == 2:
        return X + size * noise / np.sqrt(N * q)
    if kind == 3:  # some of the PCs of X, and noise outside of their span
        noise[:, :K] = 0
        return X * rng.integers(2, size=(B, 1, q)) + size * noise / np.sqrt(N * q)
    if kind == 4:  # amplitudes p^a
        out = np.zeros((B, N, q))
        out[:, range(d), range(d)] = share[:d] ** rng.uniform(-1, 3, size=(B, 1))
        return out
    if kind == 5:  # each PC rotated towards a direction outside of the span of X
        angle = rng.uniform(0, np.pi / 2, size=(B, d)) * rng.integers(2, size=(B, d))
        out = X.copy()
        out[:, range(d), range(d)] *= np.cos(angle)
        outside = min(d, N - K)
        out[:, range(K, K + outside), range(outside)] = np.sqrt(share[:outside]) * np.sin(angle[:, :outside])
        return out
    if kind == 6:  # few singular values, clustered, in a random frame
        left = np.linalg.qr(noise)[0] if q <= N else np.linalg.qr(noise.swapaxes(1, 2))[0].swapaxes(1, 2)
        return left * rng.choice([1.0, 0.1, 1e-3], size=(B, 1, q))
    if kind == 7:  # flat on the last PCs
        out = np.zeros((B, N, q))
        first = rng.integers(d)
        out[:, range(first, d), range(first, d)] = 1
        return out + (rng.random() < 0.5) * size * 1e-3 * noise
    out = np.zeros((B, N, q))  # the first PCs, and a flat rest outside of the span
    k = rng.integers(1, d + 1)
    out[:, range(k), range(k)] = np.sqrt(share[:k])
    outside = min(q - k, N - K)
    if outside > 0:
        out[:, range(K, K + outside), range(k, k + outside)] = rng.uniform(0, 1, size=(B, 1))
    return out


def random_attack(pairs: int, rng: np.random.Generator, batch: int = 250) -> dict[str, Tally]:
    tallies = {f"{a} -> {b}, {side}": Tally() for a, b in PAIRS for side in ("lower", "upper")}
    tallies |= {name: Tally() for name in GENERAL}
    done = 0
    while done < pairs:
        B = min(batch, pairs - done)
        K = int(rng.integers(1, 9)) if rng.random() < 0.8 else int(rng.integers(9, 25))
        N = K + int(rng.integers(0, K + 4))
        N = max(N, 2)
        q = int(rng.integers(1, N + 4))
        share = spectrum(rng, K)
        Y = datasets(rng, share, N, q, B)
        quantities = {k: v.numpy() for k, v in scores(torch.from_numpy(share), torch.from_numpy(Y)).items()}
        check_known_x(tallies, share, N + 1, q, quantities)
        for name in GENERAL:
            margins = general_margins(name, quantities)
            tallies[name].add(margins, inner(quantities["cka"], 1) & inner(quantities["nbs"], 1))
        done += B
    return tallies


def check_known_x(
    tallies: dict[str, Tally], share: Floats, samples: int, units: int, quantities: dict[str, Floats]
) -> None:
    most = bounds.limits(Setting.of(share, samples=samples, units=units))
    for a, b in PAIRS:
        levels = np.concatenate([quantities[a] - ROUNDING, quantities[a] + ROUNDING])
        limits = bounds.between(a, b, share, samples=samples, units=units, levels=levels)
        B = len(quantities[a])
        for side, margins, limit in (
            ("lower", limits.lower[:B] - quantities[b], limits.lower[:B]),
            ("upper", quantities[b] - limits.upper[B:], limits.upper[B:]),
        ):
            tallies[f"{a} -> {b}, {side}"].add(margins, inner(quantities[a], most[a]) & inner(limit, most[b]))


def general_margins(name: str, quantities: dict[str, Floats]) -> Floats:
    """How far nbs^2 lies outside of a limit with both spectra known, (B,)."""
    features, limit, side = GENERAL[name]
    values = [quantities[feature] for feature in features]
    nearby = [
        limit(*(v * (1 + sign * ROUNDING * (i == j)) for j, v in enumerate(values)))
        for i in range(len(values))
        for sign in (-1, 1)
    ]
    return side * quantities["nbs"] ** 2 - np.max(side * np.array(nearby), axis=0)


def curves(
    share: Floats, samples: int, units: int
) -> Iterator[tuple[str, str, int, Callable[[Floats], Floats]]]:
    for bound in bounds.bounds(Setting.of(share, samples=samples, units=units)):
        yield bound.given, bound.implied, -1, bound.lower
        yield bound.given, bound.implied, 1, bound.upper


DIRECT = [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]  # the curves that are not found by bisection


def gradient_attack(starts: int, steps: int, seed: int, targets: list[str] | None = None) -> dict[str, Tally]:
    """Raise the margin of every bound by Adam over the spectrum of X and over Y, from many starts."""
    tallies: dict[str, Tally] = {}
    shapes = [(3, 8, 4), (5, 12, 3), (4, 5, 6)]
    for at, (K, N, q) in enumerate(shapes):
        named = list(curves(np.ones(K) / K, N + 1, q))
        for index in DIRECT:
            a, b, side, _ = named[index]
            name = f"{a} -> {b}, {'lower' if side < 0 else 'upper'}"
            if targets is None or name in targets:
                tallies.setdefault(name, Tally()).add(*_climb(index, (K, N, q), starts, steps, seed + at))
    for name in GENERAL:
        if targets is None or name in targets:
            tallies.setdefault(name, Tally()).add(*_climb(name, (8, 16, 8), starts, steps, seed))
    return tallies


def _climb(
    target: int | str, shape: tuple[int, int, int], starts: int, steps: int, seed: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    K, N, q = shape
    make = torch.Generator().manual_seed(seed)
    logits = torch.randn(starts, K, generator=make, dtype=torch.float64) * 1.5
    Y = torch.randn(starts, N, q, generator=make, dtype=torch.float64)
    Y = Y * 10 ** (-2 * torch.rand(starts, N, 1, generator=make, dtype=torch.float64))
    logits.requires_grad_()
    Y.requires_grad_()
    optimizer = torch.optim.Adam([logits, Y], lr=0.03)
    seen, within = [], []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.03 * (1 - step / steps) + 1e-4
        share = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True).values
        quantities = scores(share, Y)
        if isinstance(target, str):
            value, objective = _general(target, quantities)
        else:
            value, objective = _known_x(share, quantities, target, N + 1, q)
        seen.append(value)
        within.append(
            np.all([inner(quantities[s].detach().numpy(), 1) for s in ("cka", "nbs", "linreg")], axis=0)
        )
        optimizer.zero_grad()
        (-objective.sum()).backward()
        for parameter in (logits, Y):
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimizer.step()
    return np.concatenate(seen), np.concatenate(within)


def _general(name: str, quantities: dict[str, Tensor]) -> tuple[Floats, Tensor]:
    features, limit, side = GENERAL[name]
    detached = {feature: quantities[feature].detach().numpy() for feature in ("nbs", *features)}
    values = [detached[feature] for feature in features]
    score = quantities["nbs"].square()
    objective = side * score
    for i, feature in enumerate(features):
        step = 0.0 if feature == "rank" else 1e-7
        up, down = ([v + s * step * (i == j) for j, v in enumerate(values)] for s in (1, -1))
        slope = (limit(*up) - limit(*down)) / 2e-7
        objective = objective - side * torch.from_numpy(np.asarray(slope)) * quantities[feature]
    return general_margins(name, detached), objective


def _known_x(
    share: Tensor, quantities: dict[str, Tensor], index: int, samples: int, q: int
) -> tuple[Floats, Tensor]:
    p = share.detach().numpy()
    margin, slopes, turns = [], [], np.zeros_like(p)
    a, b, side, _ = list(curves(p[0], samples, q))[index]
    given_scores = quantities[a].detach().numpy()

    def limit(row: Floats, levels: Floats) -> Floats:
        return list(curves(row, samples, q))[index][3](levels)

    for i, row in enumerate(p):
        h = 1e-6
        safe, up, down = limit(
            row, np.array([given_scores[i] + side * ROUNDING, given_scores[i] + h, given_scores[i] - h])
        )
        margin.append(side * (float(quantities[b][i].detach()) - safe))
        slopes.append((up - down) / (2 * h))
        for j in range(len(row)):
            step = h * row[j] * np.eye(len(row))[j]
            turns[i, j] = (
                limit(row + step, given_scores[i : i + 1]) - limit(row - step, given_scores[i : i + 1])
            )[0] / (2 * h * row[j])
    objective = (
        quantities[b]
        - torch.tensor(np.array(slopes)) * quantities[a]
        - (torch.from_numpy(turns) * share).sum(-1)
    )
    return np.array(margin), side * objective


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    options = parser.parse_args()
    start = time.perf_counter()
    results = {"random": random_attack(options.pairs, np.random.default_rng(options.seed))}
    results["gradient"] = gradient_attack(options.starts, options.steps, options.seed)
    plain = {
        attack: {name: vars(tally) for name, tally in tallies.items()} for attack, tallies in results.items()
    }
    plain["seconds"] = {"all": time.perf_counter() - start}
    if options.json:
        print(json.dumps(plain, indent=2))
        return
    for attack, tallies in results.items():
        print(f"\n{attack:30}{'tried':>10}{'worst margin':>16}{'smallest gap':>16}")
        for name, tally in tallies.items():
            print(f"{name:30}{tally.tried:>10}{tally.worst:>16.2e}{tally.gap:>16.2e}")
    print(json.dumps(plain))


if __name__ == "__main__":
    main()
