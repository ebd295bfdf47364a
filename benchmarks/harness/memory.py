"""The memory of a process: a limit that the kernel enforces, its peaks, and which pages of a file are there.

For Linux. Pages of a mapped file are not memory of the process's own: they belong to the system's page cache,
which drops them when memory gets short. A control group counts them all the same, so its limit is that of a
small machine; where no group can be made, the limit is on the process's own memory alone.
"""

import contextlib
import ctypes
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

GROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory.limit_in_bytes")
"""The file of the limit, in version 2 and 1 of control groups."""
_SAMPLE_S = 0.01


@contextmanager
def limited_group(limit: int) -> Iterator[Path | None]:
    """Make a control group with a limit, in bytes, below that of this process; None where that is refused."""
    group = next((each for each in _list_own_groups() if _make(each, limit)), None)
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


def _list_own_groups() -> list[Path]:
    """List where a group of this process may be made, for each version."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):
            roots = [GROUPS / "memory"] if kinds else [GROUPS, GROUPS / "unified"]
            found += [root / path.lstrip("/") / f"fer-jax-{os.getpid()}" for root in roots]
    return found


def _make(group: Path, limit: int) -> bool:
    with contextlib.suppress(OSError):
        group.mkdir()
        for name in _LIMITS:
            if (group / name).exists():
                (group / name).write_text(str(limit))
                return True
        group.rmdir()
    return False


def limit_command(command: Sequence[str], group: Path | None, limit: int) -> list[str]:
    """Have a command run with a limit, in bytes, from its start: a group's, else of its own memory."""
    if group is not None:
        words = 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")
    else:
        words = 'ulimit -d "$0" && exec "$@"', str(limit // 1024)
    return ["sh", "-c", *words, *command]


class Peak:
    """Watches this process's own memory, in a thread: `RssAnon`, without the pages of files."""

    def __init__(self) -> None:
        """Begin to watch."""
        self.bytes = 0
        self._is_over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._is_over.wait(_SAMPLE_S):
            self.bytes = max(self.bytes, read_status("RssAnon"))

    def stop(self) -> int:
        """Stop, and return the peak in bytes."""
        self._is_over.set()
        return self.bytes


def read_status(name: str) -> int:
    """Read a size of this process, in bytes, such as `VmHWM`, the peak of all that is in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def drop_pages(images: np.memmap) -> None:
    """Have the system forget the pages of a mapped file, which must be on the disk already."""
    if isinstance(images.base, mmap.mmap):
        images.base.madvise(mmap.MADV_DONTNEED)
    descriptor = os.open(str(images.filename), os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def find_share_in_memory(images: np.memmap) -> float:
    """Find which share of a mapped file's pages is in memory, 0..1."""
    start = images.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
    size = images.ctypes.data + images.nbytes - start
    pages = np.empty(-(-size // mmap.PAGESIZE), np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    found = libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), ctypes.c_void_p(pages.ctypes.data))
    if found:
        raise OSError(ctypes.get_errno(), "mincore failed")
    return float((pages & 1).mean())


def find_read_around_kib(path: Path) -> int | None:
    """Find how many KiB the system reads of a file's disk around a page that is used; None if not said."""
    device = path.stat().st_dev
    said = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    return int(said.read_text()) if said.exists() else None
