"""Reading and writing configs: a Python file (the record of an experiment) or the JSON of a run.

A config file is a Python file that ends in `config = Config(...)`.
"""

import dataclasses
import json
import runpy
import traceback
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import dacite

from fer_jax.config.fields import field_names, suggest
from fer_jax.config.model import ConvBlock
from fer_jax.config.records import find_file
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, FerJaxError
from fer_jax.files import Json
from fer_jax.strict_json import NUMBER_HOOKS

T = TypeVar("T")

_QUOTED_LETTERS: Final = 200


def to_json(config: Config) -> Json:
    """Convert a config into plain dicts, lists, strings and numbers.

    >>> to_json(Config(name="a"))["optimizer"]["peak_rate"]
    0.001
    """
    fields: Json = json.loads(json.dumps(dataclasses.asdict(config)))
    return fields


def from_json(kind: type[T], fields: Any, *, where: str) -> T:
    """Build a config, or one of its sections, from the output of `to_json`.

    Args:
        kind: the class, `Config` or the class of a section.
        fields: nested dicts; a missing field gets its default.
        where: the file they came from, for error messages.

    Raises:
        ConfigError: an unknown field, a wrong type or a value out of range.
    """
    if not isinstance(fields, dict):
        raise ConfigError(f"{where}: it holds a {type(fields).__name__}; wanted an object of config fields")
    _refuse_texts(kind, fields, where, "")
    try:
        return dacite.from_dict(
            kind, fields, dacite.Config(strict=True, cast=[tuple], type_hooks=NUMBER_HOOKS)
        )
    except dacite.UnexpectedDataError as error:
        name = sorted(error.keys)[0]
        raise ConfigError(
            f"{where}: there is no config field {_quote(name)}{suggest(name, _all_names())}"
        ) from None
    except dacite.WrongTypeError as error:
        wanted = _describe(error.field_type)
        raise ConfigError(
            f"{where}: config field {error.field_path} is {_quote(error.value)}; wanted {wanted}"
        ) from None
    except dacite.DaciteError as error:
        raise ConfigError(f"{where}: {error}") from None
    except (TypeError, ValueError, AttributeError) as error:  # dacite takes a section or a list for granted.
        raise ConfigError(
            f"{where}: where a section or a list of fields is wanted, there is something else ({error})"
        ) from None


def _refuse_texts(kind: Any, fields: Json, where: str, prefix: str) -> None:
    """Refuse a text where a tuple is wanted: dacite would make a tuple of its letters."""
    for each in dataclasses.fields(kind):
        value: object = fields.get(each.name)
        if isinstance(value, dict) and dataclasses.is_dataclass(each.type):
            _refuse_texts(each.type, value, where, f"{prefix}{each.name}.")
        elif isinstance(value, str) and get_origin(each.type) is tuple:
            item = get_args(each.type)[0]
            wanted = _describe(each.type)
            if item is str or get_origin(item) is Literal:
                text = json.dumps(value)
                wanted = f"a tuple: write ({text},) for one alone, in JSON [{text}]"
            raise ConfigError(
                f"{where}: config field {prefix}{each.name} is {_quote(value)}; wanted {wanted}"
            )


def _quote(value: object) -> str:
    """Quote a value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= _QUOTED_LETTERS else f"{text[:_QUOTED_LETTERS]}…"


def _describe(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(repr, get_args(wanted)))}"
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)


def _all_names() -> list[str]:
    return field_names(Config) + field_names(ConvBlock)


def load_config(named: str | Path) -> Config:
    """Run a config file and return its `config`.

    Args:
        named: a Python file that defines `config = Config(...)`, or the name of one that comes with fer_jax,
            such as "run6".

    Raises:
        ConfigError: there is no such file, running it fails, or it defines no `config`.
    """
    path = find_file(named, "config")
    if path.suffix == ".json":
        raise ConfigError(
            f"{path} is JSON; give a Python file that defines `config`, such as configs/run6.py"
        )
    config = run_file(path).get("config")
    if not isinstance(config, Config):
        raise ConfigError(
            f"{path} defines no `config`: import Config from fer_jax.config, and end the file with "
            "`config = Config(name=...)`"
        )
    return check_types(config, where=str(path))


def check_types(config: Config, *, where: str) -> Config:
    """Check the type of each field, which a dataclass does not; whole numbers of float fields become floats.

    Raises:
        ConfigError: a field has the wrong type, or is none of its choices.
    """
    return from_json(Config, dataclasses.asdict(config), where=where)


def run_file(path: Path) -> Json:
    """Run a Python file and return everything it defines.

    Args:
        path: an existing file.

    Raises:
        ConfigError: running it fails; the message names the line.
    """
    try:
        return runpy.run_path(str(path))
    except FerJaxError as error:
        raise ConfigError(f"{_place(error, path)}: {error}") from None
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{_place(error, path)}: {type(error).__name__}: {error}{_hint(error)}") from None


def _place(error: BaseException, path: Path) -> str:
    """Name the file, and its line where one is known: that of the fault, or the one that reached it."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line = error.lineno
    return str(path) if line is None else f"{path}, line {line}"


def _hint(error: BaseException) -> str:
    text = str(error)
    quoted = text.split("'")
    is_unknown_field = isinstance(error, TypeError) and "unexpected keyword argument" in text
    if "Did you mean" in text:  # Python 3.13 already suggests a name.
        return ""
    return suggest(quoted[1], _all_names()) if is_unknown_field and len(quoted) > 1 else ""
