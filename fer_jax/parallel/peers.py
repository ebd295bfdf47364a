"""The processes of one training: what they tell each other, and how all end when one does.

They meet in the key-value store of `jax.distributed`, which process 0 keeps. Arrays go another way, through
the devices.

A process that is killed can tell nobody. Each one therefore counts in the store, and a thread of each watches
the others: where one has stopped counting, or the store is gone, the process ends with one message. Whoever
is in the middle of a collective operation gets an error from it, often at once; that is told in the same
words.
"""

import contextlib
import json
import os
import platform
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from fer_jax.errors import ConfigError, FerJaxError, PeerError, RunError
from fer_jax.files import abandon_temporaries
from fer_jax.parallel.aborts import told_of_aborts
from fer_jax.parallel.launch import DistributedOptions, Launch, check_port, find_launch
from fer_jax.runtime.cpu import tune_cpu

POLL_S: Final = 1.0
"""Seconds between two counts of a process."""
GONE_POLLS: Final = 30
"""A process that has not counted for so many polls is gone: half a minute."""
_BROKEN_POLLS: Final = 3
"""How many polls are waited for, after an error of a collective operation, to find out who is gone."""
_STORE_S: Final = 100
"""Seconds without a sign of a process after which jax ends the others itself; we are earlier."""
_LAST_WORDS_S: Final = 10
"""How long process 0 keeps the store for the others after an error."""
_WAIT_MS: Final = 10_000
_LATE: Final = "DEADLINE_EXCEEDED"
_ADVICE: Final = "Start all processes again with --resume: the run goes on from its last checkpoint"
_SHOW_CURSOR: Final = b"\x1b[?25h"


class Peers:
    """The processes of a training, as one of them sees them.

    Attributes:
        number: of this process, from 0.
        count: how many there are.
    """

    def __init__(self, number: int, count: int, store: Any) -> None:
        """Remember the store: jax's client of it, or None for a process that trains alone."""
        self.number, self.count, self._store = number, count, store

    @property
    def is_leader(self) -> bool:
        """Whether this is process 0, which alone prints and writes."""
        return self.number == 0

    def exchange(self, name: str, content: Any) -> list[Any]:
        """Tell all processes something, and return what each has told, by number.

        Args:
            name: of the exchange; each is used once.
            content: ready for JSON, of less than a megabyte.
        """
        if self.count == 1:
            return [content]
        self._store.key_value_set(f"{name}/{self.number}", json.dumps(content))
        return [self._get(f"{name}/{number}") for number in range(self.count)]

    def follow(self, name: str, make: Callable[[], Any]) -> Any:
        """Let process 0 make something, and return it in every process.

        Args:
            name: of the exchange; each is used once.
            make: its result is ready for JSON, of less than a megabyte.
        """
        if not self.is_leader:
            return self._get(name)
        content = make()
        if self.count > 1:
            self._store.key_value_set(name, json.dumps(content))
        return content

    def meet(self, name: str) -> None:
        """Wait until all processes have come here; each name is used once."""
        if self.count > 1:
            self._store.key_value_set(f"{name}/{self.number}", "null")
            # Process 0 waits for all, the others for process 0: fewer messages.
            for number in range(self.count) if self.is_leader else ():
                self._get(f"{name}/{number}")
            self.follow(f"{name}/all", lambda: None)

    def _get(self, key: str) -> Any:
        while True:
            try:
                # Not for as long as it takes: Python handles signals between two calls.
                return json.loads(self._store.blocking_key_value_get(key, _WAIT_MS))
            except RuntimeError as error:
                if _LATE not in str(error):
                    raise


ToUserError = Callable[[BaseException], FerJaxError | None]

ALONE: Final = Peers(0, 1, None)
"""A process that trains by itself."""


@contextmanager
def joined(options: DistributedOptions, *, to_user_error: ToUserError) -> Iterator[Peers]:
    """Join the processes that train together, where there are others; they end together too.

    Args:
        options: how to find them.
        to_user_error: makes a user error of what ends the block; None of a bug.

    Yields:
        They; `ALONE` without others.

    An error of the block, and another process that has stopped or is gone, end this process here.

    Raises:
        ConfigError: the options are wrong, or the processes do not find each other.
    """
    launch = find_launch(options, os.environ)
    if launch is None:
        yield ALONE
        return
    why: list[FerJaxError] = [_describe_missing(launch, options.wait_s)]
    with told_of_aborts(lambda: _end_process(why[-1])) as restore:
        peers = _connect(launch, wait_s=options.wait_s)
        why.append(_describe_gone("process 0"))
        watch = Watch(peers, restore)
        try:
            yield watch.peers
            watch.peers.meet("end")
        except BaseException as error:
            told = watch.explain(error) or to_user_error(error)
            watch.end(told or RunError(f"{type(error).__name__}: {_first_line(error)}"))
            restore()
            if told is None:
                traceback.print_exception(error)
            # Not by raising it: at the end of Python jax would wait for the others, and abort.
            _end_process(told)
        watch.stop()


def _connect(launch: Launch, *, wait_s: int) -> Peers:
    """Start jax's distributed runtime, before anything is computed.

    Raises:
        ConfigError: the other processes are not found in time.
    """
    tune_cpu()
    if launch.number == 0 and launch.coordinator is not None:
        check_port(launch.coordinator)
    # Imported here: nothing of jax may be imported before `tune_cpu` has run.
    import jax
    from jax._src.distributed import global_state

    # It would take SIGTERM away from us.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            launch.coordinator,
            launch.processes,
            None if launch.method else launch.number,
            cluster_detection_method=launch.method or "deactivate",
            initialization_timeout=wait_s,
            heartbeat_timeout_seconds=_STORE_S,
        )
    except (RuntimeError, OSError, ValueError) as error:
        raise ConfigError(f"{_describe_missing(launch, wait_s)} ({_first_line(error)})") from None
    return Peers(global_state.process_id, global_state.num_processes, global_state.client)


class Watch:
    """The thread that watches the others, and the end of this process."""

    def __init__(self, peers: Peers, restore: Callable[[], None]) -> None:
        """Begin to watch; `restore` restores the standard error before the end."""
        self.peers, self._store, self._restore = peers, peers._store, restore
        self._is_over, self._verdict = threading.Event(), threading.Lock()
        self._told: dict[int, str] = {}
        self._silent: dict[int, int] = {}
        threading.Thread(target=self._watch, daemon=True, name="peers").start()

    def _watch(self) -> None:
        turn = 0
        while not self._is_over.wait(POLL_S):
            turn += 1
            reason = self._poll(turn, gone_polls=GONE_POLLS)
            if reason is not None and not self._is_over.is_set() and self._verdict.acquire(blocking=False):
                self._publish(reason)
                self._restore()
                _end_process(reason)

    def _poll(self, turn: int, *, gone_polls: int) -> PeerError | None:
        """Count, and look at the others; return why this process has to end."""
        me = f"{turn} process {self.peers.number} ({platform.node()}, pid {os.getpid()})"
        try:
            self._store.key_value_set(f"alive/{self.peers.number}", me, allow_overwrite=True)
            failures = self._store.key_value_dir_get("failed/")
            found = self._store.key_value_dir_get("alive/")
        except RuntimeError:
            return _describe_gone("process 0")
        if failures:
            failure = json.loads(sorted(failures)[0][1])
            return PeerError(failure["message"])
        for key, text in found:
            number = int(key.rpartition("/")[2])
            self._silent[number] = self._silent.get(number, 0) + 1 if self._told.get(number) == text else 0
            self._told[number] = text
        return self._find_gone(gone_polls)

    def _list_gone(self, polls: int) -> list[int]:
        return sorted(number for number, silent in self._silent.items() if silent >= polls)

    def _find_gone(self, polls: int) -> PeerError | None:
        gone = [number for number in self._list_gone(polls) if number != self.peers.number]
        return _describe_gone(self._told[gone[0]].partition(" ")[2]) if gone else None

    def explain(self, error: BaseException) -> FerJaxError | None:
        """Say which other process ended this one; None: none did.

        An error of a library may come from another process that is gone: its classes do not tell.
        """
        if isinstance(error, FerJaxError):
            return error
        if not isinstance(error, Exception):
            return None
        for _ in range(_BROKEN_POLLS + 2):
            threading.Event().wait(POLL_S)
            if reason := self._find_gone(_BROKEN_POLLS):
                return reason
        return None

    def end(self, error: FerJaxError) -> None:
        """Tell the others why this process ends, once; return when it may."""
        if not self._verdict.acquire(blocking=False):
            threading.Event().wait()  # The thread is ending the process.
        self._is_over.set()
        self._publish(error)

    def _publish(self, error: FerJaxError) -> None:
        """Tell the others why this process ends; process 0 waits until all have heard it."""
        message = str(error)
        if not isinstance(error, PeerError):
            message = f"process {self.peers.number} has stopped: {message}"
        with contextlib.suppress(RuntimeError):
            self._store.key_value_set(f"failed/{self.peers.number}", json.dumps({"message": message}))
            self._store.key_value_set(f"ended/{self.peers.number}", "null")
            living = self.peers.count - len(self._list_gone(_BROKEN_POLLS))
            for _ in range(2 * _LAST_WORDS_S if self.peers.is_leader else 0):
                if len(self._store.key_value_dir_get("ended/")) >= living:
                    break
                threading.Event().wait(0.5)

    def stop(self) -> None:
        """End the watch, and leave the others: all are done."""
        self._is_over.set()
        import jax

        jax.distributed.shutdown()


def _describe_missing(launch: Launch, wait_s: int) -> ConfigError:
    where = launch.coordinator or "the address that the cluster tells"
    return ConfigError(
        f"process {launch.number} did not find the others at {where} within {wait_s} s. All need the same "
        "coordinator, which each of them can reach, the same number of processes, and numbers of their own; "
        "--distributed.wait-s waits longer"
    )


def _describe_gone(who: str) -> PeerError:
    return PeerError(f"{who} is gone: it was killed, or its machine or the network failed. {_ADVICE}")


def _end_process(error: FerJaxError | None) -> NoReturn:
    """End this process with a message, whatever its main thread is doing; None: what it met is told."""
    abandon_temporaries()
    if os.isatty(1):
        os.write(1, _SHOW_CURSOR)
    if error is not None:
        with contextlib.suppress(OSError):
            os.write(2, f"error: {error}\n".encode())
    os._exit(1 if error is None else error.exit_code)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
