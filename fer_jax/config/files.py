"""Configs to and from files: the Python file of an experiment record, and the JSON of a run.

A config file is a Python file that ends in `config = Config(...)`.
"""

import dataclasses
import difflib
import json
import runpy
import traceback
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import dacite

from fer_jax.config.fields import field_names, suggest
from fer_jax.config.model import ConvBlock
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, FerJaxError
from fer_jax.files import Json


def to_json(config: Config) -> Json:
    """Turn a config into plain dicts, lists, strings and numbers.

    >>> to_json(Config(name="a"))["optimizer"]["peak_rate"]
    0.001
    """
    fields: Json = json.loads(json.dumps(dataclasses.asdict(config)))
    return fields


def from_json(fields: Any, *, where: str) -> Config:
    """Build a config from what `to_json` made.

    Args:
        fields: nested dicts; a missing field takes its default.
        where: the file or place they came from, for messages.

    Raises:
        ConfigError: an unknown field, a wrong type or a value out of range.
    """
    if not isinstance(fields, dict):
        raise ConfigError(f"{where}: came {type(fields).__name__}; wanted an object of config fields")
    try:
        return dacite.from_dict(
            Config, fields, dacite.Config(strict=True, cast=[tuple], type_hooks={float: _as_float})
        )
    except dacite.UnexpectedDataError as error:
        name = sorted(error.keys)[0]
        raise ConfigError(
            f"{where}: there is no config field {name!r}{suggest(name, _all_names())}"
        ) from None
    except dacite.WrongTypeError as error:
        wanted = _describe(error.field_type)
        raise ConfigError(
            f"{where}: config field {error.field_path} is {error.value!r}; wanted {wanted}"
        ) from None
    except dacite.DaciteError as error:
        raise ConfigError(f"{where}: {error}") from None


def _as_float(value: object) -> object:
    return float(value) if isinstance(value, int) else value


def _describe(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(map(repr, get_args(wanted)))}"
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)


def _all_names() -> list[str]:
    return field_names(Config) + field_names(ConvBlock)


def load_config(path: Path) -> Config:
    """Run a config file and take its `config`.

    Args:
        path: a Python file that defines `config = Config(...)`.

    Raises:
        ConfigError: no such file, an error inside it, or no `config` in it.
    """
    if not path.is_file():
        known = sorted(path.parent.glob("*.py")) or sorted(Path("configs").glob("*.py"))
        # By file name alone: folders in common make any two paths look alike.
        close = difflib.get_close_matches(path.name, [each.name for each in known], n=1)
        near = f"; did you mean {str(known[0].with_name(close[0]))!r}?" if close else ""
        there = f"; there are {', '.join(map(str, known))}" if known else ""
        raise ConfigError(f"there is no config file {path}{near or there}")
    config = run_file(path).get("config")
    if not isinstance(config, Config):
        raise ConfigError(
            f"{path} defines no `config`: end it with `config = Config(name=...)` from fer_jax.config.run"
        )
    # Dataclasses take any type; going through from_json checks each one.
    return from_json(dataclasses.asdict(config), where=str(path))


def run_file(path: Path) -> Json:
    """Run a Python file and take everything that it defines.

    Args:
        path: of a file that exists.

    Raises:
        ConfigError: an error inside it, with its line.
    """
    try:
        return runpy.run_path(str(path))
    except FerJaxError as error:
        raise ConfigError(f"{path}, line {_line_of(error, path)}: {error}") from None
    except (Exception, SystemExit) as error:
        line = error.lineno if isinstance(error, SyntaxError) else _line_of(error, path)
        hint = _hint(error)
        raise ConfigError(f"{path}, line {line}: {type(error).__name__}: {error}{hint}") from None


def _line_of(error: BaseException, path: Path) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)


def _hint(error: BaseException) -> str:
    text = str(error)
    quoted = text.split("'")
    is_unknown_field = isinstance(error, TypeError) and "unexpected keyword argument" in text
    if "Did you mean" in text:  # Python 3.13 makes the suggestion itself.
        return ""
    return suggest(quoted[1], _all_names()) if is_unknown_field and len(quoted) > 1 else ""
