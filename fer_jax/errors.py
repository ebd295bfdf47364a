"""User errors, each with a message and an exit status: command line, config, data, run folder.

| exit | meaning |
|---|---|
| 0 | done |
| 1 | a check failed (`check`), or an exported file differs from its network (`export`) |
| 2 | the command line or the config is wrong (`ConfigError`) |
| 3 | the data is missing, malformed or refused (`DataError`) |
| 4 | the run folder, a checkpoint or the disk cannot be used (`RunError`, `DiskError`) |
| 5 | the loss stopped being finite (`DivergedError`) |
| 8 | what is recorded differs from what is found (`DifferenceError`) |
| 9 | another process of a distributed training has stopped or is gone (`PeerError`) |
| 129, 130, 138, 143 | ended by SIGHUP, SIGINT, SIGUSR1 or SIGTERM, after saving what can be resumed |
| 141 | the reader of the output is gone |

A message may quote what a file or a stranger says: it is bounded, and nothing in it acts on a terminal.
"""

import os
import re
from typing import Final

_ACTING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, what turns the direction of writing, and halves of surrogate pairs."""

_FIRST_LETTERS: Final = 3000
_LAST_LETTERS: Final = 1000


def _printable(text: str) -> str:
    """Escape the characters that act on a terminal, or that no encoding has; lines and tabs stay."""
    return _ACTING.sub(lambda found: ascii(found[0])[1:-1], text)


class FerJaxError(Exception):
    """A user error: its message names what was found, where, what was expected and what to do."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message, printable; of a very long one the beginning and the end."""
        # Not OSError's, which shows the number of a DiskError.
        text = _printable(BaseException.__str__(self))
        is_long = len(text) > _FIRST_LETTERS + _LAST_LETTERS
        return f"{text[:_FIRST_LETTERS]} … {text[-_LAST_LETTERS:]}" if is_long else text

    def _render_traceback_(self) -> list[str]:
        """Show the message in a notebook, without the calls that led to it."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(FerJaxError):
    """The command line or the config file is wrong."""

    exit_code = 2


class DataError(FerJaxError):
    """The data is missing, malformed or not what the run asks for."""

    exit_code = 3


class RunError(FerJaxError):
    """A run folder or a checkpoint cannot be used."""

    exit_code = 4


class DiskError(RunError, OSError):
    """A file cannot be written: the disk is full, read-only or broken.

    It is an OSError too: who can do without a file, such as a cache, goes on without it.
    """

    def __init__(self, message: str, number: int) -> None:
        """Remember the message, and the system's number of the error, such as `errno.ENOSPC`."""
        super().__init__(message)
        self.errno, self.strerror = number, os.strerror(number)


class DivergedError(FerJaxError):
    """The training loss is not finite."""

    exit_code = 5


class DifferenceError(FerJaxError):
    """A run, a card or a page claims something that does not hold."""

    exit_code = 8


class PeerError(FerJaxError):
    """Another process of a distributed training has stopped, or is gone."""

    exit_code = 9
