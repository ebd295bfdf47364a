"""One process at a time in a folder, which is told who the other one is.

The system keeps the lock, and frees it when its owner ends, even by a kill. Some file systems (Lustre and NFS
by their settings, parts of FUSE) have no such locks: there the owner's record in the folder is the lock, and
one whose process is gone counts for nothing.
"""

import contextlib
import errno
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import filelock

from fer_jax.files import json_text
from fer_jax.runtime import machine

try:
    import fcntl
except ImportError:  # Windows, where filelock has its own way.
    fcntl = None  # type: ignore[assignment]

LOCK, OWNER = ".lock", ".owner.json"
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_IS_HELD = (errno.EACCES, errno.EAGAIN)
_RECORD_TRIES, _RECORD_SECONDS = 20, 0.02
"""How often, and after how long, the record of an owner is read again that is just being written."""
_TURN_SECONDS, _TOLD_AFTER = 0.2, 15
"""Seconds between two tries of one who waits for a turn, and after how many tries, some 3 s, that is told."""
_MOST_PID = 2**31


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock.

    Attributes:
        host: name of its machine.
        system: what tells this start of the machine, and this container, from others; empty where unknown.
        pid: its number.
        started: what tells it from a later process of the same number; empty where unknown.
        since: when it took the lock: ISO 8601, UTC.
    """

    host: str
    system: str
    pid: int
    started: str
    since: str

    def __str__(self) -> str:
        """Name the process for people."""
        return f"process {self.pid} on {self.host}, since {self.since}"


class HeldError(Exception):
    """Another process holds the lock.

    Attributes:
        owner: who; None where it cannot be found out.
        record: the file to delete if the owner's machine is gone; None: the system keeps the lock.
    """

    def __init__(self, owner: Owner | None, record: Path | None) -> None:
        """Remember the owner."""
        super().__init__(str(owner))
        self.owner, self.record = owner, record


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the lock on a folder that is there.

    Raises:
        HeldError: another process, or this one, holds it.
        OSError: the folder cannot be used.
    """
    record = folder / OWNER
    me: Owner | None = None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_system_lock(folder / LOCK))
        except BlockingIOError:
            raise HeldError(_read_live(record), None) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            with _takeover(folder):
                _refuse_live(record)
                me = _write(record, is_new=True)
        else:
            # For the message to others alone: a disk that is full now will be told of soon.
            with contextlib.suppress(OSError):
                me = _write(record, is_new=False)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                # After `remove_empty` another process may have the folder already.
                if me is not None and _read(record) == me:
                    record.unlink()


@contextmanager
def hold_in_turn(folder: Path, tell: Callable[[Owner | None], None]) -> Iterator[None]:
    """Hold the lock on a folder as soon as no other process does; it is made for this, and removed after it.

    It is for work that each process could do for itself, and one does for all. So nobody waits where that
    might be for ever: where the system keeps no locks, an owner on another machine may be gone. Nor does
    anybody where the folder cannot be made.

    Args:
        folder: for the lock alone.
        tell: called after a few seconds with the owner, or None where that cannot be found out.
    """
    with contextlib.ExitStack() as held:
        for tries in itertools.count(1):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError:
                break
            try:
                held.enter_context(hold(folder))
                held.callback(remove_empty, folder)
                break
            except FileNotFoundError:
                pass  # Its last owner has just removed it.
            except OSError:
                break
            except HeldError as error:
                if error.record is not None:
                    break
                if tries == _TOLD_AFTER:
                    tell(error.owner)
            threading.Event().wait(_TURN_SECONDS)
        yield


def remove_empty(folder: Path) -> None:
    """Remove a folder that this process holds, if it holds nothing but its lock."""
    with contextlib.suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {LOCK, OWNER}:
            for name in (OWNER, LOCK):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


@contextmanager
def _system_lock(path: Path) -> Iterator[None]:
    """Hold a file locked by the system.

    Raises:
        BlockingIOError: another holds it.
        OSError: the file cannot be opened, or there are no such locks.
    """
    if fcntl is None:
        lock = filelock.FileLock(path, timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise BlockingIOError from None
        try:
            yield
        finally:
            lock.release()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IS_HELD:
                raise BlockingIOError from None
            raise
        if not _is_there(path, descriptor):
            raise BlockingIOError  # Its owner has just removed it with its folder, see `remove_empty`.
        yield
    finally:
        os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _takeover(folder: Path) -> Iterator[None]:
    """Let one process of this machine at a time look at a record and replace it.

    Processes of other machines need no part in it: they never replace a record from here.
    """
    name = sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else 0
    path = Path(tempfile.gettempdir()) / f"fer_jax-{user}-{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # A lock of another kind than `_system_lock`'s, which is missing. Without this one too, two may find
        # the record of a dead owner, and the slower one delete that of the faster.
        with contextlib.suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_live(record: Path) -> None:
    """Delete the record of an owner that is gone.

    Raises:
        HeldError: it is not, or it is on another machine and cannot be asked.
    """
    if not record.exists():
        return
    owner = _read(record)
    if owner is not None and _is_alive(owner) is not False:
        raise HeldError(owner, record)
    record.unlink(missing_ok=True)


def _write(record: Path, *, is_new: bool) -> Owner:
    """Record this process as the owner, and return it; `is_new`: only where there is no record.

    Raises:
        HeldError: another process was faster.
        OSError: the record cannot be written.
    """
    me = Owner(platform.node(), _system(), os.getpid(), _started(os.getpid()), machine.now())
    flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if is_new else os.O_TRUNC)
    try:
        descriptor = os.open(record, flags, 0o666)
    except FileExistsError:
        raise HeldError(_read(record), record) from None
    try:
        os.write(descriptor, json_text(asdict(me)).encode())
    except OSError:
        record.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return me


def _read_live(record: Path) -> Owner | None:
    """Read the record of the owner that holds the system's lock; it may just be replacing a dead one's."""
    for _ in range(_RECORD_TRIES):
        owner = _read(record)
        if owner is not None and _is_alive(owner) is not False:
            return owner
        threading.Event().wait(_RECORD_SECONDS)
    return None


def _read(record: Path) -> Owner | None:
    """Read a record; None where it is missing, or stays incomplete: its owner was killed while writing it."""
    for _ in range(_RECORD_TRIES):
        try:
            owner = Owner(**json.loads(record.read_bytes()))
            if type(owner.pid) is int and 0 < owner.pid < _MOST_PID:
                return owner
            raise ValueError("no number of a process")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            threading.Event().wait(_RECORD_SECONDS)
    return None


def _is_alive(owner: Owner) -> bool | None:
    """Whether an owner's process still runs; None: it cannot be asked, as on another machine or Windows."""
    # On Windows os.kill(pid, 0) would send Ctrl-C to it.
    if owner.host != platform.node() or os.name == "nt":
        return None
    system = _system()
    if owner.system != system:
        # After another start of the machine nothing of before is left; from a container not all is seen.
        return False if owner.system.split()[:1] != system.split()[:1] else None
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # It is another user's.
    started = _started(owner.pid)
    return started == owner.started if owner.started else True


def _system() -> str:
    """Return what tells this start of the machine, and this container, from others; Linux alone tells."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str:
    """Return what tells a process from a later one of the same number; empty where it is gone or unknown.

    A process that was killed and not yet waited for is gone.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, IndexError):
            # The name before it may hold anything, even brackets.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
        return ""
    with contextlib.suppress(OSError):
        words = ["ps", "-o", "lstart=", "-p", str(pid)]
        # The owner and who asks may have other languages and time zones.
        place = os.environ | {"LC_ALL": "C", "TZ": "UTC0"}
        return subprocess.run(words, capture_output=True, text=True, env=place, check=False).stdout.strip()
    return ""
