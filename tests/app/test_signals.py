"""Signals that set a flag, which the work polls."""

import os
import signal
from collections.abc import Iterator

import pytest

from simopt.app.terminal.signals import stop_signals


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Have SIGTERM raise, as `simopt.app.cli` does; without it a failure would end the tests."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_told_and_a_second_of_either_kind_acts(first: int, second: int) -> None:
    told: list[bool] = []
    with stop_signals(lambda: told.append(True)) as stopped:
        assert not stopped()
        os.kill(os.getpid(), first)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), second)
    assert told == [True]


def test_the_handlers_are_as_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
