"""Overrides: `--model.blocks.0.features 64` and the like, from values to a config and from a config to options."""

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_jax.config.data import BadRow
from fer_jax.config.files import from_json, to_json
from fer_jax.config.run import Config


def with_data(settings: Config, data: Path | None, on_bad_row: BadRow | None) -> Config:
    """Put the short options `--data` and `--on-bad-row` into the config."""
    is_ignored = data is not None and settings.data.source == "synthetic"
    short = dataclasses.replace(
        settings.data,
        path=settings.data.path if data is None else str(data),
        # A file named on the command line is wanted, whatever the config says.
        source="auto" if is_ignored else settings.data.source,
        on_bad_row=on_bad_row or settings.data.on_bad_row,
    )
    return dataclasses.replace(settings, data=short)


def option(field: str, value: Any) -> str:
    """Write a config field and its value as an option of `train`.

    Args:
        field: dotted, such as `optimizer.peak_rate` or `model.blocks[0].pool`.
        value: of JSON; blocks, for which there is no option, are written as in a config file.

    >>> option("optimizer.peak_rate", 0.0003), option("model.blocks[0].pool", False)
    ('--optimizer.peak-rate 0.0003', '--model.blocks.0.no-pool')
    """
    if isinstance(value, list):
        blocks = (", ".join(f"{name}={each!r}" for name, each in block.items()) for block in value)
        return "ModelConfig(blocks=(" + "".join(f"ConvBlock({fields}), " for fields in blocks).rstrip() + "))"
    section, _, name = re.sub(r"\[(\d+)\]", r".\1", field).replace("_", "-").rpartition(".")
    prefix = f"--{section}." if section else "--"
    if isinstance(value, bool):
        return prefix + (name if value else f"no-{name}")
    return f"{prefix}{name} {shlex.quote(str(value))}"


Value = str | float | bool | None
"""What a field of the config can be set to; an int is a float to the type checker."""


def apply(config: Config, params: dict[str, Any], *, where: str) -> Config:
    """Set fields of a config.

    Args:
        config: the base; it stays as it is.
        params: field of a space -> its value.
        where: who sets them, for messages.

    Raises:
        ConfigError: the config refuses a value, or all of them together.

    >>> apply(Config(name="a"), {"train.epochs": 3}, where="here").train.epochs
    3
    """
    fields = to_json(config)
    for name, value in params.items():
        for holder, key, _ in find_field(fields, name):
            holder[key] = value
    return from_json(fields, where=where)


def to_options(base: Config, config: Config) -> list[str]:
    """Spell out on the command line what makes one config of another of the same shape.

    >>> base = Config(name="a")
    >>> to_options(base, apply(base, {"optimizer.name": "sgd", "optimizer.nesterov": True}, where="here"))
    ['--optimizer.name', 'sgd', '--optimizer.nesterov']
    """
    words: list[str] = []
    new = dict(list_leaves(to_json(config)))
    for name, old in list_leaves(to_json(base)):
        value = new[name]
        if value == old:
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            section, _, last = option.rpartition(".")
            words.append(f"--{section}.{last if value else f'no-{last}'}")
        else:
            words += [f"--{option}", str(value)]
    return words


def find_field(fields: Any, name: str, prefix: str = "") -> Iterator[tuple[Any, str | int, str]]:
    """Yield holder, key and full name of each place that a field of a space means; `*` is every index."""
    first, _, rest = name.partition(".")
    keys: list[Any] = []
    if isinstance(fields, dict) and first in fields:
        keys = [first]
    elif isinstance(fields, list):
        keys = [index for index in range(len(fields)) if first in ("*", str(index))]
    for key in keys:
        if rest:
            yield from find_field(fields[key], rest, f"{prefix}{key}.")
        else:
            yield fields, key, f"{prefix}{key}"


def list_leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the dotted name and the value of every field that is no group."""
    if isinstance(fields, dict | list):
        pairs = fields.items() if isinstance(fields, dict) else enumerate(fields)
        for key, value in pairs:
            yield from list_leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, fields
