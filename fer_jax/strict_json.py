"""JSON as RFC 8259 has it, with one meaning for all who read it."""

import json
import math
from collections.abc import Callable
from typing import Any, Final

_SHOWN_LETTERS: Final = 80
_LARGEST_WHOLE: Final = 2**1023  # float() of much more overflows
_MOST_DIGITS: Final = 300
"""Of a whole number: more cannot become a float."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that anybody may have written.

    Raises:
        ValueError: it is not JSON, or not UTF-8; an object has a name twice; a number is not finite, or too
            large for a float; it is nested too deep.

    >>> parse_json(b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        return json.loads(
            text if isinstance(text, str) else text.decode(),
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
            parse_int=_parse_int,
            object_pairs_hook=_to_object,
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _parse_int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError("a number is too large")
    return int(text)


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:_SHOWN_LETTERS]!r} is in one object twice")
    return fields


def _as_int(value: object) -> object:
    # Python takes True for 1. What is no int any more is refused as of a wrong type.
    return str(value) if isinstance(value, bool) else value


def _as_float(value: object) -> object:
    if type(value) is not int or abs(value) > _LARGEST_WHOLE:
        return value
    return float(value)


NUMBER_HOOKS: Final[dict[type[Any], Callable[[Any], Any]]] = {int: _as_int, float: _as_float}
"""dacite's hooks for numbers as JSON has them: a whole number may be a float, and a boolean is no number."""
