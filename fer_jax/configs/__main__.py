"""List the configs that come with fer_jax, with their results; show one, or copy one to edit.

python -m fer_jax.configs --config run6 --save my.py
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_jax import cli
from fer_jax.config.records import RECORDS, Kind, Record, copy_text, find_file, list_files, read_record
from fer_jax.errors import ConfigError
from fer_jax.files import write_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class ConfigsCommand:
    """List the configs that come with fer_jax, show the record of one, or copy one to edit.

    Each of their names, such as run6, can be given to --config of every command. The list shows what each
    measured and what it costs, as the record on top of its file has it.
    """

    config: str | None = None
    """Show the record of this config."""
    space: str | None = None
    """Show this search space, see `sweep`."""
    save: Path | None = None
    """Copy the config or the space that was named to this file, which must not exist yet; a config is named
    after its new file."""


def main(argv: list[str] | None = None) -> int:
    """Parse, list, show or copy, and return the exit status."""
    return cli.run(lambda: _configs(cli.parse(ConfigsCommand, argv, prog="python -m fer_jax.configs")))


def _configs(options: ConfigsCommand) -> int:
    if options.config is not None and options.space is not None:
        raise ConfigError("--config and --space came together; give one of them")
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.report import terminal

    console = terminal.make_console()
    kind: Kind = "config" if options.space is None else "space"
    named = options.config if options.space is None else options.space
    if named is None:
        if options.save is not None:
            raise ConfigError(
                f"--save is {options.save}, but nothing was named; give --config NAME, such as run6"
            )
        _list(console)
        return 0
    path = find_file(named, kind)
    record = read_record(path)
    if options.save is None:
        console.print(f"{path}\n\n{record.text}")
        return 0
    _save(path, options.save)
    command = "train" if kind == "config" else "sweep --config run7"
    console.print(f"wrote {options.save}; edit it, then: python -m fer_jax.{command} --{kind} {options.save}")
    return 0


def _save(path: Path, new: Path) -> None:
    """Copy a file to a new one; refuse an existing file and a name that is not a config's."""
    if new.exists():
        raise ConfigError(f"--save is {new}, which exists already; give another name, or delete it first")
    if new.suffix != ".py" or not all(letter.isalnum() or letter in "_-" for letter in new.stem):
        raise ConfigError(f"--save is {new}; wanted a file name of letters, digits, _ and - that ends in .py")
    write_text(new, copy_text(path.read_text(encoding="utf-8"), old=path.stem, new=new.stem))


def _list(console: "Console") -> None:
    """Print a table of the configs, and the search spaces."""
    console.print(_table([read_record(path) for path in list_files("config")]), soft_wrap=False)
    for path in list_files("space"):
        console.print(f"for sweep --space: {path.stem}: {read_record(path).title}")
    console.print(
        f"\nfrom {RECORDS}; `fer-jax configs --config NAME` shows a record, --save FILE.py copies it"
    )


def _table(records: Sequence[Record]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table("config", "what it is", "measured", "cost", box=box.SIMPLE, show_lines=True, pad_edge=False)
    for each in records:
        table.add_row(each.name, each.title, each.measured or "not measured", each.cost)
    return table


if __name__ == "__main__":
    sys.exit(main())
