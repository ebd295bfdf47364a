"""The fields of a config by dotted name, and which of them may differ between runs that are compared or resumed."""

import dataclasses
import difflib
import json

from fer_jax.files import Json


def flatten(fields: Json, prefix: str = "") -> dict[str, str]:
    """Turn nested JSON into dotted names -> JSON text; a list gives one entry an element.

    >>> flatten({"train": {"epochs": 3}})
    {'train.epochs': '3'}
    """
    flat: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat |= {f"{prefix}{name}[{index}]": json.dumps(each) for index, each in enumerate(value)}
        else:
            flat[f"{prefix}{name}"] = json.dumps(value)
    return flat


def field_names(config_class: type) -> list[str]:
    """List the names of all fields of a config class and of the config classes in it."""
    names: list[str] = []
    for each in dataclasses.fields(config_class):
        names.append(each.name)
        if dataclasses.is_dataclass(each.type) and isinstance(each.type, type):
            names.extend(field_names(each.type))
    return names


def suggest(name: str, known: list[str]) -> str:
    """Say which known name was perhaps meant, or nothing.

    >>> suggest("peek_rate", ["peak_rate", "epochs"])
    "; did you mean 'peak_rate'?"
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


# The data is known by its hash, not by its place; a cache and fewer checkpoints change no bit.
FREE = ("data.path", "data.source", "labels.ferplus", "device.compile_cache", "train.save_epochs")
# So are the teachers: their hash is compared when a run goes on.
FREE_TO_RESUME = (*FREE, "distill.teachers")
