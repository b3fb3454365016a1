"""Recordings of a given spectrum, and perturbations of them in directions exactly orthogonal to all PCs."""

import numpy as np
import torch

from simopt.theory.perturbations import mixture, noise_variance


class Exact:
    """X = U S V' (n, p) with the given lambda, and directions W (n, p) orthogonal to U and the constant."""

    def __init__(self, variances, units, samples, seed=0):
        rng = np.random.default_rng(seed)
        k = len(variances)
        drawn = np.concatenate([np.ones((samples, 1)), rng.standard_normal((samples, k + units))], axis=1)
        basis = torch.from_numpy(np.linalg.qr(drawn)[0])
        self.variances = torch.tensor(variances, dtype=torch.float64)
        self.U, self.W = basis[:, 1 : k + 1], basis[:, k + 1 :]
        self.V = torch.from_numpy(np.linalg.qr(rng.standard_normal((units, units)))[0][:, :k])
        self.S = self.variances.sqrt()
        self.X = (self.U * self.S) @ self.V.mT
        self.units, self.samples = units, samples

    def perturbed(self, kind, strength, i):
        if kind == "noise_all":
            nu = noise_variance(self.variances, self.units, strength)
            return self.X + self.W * nu**0.5
        along, across = mixture(kind, strength)
        change = (along - 1) * self.U[:, i] + across * self.W[:, 0]
        return self.X + self.S[i] * torch.outer(change, self.V[:, i])
