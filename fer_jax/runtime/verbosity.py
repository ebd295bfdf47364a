"""How much commands say. The command line calls `set_verbosity` before a command runs.

`report.terminal.make_console` follows it: a quiet console prints nothing at all, so that errors, which go to
stderr, are all that is left. `report.terminal.begin` shows settings and versions where it is verbose.
"""

import enum
from contextvars import ContextVar


class Verbosity(enum.IntEnum):
    """QUIET: errors only; NORMAL; VERBOSE: settings of the process and versions too."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


_CHOSEN = ContextVar("verbosity", default=Verbosity.NORMAL)


def set_verbosity(level: Verbosity) -> None:
    """Choose how much the commands of this process say from now on."""
    _CHOSEN.set(level)


def get_verbosity() -> Verbosity:
    """Return what `set_verbosity` has chosen last, by default NORMAL."""
    return _CHOSEN.get()
