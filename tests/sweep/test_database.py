"""A sweep's database: addresses, what to do about its errors, and patience."""

import sys

import pytest

from fer_jax.errors import ConfigError, RunError

pytest.importorskip("optuna", reason="the extra sweep is not installed: pip install 'fer-jax[sweep]'")
import optuna
import sqlalchemy.exc

from fer_jax.runtime.signals import StopError
from fer_jax.sweep import database
from fer_jax.sweep.database import Patience, Pause

SHOWN = "postgresql://me:***@host/db"


@pytest.mark.parametrize(
    ("storage", "wanted"),
    [
        ("mysql://me:***@host/db", "wanted sqlite:///PATH or postgresql://USER@HOST/DATABASE"),
        ("postgresql+psycopg2://me@host/db", "wanted sqlite:///PATH or postgresql://"),
        ("postgresql://me@host:many/db", "wanted sqlite:///PATH or postgresql://"),
        ("postgresql://me@host", "without a database"),
        ("postgresql://host/db?password=secret", r"password=\*\*\*'.*PGPASSWORD"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(storage: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted) as raised:
        database.parse_address(storage, "secret")
    assert "secret" not in str(raised.value)


def test_without_the_driver_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'fer-jax\[sweep-postgres\]'"):
        database.parse_address("postgresql://me@host/db", None)


def fail(words: str) -> sqlalchemy.exc.OperationalError:
    return sqlalchemy.exc.OperationalError("SELECT", {}, Exception(words))


def test_optuna_tells_of_a_lost_connection_in_several_ways() -> None:
    hidden = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    hidden.__cause__ = sqlalchemy.exc.PendingRollbackError("Can't reconnect until invalid transaction is ...")
    assert database.is_lost(hidden)
    assert database.is_lost(fail("server closed the connection unexpectedly"))
    assert not database.is_lost(sqlalchemy.exc.ProgrammingError("SELECT", {}, Exception("no such column")))


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ('FATAL:  password authentication failed for user "me"', "in the environment variable PGPASSWORD"),
        ('FATAL:  database "db" does not exist', "create it with `createdb`"),
        ('FATAL:  role "me" does not exist', "another user in the URL"),
        ("connection to server at host, port 1 failed: Connection refused", "check the address"),
        ("failed to resolve host 'host': Name or service not known", "check the address"),
        ("FATAL:  sorry, too many clients already", "raise max_connections"),
        ("permission denied for schema public", "the owner of the database"),
        ("something else", "give another --storage"),
    ],
)
def test_an_error_of_a_server_comes_with_what_to_do(said: str, cure: str) -> None:
    with pytest.raises(RunError) as raised, database.database_errors(SHOWN):
        try:
            raise fail(f"{said}\nand more")
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise optuna.exceptions.StorageInternalError("An exception is raised") from error
    message = str(raised.value)
    assert message.startswith(f"the sweep's database {SHOWN} cannot be used: ")
    assert f"{said}; " in message and cure in message and "\n" not in message


class Clock:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.said: list[str] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self, seconds: float) -> Patience:
        return Patience(seconds, clock=lambda: self.now, pause=self.pause, tell=self.said.append)


def test_a_lost_connection_is_tried_again_with_longer_pauses() -> None:
    clock = Clock()
    failures = iter([fail("server closed the connection")] * 7)

    def act() -> str:
        if error := next(failures, None):
            raise error
        return "done"

    assert clock.patience(600).call(act) == "done"
    assert clock.pauses == [0.5, 1, 2, 4, 8, 10, 10]
    first, last = clock.said
    assert "does not answer" in first and "for up to 600 s" in first
    assert last == "the database answers again after 35.5 s"


def test_patience_ends_and_other_errors_get_none() -> None:
    def refuse() -> None:
        raise fail("refused")

    def break_rule() -> None:
        raise sqlalchemy.exc.IntegrityError("INSERT", {}, Exception("twice"))

    clock = Clock()
    with pytest.raises(sqlalchemy.exc.OperationalError):
        clock.patience(20).call(refuse)
    assert 20 <= clock.now < 30
    clock.pauses.clear()
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        clock.patience(20).call(break_rule)
    assert not clock.pauses


def test_a_signal_ends_a_pause() -> None:
    with pytest.raises(StopError):
        Pause(lambda: 0.0, lambda seconds: None, signals=[15])(60.0)
