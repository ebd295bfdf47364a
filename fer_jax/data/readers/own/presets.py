"""The classes of the usual data sets of facial expressions: names, numbers and abbreviations.

All use the words of `fer2013.NAMES`, so that networks trained on two of them name an expression alike.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from fer_jax import fer2013
from fer_jax.data.readers.folder_names import LABEL_OF_WORD


@dataclass(frozen=True)
class Preset:
    """The classes of a data set.

    Attributes:
        title: of the data set, for people.
        names: of its classes, in the order of its numbers.
        first_number: of the first class; None: the data set does not number them.
        codes: abbreviations in lower case, and words of its own -> name.
        optional: names of classes that a copy of the data set may lack.
    """

    title: str
    names: tuple[str, ...]
    first_number: int | None
    codes: dict[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()


_AFFECTNET: Final = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
_KDEF: Final = {
    **{"af": "fear", "an": "angry", "di": "disgust", "ha": "happy", "ne": "neutral", "sa": "sad"},
    **{"su": "surprise", "afraid": "fear"},
}
_JAFFE: Final = {
    **{"an": "angry", "di": "disgust", "fe": "fear", "ha": "happy", "ne": "neutral", "sa": "sad"},
    "su": "surprise",
}

PRESETS: Final[dict[str, Preset]] = {
    "fer2013": Preset("FER2013", fer2013.LABELS, 0),
    "ferplus": Preset(
        "FER+", ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"), 0
    ),
    "affectnet7": Preset("AffectNet with seven classes", _AFFECTNET, 0),
    "affectnet8": Preset("AffectNet with eight classes", (*_AFFECTNET, "contempt"), 0),
    "raf-db": Preset("RAF-DB", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), 1),
    "ck+": Preset(
        "CK+",
        ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise"),
        0,
        # Only the last frames are labelled; the neutral first ones are not in every copy.
        optional=("neutral",),
    ),
    "kdef": Preset("KDEF", tuple(dict.fromkeys(_KDEF.values())), None, _KDEF),
    "jaffe": Preset("JAFFE", tuple(dict.fromkeys(_JAFFE.values())), None, _JAFFE),
    "expw": Preset("ExpW", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), 0),
}
"""By the name that `data.class_map` has for them. Sources of the numbers: Barsoum et al. 2016 (FER+),
Mollahosseini et al. 2017 (AffectNet), Li, Deng and Du 2017 (RAF-DB), Lucey et al. 2010 (CK+), Zhang et al.
2018 (ExpW); of the codes: Lundqvist, Flykt and Ohman 1998 (KDEF), Lyons et al. 1998 (JAFFE)."""


def find_class(preset: Preset, label: str) -> str | None:
    """Find the class that a label stands for: a word, a number or an abbreviation, or a number and a word.

    None where it stands for none, or where number and word disagree.

    >>> [find_class(PRESETS["raf-db"], label) for label in ("1", "Anger", "7_neutral", "0", "1 fear")]
    ['surprise', 'angry', 'neutral', None, None]
    """
    match = re.fullmatch(r"([0-9]{1,2})?[ _.-]*([a-z]+)?", label.strip().casefold(), re.ASCII)
    number, word = match.groups() if match else (None, None)
    found = set()
    if word:
        spoken = fer2013.NAMES[LABEL_OF_WORD[word]] if word in LABEL_OF_WORD else None
        found.add(preset.codes.get(word, spoken))
    if number:
        position = -1 if preset.first_number is None else int(number) - preset.first_number
        found.add(preset.names[position] if 0 <= position < len(preset.names) else None)
    name = found.pop() if len(found) == 1 else None
    return name if name in preset.names else None


def describe(preset: Preset) -> str:
    """Write the classes of a preset with their numbers.

    >>> describe(PRESETS["raf-db"])
    '1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, 7 neutral'
    """
    if preset.first_number is None:
        return ", ".join(preset.names)
    return ", ".join(f"{number} {name}" for number, name in enumerate(preset.names, preset.first_number))
