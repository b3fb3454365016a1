"""Write matrix products as words, whose letters are the matrices, and reduce words by rules.

Words do not depend on the sizes of matrices. Two products that reduce to the same words are therefore equal
for matrices of every size.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import TypeAlias, TypeVar

import sympy as sp

Letter: TypeAlias = tuple[str, bool, sp.Rational]
"""A factor of a product: name of the matrix, whether it is transposed, and its exponent.

The exponent is 1 unless the matrix is diagonal.
"""

Word: TypeAlias = tuple[Letter, ...]
Polynomial: TypeAlias = dict[Word, sp.Expr]
Equation: TypeAlias = tuple[sp.Basic, sp.Basic]

DIAGONAL = frozenset({"S", "P", "Lambda", "C", "G", "H"})
"""Names of the diagonal matrices, which equal their transpose and commute with each other."""

_ONE = sp.Integer(1)
_Key = TypeVar("_Key")


class Rules:
    """Equations between matrices, as rules that rewrite words.

    An equation whose left side is one matrix is a definition: the matrix is replaced wherever it occurs. If
    the left side is a product of two matrices, it is replaced wherever the two are neighbors, and so is its
    transpose. Other equations are ignored.
    """

    def __init__(self, equations: Iterable[Equation]) -> None:
        self.letters: dict[str, Polynomial] = {}
        self.pairs: dict[Word, Polynomial] = {}
        for left, right in equations:
            if not left.is_Matrix:
                continue
            ((word, coefficient),) = polynomial(left).items()
            if coefficient != 1 or len(word) > 2:
                continue  # no definition and no product of two
            if len(word) == 1:
                self.letters[word[0][0]] = polynomial(right)
            else:
                self.pairs[word] = polynomial(right)
                self.pairs[_transposed(word)] = _transposed_words(polynomial(right))

    def reduce(self, words: Polynomial) -> Polynomial:
        """Rewrite words until no rule applies, and return the result without terms of coefficient 0."""
        # A rule may replace a letter or a pair by several words, each of which is reduced in turn.
        reduced: list[tuple[Word, sp.Expr]] = []
        pending = list(words.items())
        while pending:
            word, coefficient = pending.pop()
            word = _tidy(word)
            place = self._place(word)
            if place is None:
                reduced.append((word, coefficient))
                continue
            start, stop, replacement = place
            pending += [(word[:start] + new + word[stop:], coefficient * c) for new, c in replacement.items()]
        expanded = {word: sp.expand(coefficient) for word, coefficient in _collected(reduced).items()}
        return {word: coefficient for word, coefficient in expanded.items() if coefficient != 0}

    def reduce_trace(self, words: Polynomial) -> Polynomial:
        """Return the reduced words of a trace.

        All cyclic shifts of a word have the same trace, and further rules may apply to some of them. The
        shortest one, and among these the first in alphabetical order, represents all of them.
        """
        reduced = []
        for word, coefficient in self.reduce(words).items():
            turns = [self._single(word[at:] + word[:at]) for at in range(max(len(word), 1))]
            least, factor = min(turns, key=lambda turn: (len(turn[0]), turn[0]))
            reduced.append((least, coefficient * factor))
        return _collected(reduced)

    def _single(self, word: Word) -> tuple[Word, sp.Expr]:
        reduced = self.reduce({word: _ONE})
        return next(iter(reduced.items())) if len(reduced) == 1 else (word, _ONE)

    def _place(self, word: Word) -> tuple[int, int, Polynomial] | None:
        """Return the first place of a word at which a rule applies: start, stop and replacement."""
        # A power of a defined matrix is taken apart: M^3 becomes its definition times M^2.
        for at, (name, transposed, exponent) in enumerate(word):
            if name in self.letters and exponent >= 1:
                new = _transposed_words(self.letters[name]) if transposed else self.letters[name]
                rest = ((name, transposed, exponent - 1),) if exponent > 1 else ()
                return at, at + 1, {other + rest: c for other, c in new.items()}
        for at, pair in enumerate(pairwise(word)):
            if pair in self.pairs:
                return at, at + 2, self.pairs[pair]
        return None


def same(left: sp.Basic, right: sp.Basic, rules: Rules) -> bool:
    """Return whether two matrices, or two sums of traces, reduce to the same words."""
    if left.is_Matrix != right.is_Matrix:
        return False
    if left.is_Matrix:
        one, other = (rules.reduce(polynomial(side)) for side in (left, right))
    else:
        one, other = (rules.reduce_trace(_traced(side)) for side in (left, right))
    # Words that differ are different products: equality needs equal coefficients, word by word.
    return all(sp.simplify(one.get(word, 0) - other.get(word, 0)) == 0 for word in one.keys() | other.keys())


def _traced(total: sp.Basic) -> Polynomial:
    """Return a sum of traces as the polynomial under the trace."""
    terms = []
    for part in sp.Add.make_args(total):
        coefficient, trace = part.as_independent(sp.Trace)
        if not isinstance(trace, sp.Trace):
            raise TypeError(f"{part} is not a trace.")
        terms += [(word, coefficient * c) for word, c in polynomial(trace.arg).items()]
    return _collected(terms)


def polynomial(matrix: sp.Basic) -> Polynomial:
    """Return a matrix expression as a sum of words with scalar coefficients."""
    match matrix:
        case sp.MatrixSymbol():
            return {((matrix.name, False, _ONE),): _ONE}
        case sp.Identity():
            return {(): _ONE}
        case sp.ZeroMatrix():
            return {}
        case sp.Transpose():
            return _transposed_words(polynomial(matrix.arg))
        case sp.MatAdd():
            return _collected(term for part in matrix.args for term in polynomial(part).items())
        # Powers of diagonal matrices, also negative and fractional ones, are letters with an exponent.
        case sp.MatPow() | sp.Inverse():
            if isinstance(matrix.base, sp.MatrixSymbol) and matrix.base.name in DIAGONAL:
                return {((matrix.base.name, False, matrix.exp),): _ONE}
            if matrix.exp.is_Integer and matrix.exp > 0:
                return polynomial(sp.MatMul(*[matrix.base] * int(matrix.exp), evaluate=False))
        case sp.MatMul():
            product: Polynomial = {(): _ONE}
            for factor in matrix.args:
                other: Polynomial = polynomial(factor) if factor.is_Matrix else {(): factor}
                product = _collected((a + b, x * y) for a, x in product.items() for b, y in other.items())
            return product
    raise TypeError(f"{matrix} is no product or sum of matrices.")


def _collected(terms: Iterable[tuple[_Key, sp.Expr]]) -> dict[_Key, sp.Expr]:
    """Add up the coefficients of each word."""
    sums: dict[_Key, sp.Expr] = {}
    for key, coefficient in terms:
        sums[key] = sums.get(key, sp.Integer(0)) + coefficient
    return sums


def _transposed(word: Word) -> Word:
    return tuple((name, not turned and name not in DIAGONAL, e) for name, turned, e in reversed(word))


def _transposed_words(words: Polynomial) -> Polynomial:
    return {_transposed(word): coefficient for word, coefficient in words.items()}


def _tidy(word: Word) -> Word:
    """Sort neighboring diagonal matrices, which commute, and add their exponents."""
    letters: list[Letter] = []
    for diagonal, run in groupby(word, key=lambda letter: letter[0] in DIAGONAL):
        if not diagonal:
            letters += run
            continue
        exponents = _collected((name, exponent) for name, _, exponent in run)
        letters += [(name, False, exponent) for name, exponent in sorted(exponents.items()) if exponent != 0]
    return tuple(letters)
