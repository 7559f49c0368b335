"""Being told to end: heard at once, whichever thread the signal comes to, and as before afterwards."""

import os
import signal
import threading
import time

import pytest

from api.told_to_end import ENDING, ToldToEnd, told_to_end

PATIENCE_S = 30.0
ASLEEP_S = 0.2
"""By then the main thread waits; where it does not yet, it hears anyway, and the test has seen less."""


def woken_by(told: ToldToEnd, number: signal.Signals) -> bool:
    """Whether a signal that comes to another thread wakes this one, and not only one that comes to itself."""
    awake, in_time = threading.Event(), list[bool]()

    def tell() -> None:
        time.sleep(ASLEEP_S)
        signal.pthread_kill(threading.get_ident(), number)
        in_time.append(awake.wait(PATIENCE_S))
        if not in_time[0]:
            os.kill(os.getpid(), number)

    teller = threading.Thread(target=tell)
    teller.start()
    assert told.wait()
    awake.set()
    teller.join()
    return in_time[0]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_another_thread_is_given_ends_the_wait(number: signal.Signals) -> None:
    with told_to_end() as told:
        assert not told.is_set()
        assert not told.wait(0)
        assert woken_by(told, number)
        assert told.is_set()


def test_whoever_was_told_once_never_waits_again() -> None:
    with told_to_end() as told:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert told.wait() and told.wait()


def test_afterwards_signals_are_who_had_them_before() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    ears = signal.set_wakeup_fd(-1)
    with pytest.raises(KeyError), told_to_end():
        raise KeyError
    assert [signal.getsignal(number) for number in ENDING] == before
    assert signal.set_wakeup_fd(ears) == -1
