"""What the programs share on the command line: parsing, config overrides, and one message for a mistake."""

import argparse
import dataclasses
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from fer_jax import fer2013
from fer_jax.config.files import load_config
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, FerJaxError, RunError

EXIT_CODES = (
    "Exit status: 0 done, 2 wrong command line or config, 3 data, 4 run folder or checkpoint, "
    "5 the loss is not finite, 130 or 143 stopped by a signal after saving."
)


def parse(command: type, argv: list[str] | None, *, prog: str) -> Any:
    """Parse the command line into a dataclass whose field docstrings are the help text.

    A command with a field `settings: Config` (and `config: Path`) gets an option for every field of the
    config; the config file's values are their defaults. `--help` ends the program with 0, a wrong name
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
    """Load the config named on the command line; the plain defaults where none is."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config", type=Path)
    try:
        path = first.parse_known_args(argv)[0].config
    except argparse.ArgumentError:
        path = None  # `--config` without a value: the second parse says so.
    try:
        return load_config(path) if path else Config(name="run")
    except ConfigError:
        if "-h" in argv or "--help" in argv:
            return Config(name="run")  # Help is wanted most when something is wrong.
        raise


def refuse_other_targets(settings: Config) -> None:
    """Refuse a config that aims at FER+'s labels or at teachers, in a program that knows FER2013's alone.

    Raises:
        ConfigError: it does.
    """
    source, classes = settings.labels.source, settings.model.classes
    if source != "fer2013":
        seven = "" if classes == fer2013.CLASS_COUNT else f" --model.classes {fer2013.CLASS_COUNT}"
        raise ConfigError(
            f"labels.source is {source}, and only training and its evaluation know it; "
            f"give --labels.source fer2013{seven}"
        )
    if settings.distill.teachers:
        raise ConfigError(
            f"distill.teachers names {settings.distill.teachers[0]}, and only training knows teachers; "
            "give --distill.teachers with none behind it"
        )


def run(program: Callable[[], int]) -> int:
    """Run a program; turn a user's mistake into one message on stderr and its exit status."""
    try:
        return program()
    except FerJaxError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader (such as `head`) has gone; without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"error: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return RunError.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
