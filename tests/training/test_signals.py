"""Signals wait for the end of a step, and no longer."""

import os
import signal
from collections.abc import Iterator

import pytest

from zoo.training.signals import Signals

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*HEARD, signal.SIGCHLD)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Asked(BaseException):
    pass


def _ask(*_: object) -> None:
    raise Asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_comes_within_a_step_waits_for_its_end(number: signal.Signals) -> None:
    signal.signal(number, _ask)
    done = []
    with pytest.raises(Asked), Signals() as signals, signals.deferred():
        os.kill(os.getpid(), number)
        done.append("step")
    assert done == ["step"]
    assert signal.getsignal(number) is _ask


def test_one_that_comes_between_steps_does_not_wait() -> None:
    signal.signal(signal.SIGTERM, _ask)
    done = []
    with pytest.raises(Asked), Signals() as signals:
        with signals.deferred():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("more")
    assert done == []


def test_a_second_one_does_not_wait() -> None:
    signal.signal(signal.SIGTERM, _ask)
    done = []
    with pytest.raises(Asked), Signals() as signals, signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("once")
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("twice")
    assert done == ["once"]


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Signals() as signals, signals.deferred():
        os.kill(os.getpid(), signal.SIGINT)


def test_they_wait_to_the_end_where_a_rank_is_lost() -> None:
    """The launcher tells the other ranks to end, which they do by themselves; but first they say why."""
    signal.signal(signal.SIGTERM, _ask)
    with pytest.raises(RuntimeError, match="gloo"), Signals(lambda *numbers: numbers):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    os.kill(os.getpid(), signal.SIGTERM)


def test_they_are_heard_again_after_any_other_error() -> None:
    signal.signal(signal.SIGTERM, _ask)
    with pytest.raises(RuntimeError, match="another"), Signals(lambda *numbers: numbers):
        raise RuntimeError("another")
    assert signal.getsignal(signal.SIGTERM) is _ask
