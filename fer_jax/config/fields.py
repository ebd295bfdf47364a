"""The fields of a config by dotted name, and those that may differ when runs are compared or resumed."""

import dataclasses
import difflib
import json

from fer_jax.files import Json


def flatten(fields: Json, prefix: str = "") -> dict[str, str]:
    """Flatten nested JSON into dotted name -> JSON text, with one entry for each element of a list.

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
    """List the names of all fields of a config class and of its sections."""
    names: list[str] = []
    for each in dataclasses.fields(config_class):
        names.append(each.name)
        if dataclasses.is_dataclass(each.type) and isinstance(each.type, type):
            names.extend(field_names(each.type))
    return names


def suggest(name: str, known: list[str]) -> str:
    """Suggest the known name that is closest to an unknown one; empty if none is close.

    >>> suggest("peek_rate", ["peak_rate", "epochs"])
    "; did you mean 'peak_rate'?"
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


# Data is compared by hash, not by path; limits, a compile cache and fewer checkpoints do not change a bit.
FREE = (
    "data.path",
    "data.source",
    "data.max_drop_fraction",
    "labels.ferplus",
    "device.compile_cache",
    "train.save_epochs",
)
# Teachers too are compared by hash when a run is resumed.
FREE_TO_RESUME = (*FREE, "distill.teachers")
