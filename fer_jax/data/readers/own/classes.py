"""Which label is which class: by a preset, by a mapping file, or as the labels are."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fer_jax.config.model import LEAST_CLASSES, MOST_CLASSES, find_fault_of_one, unify_name
from fer_jax.data.readers.file_kinds import printable
from fer_jax.data.readers.own import presets
from fer_jax.data.readers.own.presets import PRESETS, Preset
from fer_jax.errors import ConfigError, DataError
from fer_jax.files import expand_home, suggest_path
from fer_jax.strict_json import parse_json

_MOST_LETTERS: Final = 40
_MOST_MAPPING_BYTES: Final = 2**20
_SHOWN_CLASSES: Final = 25
_MERGE: Final = 'a mapping file merges them (data.class_map FILE.json, with {"label": "class", ...})'


@dataclass(frozen=True)
class ClassMap:
    """What the labels of some data stand for.

    Attributes:
        names: of the classes, in their order.
        of_label: label -> name of its class; None: its pictures are left out.
        problems: label -> what is wrong with it.
    """

    names: tuple[str, ...]
    of_label: Mapping[str, str | None]
    problems: Mapping[str, str]


def settle(class_map: str) -> str:
    """Put the content of a mapping file in the place of its name, so that a run does not depend on the file.

    Returns:
        JSON on one line for a mapping file; anything else as it is.

    Raises:
        ConfigError: the file is missing, or is no mapping.
    """
    return json.dumps(_read_mapping(class_map), ensure_ascii=False) if _is_mapping(class_map) else class_map


def sort_labels(class_map: str, labels: Collection[str], *, where: str) -> ClassMap:
    """Decide which class each label stands for.

    Args:
        class_map: of the config.
        labels: those that the data has, in the form of `unify_name`.
        where: the data, for messages.

    Raises:
        ConfigError: the mapping file is missing, or is no mapping.
        DataError: two labels are spellings of one class, or there are more classes than a network may have.
    """
    if class_map in PRESETS:
        return _by_preset(class_map, PRESETS[class_map], labels)
    if _is_mapping(class_map):
        found = _by_mapping(_read_mapping(class_map), labels)
    else:
        found = _by_spelling(labels, where)
    if len(found.names) > MOST_CLASSES:
        shown = ", ".join(found.names[:_SHOWN_CLASSES])
        raise DataError(
            f"{where}: found {len(found.names)} classes: {printable(shown)}, ...; wanted at most "
            f"{MOST_CLASSES}; {_MERGE}"
        )
    return found


def _by_preset(name: str, preset: Preset, labels: Collection[str]) -> ClassMap:
    of_label = {label: presets.find_class(preset, label) for label in labels}
    wanted = f"wanted a class of {preset.title} (data.class_map {name}): {presets.describe(preset)}"
    problems = {
        label: f"found the label {_show(label)}; {wanted}; or another data.class_map, such as folders"
        for label, found in of_label.items()
        if found is None
    }
    there = set(of_label.values())
    names = tuple(each for each in preset.names if each in there or each not in preset.optional)
    return ClassMap(names, {each: found for each, found in of_label.items() if found}, problems)


def _by_mapping(mapping: dict[str, str | None], labels: Collection[str]) -> ClassMap:
    spelled = {_spelling(label): label for label in mapping}
    problems = {}
    for label in labels:
        if label not in mapping:
            near = spelled.get(_spelling(label))
            hint = f", which has {_show(near)}" if near is not None else ""
            problems[label] = (
                f"found the label {_show(label)}, which is not in the mapping{hint}; add it, with null to "
                "leave its pictures out"
            )
    names = tuple(dict.fromkeys(each for each in mapping.values() if each is not None))
    return ClassMap(names, {label: mapping[label] for label in labels if label in mapping}, problems)


def _by_spelling(labels: Collection[str], where: str) -> ClassMap:
    """Take the labels as names, in alphabetical order, numbers first."""
    problems = {label: problem for label in labels if (problem := _find_fault(label)) is not None}
    names = sorted((each for each in labels if each not in problems), key=_by_number)
    twice = _find_two_spellings(names)
    if twice:
        raise DataError(f"{where}: {twice} look like two spellings of one class; rename one, or {_MERGE}")
    return ClassMap(tuple(names), {name: name for name in names}, problems)


def _by_number(name: str) -> tuple[bool, int, str, str]:
    # 10 comes after 9.
    is_number = name.isascii() and name.isdigit()
    return (not is_number, int(name) if is_number else 0, name.casefold(), name)


def _find_two_spellings(names: Collection[str]) -> str | None:
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(_spelling(name), name)
        if other != name:
            return f"{_show(other)} and {_show(name)}"
    return None


def _spelling(label: str) -> str:
    """Reduce a label to what all its spellings share.

    >>> _spelling("Very_Happy ") == _spelling("very happy")
    True
    """
    return re.sub(r"[\s_-]+", " ", unify_name(label.casefold())).strip() or label


def _find_fault(name: str) -> str | None:
    """Say why a text is no name of a class; None where it is one."""
    fault = find_fault_of_one(name)
    return f"found the label {_show(name)}; wanted {fault}" if fault else None


def _is_mapping(class_map: str) -> bool:
    return class_map.startswith("{") or class_map.endswith(".json")


def _read_mapping(class_map: str) -> dict[str, str | None]:
    where, text = "data.class_map", class_map.encode(errors="replace")
    if not class_map.startswith("{"):
        path = Path(class_map)
        where = f"the mapping file {path}"
        try:
            path = expand_home(path)
            if path.is_file() and path.stat().st_size > _MOST_MAPPING_BYTES:
                raise ConfigError(f"{where} has more than {_MOST_MAPPING_BYTES:,} bytes; give a smaller one")
            text = path.read_bytes()
        except (OSError, ValueError) as error:  # It may be missing, or hold a NUL.
            said = error.strerror if isinstance(error, OSError) else error
            near = suggest_path(path) or '; write one, such as {"smile": "happy", "unclear": null}'
            raise ConfigError(f"{where} (data.class_map) cannot be read: {said}{near}") from None
    try:
        return _check_mapping(parse_json(text), where)
    except ValueError as error:
        raise ConfigError(f'{where} is no JSON: {error}; wanted {{"label": "class" or null, ...}}') from None


def _check_mapping(content: Any, where: str) -> dict[str, str | None]:
    wanted = 'wanted {"label": "class" or null, ...}'
    if not isinstance(content, dict):
        raise ConfigError(f"{where} holds a {type(content).__name__}; {wanted}")
    mapping: dict[str, str | None] = {}
    for label, given in content.items():
        if given is not None and not isinstance(given, str):
            raise ConfigError(f"{where}: {_show(label)} becomes {given!r}; {wanted}")
        name = None if given is None else unify_name(given)
        if name is not None and (fault := _find_fault(name)) is not None:
            raise ConfigError(f"{where}: the class of {_show(label)}: {fault}")
        other = mapping.setdefault(unify_name(label), name)
        if other != name:
            raise ConfigError(
                f"{where}: {_show(label)} becomes {other!r} and, with its accents written another way, "
                f"{name!r}; leave one out"
            )
    names = list(dict.fromkeys(name for name in mapping.values() if name is not None))
    if len(names) < LEAST_CLASSES:
        raise ConfigError(f"{where} has {len(names)} classes; wanted {LEAST_CLASSES} to {MOST_CLASSES}")
    twice = _find_two_spellings(names)
    if twice:
        raise ConfigError(f"{where}: the classes {twice} look like two spellings of one; use one of them")
    return mapping


def _show(label: str) -> str:
    return repr(printable(label[:_MOST_LETTERS]) + ("..." if len(label) > _MOST_LETTERS else ""))
