"""The search space of a sweep: a Python file of config fields with their ranges, checked before any trial.

A space file ends with a dict from config field to its range or choices:

    space = {
        "optimizer.peak_rate": (1e-4, 1e-2, "log"),  # or "linear"; "int" or "log-int" for integers
        "model.blocks.*.dropout_rate": (0.0, 0.4, "linear"),  # one value for all blocks; .0. is the first one
        "optimizer.schedule": ["constant", "cosine"],
    }
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fer_jax.config.fields import FILES
from fer_jax.config.files import run_file, to_json
from fer_jax.config.overrides import Value, apply, find_field
from fer_jax.config.records import find_file
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError
from fer_jax.files import Json

KINDS: Final = ("linear", "log", "int", "log-int")
FIXED: Final = (
    "name",
    "data",
    "labels",
    "split",
    "device",
    "train.seed",
    "train.resample",
    "train.select",
    "train.eval_batch_size",
    "train.train_eval_examples",
)
"""Fields and sections that no sweep may change: how trials are measured, and what has no effect on them."""
_WANTED: Final = (
    f"a tuple (low, high, kind) with low < high and one of {', '.join(KINDS)}, or a list of two different "
    "choices or more"
)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: the smallest.
        high: the largest, > low.
        kind: one of `KINDS`. With log equal ratios are equally likely, otherwise equal differences; with int
            only integers.
    """

    low: float
    high: float
    kind: str

    @property
    def is_log(self) -> bool:
        """Whether equal ratios are equally likely."""
        return self.kind.startswith("log")

    @property
    def is_int(self) -> bool:
        """Whether all values are integers."""
        return self.kind.endswith("int")

    @property
    def tried(self) -> tuple[Value, ...]:
        """The values that are tried out in the config: both ends."""
        return self.low, self.high


@dataclass(frozen=True)
class Choices:
    """One of some values: at least two, all different."""

    values: tuple[Value, ...]

    @property
    def tried(self) -> tuple[Value, ...]:
        """The values that are tried out in the config: all."""
        return self.values


Space = dict[str, Range | Choices]
"""Config field -> its range or choices, in the file's order."""


def load_space(path: Path, config: Config) -> Space:
    """Run a space file, and check it against the config that it changes.

    Args:
        path: a Python file that defines `space = {...}`.
        config: the base, with all other fields.

    Raises:
        ConfigError: no such file, an error in it, an unknown field, an invalid range, or a value that the
            config refuses whatever one other field of the space is.
    """
    path = find_file(path, "space")
    content = run_file(path).get("space")
    if not isinstance(content, dict) or not content:
        raise ConfigError(f'{path} defines no `space`: end it with `space = {{"optimizer.peak_rate": ...}}`')
    space = {str(name): _read(str(path), str(name), value) for name, value in content.items()}
    _check_fields(str(path), space, config)
    _check_values(str(path), space, config)
    return space


def to_plain(space: Space) -> Json:
    """Turn a space into JSON: for each field its `choices`, or `low`, `high` and `kind`.

    >>> to_plain({"train.epochs": Range(2, 8, "int"), "optimizer.nesterov": Choices((False, True))})
    {'train.epochs': {'low': 2, 'high': 8, 'kind': 'int'}, 'optimizer.nesterov': {'choices': [False, True]}}
    """
    return {
        name: {"choices": list(domain.values)} if isinstance(domain, Choices) else asdict(domain)
        for name, domain in space.items()
    }


def list_files(space: Space) -> Iterator[tuple[str, str]]:
    """Yield the fields that name files or trained networks, each once with each of its choices.

    >>> list(list_files({"init.weights": Choices((None, "mid")), "train.epochs": Range(2, 8, "int")}))
    [('init.weights', 'mid')]
    """
    for name, domain in space.items():
        if name.startswith(FILES):
            yield from ((name, str(value)) for value in domain.tried if value is not None)


def _read(where: str, name: str, value: object) -> Range | Choices:
    """Read the range or the choices of one field."""
    if isinstance(value, list) and all(each is None or isinstance(each, str | int | float) for each in value):
        if len(set(value)) == len(value) >= 2:
            return Choices(tuple(value))
    elif isinstance(value, tuple) and len(value) == 3 and value[2] in KINDS:
        low, high, kind = value
        wanted = int if kind.endswith("int") else int | float
        is_number = all(isinstance(end, wanted) and not isinstance(end, bool) for end in (low, high))
        # Larger whole numbers are not exact as floats, in which they are drawn.
        most = 2**53 if kind.endswith("int") else sys.float_info.max
        if is_number and -most <= low < high <= most:
            if kind.startswith("log") and low <= 0:
                raise ConfigError(f"{where}: {name} is {value!r}; wanted low > 0, since zero has no log")
            # Integer ends of a range of floats become floats.
            return Range(low, high, kind) if kind.endswith("int") else Range(float(low), float(high), kind)
    raise ConfigError(f"{where}: {name} is {value!r}; wanted {_WANTED}")


def _check_fields(where: str, space: Space, config: Config) -> None:
    """Refuse fields that do not exist, that no sweep may change, or that are set twice."""
    fields, seen = to_json(config), dict[str, str]()
    for name in space:
        if any(name == fixed or name.startswith(f"{fixed}.") for fixed in FIXED):
            raise ConfigError(
                f"{where}: {name} cannot be swept: it is the same in all trials; set it in the config"
            )
        for holder, key, place in find_field(fields, name, where=where):
            if isinstance(holder[key], dict | list):
                raise ConfigError(f"{where}: {name} is a group of fields; name one of them")
            if place in seen:
                raise ConfigError(f"{where}: {name} and {seen[place]} both set {place}; leave one out")
            seen[place] = name


def _check_values(where: str, space: Space, config: Config) -> None:
    """Refuse a value that the config accepts neither alone nor with one other field of the space changed."""

    def refusal(params: dict[str, Value]) -> str | None:
        try:
            apply(config, params, where=where)
        except ConfigError as error:
            return str(error)
        return None

    for name, domain in space.items():
        others = [(other, value) for other in space if other != name for value in space[other].tried]
        for value in domain.tried:
            why = refusal({name: value})
            if why and all(refusal({name: value, other: each}) for other, each in others):
                is_whole = (
                    isinstance(domain, Range) and not domain.is_int and "int" in why.split("wanted")[-1]
                )
                hint = '; give integers and "int"' if is_whole else ""
                raise ConfigError(
                    f"{where}: {name} cannot be {value!r}: {why.removeprefix(f'{where}: ')}{hint}"
                )
