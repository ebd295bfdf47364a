"""The thread that computes ahead: order, errors, and that nothing of it stays behind."""

import threading
from collections.abc import Iterator

import pytest

from fer_jax.runtime.prefetch import prefetch


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "prefetch"]


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(prefetch(range(1000), depth=3, is_live=False)) == list(range(1000))
    assert threads() == []


def test_an_error_comes_after_the_items_before_it() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    items = prefetch(fail(), depth=2, is_live=False)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)
    assert threads() == []


def test_closing_ends_the_thread_and_closes_the_source() -> None:
    closed = threading.Event()

    def count() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    items = prefetch(count(), depth=2, is_live=False)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert closed.is_set() and threads() == []


def test_the_thread_waits_when_enough_is_ready() -> None:
    taken = []

    def count() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    items = prefetch(count(), depth=2, is_live=False)
    assert next(items) == 0
    # One was yielded, two wait, and one is in the thread's hand.
    assert len(taken) <= 4
    items.close()


def test_what_is_live_drops_the_oldest() -> None:
    ready = threading.Event()

    def frames() -> Iterator[int]:
        yield 0
        yield from range(1, 6)
        ready.set()

    items = prefetch(frames(), depth=2, is_live=True)
    first = next(items)
    ready.wait(10)
    rest = list(items)
    assert first in range(6) and len(rest) <= 2 and [first, *rest][-1] == 5
