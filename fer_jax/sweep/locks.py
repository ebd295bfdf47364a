"""Which worker of a sweep may act now, and which trials are dead: by file locks, or by a PostgreSQL server.

Workers take turns by a lock, the door: only its holder decides which trial is next. While a trial runs, its
worker holds the trial too. The system releases a file lock when its process ends, killed or not, so for
workers that share an SQLite file a trial without its lock is dead. Between machines the door is an advisory
lock of the server, which releases it when the connection ends, and a trial is held by heartbeats: a row
with the server's time.
"""

import contextlib
import hashlib
import os
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import filelock
import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from fer_jax.sweep.database import ERRORS, FAILURES, DoorLostError, Patience

BEATS: Final = 8
"""Heartbeats in the time after which a trial counts as dead."""
DEAD_AFTER: Final = "dead_after_s"
"""Attribute of a trial: its worker's `dead_after_s`, which holds for this trial on every machine."""

_DOOR_PAUSE_S: Final = 0.1
_TRY: Final = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK: Final = sqlalchemy.text("SELECT pg_advisory_unlock(:key)")
# A server that was down let nobody in: the time starts anew with it.
_SILENCE: Final = sqlalchemy.text(
    "SELECT trial_id, extract(epoch FROM now()::timestamp - heartbeat),"
    " extract(epoch FROM now() - pg_postmaster_start_time())"
    " FROM trial_heartbeats WHERE trial_id = ANY(:ids)"
)
_BEAT: Final = sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = now() WHERE trial_id = :id")
_FORGET: Final = sqlalchemy.text("DELETE FROM trial_heartbeats WHERE trial_id = :id")

T = TypeVar("T")


class Hold(Protocol):
    """What a worker has while its trial runs."""

    def release(self) -> None:
        """Give the trial up: if it is not finished, it is dead at once."""


class Locks(Protocol):
    """How the workers of a sweep keep out of each other's way."""

    def call(self, action: Callable[[], T]) -> T:
        """Call the database; again, as long as it may not answer."""

    def door(self) -> AbstractContextManager[None]:
        """Keep the other workers from taking a turn."""

    def hold(self, trial: optuna.Trial) -> Hold:
        """Keep a trial that has just been taken, behind the door."""

    def list_dead(self, running: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """List the trials that no worker keeps any more; behind the door."""

    def watch(self, list_running: Callable[[], list[FrozenTrial]]) -> bool:
        """Wait until each running trial has shown that it lives, or has ended.

        Returns:
            Whether one turned out to be dead.
        """

    def close(self) -> None:
        """Close what the process keeps open of the database."""


def name_worker() -> str:
    """Name this process in the records, such as gpu3:4711."""
    return f"{platform.node()}:{os.getpid()}"


class FileLocks:
    """File locks beside an SQLite file: all who share it also share them."""

    def __init__(self, database: Path) -> None:
        """Make the locks of the sweeps in a database; other databases in its folder have their own."""
        self._database = database

    def call(self, action: Callable[[], T]) -> T:
        """Call the database; SQLite waits by itself while another process writes."""
        return action()

    @contextmanager
    def door(self) -> Iterator[None]:
        """Keep the other workers out."""
        with filelock.FileLock(self._database.with_name(f".{self._database.name}.lock")):
            yield

    def hold(self, trial: optuna.Trial) -> "FileHold":
        """Keep a trial."""
        hold = self._hold_of(trial._trial_id)
        hold.lock.acquire()
        return hold

    def list_dead(self, running: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """List the trials with no lock on them."""
        dead = []
        for trial in running:
            hold = self._hold_of(trial._trial_id)
            with contextlib.suppress(filelock.Timeout):
                hold.lock.acquire()
                hold.release()
                dead.append(trial)
        return dead

    def watch(self, list_running: Callable[[], list[FrozenTrial]]) -> bool:
        """Wait for nobody: a dead trial was dead at once."""
        return False

    def close(self) -> None:
        """Close nothing: SQLite has its file open only while it uses it."""

    def _hold_of(self, number: int) -> "FileHold":
        """Make the lock of a trial, by its number among those of all sweeps in the database."""
        path = self._database.with_name(f".{self._database.name}.trial{number}.lock")
        return FileHold(filelock.FileLock(path, timeout=0))


class FileHold:
    """The lock of a trial."""

    def __init__(self, lock: filelock.BaseFileLock) -> None:
        """Wrap a lock."""
        self.lock = lock

    def release(self) -> None:
        """Give the trial up."""
        self.lock.release()
        Path(self.lock.lock_file).unlink(missing_ok=True)


class ServerLocks:
    """An advisory lock and heartbeats in PostgreSQL, for workers on several machines.

    The storage keeps one connection, and the door belongs to it. When it breaks, the server lets the next
    worker in; what this one still wanted to write behind the door is refused, and it starts again outside.
    """

    def __init__(self, storage: RDBStorage, name: str, *, patience: Patience, dead_after_s: float) -> None:
        """Make the locks of a sweep of this name.

        Args:
            storage: of the study, with `database.engine_options`.
            name: of the study.
            patience: while the server does not answer.
            dead_after_s: seconds without a heartbeat after which this worker's trials are dead.
        """
        self._storage, self._key, self._patience = storage, key_of(name), patience
        self._dead_after_s = dead_after_s
        # A connection for each: the thread must not get in the way of the one that keeps the door.
        self._beats = sqlalchemy.create_engine(
            storage.engine.url,
            poolclass=sqlalchemy.pool.NullPool,
            connect_args=storage.engine_kwargs["connect_args"],
        )
        self._keeper: Any = None
        self._judges_from = 0.0
        self._listens_from = patience.clock()
        sqlalchemy.event.listen(storage.engine, "checkout", self._check_keeper)

    def call(self, action: Callable[[], T]) -> T:
        """Call the database, and again while it does not answer."""

        def guarded() -> T:
            try:
                return action()
            except FAILURES:
                self._give_time()
                raise

        return self._patience.call(guarded)

    @contextmanager
    def door(self) -> Iterator[None]:
        """Keep the other workers out, on all machines."""
        while not self._try_door():
            self._patience.pause(_DOOR_PAUSE_S)
        try:
            yield
        finally:
            self._keeper = None
            # If this fails, the connection is gone, and the lock with it.
            with contextlib.suppress(*ERRORS):
                self._run(_UNLOCK, key=self._key)

    def hold(self, trial: optuna.Trial) -> "Heartbeat":
        """Keep a trial: the first heartbeat before the door opens, the others from a thread."""
        number = trial._trial_id
        trial.set_user_attr(DEAD_AFTER, self._dead_after_s)
        self._storage.record_heartbeat(number)
        return Heartbeat(
            beat=lambda: self._beat(number),
            forget=lambda: self._run(_FORGET, id=number),
            interval_s=self._dead_after_s / BEATS,
        )

    def list_dead(self, running: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """List the trials without a heartbeat, or without a recent one."""
        silences = self._measure_silences(running)
        judges = self._patience.clock() >= self._judges_from
        dead = []
        for trial in running:
            silence = silences.get(trial._trial_id)
            # The first heartbeat is recorded behind the door that we keep now.
            if silence is None or (judges and silence > trial.user_attrs.get(DEAD_AFTER, self._dead_after_s)):
                dead.append(trial)
        return dead

    def watch(self, list_running: Callable[[], list[FrozenTrial]]) -> bool:
        """Wait for a new heartbeat of each running trial, its end, or its death."""
        running = self.call(list_running)
        waited = {trial.number: 0.0 for trial in running}
        pause_s = self._dead_after_s / BEATS / 4
        while waited:
            self._patience.pause(pause_s)
            running = [trial for trial in self.call(list_running) if trial.number in waited]
            silences = self.call(partial(self._measure_silences, running))
            before, waited = waited, {}
            for trial in running:
                silence = silences.get(trial._trial_id)
                if silence is None or silence > trial.user_attrs.get(DEAD_AFTER, self._dead_after_s):
                    return True
                since = before[trial.number] + pause_s
                if silence >= since:
                    waited[trial.number] = since
        return False

    def close(self) -> None:
        """Close the connection."""
        self._storage.engine.dispose()

    def _measure_silences(self, running: Sequence[FrozenTrial]) -> dict[int, float]:
        """Return the seconds since the last heartbeat, or since there could have been one, by a trial's id.

        One from before the server's start was perhaps the last for want of a server, which is up for a while
        before it answers: the silence lasts no longer than this process has listened.
        """
        if not running:
            return {}
        rows = self._run(_SILENCE, ids=[trial._trial_id for trial in running])
        listened = self._patience.clock() - self._listens_from
        return {
            number: float(silence) if silence <= uptime else min(float(uptime), listened)
            for number, silence, uptime in rows
        }

    def _beat(self, number: int) -> None:
        """Record a heartbeat; that the database does not answer is for the worker itself to say."""
        try:
            with self._beats.begin() as connection:
                connection.execute(_BEAT, {"id": number})
        except ERRORS:
            self._give_time()

    def _give_time(self) -> None:
        """Judge nobody for a while: the others had no connection either, and have to show that they live."""
        self._judges_from = self._patience.clock() + self._dead_after_s

    def _try_door(self) -> bool:
        with self._storage.engine.connect() as connection:
            if not connection.scalar(_TRY, {"key": self._key}):
                return False
            self._keeper = connection.connection.dbapi_connection
            return True

    def _check_keeper(self, connection: Any, record: Any, proxy: Any) -> None:
        """Refuse another connection than the one that keeps the door."""
        if self._keeper is not None and connection is not self._keeper:
            raise DoorLostError("the connection was lost on the way")

    def _run(self, statement: sqlalchemy.TextClause, **values: Any) -> Sequence[Any]:
        with self._storage.engine.begin() as connection:
            result = connection.execute(statement, values)
            return result.all() if result.returns_rows else []


class Heartbeat:
    """A thread that says from time to time that a trial's worker lives."""

    def __init__(self, *, beat: Callable[[], None], forget: Callable[[], Any], interval_s: float) -> None:
        """Start it."""
        self._beat, self._forget, self._interval_s = beat, forget, interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Stop, and take the heartbeat back."""
        self._stopped.set()
        self._thread.join(self._interval_s)
        # If this fails, the trial is dead later.
        with contextlib.suppress(*FAILURES):
            self._forget()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self._beat()


def key_of(name: str) -> int:
    """Return the number of a sweep's advisory lock, the same on all machines; int64."""
    return int.from_bytes(hashlib.sha256(f"fer_jax sweep {name}".encode()).digest()[:8], signed=True)
