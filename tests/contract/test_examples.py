"""Every public name has an example that runs with the tests (pytest collects doctests)."""

import doctest

import pytest

import simopt


@pytest.mark.parametrize("name", simopt.__all__)
def test_a_public_name_has_an_example(name: str) -> None:
    assert doctest.DocTestParser().get_examples(getattr(simopt, name).__doc__)
