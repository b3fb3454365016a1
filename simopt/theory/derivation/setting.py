"""The setting of a derivation: X and Y in symbols, what is assumed of them, and both written out."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from simopt.theory.derivation.words import Equation, diagonal_entry

n, p, K = sp.symbols("n p K", integer=True, positive=True)
i, k = sp.symbols("i k", integer=True, positive=True)
t, a = sp.symbols("t a", real=True)
eta, nu, delta, rho = sp.symbols("eta nu delta rho", positive=True)
lambda_i, lambda_j, sigma_1, sigma_2 = sp.symbols("lambda_i lambda_j sigma_1 sigma_2", positive=True)
S_1, S_2, S_rho, R_0 = sp.symbols("S_1 S_2 S_rho R_0", positive=True)
p_i, q_i, r_i, p_j, q_j, r_j = sp.symbols("p_i q_i r_i p_j q_j r_j", positive=True)
D = sp.Symbol("D", positive=True)
lam, c, g = sp.IndexedBase("lambda", positive=True), sp.IndexedBase("c", real=True), sp.IndexedBase("g")

MEANING = {
    t: "angle of the rotation",
    a: "amplitude of PC i, 1 where it is unchanged and 0 where it is removed",
    delta: "1 - a, how much of the amplitude is taken away",
    eta: "amplitude of the noise in units of that of PC i",
    nu: "variance of the noise along every unit, in units of lambda",
    rho: "ridge penalty",
    lambda_i: "variance of PC i, squared singular value of the centred X",
    lambda_j: "variance of another PC",
    sigma_1: "sum of all lambda",
    sigma_2: "sum of all lambda^2",
    S_1: "sum of the lambda of the other PCs",
    S_2: "sum of the lambda^2 of the other PCs",
    S_rho: "what the other PCs add to the variance that ridge regression explains",
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
"""What each symbol stands for."""


def diagonal(name: str, size: sp.Expr = K) -> sp.MatrixSymbol:
    """Return a diagonal matrix in symbols, one of :data:`simopt.theory.derivation.words.DIAGONAL`."""
    return sp.MatrixSymbol(name, size, size)


X, Y = sp.MatrixSymbol("X", n, p), sp.MatrixSymbol("Y", n, p)


@dataclass(frozen=True)
class Assumption:
    """Something that is supposed or defined, in words and as the equations that a step may use."""

    words: str
    equations: tuple[Equation, ...] = ()

    def __str__(self) -> str:
        """Return the words, then the equations in one line."""
        formulas = ", ".join(f"{left} = {right}" for left, right in self.equations)
        return f"{self.words}: {formulas}" if formulas else self.words


@dataclass(frozen=True)
class Perturbation:
    """A way to make Y from X.

    Attributes
    ----------
    name, words : str
    amplitude, noise : sympy expression
        a and b: the i-th score vector s_i u_i of Y is s_i (a u_i + b w).
    strength : Symbol
        What the loss is expanded in.
    gain : sympy expression
        (a^2 + b^2), in the simplest form: how the variance of PC i changes.
    whole : bool
        Whether Y = X + N instead.
    """

    name: str
    words: str
    amplitude: sp.Expr
    noise: sp.Expr
    gain: sp.Expr
    strength: sp.Symbol
    whole: bool = False

    @property
    def count(self) -> sp.Symbol:
        """How many directions the sums run over."""
        return p if self.whole else K

    @property
    def axes(self) -> sp.MatrixSymbol:
        """The directions of the PCs among the units."""
        return sp.MatrixSymbol("V", p, self.count)

    def diagonal(self, name: str) -> sp.MatrixSymbol:
        """Return a diagonal matrix in symbols, with one entry for each direction."""
        return diagonal(name, self.count)

    @property
    def decomposition(self) -> Assumption:
        """The centred X by its singular value decomposition, and Y."""
        U, S = sp.MatrixSymbol("U", n, self.count), self.diagonal("S")
        if self.whole:
            N = sp.MatrixSymbol("N", n, p)
            return Assumption(
                "the centred X, with zeros in S where X has less than p PCs, and noise N on all units of Y",
                ((X, U * S * self.axes.T), (Y, U * S * self.axes.T + N)),
            )
        moved = U * self.diagonal("P") * self.axes.T
        if self.noise != 0:
            moved += self.noise * sp.sqrt(lambda_i) * self.w * self.e.T * self.axes.T
        return Assumption(
            f"the centred X by its singular values; {self.words}; S and P are diagonal, P is S but for "
            f"the entry i, which is {self.amplitude} times that of S",
            ((X, U * S * self.axes.T), (Y, moved)),
        )

    @property
    def orthonormal(self) -> Assumption:
        """The directions of the PCs."""
        U, V = sp.MatrixSymbol("U", n, self.count), self.axes
        equations: list[Equation] = [(U.T * U, sp.Identity(self.count)), (V.T * V, sp.Identity(self.count))]
        if self.whole:
            equations.append((V * V.T, sp.Identity(p)))
        return Assumption("singular vectors are orthonormal", tuple(equations))

    @property
    def apart(self) -> Assumption:
        """What is added to X has nothing to do with it."""
        U = sp.MatrixSymbol("U", n, self.count)
        if self.whole:
            N = sp.MatrixSymbol("N", n, p)
            return Assumption(
                "the noise is orthogonal to every PC, and of the same variance in every direction",
                ((U.T * N, sp.ZeroMatrix(p, p)), (N.T * N, nu * sp.Identity(p))),
            )
        if self.noise == 0:
            return Assumption("nothing is added to the PC")
        return Assumption(
            "the unit vector w is orthogonal to every PC and to the constant",
            ((U.T * self.w, sp.ZeroMatrix(K, 1)), (self.w.T * self.w, sp.Identity(1))),
        )

    @property
    def diagonals(self) -> Assumption:
        """The three diagonals that are left of X and Y."""
        S, P = self.diagonal("S"), self.diagonal("P")
        first = (self.diagonal("Lambda"), S * S)
        names = "names for what is diagonal: lambda_k, c_k and g_k are the entries of Lambda, C and G"
        if self.whole:
            return Assumption(
                names, (first, (self.diagonal("C"), S * S), (self.diagonal("G"), S * S + nu * sp.Identity(p)))
            )
        g_matrix = P * P
        if self.noise != 0:
            g_matrix += self.noise**2 * lambda_i * self.e * self.e.T
        return Assumption(names, (first, (self.diagonal("C"), S * P), (self.diagonal("G"), g_matrix)))

    @property
    def w(self) -> sp.MatrixSymbol:
        """The new direction, among the samples."""
        return sp.MatrixSymbol("w", n, 1)

    @property
    def e(self) -> sp.MatrixSymbol:
        """The i-th unit vector, among the PCs."""
        return sp.MatrixSymbol("e", K, 1)


PERTURBATIONS: dict[str, Perturbation] = {
    "rotation": Perturbation(
        "rotation",
        "the i-th left singular vector of Y is turned by t towards w",
        sp.cos(t),
        sp.sin(t),
        sp.Integer(1),
        t,
    ),
    "scaling": Perturbation(
        "scaling", "the amplitude of PC i of Y is multiplied by a", a, sp.Integer(0), a**2, delta
    ),
    "noise": Perturbation(
        "noise",
        "noise along w is added to PC i of Y, eta times its amplitude",
        sp.Integer(1),
        eta,
        1 + eta**2,
        eta,
    ),
    "noise_all": Perturbation(
        "noise_all", "noise is added to all of Y", sp.Integer(1), sp.Integer(0), sp.Integer(1), nu, whole=True
    ),
}


class Explicit:
    """A perturbation written out for ``size`` PCs, their variances in symbols, of which ``index`` changes."""

    def __init__(self, perturbation: Perturbation, size: int, index: int) -> None:
        self.size, self.index = size, index
        self.variances = sp.symbols(f"l_1:{size + 1}", positive=True)
        self.own = self.variances[index]
        self.entries = [self._entries(perturbation, at) for at in range(size)]
        others = [value for at, value in enumerate(self.variances) if at != index]
        total, squares = sum(self.variances), sum(value**2 for value in self.variances)
        self.values = {
            lambda_i: self.own,
            S_1: sum(others),
            S_2: sum(value**2 for value in others),
            S_rho: sum(2 * value**2 / (value + rho) - value**3 / (value + rho) ** 2 for value in others),
            sigma_1: total,
            sigma_2: squares,
            K: sp.Integer(size),
        }
        if perturbation.whole:
            self.values[p] = sp.Integer(size)

    def _entries(self, perturbation: Perturbation, at: int) -> dict[str, sp.Expr]:
        variance, changed = self.variances[at], at == self.index and not perturbation.whole
        s = sp.sqrt(variance)
        entries = {"S": s, "P": s * (perturbation.amplitude if changed else 1), "Lambda": variance}
        entries["C"] = s * entries["P"]
        entries["G"] = entries["P"] ** 2 + (perturbation.noise**2 * variance if changed else 0)
        if perturbation.whole:
            entries["G"] = variance + nu
        entries["H"] = 1 / (entries["G"] + rho)
        return entries

    def write(self, expression: sp.Expr) -> sp.Expr:
        """Return an expression with its sums and traces written out."""
        written = expression.replace(
            lambda part: isinstance(part, sp.Trace),
            lambda part: sum(diagonal_entry(part.arg, entries) for entries in self.entries),
        )
        written = written.replace(lambda part: isinstance(part, sp.Sum), self._sum)
        return self._at(written, self.index).xreplace(self.values)

    def singular_values(self, matrix: sp.Basic) -> list[sp.Expr]:
        """Return the entries of a diagonal matrix."""
        return [diagonal_entry(matrix, entries) for entries in self.entries]

    def _sum(self, part: sp.Sum) -> sp.Expr:
        summand, (index, *_) = part.function, part.limits[0]
        return sum(self._at(summand.xreplace({index: i}), at) for at in range(self.size))

    def _at(self, expression: sp.Expr, at: int) -> sp.Expr:
        """Put in the entries of lambda, c and g at a place, whatever symbol stands for it."""
        names = {"lambda": "Lambda", "c": "C", "g": "G"}
        return expression.replace(
            lambda part: isinstance(part, sp.Indexed),
            lambda part: self.entries[at][names[str(part.base)]],
        )
