"""Overrides such as `--model.blocks.0.features 64`: applied to a config, and written out from one."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from fer_jax.config.data import BadRow, Fit
from fer_jax.config.fields import suggest
from fer_jax.config.files import from_json, to_json
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError


def with_data(
    settings: Config,
    data: Path | None,
    on_bad_row: BadRow | None,
    *,
    fit: Fit | None = None,
    class_map: str | None = None,
) -> Config:
    """Apply short options such as `--data` and `--on-bad-row` to a config; None leaves its own value."""
    is_overruled = data is not None and settings.data.source == "synthetic"
    short = dataclasses.replace(
        settings.data,
        path=settings.data.path if data is None else str(data),
        # A file named on the command line is used even if the config asks for synthetic faces.
        source="auto" if is_overruled else settings.data.source,
        on_bad_row=on_bad_row or settings.data.on_bad_row,
        fit=fit or settings.data.fit,
        class_map=class_map or settings.data.class_map,
    )
    labels = settings.labels
    if class_map not in (None, "fer2013"):  # FER+ has votes on FER2013's images alone.
        labels = dataclasses.replace(labels, source="fer2013")
    return dataclasses.replace(settings, data=short, labels=labels)


_LISTS: Final = ("distill.teachers", "model.class_names", "train.extra_epochs", "train.trackers")
"""The fields that are lists of values."""

Value = str | float | bool | None
"""The value of a config field; to the type checker an int is a float."""


def to_option(field: str, value: Value) -> list[str]:
    """Write a config field and its value as an option of `train`, as words for the shell.

    Args:
        field: dotted name, such as `optimizer.peak_rate` or `model.blocks.0.pool`.
        value: of the field.

    >>> to_option("optimizer.peak_rate", 0.0003), to_option("model.blocks.0.pool", False)
    (['--optimizer.peak-rate', '0.0003'], ['--model.blocks.0.no-pool'])
    """
    section, dot, name = field.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{section}{dot}{name if value else f'no-{name}'}"]
    return [f"--{section}{dot}{name}", str(value)]


def apply(config: Config, params: Mapping[str, Any], *, where: str) -> Config:
    """Set fields of a config.

    Args:
        config: the base; it is not changed.
        params: dotted name of a field -> its value; `*` stands for every index of a list.
        where: who sets them, for messages.

    Raises:
        ConfigError: there is no such field, it is a section, or the config refuses a value or a combination.

    >>> apply(Config(name="a"), {"train.epochs": 3}, where="here").train.epochs
    3
    """
    fields = to_json(config)
    if not isinstance(params, Mapping):
        raise ConfigError(f'{where}: it is {params!r}; wanted a dict, such as {{"train.epochs": 3}}')
    for name, value in params.items():
        for holder, key, full_name in find_field(fields, name, where=where):
            if isinstance(holder[key], dict):
                raise ConfigError(
                    f"{where}: {full_name} has fields of its own, and the ones left out would be reset; "
                    f"set each by its name, such as {full_name}.{next(iter(holder[key]))}"
                )
            holder[key] = value
    return from_json(Config, fields, where=where)


def to_options(base: Config, config: Config) -> list[str]:
    """List the options that turn one config into another with the same number of blocks.

    >>> base = Config(name="a")
    >>> to_options(base, apply(base, {"optimizer.name": "sgd", "optimizer.nesterov": True}, where="here"))
    ['--optimizer.name', 'sgd', '--optimizer.nesterov']
    """
    old_fields, new_fields = to_json(base), to_json(config)
    old_lists, lists = (_take_lists(each) for each in (old_fields, new_fields))
    new = dict(list_leaves(new_fields))
    changed = [name for name, old in list_leaves(old_fields) if new[name] != old]
    words = [word for name in changed for word in to_option(name, new[name])]
    for name, values in lists.items():
        if values != old_lists[name]:
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


def _take_lists(fields: Any) -> dict[str, list[Value]]:
    """Take the fields out that are lists of values: the option of such a field takes all of them."""
    pairs = {field: field.split(".") for field in _LISTS}
    return {field: fields[section].pop(name) for field, (section, name) in pairs.items()}


def find_field(fields: Any, name: str, *, where: str) -> list[tuple[Any, str | int, str]]:
    """List container, key and full name of each field that a name matches; `*` matches every index.

    Args:
        fields: the output of `to_json`.
        name: dotted, such as `model.blocks.*.features`.
        where: who names it, for messages.

    Raises:
        ConfigError: there is no such field; the message suggests the closest one.
    """
    found = list(_match_field(fields, name, "")) if isinstance(name, str) else []
    if not found:
        known = [*(path for path, _ in list_leaves(fields)), *_LISTS]
        raise ConfigError(f"{where}: there is no config field {name!r}{suggest(str(name), known)}")
    return found


def _match_field(fields: Any, name: str, prefix: str) -> Iterator[tuple[Any, str | int, str]]:
    first, _, rest = name.partition(".")
    keys: list[Any] = []
    if isinstance(fields, dict) and first in fields:
        keys = [first]
    elif isinstance(fields, list):
        keys = [index for index in range(len(fields)) if first in ("*", str(index))]
    for key in keys:
        if rest:
            yield from _match_field(fields[key], rest, f"{prefix}{key}.")
        else:
            yield fields, key, f"{prefix}{key}"


def list_leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield dotted name and value of every field that is not a section or a list."""
    if isinstance(fields, dict | list):
        pairs = fields.items() if isinstance(fields, dict) else enumerate(fields)
        for key, value in pairs:
            yield from list_leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, fields
