"""The main job: train a network from a config file, measure it, and write it all down.

python -m fer_jax.train --config configs/run6.py
"""

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError

MAX_SEEDS = 256


@dataclass(frozen=True)
class TrainCommand:
    """Train a network as a config file says, and measure it.

    Every field of the config has an option; the file's values are the defaults. Without a FER2013 file
    the run uses synthetic faces and says so.
    """

    config: Path
    """Config file, such as configs/run6.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """What a malformed row does; short for --data.on-bad-row."""
    drop: Path | None = None
    """An audit.csv of this data: leave out the rows that it marks `drop`; short for --data.drop."""
    seeds: int = 1
    """How many seeds to train together, from train.seed on; their mean and spread go into a report."""
    run_dir: Path | None = None
    """Folder to write; by default a new one, runs/NAME-seedS. With several seeds: the folder of their report,
    runs/NAME-seedsA-B; each seed's own is beside it, or in --run-dir."""
    resume: bool = False
    """Go on from the last checkpoint of --run-dir, or of the newest folder of this name and seed."""


def main(argv: list[str] | None = None) -> int:
    """Parse, train, and return the exit status."""
    return cli.run(lambda: _train(cli.parse(TrainCommand, argv, prog="python -m fer_jax.train"), argv))


def to_config(options: TrainCommand) -> Config:
    """Give the config that a command line asks for, its short options put in."""
    config = with_data(options.settings, options.data, options.on_bad_row)
    if options.drop is None:
        return config
    return replace(config, data=replace(config.data, drop=str(options.drop)))


def _train(options: TrainCommand, argv: list[str] | None) -> int:
    if not 1 <= options.seeds <= MAX_SEEDS:
        raise ConfigError(f"--seeds is {options.seeds}; wanted an integer in 1..{MAX_SEEDS}")
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.train import run

    return run.train(
        to_config(options),
        seeds=options.seeds,
        run_dir=options.run_dir,
        is_resumed=options.resume,
        invocation=shlex.join(["python", "-m", "fer_jax.train", *(sys.argv[1:] if argv is None else argv)]),
    )


if __name__ == "__main__":
    sys.exit(main())
