"""How two configs differ, in words and as options."""

import json
import re
from dataclasses import replace
from typing import Any

from fer_jax.config.fields import FREE, flatten
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.files import Json
from fer_jax.text import Table

_BLOCK_FIELD = re.compile(r"(model\.blocks)\.(\d+)\.(\w+)")


def list_changes(before: Config, after: Config) -> list[list[str]]:
    """List the settings that differ between two configs; name, seed and the data's place are none.

    Returns:
        Rows of field, value before, value after, as text; a dash where there was no such field. A change that
        every block of the network shares is one row, `model.blocks.*`, and so is a block that is new or gone.
    """
    old, new = model_settings(before), model_settings(after)
    changed = {
        field: (old.get(field, "–"), new.get(field, "–"))
        for field in [*new, *(field for field in old if field not in new)]
        if old.get(field) != new.get(field)
    }
    blocks = {len(config.model.blocks) for config in (before, after)}
    rows: dict[str, list[str]] = {}
    for field, values in changed.items():
        match = _BLOCK_FIELD.fullmatch(field)
        if match is None:
            rows[field] = [field, *values]
            continue
        start, number, name = match.groups()
        block = f"{start}.{number}"
        everywhere = [changed.get(f"{start}.{index}.{name}") == values for index in range(max(blocks))]
        if int(number) >= min(blocks):
            rows[block] = [block, *(_join(each, block) for each in (old, new))]
        elif len(everywhere) > 1 and all(everywhere):
            rows[f"{start}.*.{name}"] = [f"{start}.*.{name}", *values]
        else:
            rows[field] = [field, *values]
    return list(rows.values())


def model_settings(config: Config) -> dict[str, str]:
    """Flatten what may change a run's result but its seed; a list's elements go by their number."""
    plain = replace(config, name="run", train=replace(config.train, seed=0))
    flat = flatten(_number_elements(to_json(plain)))
    return {field: text.strip('"') for field, text in flat.items() if field not in FREE}


def _number_elements(value: Json) -> Json:
    numbered = {}
    for name, each in value.items():
        content = {str(i): element for i, element in enumerate(each)} if isinstance(each, list) else each
        numbered[name] = _number_elements(content) if isinstance(content, dict) else content
    return numbered


def _join(settings: dict[str, str], block: str) -> str:
    """Write all settings of a block as one text; a dash where there is none."""
    prefix = f"{block}."
    own = {name.removeprefix(prefix): text for name, text in settings.items() if name.startswith(prefix)}
    return ", ".join(f"{name} {text}" for name, text in own.items()) or "–"


def config_changes(fields: Json) -> Table:
    """List the fields of a run's config that are not at their default; empty where there are none.

    >>> config_changes(to_json(Config(name="a")) | {"train": {"epochs": 3}})[1:]
    [['train.epochs', '3', '10']]
    """
    defaults = flatten(to_json(Config(name=fields["name"])))
    rows = [
        [field, _in_words(value), _in_words(defaults[field]) if field in defaults else "–"]
        for field, value in flatten(fields).items()
        if value != defaults.get(field)
    ]
    return [["field", "this run", "default"], *rows] if rows else []


def _in_words(text: str) -> str:
    """Write the JSON text of a field's value for people; of a block, what it has."""
    value = json.loads(text)
    if not isinstance(value, dict):
        return "none" if value is None else str(value)
    words = [] if value["kind"] == "plain" else [value["kind"]]
    words += [f"{value['features']} features"]
    words += ["batch norm"] if value["batch_norm"] else []
    words += ["pooling"] if value["pool"] else []
    words += ["squeeze-and-excite"] if value["squeeze_excite"] else []
    words += [f"dropout {value['dropout_rate']:g}"] if value["dropout_rate"] else []
    return ", ".join(words)


def list_differences(config: dict[str, Any]) -> Table:
    defaults = flatten(to_json(Config(name=config["name"])))
    return [
        [f"`{field}`", f"`{value}`", f"`{defaults[field]}`" if field in defaults else "–"]
        for field, value in flatten(config).items()
        if field not in defaults or value != defaults[field]
    ]
