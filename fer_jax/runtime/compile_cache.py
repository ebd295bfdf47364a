"""The folder in which compiled programs are kept between runs, and whether it is safe to read."""

import contextlib
import errno
import hashlib
import importlib
import os
import stat
import sys
import warnings
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from fer_jax.files import cache_folder
from fer_jax.runtime import machine

NAME: Final = "xla"
"""The folder's name in the user's cache folder."""
NOT_KEPT: Final = "compiled programs are not kept"
MOST_BYTES: Final = 2**30
"""What all kept programs may take together. Those of a config take less than a megabyte on a CPU."""

_SUFFIX: Final = "-cache"
_OF_XLA: Final = "xla_gpu_"
"""How the folders begin in which XLA itself keeps what it has measured on a GPU."""
_CHECKED: Final = ".checked"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_CLOCK_SECONDS: Final = 2.0
"""How far the times of files may be off."""


def compiled_folder() -> Path:
    """Name the folder in which `keep_compiled` keeps the programs of this machine; it may not be there yet.

    Each kind of processor, with a number of cores, has one of its own. On a home folder that machines share,
    one would otherwise be given another's instructions; and XLA divides a program among the cores that it
    finds, but does not ask whether a kept program was divided in the same way.
    """
    key = hashlib.sha256(f"{machine.describe_cpu()} {_list_instructions()}".encode()).hexdigest()
    return cache_folder() / NAME / key[:16]


def keep_compiled() -> str:
    """Let JAX keep compiled programs in the user's cache folder; call it before the first computation.

    A compiled program runs as code. The folder is therefore private to the user, and is not used where
    somebody else could write into it or replace it through a folder above it. A folder that the user has
    chosen for JAX, with `JAX_COMPILATION_CACHE_DIR` or in a program, stays as it is.

    Returns:
        The folder, for the start-up lines; or why nothing is kept, for a note: it begins with `NOT_KEPT`.
    """
    # Imported here: nothing of jax may be imported before `cpu.tune_cpu` has run.
    import jax

    chosen = jax.config.values["jax_compilation_cache_dir"]
    if chosen and not _is_ours(chosen):
        return f"compiled programs are kept in {chosen}, as JAX was told"
    try:
        folder = _make_folder()
        danger = find_danger(folder)
        if danger is None:
            delete_torn(folder)
            limit_size(compiled_folder().parent.resolve(), MOST_BYTES)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{NOT_KEPT}: {where}{error.strerror or error}"
    if danger:
        return (
            f"{NOT_KEPT} in {folder}: {danger}, and a compiled program runs as code; fix the permissions, or "
            "choose another folder with $FER_JAX_CACHE"
        )
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs too: together they take longer to compile than to read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # Such as on a full disk. The program is compiled again the next time, which costs no more than time.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    return f"compiled programs are kept in {folder}"


def keep_compiled_if_possible() -> str | None:
    """Let JAX keep compiled programs, for a faster start; see `keep_compiled`.

    Returns:
        Why they are not kept; None: they are.
    """
    words = keep_compiled()
    return words if words.startswith(NOT_KEPT) else None


def _is_ours(chosen: str) -> bool:
    """Whether the folder that JAX uses is the one that an earlier call has chosen."""
    with contextlib.suppress(OSError):
        return Path(chosen) == compiled_folder().resolve()
    return False


def _make_folder() -> Path:
    """Make the folder of this machine's programs, private to the user, and return it without links.

    Raises:
        OSError: it cannot be made, or not be used.
    """
    named = compiled_folder()
    for place in (named.parent, named):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = named.resolve()
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return folder


def _list_instructions() -> str:
    """List the processor's sets of instructions, where Linux tells them: its name alone does not."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return value.strip()
    return ""


def find_danger(folder: Path) -> str | None:
    """Find out whether somebody else could write into a folder, without symbolic links, or replace it.

    The user's own group does not count: on Ubuntu and Fedora each user has one, and by default its members,
    the user alone, may write into every new folder (umask 002).

    Returns:
        The first problem, with its folder; None where there is none, and on systems without POSIX owners.
    """
    if not hasattr(os, "geteuid"):
        return None
    for place in (folder, *folder.parents):
        found = place.stat()
        # In a sticky folder, such as /tmp, only the owner of an entry may replace it.
        is_sticky = bool(found.st_mode & stat.S_ISVTX) and place != folder
        if found.st_uid not in ({os.geteuid()} if place == folder else {os.geteuid(), 0}):
            return f"{place} belongs to another user"
        writers = stat.S_IWOTH if _is_own_group(found.st_gid) else stat.S_IWOTH | stat.S_IWGRP
        if found.st_mode & writers and not is_sticky:
            return f"{place} is writable by others"
    return None


def _is_own_group(number: int) -> bool:
    """Whether a group is the one of the user's name, and has no other member; never root's."""
    # Imported here: Windows has neither.
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:  # As with `docker run --user`.
        return False
    is_named = number == user.pw_gid != 0 and group.gr_name == user.pw_name
    return is_named and set(group.gr_mem) <= {user.pw_name}


def delete_torn(folder: Path) -> None:
    """Delete the compiled programs that a killed process wrote in part.

    JAX writes them in place, would warn of a torn one at every start, and never writes it again. Only what
    was written since the last check is read.
    """
    checked, begun = folder / _CHECKED, folder / f"{_CHECKED}-begun"
    with contextlib.suppress(OSError):
        since = checked.stat().st_mtime - _CLOCK_SECONDS if checked.exists() else 0.0
        # Before they are read: one that is written meanwhile is read the next time.
        begun.touch()
        for entry in folder.glob(f"*{_SUFFIX}"):
            # Another process may have deleted it, or own it.
            with contextlib.suppress(OSError):
                if entry.stat().st_mtime >= since and not _is_whole(entry.read_bytes()):
                    entry.unlink()
        # After they are read: a check that is killed is made again.
        begun.replace(checked)


def limit_size(folder: Path, most_bytes: int) -> None:
    """Delete the programs that have not been used for longest, until the others take at most so many bytes.

    JAX could do it itself (`jax_compilation_cache_max_size`), but reads a file for every kept program at each
    new one, locks the folder for each that it reads, and in version 0.10 keeps nothing more once a process
    was killed between a program and its time of use.

    Args:
        folder: of all programs; links in it are not followed.
        most_bytes: what they may take.
    """
    found = sorted(list_programs(folder))
    total = sum(each.size for each in found)
    for each in found:
        if total <= most_bytes:
            break
        # Another process may have deleted it.
        with contextlib.suppress(OSError):
            each.path.unlink()
        total -= each.size


class Program(NamedTuple):
    """A file with a compiled program, or one of XLA's beside it; in order of their last use."""

    used: float
    size: int
    path: Path


def list_programs(folder: Path) -> list[Program]:
    """List what JAX and XLA have kept in a folder and the folders in it; links are not followed."""
    found = []
    for parent, _, names in os.walk(folder):
        is_of_xla = Path(parent).name.startswith(_OF_XLA)
        for name in names:
            if not is_of_xla and not name.endswith(_SUFFIX):
                continue
            path = Path(parent, name)
            # Another process may have deleted it.
            with contextlib.suppress(OSError):
                entry = path.lstat()
                # A disk may be mounted without times of access: then the oldest ones go first.
                found.append(Program(max(entry.st_atime, entry.st_mtime), entry.st_size, path))
    return found


def _is_whole(content: bytes) -> bool:
    """Whether a compressed program can be decompressed; without zstd, its files are taken as whole."""
    decompress = zlib.decompress
    if content.startswith(_ZSTD):
        for name in ("compression.zstd", "zstandard"):
            with contextlib.suppress(ImportError):
                decompress = importlib.import_module(name).decompress
                break
        else:
            return True
    try:
        decompress(content)
    except Exception:  # Each library has its own.
        return False
    return True
