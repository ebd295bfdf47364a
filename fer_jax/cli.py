"""What all commands share: the parsing of the command line, and one message for a user error."""

import argparse
import contextlib
import contextvars
import dataclasses
import functools
import importlib.metadata
import inspect
import io
import os
import platform
import re
import shlex
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import docstring_parser
import tyro
from docstring_parser import Docstring, DocstringParam, DocstringStyle

from fer_jax.config.data import BadRow
from fer_jax.config.fields import field_of, read_docstrings, suggest_usual
from fer_jax.config.files import load_config, to_json
from fer_jax.config.overrides import list_leaves, with_data
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, FerJaxError, RunError
from fer_jax.files import expand_home
from fer_jax.runtime.door import INTERRUPTED, leave
from fer_jax.runtime.environment import check_xla_flags, explain_start
from fer_jax.runtime.output import CLOSED_STATUS, discard, guard_streams, has_lost_reader, plain_warnings
from fer_jax.runtime.signals import end_on_signals
from fer_jax.runtime.verbosity import Verbosity, set_verbosity

EXIT_CODES = (
    "Exit status: 0 done, 1 a check failed or an exported file differs, 2 wrong command line or config, "
    "3 data, 4 run folder or checkpoint, 5 the loss is not finite, 8 verify found a difference, "
    "9 another process of a distributed training has stopped or is gone, 141 the reader of the output is "
    "gone; after a signal 128 + its number: 129 SIGHUP, 130 SIGINT (Ctrl-C), 138 SIGUSR1, 143 SIGTERM."
)


_PATHS = (str, bytes, os.PathLike)
"""What names the file of an OSError; a number is a descriptor."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigCommand:
    """The options of a command that takes a config file and an option for every field of the config."""

    config: Path
    """Config file, or the name of one that comes with fer_jax, such as run7; `fer-jax configs` lists them."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    data: Path | None = None
    """Kaggle CSV, archive or folder of images, or a manifest of pictures; short for --data.path."""
    on_bad_row: BadRow | None = None
    """What a malformed row or picture does: stop, or skip it; short for --data.on-bad-row."""

    def to_config(self) -> Config:
        """Return the config with the short options applied."""
        return with_data(self.settings, self.data, self.on_bad_row)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneralOptions:
    """The options that every command has."""

    quiet: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(aliases=("-q",))] = False
    """Print nothing but errors."""
    verbose: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(aliases=("-v",))] = False
    """Print more: the settings of this process and the versions of what it uses."""
    version: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the versions of fer_jax, JAX and Python, and end."""


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
    if "--version" in argv:
        print(describe_versions())
        raise SystemExit(0)
    settings = _settings(argv) if has_settings(command) else None
    options = [field.name for field in dataclasses.fields(command)]
    # An option of a list takes all its elements, so it has no number at its end.
    options += [] if settings is None else [field_of(name) for name, _ in list_leaves(to_json(settings))]
    _refuse_usual_names(argv, {option.replace("_", "-") for option in options})
    # Each paragraph, and each item of a list, is one line.
    purpose = re.sub(r"(?<!\n)\n(?![\n-]) *", " ", inspect.getdoc(command) or "")
    with _wrapped_help(), whole_paragraphs():
        parsed = tyro.cli(
            to_program(command),
            args=argv,
            prog=prog,
            description=f"{purpose}\n\n{EXIT_CODES}",
            default=to_default(command, settings),
            config=(tyro.conf.HelptextFromCommentsOff,),
        )
    if parsed.general.quiet and parsed.general.verbose:
        raise ConfigError("--quiet and --verbose came together; give one of them")
    if parsed.general.quiet or parsed.general.verbose:
        set_verbosity(Verbosity.QUIET if parsed.general.quiet else Verbosity.VERBOSE)
    return expand_paths(parsed.command)


def expand_paths(options: Any) -> Any:
    """Replace `~` in every path of a command's options: in `--out=~/x` no shell does."""
    paths = {each.name: getattr(options, each.name) for each in dataclasses.fields(options)}
    found = {name: _expand(value) for name, value in paths.items() if isinstance(value, Path | tuple)}
    return dataclasses.replace(options, **found)


def _expand(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_expand, value))
    return expand_home(value) if isinstance(value, Path) else value


def has_settings(command: type) -> bool:
    """Whether a command has an option for every field of a config."""
    return "settings" in {field.name for field in dataclasses.fields(command)}


@functools.cache
def to_program(command: type) -> Any:
    """Make the dataclass that a command line is parsed into: the command's options and the general ones."""
    own = ("command", Annotated[command, tyro.conf.arg(name="")])
    general = ("general", Annotated[GeneralOptions, tyro.conf.arg(name="")])
    return dataclasses.make_dataclass("Program", [own, (*general, GeneralOptions())], frozen=True)


def to_default(command: type, settings: Config | None) -> Any:
    """Make the defaults of `to_program(command)`: those of the dataclass, and the config's values.

    `settings` are None for a command that takes no config, whose defaults tyro finds itself.
    """
    if settings is None:
        return tyro.MISSING_NONPROP
    wanted = [
        field.name
        for field in dataclasses.fields(command)
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    filled = command(**dict.fromkeys(wanted, tyro.MISSING) | {"settings": settings})
    return to_program(command)(command=filled, general=GeneralOptions())


def describe_versions() -> str:
    """Write the versions of fer_jax, JAX and Python; JAX is not imported for it."""
    fer_jax, jax = map(importlib.metadata.version, ("fer-jax", "jax"))
    return f"fer_jax {fer_jax}, jax {jax}, Python {platform.python_version()}"


def _refuse_usual_names(argv: list[str], known: set[str]) -> None:
    """Refuse another program's name for an option, and suggest the one that it has here."""
    for word in argv:
        option = word.partition("=")[0]
        name = option.lstrip("-")
        if option.startswith("-") and name.replace("_", "-") not in known:
            suggestion = suggest_usual(name, known)
            if suggestion:
                raise ConfigError(f"there is no option {option}{suggestion}")


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
def whole_paragraphs() -> Iterator[None]:
    """Let tyro see the docstring of a field as one line: it would break lines where the source does.

    docstring_parser would also read a module again for each of its classes, which took a sixth of the time of
    `--help`.
    """
    parse = docstring_parser.parse_from_object

    def read_fields(obj: Any, style: DocstringStyle = DocstringStyle.AUTO) -> Docstring:
        docstring = Docstring()
        docstring.meta = [
            DocstringParam(["attribute", name], text, name, type_name=None, is_optional=None, default=None)
            for name, text in read_docstrings(obj).items()
        ]
        return docstring

    docstring_parser.parse_from_object = read_fields
    try:
        yield
    finally:
        docstring_parser.parse_from_object = parse


def _settings(argv: list[str]) -> Config:
    """Load the config named on the command line; without one, take the defaults."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config")
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
    """Run a program, and turn a user error into one message on stderr and an exit status.

    A signal is answered with "Interrupted." and ends the program with 128 + its number, whatever a library
    has made of the interruption. The reader of the output may go: that is status 141.
    """
    arrived: list[int] = []
    with guard_streams(), plain_warnings():
        try:
            with end_on_signals(INTERRUPTED) as arrived:
                # In a context of its own: what the program chooses, such as its verbosity, ends with it.
                status = contextvars.copy_context().run(_start, program)
        except KeyboardInterrupt:
            return leave(128 + [*arrived, signal.SIGINT][0])
        except BaseException as error:
            if arrived:
                return leave(128 + arrived[0])
            if isinstance(error, BrokenPipeError):
                discard(sys.stdout)
                return CLOSED_STATUS
            told = to_user_error(error)
            if told is None:
                raise
            print(f"error: {told}", file=sys.stderr)
            status = told.exit_code
        if arrived:
            return leave(128 + arrived[0])
        return leave(CLOSED_STATUS if status == 0 and has_lost_reader() else status)


def _start(program: Callable[[], int]) -> int:
    # JAX would cut its own frames out of a traceback, and they tell what `explain_start` wants to know.
    os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")
    check_xla_flags()
    return program()


def to_user_error(error: BaseException) -> FerJaxError | None:
    """Make a user error of what ended a program; None for a bug, whose traceback is wanted."""
    if isinstance(error, FerJaxError):
        return error
    if isinstance(error, OSError):
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, _PATHS)]
        return RunError(f"{' and '.join(names) or 'the system'}: {error.strerror or error}")
    if isinstance(error, MemoryError):
        return RunError(f"there is not enough memory{f': {error}' if str(error) else ''}")
    if isinstance(error, AssertionError | RuntimeError | ValueError) and (start := explain_start(error)):
        return ConfigError(start)
    if isinstance(error, RecursionError):
        return RunError(f"something is nested too deeply to be read ({error})")
    return None
