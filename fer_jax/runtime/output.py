"""The standard output and the standard error of a program: no run is lost over a glyph or a closed pipe."""

import contextlib
import errno
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

CLOSED_STATUS: Final = 141
"""The exit status where the reader of the output is gone: 128 + SIGPIPE, as for a program that dies of it."""
_GONE: Final = (errno.EPIPE, errno.EIO)
"""A pipe without a reader; a terminal that is closed."""


class _Guarded:
    """A stream that says with a BrokenPipeError that its reader is gone, or goes on without one."""

    def __init__(self, stream: TextIO, *, outlives: bool) -> None:
        self._stream, self.outlives, self.is_lost = stream, outlives, False

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except OSError as error:
            if self.outlives:
                self.is_lost = True
                discard(self._stream)
            elif error.errno in _GONE:
                raise BrokenPipeError(error.errno, error.strerror) from None
            else:
                raise OSError(error.errno, error.strerror, "the standard output") from None


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Write warnings as one line until the block ends, without the place in the code that gives them."""
    before = warnings.formatwarning
    warnings.formatwarning = _format_warning
    try:
        yield
    finally:
        warnings.formatwarning = before


def _format_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"warning: {message}\n"


@contextmanager
def guard_streams() -> Iterator[None]:
    """Guard the standard streams until the block ends.

    A character that the encoding of a stream lacks is written as `?`. Lines are written as they end, so a log
    has all of them when a process is killed. An error of the standard error is passed over.
    """
    before = sys.stdout, sys.stderr
    # They are None where the process was started with closed descriptors.
    stdout, stderr = (open_null() if each is None else each for each in before)
    for stream in (stdout, stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)
    sys.stdout = cast(TextIO, _Guarded(stdout, outlives=False))
    sys.stderr = cast(TextIO, _Guarded(stderr, outlives=True))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def outlive_reader() -> None:
    """Go on when the reader of the standard output goes: for work whose results are files, such as a run."""
    if isinstance(sys.stdout, _Guarded):
        sys.stdout.outlives = True


def has_lost_reader() -> bool:
    """Whether the reader of the standard output went, and the program went on."""
    return isinstance(sys.stdout, _Guarded) and sys.stdout.is_lost


def discard(stream: TextIO) -> None:
    """Send what is still written to a stream nowhere: Python would complain again at exit."""
    with contextlib.suppress(OSError, ValueError), open_null() as null:
        os.dup2(null.fileno(), stream.fileno())


def open_null() -> TextIO:
    """Open a stream that goes nowhere."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
