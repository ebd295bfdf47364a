"""Results as JSON that a command may replace: only those that were made from the same inputs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fer_jax.errors import RunError
from fer_jax.files import MOST_JSON_BYTES, Json, read_bytes
from fer_jax.strict_json import parse_json

_SHOWN_LETTERS: Final = 80


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
    old = read_old(path)
    for name, value in inputs.items():
        found = _look_up(old, name.split("."))
        if found is not None and found != value and not may_replace:
            name, found, value = _narrow(name, found, value)
            raise RunError(
                f"{path} was made from other inputs: its {name} is {_show(found)}, and here it is "
                f"{_show(value)}; move it away, or give --overwrite to replace it"
            )


def read_old(path: Path) -> Any:
    """Read the result that a new one would replace; None where there is none, or only a damaged one."""
    try:
        return parse_json(read_bytes(path, at_most=MOST_JSON_BYTES))
    except (OSError, ValueError):
        return None


def _look_up(content: Any, names: list[str]) -> Any:
    """Find a field of a field; of a list, the field of each entry. None where there is none."""
    if not names:
        return content
    if isinstance(content, list):
        found = [_look_up(each, names) for each in content]
        return None if None in found else found
    return _look_up(content.get(names[0]), names[1:]) if isinstance(content, dict) else None


def _narrow(name: str, found: Any, value: Any) -> tuple[str, Any, Any]:
    """Name the first entry that differs between two objects, with both values; other values stay."""
    if not (isinstance(found, dict) and isinstance(value, dict)):
        return name, found, value
    key = find_first_change(found, value)
    return _narrow(f"{name}.{key}", found.get(key), value.get(key))


def find_first_change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Find the first key whose values differ, or that only one object has; None: they are the same."""
    keys = sorted({*old, *new})
    return next((key for key in keys if key not in old or key not in new or old[key] != new[key]), None)


def _show(value: Any) -> str:
    if value is None:
        return "not set"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]} ..."
