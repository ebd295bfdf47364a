"""What all commands share: the parsing of the command line, and one message for a user error."""

import argparse
import dataclasses
import inspect
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

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
    description = f"{inspect.getdoc(command)}\n\n{EXIT_CODES}"
    if "settings" not in {field.name for field in dataclasses.fields(command)}:
        return tyro.cli(command, args=argv, prog=prog, description=description)
    wanted = [field.name for field in dataclasses.fields(command) if field.default is dataclasses.MISSING]
    default = command(**dict.fromkeys(wanted, tyro.MISSING) | {"settings": _settings(argv)})
    return tyro.cli(command, args=argv, prog=prog, description=description, default=default)


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
