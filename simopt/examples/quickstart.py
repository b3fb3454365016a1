"""Optimize noise towards a recording, and print the scores at which its first PCs are half captured.

A PC is half captured when the optimized noise first captures half of its variance.

Run it with ``python -m simopt.examples.quickstart``.
"""

import numpy as np

import simopt


def main() -> None:
    """Score noise against a recording, optimize the noise, and print at which scores it captures the PCs."""
    X = simopt.load_dataset("ultrametric").responses  # (samples, units)
    noise = np.random.default_rng(0).standard_normal(X.shape)
    for name in ("cka", "nbs"):
        run = simopt.optimize(X, name, target=0.95, seeds=(0, 1, 2))
        steps = np.median(run.steps_to(0.95))
        print(f"{name}: noise scores {simopt.score(X, noise, name):.2f}; 0.95 after {steps:.0f} steps")
        captured_at = np.median(run.half_capture(), axis=0)
        for i in range(5):
            share = f"{run.variance_ratio[i]:.0%} of the variance"
            print(f"  PC {i + 1} ({share}) is half captured at {captured_at[i]:.2f}")
        print(f"  formula: {simopt.measures.get(name).facts.formula}")


if __name__ == "__main__":
    main()
