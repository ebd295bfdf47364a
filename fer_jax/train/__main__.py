"""The main job: train a network from a config file, measure it, and write a run folder.

python -m fer_jax.train --config configs/run6.py
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from fer_jax import cli
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError
from fer_jax.runs import inputs

PROG, MAX_SEEDS = "python -m fer_jax.train", 256


@dataclass(frozen=True, kw_only=True)
class TrainCommand(cli.ConfigCommand):
    """Train the network of a config file, and measure it.

    Every field of the config has an option; the file's values are the defaults. Without a FER2013 file
    the run uses synthetic faces, with a notice.
    """

    drop: Path | None = None
    """An audit.csv of this data: leave out the rows marked `drop` in it; short for --data.drop."""
    seeds: int = 1
    """How many seeds to train together, from train.seed on; their mean and spread go into a report."""
    run_dir: Path | None = None
    """Folder to write; by default a new one, runs/NAME-seedS. With several seeds: the folder of their report,
    runs/NAME-seedsA-B; each seed's own is beside it, or in --run-dir."""
    resume: bool = False
    """Resume from the last checkpoint of --run-dir, or of the newest folder with this name and seed."""


def main(argv: list[str] | None = None) -> int:
    """Parse, train, and return the exit status."""
    return cli.run(lambda: _train(cli.parse(TrainCommand, argv, prog=PROG), cli.command_line(PROG, argv)))


def to_config(options: TrainCommand) -> Config:
    """Return the config of a command line, with its short options applied."""
    config = options.to_config()
    if options.drop is None:
        return config
    return replace(config, data=replace(config.data, drop=str(options.drop)))


def _train(options: TrainCommand, invocation: str) -> int:
    if not 1 <= options.seeds <= MAX_SEEDS:
        raise ConfigError(f"--seeds is {options.seeds}; wanted an integer in 1..{MAX_SEEDS}")
    config = to_config(options)
    inputs.check_files(config)
    inputs.check_place(config, options.seeds, options.run_dir, is_resumed=options.resume)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.train import run

    outcome = run.train(
        config,
        seeds=options.seeds,
        run_dir=options.run_dir,
        is_resumed=options.resume,
        invocation=invocation,
        clock=time.perf_counter,
    )
    if outcome.stopped_by is None:
        return 0
    print(f"stopped by signal {outcome.stopped_by}; saved in {outcome.home}. Continue with --resume")
    return 128 + outcome.stopped_by


if __name__ == "__main__":
    sys.exit(main())
