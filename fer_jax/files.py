"""Files: atomic writes, JSON, and arrays in the user's cache folder."""

import contextlib
import difflib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from fer_jax.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Json = dict[str, Any]
# NumPy is imported in the functions that need it: a message about a wrong option should not wait for it.

_SHOWN_LETTERS = 80


def cache_folder() -> Path:
    """$FER_JAX_CACHE, else fer_jax in the user's cache folder."""
    chosen = os.environ.get("FER_JAX_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("fer_jax")


def suggest_path(path: Path) -> str:
    """Suggest the existing path that is closest to a missing one; empty if none is close.

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
    return f"; did you mean {str(found)!r}?"


def read_array(name: str) -> "np.ndarray | None":
    """Read an array that `keep_array` cached under a name such as `answers/0123`; None without a good one."""
    return (read_arrays(cache_folder() / f"{name}.npz") or {}).get("array")


def keep_array(name: str, array: "np.ndarray") -> None:
    """Cache an array under a name that identifies its content; a disk that is full is no error."""
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file atomically: a reader sees the old file or the new one, never half of it.

    Yields:
        A new path in the same folder, made if need be. It becomes `path` on success, and is deleted on
        failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    """Write a text file, atomically."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically.

    Raises:
        ValueError: a number that JSON does not have (NaN, infinity).
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json_lines(path: Path) -> list[Any]:
    """Read a .jsonl file.

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


def refuse_other(path: Path, inputs: Json, *, may_replace: bool) -> None:
    """Refuse to replace a JSON result that was made from other inputs.

    Nothing is refused where there is no result or only a damaged one.

    Args:
        path: of the result.
        inputs: what the new one is made from, by the name of its field in the result; `data.sha256` is a
            field of a field, `members.run` that of each member. What the old result lacks is not compared.
        may_replace: whether the user gave `--overwrite`.

    Raises:
        RunError: the old result has another value in one of the fields.
    """
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for name, value in inputs.items():
        found = _look_up(old, name.split("."))
        if found is not None and found != value and not may_replace:
            raise RunError(
                f"{path} was made from other inputs: its {name} is {_show(found)}, and here it is "
                f"{_show(value)}; move it away, or give --overwrite to replace it"
            )


def _look_up(content: Any, names: list[str]) -> Any:
    """Find a field of a field; of a list, the field of each entry. None where there is none."""
    if not names:
        return content
    if isinstance(content, list):
        found = [_look_up(each, names) for each in content]
        return None if None in found else found
    return _look_up(content.get(names[0]), names[1:]) if isinstance(content, dict) else None


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]} ..."


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {path.parent} is not the folder of a run") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; restore it, or train again") from None
