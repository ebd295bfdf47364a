"""Look for mistakes before a run: in the data, the network, its first steps and its learning rate.

python -m fer_jax.check --config configs/run7.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class CheckCommand:
    """Look for mistakes in a config, its data and its network before they cost a run. Takes about a minute.

    Prints what was measured, what was wanted and what to do, and writes it with a contact sheet and the plot
    of the learning-rate range test. Exit status 1: a check failed.
    """

    config: Path
    """Config file, such as configs/run7.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """What a malformed row does; short for --data.on-bad-row."""
    out: Path | None = None
    """Folder to write; by default checks/NAME. What an earlier check left there is replaced."""
    quick: bool = False
    """Leave out the learning-rate range test, which takes about a third of the time."""


def main(argv: list[str] | None = None) -> int:
    """Parse, check, and return the exit status."""
    return cli.run(lambda: _check(cli.parse(CheckCommand, argv, prog="python -m fer_jax.check")))


def _check(options: CheckCommand) -> int:
    cli.refuse_other_targets(options.settings)
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.check import run
    from fer_jax.report import contact_sheet
    from fer_jax.show import __main__ as show

    settings = with_data(options.settings, options.data, options.on_bad_row)
    sheet = show.Show(config=options.config, settings=settings, seed=settings.train.seed)

    def lay_out(examples: Examples) -> "Image.Image":
        return contact_sheet.lay_out_sheet(examples, sheet)

    return run.check(settings, out=options.out, is_quick=options.quick, lay_out=lay_out)


if __name__ == "__main__":
    sys.exit(main())
