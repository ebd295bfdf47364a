"""The folder in which compiled programs are kept between runs, and whether it is safe to read."""

import contextlib
import errno
import importlib
import os
import stat
import warnings
import zlib
from pathlib import Path
from typing import Final

from fer_jax.errors import RunError
from fer_jax.files import cache_folder

NOT_KEPT: Final = "compiled programs are not kept"

_CHECKED: Final = ".checked"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_CLOCK_SECONDS: Final = 2.0
"""How far the times of files may be off."""


def compiled_folder() -> Path:
    """Name the folder in which `keep_compiled` keeps programs; it may not be there yet."""
    return cache_folder() / "xla"


def keep_compiled() -> str:
    """Let JAX keep compiled programs in the user's cache folder; call it before the first computation.

    A compiled program runs as code. The folder is therefore private to the user, and is refused where
    somebody else could write into it or replace it through a folder above it.

    Returns:
        The folder, for the start-up lines; or why there is none, for a note.

    Raises:
        RunError: the folder is not safe.
    """
    import jax

    try:
        named = compiled_folder()
        named.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = named.resolve()
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        danger = find_danger(folder)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{NOT_KEPT}: {where}{error.strerror or error}"
    if danger:
        raise RunError(
            f"compiled programs cannot be kept in {folder}: {danger}, and a compiled program "
            "runs as code; fix the permissions, choose another folder with $FER_JAX_CACHE, or give "
            "--device.no-compile-cache"
        )
    delete_torn(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # Such as on a full disk. The program is compiled again the next time, which costs no more than time.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    return f"compiled programs are kept in {folder}"


def keep_compiled_if_possible() -> str | None:
    """Let JAX keep compiled programs, for a faster start; go on without where they cannot be kept safely.

    A folder that the user has chosen for JAX stays as it is.

    Returns:
        Why they are not kept; None: they are.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    try:
        words = keep_compiled()
    except RunError as error:
        return str(error)
    return words if words.startswith(NOT_KEPT) else None


def find_danger(folder: Path) -> str | None:
    """Find out whether somebody else could write into a folder, without symbolic links, or replace it.

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
        if found.st_mode & 0o022 and not is_sticky:
            return f"{place} is writable by others"
    return None


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
        for entry in folder.glob("*-cache"):
            # Another process may have deleted it, or own it.
            with contextlib.suppress(OSError):
                if entry.stat().st_mtime >= since and not _is_whole(entry.read_bytes()):
                    entry.unlink()
        # After they are read: a check that is killed is made again.
        begun.replace(checked)


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
