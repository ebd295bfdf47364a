"""Items computed ahead in a thread of their own, such as the frames of a video."""

import threading
from collections import deque
from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], *, depth: int, is_live: bool) -> Generator[Item, None, None]:
    """Yield items that a thread takes from an iterable meanwhile.

    The thread starts with the first item that is asked for. It ends when the items do, or when this generator
    is closed, which waits for the item in work. What the iterable raises is raised here, after the items
    before it.

    Args:
        items: a generator among them is closed at the end, in the thread.
        depth: how many items wait at most.
        is_live: what happens when as many wait: the oldest is dropped, for a camera does not wait; otherwise
            the thread waits.

    >>> list(prefetch(range(5), depth=2, is_live=False))
    [0, 1, 2, 3, 4]
    """
    buffer = _Buffer[Item](depth, is_live=is_live)
    thread = threading.Thread(target=buffer.fill, args=(items,), daemon=True, name="prefetch")
    thread.start()
    try:
        yield from buffer.drain()
    finally:
        buffer.close()
        thread.join()


class _Buffer(Generic[Item]):
    """What waits between the thread that fills and the one that drains."""

    def __init__(self, depth: int, *, is_live: bool) -> None:
        self._depth, self._is_live = depth, is_live
        self._items: deque[Item] = deque()
        self._change = threading.Condition()
        self._is_done = self._is_closed = False
        self._error: BaseException | None = None

    def fill(self, items: Iterable[Item]) -> None:
        """Take all items, until the buffer is closed."""
        try:
            for item in items:
                if not self._put(item):
                    break
            if isinstance(items, Generator):
                items.close()
        except BaseException as error:
            self._error = error
        with self._change:
            self._is_done = True
            self._change.notify_all()

    def _put(self, item: Item) -> bool:
        with self._change:
            if self._is_live and len(self._items) == self._depth:
                self._items.popleft()
            self._change.wait_for(lambda: self._is_closed or len(self._items) < self._depth)
            self._items.append(item)
            self._change.notify_all()
            return not self._is_closed

    def drain(self) -> Generator[Item, None, None]:
        """Yield items as they come, then raise what the items raised."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._items or self._is_done)
                if not self._items:
                    break
                item = self._items.popleft()
                self._change.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Let the thread that fills come to an end."""
        with self._change:
            self._is_closed = True
            self._items.clear()
            self._change.notify_all()
