"""What all commands share: the parsing of the command line, and one message for a user error."""

import argparse
import contextlib
import dataclasses
import inspect
import io
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import docstring_parser
import tyro
from docstring_parser import Docstring, DocstringStyle

from fer_jax.config.data import BadRow
from fer_jax.config.files import load_config
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, FerJaxError, RunError
from fer_jax.runtime.signals import ENDING, acknowledge_signals

EXIT_CODES = (
    "Exit status: 0 done, 2 wrong command line or config, 3 data, 4 run folder or checkpoint, "
    "5 the loss is not finite, 130 or 143 stopped by a signal after saving."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigCommand:
    """The options of a command that takes a config file and an option for every field of the config."""

    config: Path
    """Config file, such as configs/run7.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """What to do with a malformed row; short for --data.on-bad-row."""

    def to_config(self) -> Config:
        """Return the config with the short options applied."""
        return with_data(self.settings, self.data, self.on_bad_row)


def command_line(prog: str, argv: list[str] | None) -> str:
    """Spell out the command line of this process for the records."""
    return shlex.join([*prog.split(), *(sys.argv[1:] if argv is None else argv)])


def parse(command: type, argv: list[str] | None, *, prog: str) -> Any:
    """Parse the command line into a dataclass; the docstrings of its fields are the help text.

    A command with a field `settings: Config` (and `config: Path`) gets an option for every field of the
    config, with the config file's values as defaults. `--help` ends the program with status 0, a wrong name
    or type with 2 and a message.

    Raises:
        ConfigError: the config file cannot be used, or a value is out of range.
    """
    argv = sys.argv[1:] if argv is None else argv
    # Each paragraph, and each item of a list, is one line.
    purpose = re.sub(r"(?<!\n)\n(?![\n-]) *", " ", inspect.getdoc(command) or "")
    description = f"{purpose}\n\n{EXIT_CODES}"
    more: dict[str, Any] = {}
    if "settings" in {field.name for field in dataclasses.fields(command)}:
        wanted = [field.name for field in dataclasses.fields(command) if field.default is dataclasses.MISSING]
        more["default"] = command(**dict.fromkeys(wanted, tyro.MISSING) | {"settings": _settings(argv)})
    with _wrapped_help(), _whole_paragraphs():
        return tyro.cli(command, args=argv, prog=prog, description=description, **more)


class _Shown(io.StringIO):
    """Text that will be shown where the standard output goes: in its encoding, in colour on a terminal."""

    def __init__(self, target: TextIO) -> None:
        super().__init__()
        self._target = target

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._target.encoding

    def isatty(self) -> bool:
        return self._target.isatty()


@contextlib.contextmanager
def _wrapped_help() -> Iterator[None]:
    """Wrap the description in a command's help between words: tyro leaves that to the terminal."""
    shown = _Shown(sys.stdout)
    try:
        with contextlib.redirect_stdout(shown):
            yield
    finally:
        print(wrap_help(shown.getvalue(), columns=shutil.get_terminal_size().columns), end="")


def wrap_help(text: str, *, columns: int) -> str:
    r"""Wrap the paragraphs and the list of a help text, and leave the boxes of its options, which fit.

    >>> print(wrap_help("One two three\n\n\n- four five\n│ box │\n", columns=9))
    One two
    three
    <BLANKLINE>
    - four
      five
    │ box │
    <BLANKLINE>
    """
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        # Colour codes, which take no room, are in the boxes only.
        if not line.startswith((" ", "\n", "\x1b")) and len(line) > columns:
            line = textwrap.fill(line, columns, subsequent_indent="  " * line.startswith("- ")) + "\n"
        if line != "\n" or lines[-1:] != ["\n"]:
            lines.append(line)
    return "".join(lines)


@contextlib.contextmanager
def _whole_paragraphs() -> Iterator[None]:
    """Let tyro see the docstring of a field as one line: it would break lines where the source does."""
    parse = docstring_parser.parse_from_object

    def parse_whole(obj: Any, style: DocstringStyle = DocstringStyle.AUTO) -> Docstring:
        docstring = parse(obj, style)
        for each in docstring.params:
            each.description = each.description and " ".join(each.description.split())
        return docstring

    docstring_parser.parse_from_object = parse_whole
    try:
        yield
    finally:
        docstring_parser.parse_from_object = parse


def _settings(argv: list[str]) -> Config:
    """Load the config named on the command line; without one, take the defaults."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config", type=Path)
    try:
        path = first.parse_known_args(argv)[0].config
    except argparse.ArgumentError:
        path = None  # `--config` without a value: the second parse reports it.
    try:
        return load_config(path) if path else Config(name="run")
    except ConfigError:
        if "-h" in argv or "--help" in argv:
            return Config(name="run")  # Help is needed most when something is wrong.
        raise


def run(program: Callable[[], int]) -> int:
    """Run a program, and turn a user error into one message on stderr and an exit status."""
    try:
        with acknowledge_signals(ENDING):
            return program()
    except FerJaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader (such as `head`) has closed the pipe; without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"error: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return RunError.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
