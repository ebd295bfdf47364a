"""Hostile edits of files: bytes flipped, cut and doubled, numbers and texts replaced by extreme ones.

An input is a dict from paths within a folder to contents. A reader's valid inputs are edited at random; an
edit is four numbers, so that a failure can be written down and made again.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from fer_jax.config.data import BadRow

Files = dict[str, bytes]
"""Path within a folder -> content."""

NUMBERS: Final = (
    *("0", "-0", "-1", "1", "6", "7", "10", "255", "256", "00", "007", "+1", "1.0", "0.5", "1e3", "1e999"),
    *("-1e999", "NaN", "Infinity", "2147483648", "4294967296", "9223372036854775808", "1" + "0" * 30),
    *("1_0", "0x10", "٣", "²", "1" * 5000, "", " ", "null", "true", "1e-999", "3.4e38", "1e308"),
)
"""What replaces a number in a text."""

TEXTS: Final = (
    *(
        "",
        " ",
        "\x00",
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\r",
        "\n",
        "\t",
        "\x85",
        "\u2028",
        "\ufeff",
    ),
    *("\u202egnp.exe", "é", "𝔽", "Uſage", "../../etc/passwd", "/etc/passwd", "__class__", "a" * 20_000),
    *(
        "train",
        "0",
        "6",
        "sad",
        "Training",
        "neutral",
        ",",
        '"',
        "\\",
        "{}",
        "%s%n",
        "float16",
        "I64",
        "F8_E4M3",
    ),
)
"""What replaces a text, or a file's name."""

RAW_JSON: Final = (
    *("null", "true", "false", "0", "-1", "1", "2", "0.5", "-0.0", "1e999", "NaN", "-Infinity", '""', "[]"),
    *("{}", "[[]]", "[0]", '["a"]', '"\\u001b[31m"', '"\\ud800"', '"\\u0000"', "18446744073709551616"),
    *("1" + "0" * 400, "1" * 5000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000),
    *(
        '"' + "a" * 20_000 + '"',
        '{"__class__": "os.system", "args": ["false"]}',
        '{"sha256": 1}',
        "1000000000000",
    ),
    *('"float32"', '"relu"', '"FER+"', "[1, 2, 3]", '[{"a": 1}]', '{"": 0}', "4294967296", '"1"', '"NaN"'),
)
"""What replaces a value in a JSON document."""

_BYTES: Final = (
    b"\x00",
    b"\xff",
    b"\x1b[31m",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b",",
    b'"',
    b" ",
    b"\xc3",
    b"{",
)
_MARK: Final = "@here@"


@dataclass(frozen=True)
class Edit:
    """A change of one file.

    Attributes:
        kind: of `EDITS`.
        file: which file, counted in the order of their names, modulo their number.
        at: which place, number or value of it, modulo their number.
        value: which bit, length or replacement, modulo their number.
    """

    kind: str
    file: int
    at: int
    value: int


@dataclass(frozen=True)
class Input:
    """An input of a reader.

    Attributes:
        files: to write.
        on_bad_row: for readers that ask.
        is_edited: whether it may be refused.
    """

    files: Files
    on_bad_row: BadRow
    is_edited: bool


@dataclass(frozen=True)
class Reader:
    """A reader of fer_jax, and what it must agree with.

    Attributes:
        name: for the command line.
        inputs: makes the strategy of its inputs.
        read: reads the input in a folder; raises a FerJaxError where it refuses.
        check: (folder, on_bad_row, what `read` returned); raises `RefusedError` where the oracle has another
            answer or none.
        is_exact: whether `check`, given None, tells what has to be accepted.
    """

    name: str
    inputs: Callable[[], st.SearchStrategy[Input]]
    read: Callable[[Path, BadRow], Any]
    check: Callable[[Path, BadRow, Any], None]
    is_exact: bool


def write(files: Files, folder: Path) -> None:
    """Write an input; what the file system or the folder's border forbids is left out."""
    for name, content in files.items():
        path = folder / name.lstrip("/")
        if ".." in path.parts:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (OSError, ValueError):  # Too long, a NUL in it, or a file where a folder should be.
            continue


def apply(files: Files, edits: list[Edit]) -> Files:
    """Make the edits, one after the other."""
    for edit in edits:
        if files:
            files = _apply(files, edit)
    return files


def _apply(files: Files, edit: Edit) -> Files:
    name = sorted(files)[edit.file % len(files)]
    if edit.kind == "remove":
        return {each: content for each, content in files.items() if each != name}
    if edit.kind == "rename":
        return {_rename(each, edit) if each == name else each: content for each, content in files.items()}
    if edit.kind == "exchange":
        other = sorted(files)[edit.at % len(files)]
        return files | {name: files[other], other: files[name]}
    return files | {name: EDITS[edit.kind](files[name], edit.at, edit.value)}


def _rename(name: str, edit: Edit) -> str:
    parts = name.split("/")
    parts[edit.at % len(parts)] = TEXTS[edit.value % len(TEXTS)]
    return "/".join(parts)


def _place(content: bytes, at: int) -> int:
    """Choose a place: every other time one near the beginning, where headers are."""
    within = len(content) if at % 2 else min(len(content), 96)
    return at // 2 % max(within, 1)


def _flip(content: bytes, at: int, value: int) -> bytes:
    place = _place(content, at)
    return (
        content[:place]
        + bytes(byte ^ 1 << value % 8 for byte in content[place : place + 1])
        + content[place + 1 :]
    )


def _cut(content: bytes, at: int, value: int) -> bytes:
    return content[: _place(content, at)]


def _drop(content: bytes, at: int, value: int) -> bytes:
    place = _place(content, at)
    return content[:place] + content[place + 1 + value % 40 :]


def _double(content: bytes, at: int, value: int) -> bytes:
    place = _place(content, at)
    end = place + 1 + value % 200
    return content[:end] + content[place:end] + content[end:]


def _insert(content: bytes, at: int, value: int) -> bytes:
    place = _place(content, at)
    return content[:place] + _BYTES[value % len(_BYTES)] + content[place:]


def _overwrite(content: bytes, at: int, value: int) -> bytes:
    """Overwrite eight bytes with an extreme integer, as lengths and sizes in binary formats are."""
    place, extremes = _place(content, at), (0, 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)
    size = 8 if value % 2 else 4
    number = extremes[value // 2 % len(extremes)] % 256**size
    return content[:place] + number.to_bytes(size, "little") + content[place + size :]


def _replace(pattern: bytes, new: list[bytes]) -> Callable[[bytes, int, int], bytes]:
    def replace(content: bytes, at: int, value: int) -> bytes:
        found = list(re.finditer(pattern, content[: 2 * 10**5]))
        if not found:
            return content
        # Every other time one of the first or last, where headers and short fields are.
        chosen = found[at // 2 % len(found)] if at % 2 else found[(at // 2 % 16 - 8) % len(found)]
        return content[: chosen.start()] + new[value % len(new)] + content[chosen.end() :]

    return replace


def _swap_lines(content: bytes, at: int, value: int) -> bytes:
    lines = content.split(b"\n")
    one, other = at % len(lines), value % len(lines)
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _recode(content: bytes, at: int, value: int) -> bytes:
    text = content.decode("latin-1")
    return text.encode(("utf-16", "utf-8-sig", "utf-16-be", "utf-32")[value % 4])


def _edit_json(content: bytes, at: int, value: int) -> bytes:
    """Replace, remove, rename or double a value anywhere in a JSON document."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content
    holders = list(_list_places(document))
    if not holders:
        return RAW_JSON[value % len(RAW_JSON)].encode()
    holder, key = holders[at % len(holders)]
    way, raw = value % 8, RAW_JSON[value // 8 % len(RAW_JSON)]
    if way == 0:
        del holder[key]
        return json.dumps(document).encode()
    if way == 1 and isinstance(holder, dict):
        holder[TEXTS[value // 8 % len(TEXTS)]] = holder.pop(key)
        return json.dumps(document).encode()
    if way == 2 and isinstance(holder, dict):
        holder[_MARK] = holder[key]
        return json.dumps(document).encode().replace(json.dumps(_MARK).encode(), json.dumps(key).encode())
    holder[key] = _MARK
    return json.dumps(document).encode().replace(json.dumps(_MARK).encode(), raw.encode())


def _list_places(document: Any) -> Iterator[tuple[Any, Any]]:
    """List every (holder, key or index) of a JSON document."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    if isinstance(document, dict | list):
        for key, value in list(pairs):
            yield document, key
            if isinstance(value, dict | list):
                yield from _list_places(value)


EDITS: Final[dict[str, Callable[[bytes, int, int], bytes]]] = {
    "flip": _flip,
    "cut": _cut,
    "drop": _drop,
    "double": _double,
    "insert": _insert,
    "overwrite": _overwrite,
    "number": _replace(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", [text.encode() for text in NUMBERS]),
    "text": _replace(rb"[A-Za-z_]+", [text.encode() for text in TEXTS]),
    "swap": _swap_lines,
    "recode": _recode,
    "json": _edit_json,
}
"""(content, place, value) -> the edited content, by the kind of edit."""


def edits(*, weights: dict[str, int], several_files: bool, least: int = 0) -> st.SearchStrategy[list[Edit]]:
    """Draw up to three edits; none in about one input of five, unless some are wanted.

    Args:
        weights: how often a kind comes for once that another one does.
        several_files: whether files are renamed, removed and exchanged too.
        least: how many edits at least.
    """
    kinds = [*EDITS, *(("rename", "remove", "exchange") if several_files else ())]
    large = st.integers(0, 2**20)
    edit = st.builds(
        Edit,
        kind=st.sampled_from([kind for kind in kinds for _ in range(weights.get(kind, 1))]),
        file=st.integers(0, 31),
        at=large,
        value=large,
    )
    count = st.sampled_from([number for number in (0, 1, 1, 2, 3) if number >= least])
    return count.flatmap(lambda number: st.lists(edit, min_size=number, max_size=number))
