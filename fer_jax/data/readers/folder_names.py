"""The names in folders of images: labels, parts, litter, and layouts of other data sets."""

import re
from collections.abc import Iterable
from typing import Final

from fer_jax import fer2013

SUFFIXES: Final = (".png", ".jpg", ".jpeg")
PICTURE_SUFFIXES: Final = (*SUFFIXES, ".webp", ".tif", ".tiff", ".bmp")
"""Of pictures of the user's own."""

# In the order of `fer2013.NAMES`.
_LABEL_WORDS: Final = (
    ("angry", "anger"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("surprise", "surprised"),
    ("neutral", "neutrality"),
    ("contempt", "contemptuous"),
)
LABEL_OF_WORD: Final = {word: label for label, words in enumerate(_LABEL_WORDS) for word in words}
"""The usual words for an expression, in lower case -> its label, as in `fer2013.NAMES`."""

PARTS: Final = {
    **dict.fromkeys(("train", "training"), "Training"),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), "PublicTest"),
    **dict.fromkeys(("test", "testing", "privatetest"), "PrivateTest"),
}
"""Folder name -> the usage that its rows have if their class counts are that part's."""

LINKED: Final = "found a link to a folder, which is not followed; copy the folder there"
"""Of a folder that is a link."""

FERPLUS_OUTPUT: Final = (
    "this is the output of FER+'s own program, whose votes are matched here by the rows of FER2013's file; "
    "give the two files it was made from: fer2013.csv with --data, and fer2013new.csv with --labels.ferplus"
)

_RAF_DB: Final = "1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, 7 neutral"
_AFFECTNET: Final = "0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 angry, 7 contempt"
_RENAME: Final = "rename the folders to words, such as happy, so that nothing is guessed"


def parse_label(name: str) -> int | None:
    """Read a folder's name, a label's name or number or both in the usual variants, as in `fer2013.NAMES`.

    None where it is not a label, or where number and name disagree. With contempt, 7 may be missing: its
    number differs from data set to data set.

    >>> [parse_label(name) for name in ("Anger", "fearful", "3", "6-neutral", "4_neutral", "contempt", "7")]
    [0, 2, 3, 6, None, 7, None]
    """
    match = re.fullmatch(r"([0-9])?[ _.-]*([a-z]+)?", name.strip().casefold(), re.ASCII)
    number, word = match.groups() if match else (None, None)
    of_word = LABEL_OF_WORD.get(word) if word else None
    if word is None:
        return int(number) if number and int(number) < fer2013.CLASS_COUNT else None
    return of_word if number is None or of_word == int(number) else None


def is_numbered(name: str) -> bool:
    """Whether a folder's name is a number, whose label depends on the data set's order."""
    return re.fullmatch(r"[0-9]{1,2}", name.strip(), re.ASCII) is not None


def describe_order() -> str:
    """Describe FER2013's order, in which numbered folders are read.

    >>> describe_order()[:27]
    '0 angry, 1 disgust, 2 fear,'
    """
    return ", ".join(f"{label} {name}" for label, name in enumerate(fer2013.LABELS))


def find_other_order(names: Iterable[str]) -> str | None:
    """Say why numbered folders cannot be in FER2013's order; None where they can.

    Args:
        names: of the labels' folders.

    >>> find_other_order(["0", "3", "happy"]) is None, find_other_order(["1", "2"])[:29]
    (True, 'the folders are numbered 1, 2')
    """
    numbers = sorted({int(name) for name in names if is_numbered(name)})
    if not numbers or (numbers[0] == 0 and numbers[-1] < fer2013.CLASS_COUNT):
        return None
    came = f"the folders are numbered {', '.join(map(str, numbers))}, and FER2013's are 0 to 6"
    if numbers[0] == 1 and numbers[-1] == fer2013.CLASS_COUNT:
        return f"{came}; RAF-DB's are {_RAF_DB}; {_RENAME}"
    if numbers[0] == 0 and numbers[-1] == fer2013.CLASS_COUNT:
        return (
            f"{came}; with eight classes AffectNet's are {_AFFECTNET}, and other data sets differ; {_RENAME}"
        )
    return f"{came}: which order this is cannot be told; {_RENAME}"


def is_ferplus_output(name: str) -> bool:
    """Whether a folder is one that FER+'s own program fills.

    >>> is_ferplus_output("FER2013Valid"), is_ferplus_output("valid")
    (True, False)
    """
    return name.casefold() in ("fer2013train", "fer2013valid", "fer2013test")
