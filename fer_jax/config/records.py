"""The config files that come with fer_jax: found by name from anywhere, and what each says of itself.

In a checkout they are the folder `configs/` at the top level; an installed package carries the same files.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fer_jax.config.fields import suggest
from fer_jax.errors import ConfigError
from fer_jax.files import expand_home, suggest_path

_PACKAGE: Final = Path(__file__).parents[1]
RECORDS: Final = next(
    (each for each in (_PACKAGE.parent / "configs", _PACKAGE / "records") if (each / "run6.py").is_file()),
    _PACKAGE / "records",
)
"""The folder of the config files; in it, `spaces` holds those of sweeps."""

Kind = Literal["config", "space"]
"""What a file is: the config of a run, or the search space of a sweep."""

_FOLDERS: Final[dict[Kind, Path]] = {"config": RECORDS, "space": RECORDS / "spaces"}


@dataclass(frozen=True)
class Record:
    """What the docstring of a config file, or of a space file, says.

    Attributes:
        name: the file's, without its suffix.
        title: the first line.
        cost: the paragraph `Cost:`, on one line; empty without one.
        measured: the paragraph `Measured:`, in the same way.
        text: the whole docstring.
    """

    name: str
    title: str
    cost: str
    measured: str
    text: str


def list_files(kind: Kind) -> list[Path]:
    """List the files of a kind, the numbered runs first."""
    return sorted(
        _FOLDERS[kind].glob("*.py"), key=lambda path: (re.fullmatch(r"run\d+", path.stem) is None, path.stem)
    )


def list_names(kind: Kind) -> list[str]:
    """List the names of the files of a kind, the numbered runs first.

    >>> list_names("config")[:2], list_names("space")
    (['run1', 'run2'], ['craft'])
    """
    return [path.stem for path in list_files(kind)]


def find_file(named: str | Path, kind: Kind) -> Path:
    """Find a file by its path, or one that comes with fer_jax by its name, such as `run6`.

    Raises:
        ConfigError: there is neither; the message suggests what is close, or lists what there is.
    """
    path, names = expand_home(named), list_names(kind)
    if path.is_file():
        return path
    if path.name == str(named) and path.suffix in ("", ".py") and path.stem in names:
        return _FOLDERS[kind] / f"{path.stem}.py"
    is_bare = path.name == str(named) and not path.suffix
    near = (suggest(path.name, names) if is_bare else "") or suggest_path(path)
    if not near and path.stem in names:
        near = f"; did you mean {path.stem!r}, which comes with fer_jax?"
    beside = [] if is_bare else sorted(path.parent.glob("*.py"))
    there = f"; there are {', '.join(map(str, beside))}" if beside else _list_those(names)
    raise ConfigError(f"there is no {kind} file {path}{near or there}")


def _list_those(names: list[str]) -> str:
    return f"; those that come with fer_jax are {', '.join(names)}"


def read_record(path: Path) -> Record:
    """Read the docstring of an existing config or space file.

    Raises:
        ConfigError: it is not Python in UTF-8.

    >>> read_record(RECORDS / "run6.py").title
    'Run 6: augmentation in addition to everything else. The main step.'
    """
    try:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (SyntaxError, ValueError) as error:  # UnicodeDecodeError, and ast's of a NUL.
        raise ConfigError(f"{path} is not Python in UTF-8 ({error}); give a config or a space file") from None
    title = text.partition("\n")[0]
    return Record(path.stem, title, _paragraph(text, "Cost"), _paragraph(text, "Measured"), text)


def _paragraph(text: str, head: str) -> str:
    """Find `HEAD: ...` up to an empty line or the next head, on one line; empty if there is none."""
    found = re.search(rf"^{head}: (.*?)(?=\n\n|\n[A-Z]\w+: |\Z)", text, flags=re.S | re.M)
    return " ".join(found[1].split()) if found else ""


def copy_text(source: str, *, old: str, new: str) -> str:
    """Make the text of a copy of a config file: another name, and a docstring that says whose record it has.

    Args:
        source: the text of the file.
        old: its name.
        new: the name of the copy.

    >>> print(copy_text('config = Config(name="run6")', old="run6", new="my"))
    config = Config(name="my")
    """
    head = f'"""A copy of {old}, to edit. What follows is the record of {old}.\n\n'
    return source.replace('"""', head, 1).replace(f'name="{old}"', f'name="{new}"', 1)
