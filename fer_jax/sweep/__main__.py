"""Search a config's hyper-parameters on a hold-out of the training images, without using any test part.

python -m fer_jax.sweep --config configs/run7.py --space configs/spaces/craft.py --trials 60 --data train.csv
"""

import importlib.util
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fer_jax import cli
from fer_jax.config.files import load_config
from fer_jax.errors import ConfigError, RunError
from fer_jax.sweep import passwords
from fer_jax.sweep.space import list_files, load_space

_PROG = "python -m fer_jax.sweep"
_MOST_TRIALS, _MOST_SEEDS = 100_000, 256
_SHORTEST_LIFE_S = 4


@dataclass(frozen=True, kw_only=True)
class SweepCommand(cli.ConfigCommand):
    """Search a config's hyper-parameters with Optuna, and print the command that trains the best one.

    A space file names the fields to change; the config has the rest. Each trial is trained in memory and
    judged by its validation accuracy: with the official protocol on a share of Training that is held out,
    with the others on the validation part; PublicTest is never used. Trials that fall behind are given up.

    All results are stored in a database. The same command continues a sweep that was stopped or killed, and
    several processes with the same command share the work; with a PostgreSQL server as --storage also on
    several machines. What a killed process was doing is done again by another.
    """

    space: Path
    """Space file, such as configs/spaces/craft.py: a dict from config fields to ranges or choices."""
    trials: int = 50
    """Total number of trials, including those of earlier and other processes."""
    hours: float = math.inf
    """Begin no trial after this many hours."""
    seeds: int = 1
    """Number of training seeds of each trial, from train.seed on; their mean accuracy counts."""
    pruner: Literal["median", "halving", "none"] = "median"
    """When a trial is given up. median: its best epoch is below the median of the others at this epoch;
    halving: it is not in the best third at 1, 3, 9 ... times the spared epochs; none: never."""
    spared_epochs: int | None = None
    """No trial is given up before this many epochs; by default a quarter of train.epochs."""
    holdout: float = 0.15
    """Share of Training that is held out with the official protocol; exact copies stay together. With the
    holdout protocol, split.holdout_fraction says it."""
    sweep_seed: int = 0
    """Seed of the sampler and of the hold-out."""
    storage: str | None = None
    """sqlite:///PATH or postgresql://USER@HOST/DATABASE; by default the SQLite file runs/sweeps/NAME.db,
    where NAME combines the names of the config and the space file. The password of a server is best given in
    PGPASSWORD or ~/.pgpass; one in the URL is hidden wherever the URL is shown or recorded."""
    dead_after_s: float = 120
    """With a server: seconds without a sign of life after which the trial of a process is done again by
    another one. Each sends one eight times as often."""
    patience_minutes: float = 10
    """With a server: how long to try again when it stops answering, before the sweep ends."""
    out: Path | None = None
    """Folder for sweep.json and the plots of all processes' trials, which each process writes when it ends;
    by default runs/sweeps/NAME."""
    overwrite: bool = False
    """Replace the sweep.json of another sweep, which has its trials in another database."""


def main(argv: list[str] | None = None) -> int:
    """Parse, sweep, and return the exit status."""
    words, password = passwords.take_out(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        options = cli.parse(SweepCommand, words, prog=_PROG)
        return _sweep(options, invocation=cli.command_line(_PROG, words), password=password)

    return cli.run(work)


def _sweep(options: SweepCommand, *, invocation: str, password: str | None) -> int:
    _check(options)
    settings = options.to_config()
    space = load_space(options.space, settings)
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "a sweep needs Optuna, which is not installed: `pip install 'optuna>=4'` or "
            "`pip install 'fer-jax[sweep]'` installs it"
        )
    if options.storage is not None:
        # Imported here, because Optuna and SQLAlchemy are optional.
        from fer_jax.sweep.database import check_address

        check_address(options.storage, password)
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.runs import inputs

    inputs.check_files(settings)
    for name, value in list_files(space):
        try:
            inputs.check_learnt_from(name, value)
        except RunError as error:
            raise RunError(f"{options.space}: {name} cannot be {value!r}: {error}") from None
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.sweep import run
    from fer_jax.sweep.plan import Plan

    plan = Plan(
        options=options,
        file=load_config(options.config),  # Now: it may be edited during the hours of the trials.
        config=settings,
        space=space,
        invocation=invocation,
        password=password,
    )
    return run.sweep(plan, clock=time.monotonic, sleep=time.sleep)


def _check(options: SweepCommand) -> None:
    """Refuse options that are out of range."""
    integers = (
        ("trials", options.trials, 1, _MOST_TRIALS),
        ("seeds", options.seeds, 1, _MOST_SEEDS),
        ("sweep-seed", options.sweep_seed, 0, 2**32 - 1),
        ("spared-epochs", options.spared_epochs, 1, _MOST_TRIALS),
    )
    for name, value, least, most in integers:
        if value is not None and not least <= value <= most:
            raise ConfigError(f"--{name} is {value}; wanted an integer in {least}..{most}")
    if not options.hours > 0:
        raise ConfigError(f"--hours is {options.hours}; wanted hours > 0")
    if not _SHORTEST_LIFE_S <= options.dead_after_s < math.inf:
        raise ConfigError(f"--dead-after-s is {options.dead_after_s}; wanted at least {_SHORTEST_LIFE_S} s")
    if not 0 <= options.patience_minutes < math.inf:
        raise ConfigError(f"--patience-minutes is {options.patience_minutes}; wanted minutes >= 0")
    if not 0 < options.holdout < 1:
        raise ConfigError(f"--holdout is {options.holdout}; wanted a share in (0, 1), such as 0.15")
    if options.settings.train.resample:
        raise ConfigError(f"train.resample is {options.settings.train.resample}; leave it at 0 for a sweep")


if __name__ == "__main__":
    sys.exit(main())
