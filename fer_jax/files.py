"""Files: atomic writes, JSON, and arrays kept in the user's cache folder."""

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from fer_jax.errors import RunError

Json = dict[str, Any]


def cache_folder() -> Path:
    """$FER_JAX_CACHE, else fer_jax in the user's cache folder."""
    chosen = os.environ.get("FER_JAX_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("fer_jax")


def read_array(name: str) -> np.ndarray | None:
    """Read an array that `keep_array` kept; None where it is missing or damaged.

    Args:
        name: of the file within the cache, such as answers/0123; it has to say all that the content hangs on.
    """
    try:
        with np.load(cache_folder() / f"{name}.npz", allow_pickle=False) as arrays:
            array: np.ndarray = arrays["array"]
            return array
    except Exception:  # Damage shows as whatever the reader trips over; the cure is the same.
        return None


def keep_array(name: str, array: np.ndarray) -> None:
    """Keep an array for `read_array`; where it cannot be written it is made again next time."""
    # A zip has a checksum of its content.
    content = io.BytesIO()
    np.savez(content, array=array)
    with contextlib.suppress(OSError):
        write_array(cache_folder() / f"{name}.npz", content.getvalue())


def write_array(path: Path, content: bytes | np.ndarray) -> None:
    """Write beside the place and rename, so that a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                np.save(file, content, allow_pickle=False)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place to write in, which becomes the file when all went well: whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    yield temporary
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; a number that JSON lacks (NaN, infinity) is refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json_lines(path: Path) -> list[Any]:
    """Read a .jsonl file that `json_line` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _read(path, lambda text: [json.loads(line) for line in text.splitlines()])


def json_line(content: Any) -> str:
    """Write JSON as one line of a .jsonl file."""
    return json.dumps(content, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        RunError: the file is missing or damaged.
    """
    return _read(path, json.loads)


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {path.parent} is not the folder of a run") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; restore it, or train again") from None
