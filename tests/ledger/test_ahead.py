"""Items that are made ahead: all of them, in order, by one thread that is done when the block is."""

from collections.abc import Iterator
from threading import Event, Thread, current_thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.ahead import ahead


@given(st.lists(st.integers()))
def test_every_item_comes_once_and_in_order(items: list[int]) -> None:
    with ahead(iter(items)) as coming:
        assert list(coming) == items


def test_the_next_is_made_while_the_one_before_is_used() -> None:
    made = [Event(), Event()]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    with ahead(items()) as coming:
        assert next(coming) == 0
        assert made[1].wait(10)
        assert next(coming) == 1


def test_one_thread_makes_them_all_and_it_is_another() -> None:
    def makers() -> Iterator[Thread]:
        for _ in range(3):
            yield current_thread()

    with ahead(makers()) as coming:
        (maker,) = set(coming)
    assert maker is not current_thread()
    assert not maker.is_alive()


def test_what_making_one_raises_comes_where_it_was_to_be_given() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("the second")

    got = []
    with pytest.raises(ZeroDivisionError, match="the second"), ahead(items()) as coming:
        got.append(next(coming))
        next(coming)
    assert got == [1]


def test_nothing_is_made_any_more_when_the_block_ends_early() -> None:
    makers: list[Thread] = []

    def items() -> Iterator[int]:
        for number in range(100):
            makers.append(current_thread())
            yield number

    with pytest.raises(KeyError), ahead(items()) as coming:
        next(coming)
        raise KeyError
    assert not makers[0].is_alive()
    assert len(makers) <= 2
