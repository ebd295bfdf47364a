"""The database of a sweep: its address, what its errors mean, and patience while it does not answer."""

import contextlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import optuna
import sqlalchemy
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from fer_jax.errors import ConfigError, RunError
from fer_jax.files import free_bytes, megabytes
from fer_jax.runtime.signals import StopError
from fer_jax.sweep import passwords

OLDEST_SERVER: Final = 13
"""Major version of PostgreSQL."""
DRIVER: Final = "postgresql+psycopg"
HOW_TO_INSTALL: Final = "pip install 'fer-jax[sweep-postgres]'"

_WANTED: Final = "wanted sqlite:///PATH or postgresql://USER@HOST/DATABASE"
_ADDRESSES: Final = ("postgresql", "postgres", DRIVER)
ERRORS: Final[tuple[type[Exception], ...]] = (SQLAlchemyError, optuna.exceptions.StorageInternalError)

_KEEP_ALIVE: Final = {"idle": 15, "interval": 5, "count": 3}
_CONNECT: Final = {
    "connect_timeout": 10,
    **{f"keepalives_{name}": value for name, value in _KEEP_ALIVE.items()},
    "tcp_user_timeout": 30_000,
    "application_name": "fer_jax sweep",
}
# Both ends find out within half a minute that the other machine is gone. Optuna writes the times of
# heartbeats without a zone, so all workers need the same one; PGTZ may set another.
_SESSION: Final = " ".join(
    ["-c timezone=UTC", *(f"-c tcp_keepalives_{name}={value}" for name, value in _KEEP_ALIVE.items())]
)

_CURES: Final = (
    (
        "password authentication failed|no password supplied|empty password",
        "give the right password in the environment variable PGPASSWORD, in ~/.pgpass or in the URL",
    ),
    (r"database .* does not exist", "create it with `createdb`, or give another --storage"),
    (r"role .* does not exist", "give another user in the URL, or create this one with `createuser`"),
    ("no pg_hba.conf entry", "let this machine and user in, in the server's pg_hba.conf"),
    (
        "permission denied|must be owner",
        "let the user create tables there, for example as the owner of the database",
    ),
    (
        "too many clients|connection slots|too many connections",
        "raise max_connections of the server: each worker keeps one connection",
    ),
    (
        "resolve host|translate host|refused|No such file|time(d )?out|No route|unreachable|closed|reset",
        "check the address, and that the server runs and can be reached from here",
    ),
)
"""What to do, by what the server or the driver says."""
# How SQLite says that the disk is full, that a file may not become larger, and that it may not write.
_DISK_WORDS: Final = ("database or disk is full", "disk I/O error")
_STARTING: Final = ("starting up", "shutting down", "recovery")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _SLICE_S = 0.5, 10.0, 0.2

T = TypeVar("T")


class DoorLostError(Exception):
    """The connection broke that kept the other workers out, so nothing more may be written with it."""


FAILURES: Final[tuple[type[Exception], ...]] = (*ERRORS, DoorLostError)
"""What a call of a database may raise."""


@dataclass
class Pause:
    """Wait, and end at a signal.

    Attributes:
        clock: in seconds.
        sleep: for some seconds; it goes on after a signal.
        signals: the numbers of those that have arrived; another list may take its place.
        until: after a signal, waiting goes on until this moment of the clock.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    signals: Sequence[int] = ()
    until: float = 0.0

    def __call__(self, seconds: float) -> None:
        """Wait this long.

        Raises:
            StopError: a signal has arrived.
        """
        end = self.clock() + seconds
        while True:
            if self.signals and self.clock() >= self.until:
                raise StopError(self.signals[0])
            if (left := end - self.clock()) <= 0:
                return
            self.sleep(min(left, _SLICE_S))


@dataclass(frozen=True)
class Patience:
    """Call a database, and again while it does not answer, with longer and longer pauses.

    Attributes:
        seconds: how long.
        clock: in seconds.
        pause: waits.
        tell: prints a line.
    """

    seconds: float
    clock: Callable[[], float]
    pause: Callable[[float], None]
    tell: Callable[[str], None]

    def call(self, action: Callable[[], T], *, is_worth: Callable[[Exception], bool] | None = None) -> T:
        """Return what an action returns.

        Args:
            action: may be called several times, also after it was done and only its answer got lost.
            is_worth: whether to try again after an error; by default where the connection was lost.

        Raises:
            Exception: the action's, if it is of another kind, or when the time is up.
        """
        is_worth = is_worth or is_lost
        started, pause_s = None, _FIRST_PAUSE_S
        while True:
            try:
                result = action()
            except FAILURES as error:
                now = self.clock()
                if not is_worth(error):
                    raise
                if started is None:
                    started = now
                    self.tell(
                        f"the database does not answer ({first_line(error)}); trying again for up to "
                        f"{self.seconds:.0f} s"
                    )
                if now - started >= self.seconds:
                    raise
                self.pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                if started is not None:
                    self.tell(f"the database answers again after {self.clock() - started:.1f} s")
                return result


def parse_address(storage: str, password: str | None) -> sqlalchemy.URL:
    """Parse the address of a database.

    Args:
        storage: SQLAlchemy URL; a password in it may be hidden.
        password: the one that was hidden; None: libpq looks into PGPASSWORD and ~/.pgpass.

    Raises:
        ConfigError: it is no address of an SQLite file or of a PostgreSQL server, or the driver is missing.
    """
    shown = passwords.hide(storage)
    try:
        url = sqlalchemy.make_url(storage)
    except (ArgumentError, ValueError):  # ValueError: of the port
        raise ConfigError(f"--storage is {shown!r}; {_WANTED}") from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigError(f"--storage is {shown!r}, which is not a file; wanted sqlite:///PATH")
        return url
    if url.drivername not in _ADDRESSES:
        raise ConfigError(f"--storage is {shown!r}; {_WANTED}")
    if {"password", "sslpassword"} & set(url.query):
        raise ConfigError(
            f"--storage is {shown!r}, with a password behind the question mark; give it in the environment "
            "variable PGPASSWORD, in ~/.pgpass, or as postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    if not url.database:
        raise ConfigError(f"--storage is {shown!r}, without a database; {_WANTED}")
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigError(
            f"a sweep on PostgreSQL needs psycopg, which is not installed: `{HOW_TO_INSTALL}` installs it"
        )
    return url.set(drivername=DRIVER, password=password)


def engine_options(url: sqlalchemy.URL) -> dict[str, Any]:
    """Return SQLAlchemy's options for a PostgreSQL server.

    A worker keeps one connection, which also keeps the door; Optuna takes a second one while it looks at the
    version of its tables. What the URL says about the connection itself stays.
    """
    given = {name: value for name, value in _CONNECT.items() if name not in url.query}
    options = f"{url.query.get('options', '')} {_SESSION}".strip()
    return {
        "pool_size": 1,
        "max_overflow": 1,
        "pool_pre_ping": True,
        "connect_args": {**given, "options": options},
    }


def show(url: sqlalchemy.URL) -> str:
    """Write an address for messages: without the password, and without the name of the driver."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def check_address(storage: str, password: str | None) -> None:
    """Refuse what `parse_address` refuses, and a server that cannot be used, before anything slow begins.

    Raises:
        ConfigError, RunError: with what to do.
    """
    url = parse_address(storage, password)
    if url.drivername != DRIVER:
        return
    with database_errors(show(url), ImportError):
        engine = sqlalchemy.create_engine(url, **engine_options(url))
        try:
            with engine.connect() as connection:
                check_server(connection, show(url))
        except SQLAlchemyError as error:
            if not is_starting(error):  # It is waited for later.
                raise
        finally:
            engine.dispose()


def check_server(connection: sqlalchemy.Connection, shown: str) -> None:
    """Refuse a server that cannot keep a sweep.

    Raises:
        RunError: it is too old, is read-only, or only resembles PostgreSQL: the sweep needs advisory locks.
    """
    words = str(connection.scalar(sqlalchemy.text("SELECT version()")))
    found = re.match(r"PostgreSQL (\d+)", words)
    if found is None or int(found[1]) < OLDEST_SERVER:
        raise RunError(
            f"the sweep's database {shown} is {words.split(' on ')[0]}; wanted PostgreSQL {OLDEST_SERVER} or "
            "newer"
        )
    if connection.scalar(sqlalchemy.text("SHOW transaction_read_only")) == "on":
        raise RunError(f"the sweep's database {shown} is read-only; wanted one to write to, not a standby")


def is_lost(error: BaseException) -> bool:
    """Whether an error says that the database does not answer, and not that it answers with an error."""
    if isinstance(error, DoorLostError):
        return True
    cause = _cause(error)
    if isinstance(cause, DBAPIError) and cause.connection_invalidated:
        return True
    # The last one comes from the next query of a transaction whose connection was lost.
    lost = OperationalError | InterfaceError | sqlalchemy.exc.TimeoutError | PendingRollbackError
    return isinstance(cause, lost)


def is_starting(error: BaseException) -> bool:
    """Whether an error says that the server will answer soon."""
    return any(words in str(_cause(error)) for words in _STARTING)


def first_line(error: BaseException) -> str:
    """Return the first line of what a database, or its driver, says."""
    return passwords.hide((str(_cause(error)).strip() or type(error).__name__).splitlines()[0])


def _cause(error: BaseException) -> BaseException:
    """Return the database's own error: Optuna's words hide it."""
    return error.__cause__ if isinstance(error.__cause__, ERRORS) else error


@contextmanager
def database_errors(shown: str, *others: type[Exception]) -> Iterator[None]:
    """Turn the errors of a database into one message.

    Args:
        shown: its URL, without a password.
        others: exceptions that mean the same here, beside the errors of SQLAlchemy and Optuna's storage.

    Raises:
        RunError: it cannot be used: it is locked, missing, unreachable, or of another kind.
    """
    try:
        yield
    except FAILURES + others as error:
        said = str(_cause(error))
        cures = (cure for pattern, cure in _CURES if re.search(pattern, said))
        cure = "repair it, or give another --storage"
        if shown.startswith("postgres"):
            cure = next(cures, cure)
        if any(words in said for words in _DISK_WORDS):
            with contextlib.suppress(OSError):
                free = megabytes(free_bytes(Path(shown.removeprefix("sqlite:///"))))
                cure = f"{free} are free there; free some space, and start the sweep again: it goes on"
        raise RunError(f"the sweep's database {shown} cannot be used: {first_line(error)}; {cure}") from None
