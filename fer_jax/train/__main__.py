"""The main job: train a network from a config file, measure it, and write a run folder.

python -m fer_jax.train --config configs/run6.py
"""

import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from fer_jax import cli
from fer_jax.config.run import Config
from fer_jax.config.training import InitConfig
from fer_jax.errors import ConfigError
from fer_jax.parallel.launch import DistributedOptions, find_launch
from fer_jax.runtime import output
from fer_jax.runtime.signals import answer_silently, name_signal
from fer_jax.runtime.verbosity import Verbosity, set_verbosity

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
    extend_epochs: int = 0
    """With --resume: train the run so many epochs longer than planned. constant and plateau go on at their
    learning rate, step goes on decaying; cosine and trapezoid have ended at 0, see --restart-schedule."""
    restart_schedule: bool = False
    """With --extend-epochs and a schedule that ends at 0 (cosine, trapezoid): run it once more over these
    epochs, from the peak learning rate, without warm-up."""
    distributed: DistributedOptions = field(default_factory=DistributedOptions)


def main(argv: list[str] | None = None) -> int:
    """Parse, train, and return the exit status."""
    return cli.run(lambda: _train(cli.parse(TrainCommand, argv, prog=PROG), cli.command_line(PROG, argv)))


def to_config(options: TrainCommand) -> Config:
    """Return the config of a command line, with its short options applied."""
    config = options.to_config()
    if options.drop is None:
        return config
    return replace(config, data=replace(config.data, drop=str(options.drop)))


def _check_extension(options: TrainCommand) -> None:
    """Refuse an extension that would change nothing, or that there is no rule for.

    Raises:
        ConfigError: the options do not go together.
    """
    epochs, schedule = options.extend_epochs, options.settings.optimizer.schedule
    ends_at_zero = schedule in ("cosine", "trapezoid")
    if epochs < 0:
        raise ConfigError(f"--extend-epochs is {epochs}; wanted an integer >= 1")
    if epochs and not options.resume:
        raise ConfigError("--extend-epochs makes a run longer that is there already; add --resume")
    if epochs and ends_at_zero and not options.restart_schedule:
        raise ConfigError(
            f"optimizer.schedule {schedule} ends at a learning rate of 0, and more epochs there would change "
            "nothing; add --restart-schedule for another cycle from the peak, or train again with a larger "
            "train.epochs"
        )
    if options.restart_schedule and not (epochs and ends_at_zero):
        raise ConfigError(
            "--restart-schedule is for --extend-epochs with optimizer.schedule cosine or trapezoid; leave it "
            f"out: {schedule} goes on"
        )


def _train(options: TrainCommand, invocation: str) -> int:
    if not 1 <= options.seeds <= MAX_SEEDS:
        raise ConfigError(f"--seeds is {options.seeds}; wanted an integer in 1..{MAX_SEEDS}")
    _check_extension(options)
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.parallel.peers import joined
    from fer_jax.runs import inputs, trackers
    from fer_jax.runtime.door import collect_rarely

    trackers.check_installed(options.settings.train.trackers)
    config = to_config(options)
    # Several processes meet first, so that what is wrong with one is told to all; the folder is process 0's.
    if find_launch(options.distributed, os.environ) is None:
        # The checkpoints of a run that is resumed have the weights that it started from, and more.
        inputs.check_files(replace(config, init=InitConfig()) if options.resume else config)
        inputs.check_place(
            config,
            options.seeds,
            options.run_dir,
            is_resumed=options.resume,
            extra_epochs=options.extend_epochs,
        )
    output.outlive_reader()
    collect_rarely()
    with joined(options.distributed, to_user_error=cli.to_user_error) as peers:
        if not peers.is_leader:
            set_verbosity(Verbosity.QUIET)
            output.discard(sys.stdout)  # Libraries in C++ print too.
            answer_silently()
        # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
        from fer_jax.train import run

        outcome = run.train(
            config,
            seeds=options.seeds,
            run_dir=options.run_dir,
            is_resumed=options.resume,
            extra_epochs=options.extend_epochs,
            invocation=invocation,
            clock=time.perf_counter,
            peers=peers,
        )
    if outcome.stopped_by is None:
        return 0
    if peers.is_leader:
        print(
            f"interrupted by {name_signal(outcome.stopped_by)}; saved in {outcome.home}. "
            "Continue with --resume"
        )
    return 128 + outcome.stopped_by


if __name__ == "__main__":
    sys.exit(main())
