"""Passwords in the addresses of databases: they are taken out of the command line before anything reads it.

What is parsed, recorded and printed afterwards has three stars in their place. Other users of the machine can
see a process's command line, so the password is overwritten there too, as far as the system lets a process.
"""

import contextlib
import ctypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote

HIDDEN: Final = "***"

# A password may have an @, / or : that its owner forgot to escape, so it ends at the last @ before the query.
_BEFORE_HOST: Final = re.compile(r"(://[^:/@\s]*):([^?\s]*|\S*)@")
_IN_QUERY: Final = re.compile(r"([?&](?:ssl)?password=)([^&\s]*)")
# Of /proc/self/stat, counted from the field after the name of the program: see proc(5).
_ARG_START, _ARG_END = 45, 46


def hide(text: str) -> str:
    """Replace the passwords of all addresses in a text.

    >>> hide("postgresql://me:se/cr@et@host/db")
    'postgresql://me:***@host/db'
    """
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _BEFORE_HOST.sub(rf"\1:{HIDDEN}@", text))


def take_out(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Take the password out of a command line.

    Args:
        words: of the command line.

    Returns:
        The words with three stars in place of passwords, and the last password before a host, decoded
        (`%40` is @); None if there is none.
    """
    found = [match[2] for word in words for match in _BEFORE_HOST.finditer(word)]
    secrets = found + [match[2] for word in words for match in _IN_QUERY.finditer(word)]
    for secret in secrets:
        if secret not in ("", HIDDEN):
            _cover(secret)
    return [hide(word) for word in words], unquote(found[-1]) if found else None


def _cover(secret: str) -> None:
    """Overwrite a word in the command line that `ps` shows of this process, on Linux."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        shown = Path("/proc/self/cmdline").read_bytes()
        if not 0 < start < end or end - start != len(shown):  # Somebody else has renamed the process.
            return
        for match in re.finditer(b"[:=]" + re.escape(secret.encode()), shown):
            first = match.start() + 1
            ctypes.memset(start + first, ord("*"), match.end() - first)
