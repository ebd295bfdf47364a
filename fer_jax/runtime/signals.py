"""Graceful stop: a signal is noted, the state is saved, and only then does the program end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopError(Exception):
    """SIGINT or SIGTERM arrived and the state is saved. `signum` is the signal's number."""

    def __init__(self, signum: int) -> None:
        """Remember the signal."""
        super().__init__(signum)
        self.signum = signum


@contextmanager
def watch_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of ending; a second one ends the program as usual."""
    arrived: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        arrived.append(signum)
        signal.signal(signum, old[signum])

    old = {int(signum): signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for signum, handler in old.items():
            signal.signal(signum, handler)
