"""How two configs differ, as rows of text."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from fer_jax.config.fields import FREE, field_of
from fer_jax.config.files import to_json
from fer_jax.config.overrides import Value, list_leaves
from fer_jax.config.run import Config
from fer_jax.text import MISSING, Table, describe_value

NOT_THE_METHOD: Final = ("name", "train.seed", *FREE)
"""Fields that may differ between two seeds of one method."""

_BLOCK_FIELD = re.compile(r"(model\.blocks\.\d+)\.(\w+)")


def method(config: Config) -> dict[str, Value]:
    """Flatten everything that may change a run's result, except the seed; list elements go by number."""
    return {
        name: value for name, value in list_leaves(to_json(config)) if field_of(name) not in NOT_THE_METHOD
    }


def list_own_settings(config: Config) -> dict[str, Value]:
    """List what tells a config from others of its name: the method's fields that are not at their default.

    Those of `device` do not count, and a field that a later version adds changes nothing.

    >>> from fer_jax.config.training import TrainConfig
    >>> list_own_settings(Config(name="a", train=TrainConfig(epochs=3, seed=5)))
    {'train.epochs': 3}
    """
    default = method(Config(name=config.name))
    return {
        name: value
        for name, value in method(config).items()
        if value != default.get(name) and not name.startswith("device.")
    }


def list_changes(before: Config, after: Config, *, ignored: Collection[str]) -> Table:
    """List the fields that differ between two configs.

    Args:
        before: the config that is changed.
        after: what it becomes.
        ignored: dotted names of fields that do not count.

    Returns:
        Rows of field, value before, value after, without a head; a dash where there is no such field. A
        change that all blocks of the network share is one row, `model.blocks.*`, and so is a block that was
        added or removed.

    >>> list_changes(Config(name="a"), Config(name="b"), ignored=())
    [['name', 'a', 'b']]
    """
    old, new = (dict(list_leaves(to_json(each))) for each in (before, after))
    changed = {
        field: (_describe(old, field), _describe(new, field))
        for field in [*new, *(field for field in old if field not in new)]
        if field_of(field) not in ignored
        and (field not in old or field not in new or old[field] != new[field])
    }
    counts = [len(config.model.blocks) for config in (before, after)]
    rows: dict[str, list[str]] = {}
    for field, values in changed.items():
        match = _BLOCK_FIELD.fullmatch(field)
        if match is None:
            rows[field] = [field, *values]
            continue
        block, name = match.groups()
        alike = [changed.get(f"model.blocks.{index}.{name}") == values for index in range(max(counts))]
        if int(block.rpartition(".")[2]) >= min(counts):
            rows[block] = [block, _describe_block(old, block), _describe_block(new, block)]
        elif len(alike) > 1 and all(alike):
            rows[name] = [f"model.blocks.*.{name}", *values]
        else:
            rows[field] = [field, *values]
    return list(rows.values())


def list_settings(config: Config) -> Table:
    """List the fields of a run's config that are not at their default.

    Returns:
        A head and rows of field, this run, default; empty if every field is at its default.

    >>> from fer_jax.config.training import TrainConfig
    >>> list_settings(Config(name="a", train=TrainConfig(epochs=3)))[1:]
    [['train.epochs', '3', '10']]
    """
    rows = list_changes(Config(name=config.name), config, ignored=())
    return (
        [["field", "this run", "default"], *([field, new, old] for field, old, new in rows)] if rows else []
    )


def _describe(settings: Mapping[str, Value], field: str) -> str:
    return describe_value(settings[field]) if field in settings else MISSING


def _describe_block(settings: Mapping[str, Value], block: str) -> str:
    """Write a block of the network in words; a dash if there is none."""
    own = {
        name.removeprefix(f"{block}."): value
        for name, value in settings.items()
        if name.startswith(f"{block}.")
    }
    if not own:
        return MISSING
    words = [] if own["kind"] == "plain" else [str(own["kind"])]
    words += [f"{own['features']} features"]
    words += ["batch norm"] if own["batch_norm"] else []
    words += ["pooling"] if own["pool"] else []
    words += ["squeeze-and-excitation"] if own["squeeze_excite"] else []
    words += [f"dropout {own['dropout_rate']:g}"] if own["dropout_rate"] else []
    return ", ".join(words)
