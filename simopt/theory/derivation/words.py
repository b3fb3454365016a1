"""Products of matrices as words, reduced by stated rules: identities that hold for matrices of every size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TypeAlias

import sympy as sp

Letter: TypeAlias = tuple[str, bool, sp.Rational]
"""Name of a matrix, whether it is transposed, and its exponent (1 unless it is diagonal)."""

Word: TypeAlias = tuple[Letter, ...]
Polynomial: TypeAlias = dict[Word, sp.Expr]
Equation: TypeAlias = tuple[sp.Basic, sp.Basic]

DIAGONAL = frozenset({"S", "P", "Lambda", "C", "G", "H"})
"""Matrices that equal their transpose and commute with each other."""


class Rules:
    """Equations between matrices, as rules to rewrite words with.

    A matrix on the left is a definition and replaced wherever it occurs; a product of two is replaced where
    the two stand next to each other, and so is its transpose.
    """

    def __init__(self, equations: Iterable[Equation]) -> None:
        self.letters: dict[str, Polynomial] = {}
        self.pairs: dict[Word, Polynomial] = {}
        for left, right in equations:
            if not getattr(left, "is_Matrix", False):
                continue
            ((word, coefficient),) = polynomial(left).items()
            if coefficient != 1 or len(word) > 2:
                continue
            if len(word) == 1:
                self.letters[word[0][0]] = polynomial(right)
            else:
                self.pairs[word] = polynomial(right)
                self.pairs[_turned(word)] = {_turned(other): c for other, c in polynomial(right).items()}

    def reduce(self, given: Polynomial) -> Polynomial:
        """Rewrite until no rule applies, and return what is left, without terms that vanish."""
        out: Polynomial = {}
        pending = list(given.items())
        while pending:
            word, coefficient = pending.pop()
            found = self._place(word)
            if found is None:
                tidy = _tidy(word)
                if tidy != word:
                    pending.append((tidy, coefficient))
                else:
                    out[word] = out.get(word, sp.Integer(0)) + coefficient
                continue
            start, stop, replacement = found
            pending += [
                (_tidy(word[:start] + new + word[stop:]), coefficient * c) for new, c in replacement.items()
            ]
        expanded = {word: sp.expand(coefficient) for word, coefficient in out.items()}
        return {word: coefficient for word, coefficient in expanded.items() if coefficient != 0}

    def reduce_trace(self, given: Polynomial) -> Polynomial:
        """Reduce words whose trace is meant: letters may go round, and a word counts as its transpose."""
        out: Polynomial = {}
        for word, coefficient in self.reduce(given).items():
            turns = [
                (turn, c)
                for at in range(max(len(word), 1))
                for turn, c in [self._single(word[at:] + word[:at])]
            ]
            least, factor = min(turns, key=lambda turn: (len(turn[0]), turn[0]))
            out[least] = out.get(least, sp.Integer(0)) + coefficient * factor
        return out

    def _single(self, word: Word) -> tuple[Word, sp.Expr]:
        reduced = self.reduce({word: sp.Integer(1)})
        return next(iter(reduced.items())) if len(reduced) == 1 else (word, sp.Integer(1))

    def _place(self, word: Word) -> tuple[int, int, Polynomial] | None:
        for at, letter in enumerate(word):
            if letter[0] in self.letters and letter[2] >= 1:
                new = self.letters[letter[0]]
                if letter[1]:
                    new = {_turned(other): c for other, c in new.items()}
                rest = (letter[0], letter[1], letter[2] - 1)
                if rest[2] != 0:
                    new = {(*other, rest): c for other, c in new.items()}
                return at, at + 1, new
        for at, pair in enumerate(pairwise(word)):
            if pair in self.pairs:
                return at, at + 2, self.pairs[pair]
        return None


def same(left: sp.Basic, right: sp.Basic, rules: Rules) -> bool:
    """Whether two matrices, or two sums of traces, reduce to the same words."""
    scalars = [not getattr(side, "is_Matrix", False) for side in (left, right)]
    if scalars[0] != scalars[1]:
        return False
    if scalars[0]:
        return _equal(rules.reduce_trace(_traced(left)), rules.reduce_trace(_traced(right)))
    return _equal(rules.reduce(polynomial(left)), rules.reduce(polynomial(right)))


def _traced(total: sp.Basic) -> Polynomial:
    """Return a sum of traces as the words whose trace is meant."""
    out: Polynomial = {}
    for part in sp.Add.make_args(total):
        coefficient, trace = part.as_independent(sp.Trace)
        if not isinstance(trace, sp.Trace):
            raise TypeError(f"{part} is no trace.")
        for word, c in polynomial(trace.arg).items():
            out[word] = out.get(word, sp.Integer(0)) + coefficient * c
    return out


def polynomial(matrix: sp.Basic) -> Polynomial:
    """Return a matrix expression as a sum of words with scalar coefficients."""
    one = sp.Integer(1)
    if isinstance(matrix, sp.MatrixSymbol):
        return {((matrix.name, False, one),): one}
    if isinstance(matrix, sp.Identity):
        return {(): one}
    if isinstance(matrix, sp.ZeroMatrix):
        return {}
    if isinstance(matrix, sp.Transpose):
        return {_turned(word): c for word, c in polynomial(matrix.arg).items()}
    if isinstance(matrix, sp.MatAdd):
        out: Polynomial = {}
        for part in matrix.args:
            for word, c in polynomial(part).items():
                out[word] = out.get(word, sp.Integer(0)) + c
        return out
    if isinstance(matrix, (sp.MatPow, sp.Inverse)):
        base = polynomial(matrix.base)
        if len(base) == 1:
            ((word, c),) = base.items()
            if c == 1 and len(word) == 1 and word[0][0] in DIAGONAL:
                return {((word[0][0], False, word[0][2] * matrix.exp),): one}
        if matrix.exp.is_Integer and matrix.exp > 0:
            return polynomial(sp.MatMul(*[matrix.base] * int(matrix.exp), evaluate=False))
    if isinstance(matrix, sp.MatMul):
        product: Polynomial = {(): one}
        for factor in matrix.args:
            other: Polynomial = polynomial(factor) if getattr(factor, "is_Matrix", False) else {(): factor}
            product = _times(product, other)
        return product
    raise TypeError(f"{matrix} is no product or sum of matrices.")


def diagonal_entry(matrix: sp.Basic, entries: Mapping[str, sp.Expr]) -> sp.Expr:
    """Return an entry of a diagonal matrix, given those of the matrices it is made of."""
    total: sp.Expr = sp.Integer(0)
    for word, coefficient in polynomial(matrix).items():
        total += coefficient * sp.Mul(*(entries[name] ** exponent for name, _, exponent in word))
    return total


def _times(left: Polynomial, right: Polynomial) -> Polynomial:
    out: Polynomial = {}
    for a, x in left.items():
        for b, y in right.items():
            out[a + b] = out.get(a + b, sp.Integer(0)) + x * y
    return out


def _turned(word: Word) -> Word:
    return tuple((name, not turned and name not in DIAGONAL, e) for name, turned, e in reversed(word))


def _tidy(word: Word) -> Word:
    """Sort neighbouring diagonal matrices, and add their exponents."""
    out: list[Letter] = []
    run: dict[str, sp.Rational] = {}
    for letter in (*word, None):
        if letter is not None and letter[0] in DIAGONAL:
            run[letter[0]] = run.get(letter[0], sp.Integer(0)) + letter[2]
            continue
        out += [(name, False, exponent) for name, exponent in sorted(run.items()) if exponent != 0]
        run = {}
        if letter is not None:
            out.append(letter)
    return tuple(out)


def _equal(left: Polynomial, right: Polynomial) -> bool:
    return all(
        sp.simplify(left.get(word, sp.Integer(0)) - right.get(word, sp.Integer(0))) == 0
        for word in left.keys() | right.keys()
    )
