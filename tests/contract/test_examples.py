"""Every public name has an example that runs with the tests (pytest collects doctests)."""

import doctest

import pytest

import simopt


@pytest.mark.parametrize("name", [name for name in simopt.__all__ if name not in ("datasets", "measures")])
def test_a_public_name_has_an_example(name: str) -> None:
    assert doctest.DocTestParser().get_examples(getattr(simopt, name).__doc__)


def test_measures_get_has_an_example() -> None:
    assert doctest.DocTestParser().get_examples(simopt.measures.get.__doc__)
