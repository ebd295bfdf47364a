"""A bounded queue of requests, which are handled one at a time."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

T = TypeVar("T")


class Line:
    """A line with a number of places. Whoever has one may wait; the first of those who wait is served."""

    def __init__(self, *, places: int) -> None:
        """Open the line."""
        self._free = places
        self._first = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="photos")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            HTTPException: 503, all of them are taken.
        """
        if self._free == 0:
            raise HTTPException(503, "the server is busy; try again in a moment", {"Retry-After": "1"})
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def work(self, request: Request, task: Callable[[], T]) -> T:
        """Wait, and then run a task in the thread; the caller holds a place.

        Raises:
            HTTPException: 400, the sender of the request is gone, so nobody wants the result.
        """
        async with self._first:
            if await request.is_disconnected():
                raise HTTPException(400, "the connection ended before the answer")
            return await asyncio.get_running_loop().run_in_executor(self._thread, task)
