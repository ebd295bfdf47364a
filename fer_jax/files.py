"""Files: atomic writes, JSON, and arrays in the user's cache folder."""

import contextlib
import difflib
import errno
import json
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from fer_jax.errors import ConfigError, DiskError, RunError
from fer_jax.strict_json import parse_json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Json = dict[str, Any]
# NumPy is imported in the functions that need it: a message about a wrong option should not wait for it.

_TEMPORARIES: set[Path] = set()
"""What `replacing` is writing."""
_BEGINNING = threading.Lock()
_CURES = {
    "ENOSPC": "free some space there, or raise your quota",
    "EDQUOT": "free some space there, or raise your quota",
    "EFBIG": "raise the limit on the size of a file, see `ulimit -f`",
    "EROFS": "make the disk writable",
    "EIO": "check the disk",
    "ESTALE": "mount the disk again",
}
# Windows lacks some.
_DISK_ERRORS = {getattr(errno, name): cure for name, cure in _CURES.items() if hasattr(errno, name)}
MOST_JSON_BYTES = 256 * 2**20


def cache_folder() -> Path:
    """$FER_JAX_CACHE, else fer_jax in the user's cache folder.

    Raises:
        OSError: the user has no home.
    """
    chosen = os.environ.get("FER_JAX_CACHE")
    try:
        return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("fer_jax")
    except RuntimeError:
        what = f"{chosen} is in no user's home folder" if chosen else "there is no home folder"
        why = f"{what}; name a folder for the cache in $FER_JAX_CACHE"
        raise FileNotFoundError(errno.ENOENT, why) from None


def expand_home(path: str | Path) -> Path:
    """Replace `~` or `~user` at the start of a path by the home folder; without one the path stays as it is.

    Raises:
        ConfigError: what came is not a path; Python code can pass anything.

    >>> expand_home("~nobody-has-this-name/a").as_posix()
    '~nobody-has-this-name/a'
    """
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"{path!r} came as a name; wanted the name of a file or folder, as text or a Path")
    return Path(os.path.expanduser(path))  # noqa: PTH111, where Path.expanduser raises, this does not


def suggest_path(path: Path) -> str:
    """Suggest the existing path that is closest to a missing one; empty if it is there, or none is close.

    Names are compared folder by folder, for paths in one folder all look alike. A name that only lacks its
    end comes first: `runs/run4-seed` suggests `runs/run4-seed0`.

    >>> suggest_path(Path("nowhere-near-anything"))
    ''
    """
    found = Path(path.anchor)
    for part in path.parts[len(found.parts) :]:
        if not (found / part).exists():
            try:
                names = sorted(each.name for each in found.iterdir())
            except OSError:
                return ""
            longer = [name for name in names if len(part) > 2 and name.startswith(part)]
            close = longer or difflib.get_close_matches(part, names, n=1, cutoff=0.75)
            if not close:
                return ""
            part = close[0]
        found /= part
    return "" if found == path else f"; did you mean {str(found)!r}?"


def read_array(name: str) -> "np.ndarray | None":
    """Read an array that `keep_array` cached under a name such as `answers/0123`; None without a good one."""
    with contextlib.suppress(OSError):
        return (read_arrays(cache_folder() / f"{name}.npz") or {}).get("array")
    return None


def keep_array(name: str, array: "np.ndarray") -> None:
    """Cache an array under a name that identifies its content; a cache that cannot be written is no error."""
    with contextlib.suppress(OSError):
        write_arrays(cache_folder() / f"{name}.npz", array=array)


def read_arrays(path: Path) -> "dict[str, np.ndarray] | None":
    """Read an .npz file; None if it is missing or damaged, so that its content is computed again."""
    import numpy as np

    try:
        # Opened here, since NumPy does not close a damaged file.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception:  # A damaged file can raise anything.
        return None


def find_other_kind(path: Path) -> str | None:
    """Say what a path is, if it exists and is not a file."""
    if not path.exists() or path.is_file():
        return None
    return "a folder" if path.is_dir() else "a pipe or a device"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file atomically: a reader sees the old file or the new one, never half of it.

    So does the disk after a power loss: the new file is on it before it gets its name.

    Yields:
        A new path in the same folder, made if need be. It becomes `path` on success, and is deleted on
        failure.

    Raises:
        DiskError: the disk is full, read-only or broken.
        OSError: the path is a folder, a pipe or a device, which are never replaced; or for another reason.
    """
    if kind := find_other_kind(path):
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    # What is added has 14 bytes, a file system takes 255, and a letter has at most four.
    name = path.name if len(os.fsencode(path.name)) <= 255 - 14 else path.name[:60]
    temporary = path.with_name(f".{name}.{secrets.token_hex(4)}.tmp")
    with _BEGINNING:
        _TEMPORARIES.add(temporary)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            # A disk that has become read-only has told of it already.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            _TEMPORARIES.discard(temporary)


def abandon_temporaries() -> None:
    """Delete what `replacing` is writing, and let it begin nothing more: the process is about to end."""
    _BEGINNING.acquire()
    for path in list(_TEMPORARIES):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name what is being written where the disk is full, read-only or broken.

    Raises:
        DiskError: in place of an OSError that says so without a name.
    """
    try:
        yield
    except OSError as error:
        number = disk_errno(error)
        if isinstance(error, DiskError) or number is None:
            raise
        raise disk_error(path, number) from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name what cannot be written, whatever the reason.

    Raises:
        RunError: in place of every OSError; a DiskError where `naming` raises it.
    """
    try:
        with naming(path):
            yield
    except RunError:
        raise
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}; choose another place") from None


def disk_errno(error: Exception) -> int | None:
    """Return the system's number of an error that says that the disk is full, read-only or broken."""
    return error.errno if isinstance(error, OSError) and error.errno in _DISK_ERRORS else None


def disk_error(path: Path, number: int, *, needed: int | None = None, kept: str = "") -> DiskError:
    """Make the error of a file that the disk refuses.

    Args:
        path: what is written.
        number: the system's number of the error, such as `errno.ENOSPC`.
        needed: how many bytes it takes, if known.
        kept: what is saved nevertheless, for the end of the message.
    """
    facts = [] if needed is None else [f"it needs up to {megabytes(needed)}"]
    with contextlib.suppress(OSError):
        facts.append(f"{megabytes(free_bytes(path))} are free on its disk")
    known = f" ({', '.join(facts)})" if facts else ""
    said, cure = os.strerror(number), _DISK_ERRORS[number]
    return DiskError(f"{path} cannot be written: {said}{known}; {cure}{kept}", number)


def free_bytes(path: Path) -> int:
    """Return how many bytes are free on the disk of a path, which need not exist yet.

    What a quota leaves is not seen: the system does not tell.

    Raises:
        OSError: the disk cannot be asked.
    """
    return shutil.disk_usage(
        next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    ).free


def megabytes(count: int) -> str:
    """Write a number of bytes in MB, kB or bytes.

    >>> megabytes(1_234_567), megabytes(12_345), megabytes(12)
    ('1.2 MB', '12.3 kB', '12 bytes')
    """
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:,.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; some systems, such as Windows, cannot."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path) -> None:
    """Delete what `replacing` left in a folder when its program was killed; no other may be writing there."""
    for path in folder.glob(".*.tmp"):
        if re.fullmatch(r"\..+\.[0-9a-f]{8}\.tmp", path.name):
            path.unlink(missing_ok=True)


def write_array(path: Path, array: "np.ndarray") -> None:
    """Write an array as .npy, atomically."""
    import numpy as np

    with replacing(path) as new, new.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write an .npz file, atomically; as a zip file it carries a checksum of its content."""
    import numpy as np

    with replacing(path) as new, new.open("wb") as file:
        np.savez(file, **arrays)


def write_table(path: Path, table: "pd.DataFrame", *, is_parquet: bool) -> None:
    """Write a table as CSV or Parquet, without its index, atomically."""
    with replacing(path) as new:
        if is_parquet:
            table.to_parquet(new, index=False)
        else:
            table.to_csv(new, index=False)


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically; its bytes are the same on every system.

    Names of files that are not UTF-8 hold letters that it lacks; they are written as escapes.
    """
    with replacing(path) as new:
        new.write_bytes(text.encode(errors="backslashreplace"))


def append_text(path: Path, text: str) -> None:
    """Append text to a file, all of it or nothing.

    Raises:
        DiskError: the disk is full, read-only or broken.
    """
    with naming(path), path.open("ab", buffering=0) as file:
        start, left = file.seek(0, os.SEEK_END), text.encode(errors="backslashreplace")
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(start)
            raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
    """
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Write JSON as the text of a file.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
    """
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def read_bytes(path: Path, *, at_most: int) -> bytes:
    """Read a whole file, if it is not larger than any good one.

    Raises:
        OSError: it is larger, or cannot be read.
    """
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))
    if status.st_size > at_most:
        problem = f"it has {status.st_size:,} bytes, and no good file of its kind has more than {at_most:,}"
        raise OSError(errno.EOVERFLOW, problem, str(path))
    return path.read_bytes()


def read_json_lines(path: Path) -> list[Json]:
    """Read a .jsonl file: an object in each line.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _read(path, lambda text: [_parse_line(line) for line in text.split("\n") if line])


def json_line(content: Any) -> str:
    """Write JSON as one line of a .jsonl file."""
    return json.dumps(content, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _read(path, parse_json)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Report a JSON file that lacks what the code inside reads, or has another type there.

    Raises:
        RunError: it does.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise RunError(f"{path} is damaged: {error!r} in it; restore it, or make it again") from None


def _parse_line(line: str) -> Json:
    content = parse_json(line)
    if not isinstance(content, dict):
        raise ValueError("a line of it is no object")
    return content


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(read_bytes(path, at_most=MOST_JSON_BYTES).decode())
    except FileNotFoundError:
        if path.name == "run.json":
            raise RunError(f"{path} is missing: {path.parent} is not the folder of a run") from None
        raise RunError(f"{path} is missing; restore it, or make it again") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; restore it, or train again") from None
    except ValueError as error:
        raise RunError(f"{path} cannot be read: {error}; restore it, or train again") from None
