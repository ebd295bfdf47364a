"""Tables of options, made from the dataclasses that the command line is parsed into.

    ```{options} fer_jax.train
    ```

lists the options of a command, `{general-options}` those that every command has, and `{config-options}` those
of a run's config, section by section. The help text is the docstring under each field, as in `--help`.
"""

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints
from unittest import mock

import tyro
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fer_jax.cli import GeneralOptions
from fer_jax.config import Config
from fer_jax.config.fields import read_docstrings

HEAD: Final = ("option", "value", "default", "meaning")


class _ParsedError(Exception):
    """Ends a command at the moment it parses its command line; carries the dataclass."""


def find_command(module: str) -> type:
    """Find the dataclass that a program parses its command line into.

    Args:
        module: dotted name of a module with a function `main`, or of a package with a `__main__`.
    """
    program = importlib.import_module(module)
    if hasattr(program, "__path__"):
        program = importlib.import_module(f"{module}.__main__")

    def stop(command: type, **_: Any) -> None:
        raise _ParsedError(command)

    with mock.patch.object(tyro, "cli", stop):
        try:
            program.main(["--help"])
        except _ParsedError as parsed:
            found: type = get_type_hints(parsed.args[0])["command"]
            return found
    raise ValueError(f"{module} parses no command line with tyro")


def list_options(settings: type, *, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """List the options of a dataclass: the cells of `HEAD` in Markdown.

    Args:
        settings: the dataclass. Options that it shares with other commands, a dataclass of their own, are
            listed in their place; the sections of a config are left out.
        prefix: of the options, such as `train.`.
    """
    docstrings, hints = read_docstrings(settings), get_type_hints(settings, include_extras=True)
    for field in dataclasses.fields(settings):
        hint = hints[field.name]
        marks = get_args(hint)[1:] if get_origin(hint) is typing.Annotated else ()
        hint = get_args(hint)[0] if marks else hint
        if _holds_dataclasses(hint):
            if marks and hint is not Config:
                yield from list_options(hint, prefix=prefix)
            continue
        name = f"{prefix}{field.name}".replace("_", "-")
        option = f"`{field.name.upper()}`" if tyro.conf.Positional in marks else f"`--{name}`"
        if hint is bool and tyro.conf.FlagCreatePairsOff not in marks:
            option += f", `--{prefix.replace('_', '-')}no-{field.name.replace('_', '-')}`"
        yield option, _show_type(hint), _show_default(field), docstrings.get(field.name, "")


def _holds_dataclasses(hint: Any) -> bool:
    return any(dataclasses.is_dataclass(each) for each in (hint, *get_args(hint)))


def _show_type(hint: Any) -> str:
    """Write what an option takes.

    >>> _show_type(tuple[int, ...] | None), _show_type(Literal["a", "b"])
    ('integer …', '`a`, `b`')
    """
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if get_origin(hint) in (typing.Union, types.UnionType):
        return ", ".join(_show_type(each) for each in get_args(hint) if each is not types.NoneType)
    if get_origin(hint) is tuple:
        return f"{_show_type(get_args(hint)[0])} …"
    return {bool: "", int: "integer", float: "number", str: "text", Path: "path"}.get(hint, str(hint))


def _show_default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if value is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is dataclasses.MISSING:
        return "required"
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    return "" if value in (None, "") else f"`{value}`"


def write_table(rows: Iterator[tuple[str, str, str, str]]) -> str:
    """Write a table in Markdown; without rows nothing."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    head = [" | ".join(HEAD), " | ".join("---" for _ in HEAD)]
    return "\n".join(f"| {line} |" for line in [*head, *lines]) if lines else ""


class Options(SphinxDirective):
    """A table of a command's options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        command = find_command(self.arguments[0])
        text = write_table(list_options(command, prefix=""))
        if Config in get_type_hints(command).values():
            text += "\n\nEvery [field of the config](config.md) is an option too."
        return self.parse_text_to_nodes(text)


class GeneralTable(SphinxDirective):
    """A table of the options that every command has."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        return self.parse_text_to_nodes(write_table(list_options(GeneralOptions, prefix="")))


class ConfigOptions(SphinxDirective):
    """A table of options for each section of a run's config."""

    def run(self) -> list[nodes.Node]:
        """Make the tables, each with a heading."""
        parts = []
        for name, hint in get_type_hints(Config).items():
            for section in (hint, *get_args(hint)):
                if dataclasses.is_dataclass(section):
                    parts += list(_write_section(typing.cast("type", section), name))
        return self.parse_text_to_nodes("\n\n".join(parts), allow_section_headings=True)


def _write_section(section: type, name: str) -> Iterator[str]:
    """Write a section's heading, its docstring and its table, then those of the dataclasses it holds."""
    yield f"## {name}"
    yield inspect.cleandoc(section.__doc__ or "")
    yield write_table(list_options(section, prefix=f"{name}."))
    for field, hint in get_type_hints(section).items():
        for each in get_args(hint):
            if dataclasses.is_dataclass(each):
                yield from _write_section(typing.cast("type", each), f"{name}.{field}.N")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives with Sphinx."""
    app.add_directive("options", Options)
    app.add_directive("general-options", GeneralTable)
    app.add_directive("config-options", ConfigOptions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
