"""Define X and Y in symbols, state the assumptions about them, and write them out for a few PCs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from simopt.theory.derivation.words import Equation, polynomial

# Declared positive or real, so that sympy may simplify roots and absolute values; t and a have either sign.
n, p, K = sp.symbols("n p K", integer=True, positive=True)
i, k = sp.symbols("i k", integer=True, positive=True)
t, a = sp.symbols("t a", real=True)
eta, nu, delta, rho, D = sp.symbols("eta nu delta rho D", positive=True)
lambda_i, lambda_j, sigma_1, sigma_2 = sp.symbols("lambda_i lambda_j sigma_1 sigma_2", positive=True)
S_1, S_2, S_rho, R_0 = sp.symbols("S_1 S_2 S_rho R_0", positive=True)
p_i, q_i, r_i, p_j, q_j, r_j = sp.symbols("p_i q_i r_i p_j q_j r_j", positive=True)
lam, c, g = sp.IndexedBase("lambda", positive=True), sp.IndexedBase("c", real=True), sp.IndexedBase("g")
z = sp.IndexedBase("z", real=True)

X, Y, B = sp.MatrixSymbol("X", n, p), sp.MatrixSymbol("Y", n, p), sp.MatrixSymbol("B", p, p)
w, e, overlaps = sp.MatrixSymbol("w", n, 1), sp.MatrixSymbol("e", K, 1), sp.MatrixSymbol("z", K, 1)
"""The direction w (n), the unit vector e (K) that is 1 at PC i, and the overlaps z = U'w (K)."""

MEANING = {
    t: "angle of the rotation",
    a: "amplitude of PC i, 1 where it is unchanged and 0 where it is removed",
    delta: "1 - a, the part of the amplitude that is removed",
    eta: "amplitude of the noise in units of that of PC i",
    nu: "variance of the noise along every unit, in units of lambda",
    rho: "ridge penalty",
    lambda_i: "variance of PC i, squared singular value of the centered X",
    lambda_j: "variance of another PC",
    sigma_1: "sum of all lambda",
    sigma_2: "sum of all lambda^2",
    S_1: "sum of the lambda of the other PCs",
    S_2: "sum of the lambda^2 of the other PCs",
    S_rho: "variance of the other PCs that ridge regression explains",
    R_0: "ridge R2 at Y = X",
    p_i: "lambda_i / sum lambda",
    q_i: "lambda_i^2 / sum lambda^2",
    r_i: "rho / lambda_i",
    p_j: "lambda_j / sum lambda",
    q_j: "lambda_j^2 / sum lambda^2",
    r_j: "rho / lambda_j",
    D: "participation ratio of X, (sum lambda)^2 / sum lambda^2",
    K: "number of PCs of X",
    p: "number of units",
    n: "number of samples",
}
"""The meaning of each symbol, in words."""


@dataclass(frozen=True)
class Assumption:
    """An assumption or a definition, in words, and as equations that a step may use."""

    words: str
    equations: tuple[Equation, ...] = ()


_ALL, _ALL_SQUARED = S_1 + lambda_i, S_2 + lambda_i**2
SHARES = Assumption("shares of PC i", ((p_i, lambda_i / _ALL), (q_i, lambda_i**2 / _ALL_SQUARED)))
RATIO = Assumption("D is the participation ratio of X", ((D, _ALL**2 / _ALL_SQUARED),))
PENALTY = Assumption(
    "the penalty in units of the variance of PC i, and the score at Y = X",
    (
        (r_i, rho / lambda_i),
        (R_0, (S_rho + lambda_i**2 * (lambda_i + 2 * rho) / (lambda_i + rho) ** 2) / _ALL),
    ),
)
FULL_RANK = Assumption("X has as many PCs as units, lambda_k > 0 for all p of them")
KEPT = Assumption("a is not 0: a PC that is removed has no direction left")
ROTATED = Assumption(
    "the least ||X - Y Q||_F over orthogonal Q is reached where tr Q'Y'X is the nuclear norm of X'Y"
)


@dataclass(frozen=True)
class Perturbation:
    """A way to make Y from X.

    Attributes
    ----------
    name, words : str
        Name of the perturbation, and what it does in words.
    amplitude, noise : sympy expression
        The coefficients a and b: Y has s_i (a u_i + b w) in place of the score vector s_i u_i of X.
    strength : Symbol
        The variable in which the loss is expanded.
    count : Symbol
        Number of directions over which the sums run: K if one PC is perturbed, p if Y = X + N.
    decomposition, apart, diagonals : Assumption
        ``decomposition`` writes X and Y with singular vectors. ``apart`` says that the added direction or
        noise is orthogonal to X. ``diagonals`` names the diagonal matrices in X'X, X'Y and Y'Y.
    """

    name: str
    words: str
    amplitude: sp.Expr
    noise: sp.Expr
    strength: sp.Symbol
    count: sp.Symbol
    decomposition: Assumption
    apart: Assumption
    diagonals: Assumption

    @property
    def entries(self) -> tuple[sp.Expr, sp.Expr]:
        """The entries of C and G for PC i: a lambda_i and (a^2 + b^2) lambda_i.

        For noise on all of Y they are the entries for every PC k: lambda_k and lambda_k + nu.
        """
        if self.whole:
            return lam[k], lam[k] + nu
        return self.amplitude * lambda_i, sp.simplify(self.amplitude**2 + self.noise**2) * lambda_i

    @property
    def whole(self) -> bool:
        """Whether all of Y is perturbed, instead of one PC."""
        return bool(self.count == p)

    @property
    def orthonormal(self) -> Assumption:
        """The assumption that the singular vectors are orthonormal."""
        U, V, *_ = matrices(self.count)
        one = sp.Identity(self.count)
        equations = [(U.T * U, one), (V.T * V, one)]
        if self.whole:
            equations.append((V * V.T, one))
        return Assumption("singular vectors are orthonormal", tuple(equations))


def matrices(count: sp.Symbol) -> tuple[sp.MatrixSymbol, ...]:
    """Return matrices U and V, and diagonal matrices S, P, Lambda, C, G and H, for ``count`` directions."""
    diagonal = (sp.MatrixSymbol(name, count, count) for name in ("S", "P", "Lambda", "C", "G", "H"))
    return sp.MatrixSymbol("U", n, count), sp.MatrixSymbol("V", p, count), *diagonal


# Entries of S are s_k, and those of P are the same except for PC i. Lambda = S^2, C = S P and G = P^2 plus
# the noise are then the diagonal forms of X'X, X'Y and Y'Y, and H is the inverse of G + rho I.
_NAMES = "names for what is diagonal: lambda_k, c_k and g_k are the entries of Lambda, C and G"


def _of_one_pc(
    name: str, words: str, amplitude: sp.Expr, noise: sp.Expr, strength: sp.Symbol
) -> Perturbation:
    U, V, S, P, L, C, G, _ = matrices(K)
    moved, square, apart = U * P * V.T, P * P, Assumption("nothing is added to the PC")
    if noise != 0:
        moved += noise * sp.sqrt(lambda_i) * w * e.T * V.T
        square += noise**2 * lambda_i * e * e.T
        apart = Assumption(
            "the unit vector w is orthogonal to every PC and to the constant",
            ((U.T * w, sp.ZeroMatrix(K, 1)), (w.T * w, sp.Identity(1))),
        )
    decomposition = Assumption(
        f"the centered X by its singular values; {words}; S and P are diagonal, P is S but for "
        f"the entry i, which is {amplitude} times that of S",
        ((X, U * S * V.T), (Y, moved)),
    )
    diagonals = Assumption(_NAMES, ((L, S * S), (C, S * P), (G, square)))
    return Perturbation(name, words, amplitude, noise, strength, K, decomposition, apart, diagonals)


def _of_all() -> Perturbation:
    U, V, S, _, L, C, G, _ = matrices(p)
    N, one, zero = sp.MatrixSymbol("N", n, p), sp.Integer(1), sp.Integer(0)
    decomposition = Assumption(
        "the centered X, with zeros in S where X has less than p PCs, and noise N on all units of Y",
        ((X, U * S * V.T), (Y, U * S * V.T + N)),
    )
    apart = Assumption(
        "the noise is orthogonal to every PC, and of the same variance in every direction",
        ((U.T * N, sp.ZeroMatrix(p, p)), (N.T * N, nu * sp.Identity(p))),
    )
    diagonals = Assumption(_NAMES, ((L, S * S), (C, S * S), (G, S * S + nu * sp.Identity(p))))
    words = "noise is added to all of Y"
    return Perturbation("noise_all", words, one, zero, nu, p, decomposition, apart, diagonals)


PERTURBATIONS: dict[str, Perturbation] = {
    perturbation.name: perturbation
    for perturbation in (
        _of_one_pc(
            "rotation",
            "the i-th left singular vector of Y is turned by t towards w",
            sp.cos(t),
            sp.sin(t),
            t,
        ),
        _of_one_pc("scaling", "the amplitude of PC i of Y is multiplied by a", a, sp.Integer(0), delta),
        _of_one_pc(
            "noise",
            "noise along w is added to PC i of Y, eta times its amplitude",
            sp.Integer(1),
            eta,
            eta,
        ),
        _of_all(),
    )
}


class Explicit:
    """Write a perturbation out for a few PCs, of which one changes.

    Parameters
    ----------
    perturbation : Perturbation
    variances : sequence of sympy expression
        Variances of the PCs, as symbols or numbers.
    index : int
        Index of the PC that changes, starting at 0.
    """

    def __init__(self, perturbation: Perturbation, variances: Sequence[sp.Expr], index: int) -> None:
        self.variances, self.index = variances, index
        changed = variances[index]
        others = [*variances[:index], *variances[index + 1 :]]
        self.values = {
            lambda_i: changed,
            S_1: sum(others),
            S_2: sum(v**2 for v in others),
            S_rho: sum(2 * v**2 / (v + rho) - v**3 / (v + rho) ** 2 for v in others),
            sigma_1: sum(variances),
            sigma_2: sum(v**2 for v in variances),
            K: sp.Integer(len(variances)),
        }
        # Entry by entry what _of_one_pc and _of_all state of the matrices.
        added = [perturbation.noise**2 * changed if at == index else 0 for at in range(len(variances))]
        if perturbation.whole:
            added, self.values[p] = [nu] * len(variances), sp.Integer(len(variances))
        S = [sp.sqrt(v) for v in variances]
        P = [s * perturbation.amplitude if at == index else s for at, s in enumerate(S)]
        G = [along**2 + across for along, across in zip(P, added, strict=True)]
        C = [s * along for s, along in zip(S, P, strict=True)]
        self.diagonals = {
            "S": S,
            "P": P,
            "Lambda": variances,
            "C": C,
            "G": G,
            "H": [1 / (v + rho) for v in G],
        }
        self.overlaps = list(sp.symbols(f"z_1:{len(variances) + 1}", real=True))
        self.overlaps[index] = sp.Integer(0)
        unit = [int(at == index) for at in range(len(variances))]
        self._columns = {"e": sp.Matrix(unit), "z": sp.Matrix(self.overlaps)}

    def write(self, expression: sp.Expr) -> sp.Expr:
        """Write out the sums and traces of an expression."""
        written = expression.replace(sp.Trace, lambda matrix: self.matrix(matrix).trace())
        written = written.replace(sp.Sum, self._sum)
        return self._at(written, self.index).xreplace(self.values)

    def matrix(self, expression: sp.Basic) -> sp.Matrix:
        """Write out a sum of products of diagonal matrices, the unit vector e and the overlaps z."""
        total = sp.zeros(len(self.variances))
        for word, coefficient in polynomial(expression).items():
            product = sp.eye(len(self.variances))
            for name, transposed, exponent in word:
                if name in self.diagonals:
                    product *= sp.diag(*(entry**exponent for entry in self.diagonals[name]))
                else:
                    product *= self._columns[name].T if transposed else self._columns[name]
            total += coefficient * product
        return total

    def _sum(self, summand: sp.Expr, limits: sp.Tuple) -> sp.Expr:
        return sum(self._at(summand.xreplace({limits[0]: i}), at) for at in range(len(self.variances)))

    def _at(self, expression: sp.Expr, at: int) -> sp.Expr:
        """Put in the entries of lambda, c, g and z at a place, whatever symbol stands for it."""
        entries = {
            "lambda": self.variances,
            "c": self.diagonals["C"],
            "g": self.diagonals["G"],
            "z": self.overlaps,
        }
        return expression.replace(sp.Indexed, lambda base, _: entries[str(base)][at])
