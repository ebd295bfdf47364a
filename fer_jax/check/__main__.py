"""Look for mistakes before a run: in the data, the network, its first steps and its learning rate.

python -m fer_jax.check --config configs/run7.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from fer_jax import cli


@dataclass(frozen=True, kw_only=True)
class CheckCommand(cli.ConfigCommand):
    """Look for mistakes in a config, its data and its network before they cost a run.

    Takes less than a minute for run 7 on two free cores; a larger network takes longer. Prints what was
    measured, what was expected and what to do, and writes it to a folder, with a contact sheet and the plot
    of the learning-rate range test. Exit status 1: a check failed.
    """

    out: Path | None = None
    """Folder to write; by default checks/NAME-DATA, such as checks/run6-synthetic. The files of an earlier
    check of the same config on the same data are replaced."""
    overwrite: bool = False
    """Replace the files of a check of another config or other data."""
    quick: bool = False
    """Skip the learning-rate range test, which takes about half of the time."""


def main(argv: list[str] | None = None) -> int:
    """Parse, check, and return the exit status."""
    return cli.run(lambda: _check(cli.parse(CheckCommand, argv, prog="python -m fer_jax.check")))


def _check(options: CheckCommand) -> int:
    config = options.to_config()
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.runs import inputs

    inputs.check_files(config)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.check import run

    return run.check(config, out=options.out, is_quick=options.quick, may_replace=options.overwrite)


if __name__ == "__main__":
    sys.exit(main())
