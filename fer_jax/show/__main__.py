"""The program `python -m fer_jax.show`: a contact sheet of the faces, augmented as a run would see them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.data.load import load_examples
from fer_jax.errors import ConfigError, RunError

if TYPE_CHECKING:
    pass
from fer_jax.report.contact_sheet import lay_out_sheet


@dataclass(frozen=True, kw_only=True)
class Show:
    """Write a picture of faces over their augmented versions, one column an expression."""

    config: Path
    """The experiment record, such as configs/run6.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    """Every field of the config; what the file says is the default."""
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """Short for --data.on-bad-row."""
    out: Path = Path("contact_sheet.png")
    """The PNG to write."""
    examples: int = 5
    """Augmented versions under each face; with --plain, faces beside each label."""
    seed: int = 0
    """Picks the faces and draws their augmentation."""
    plain: bool = False
    """Show the faces as they are: one row an expression, no augmentation."""


def main(argv: list[str] | None = None) -> int:
    """Run the program; see the module's docstring.

    Args:
        argv: the command line; the process's own when None.

    Returns:
        The exit status.
    """
    return cli.run(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    show: Show = cli.parse(Show, argv, prog="python -m fer_jax.show")
    for name, value, least in (("--examples", show.examples, 1), ("--seed", show.seed, 0)):
        if value < least:
            raise ConfigError(f"{name} is {value}; wanted >= {least}")
    config = with_data(show.settings, show.data, show.on_bad_row)
    examples = load_examples(config.data)
    sheet = lay_out_sheet(examples, show)
    try:
        sheet.save(show.out, format="PNG", optimize=True)
    except OSError as error:
        raise RunError(f"cannot write {show.out}: {error.strerror}; name another place with --out") from None
    print(f"{examples.description}\nwrote {show.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
