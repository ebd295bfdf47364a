"""Search a config's hyper-parameters on a hold-out of the training images, so that no test part is used up.

python -m fer_jax.sweep --config configs/run7.py --space configs/spaces/craft.py --trials 60 --data train.csv
"""

import dataclasses
import importlib.util
import math
import re
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError
from fer_jax.sweep.space import load_space

_MOST_TRIALS, _MOST_SEEDS = 100_000, 256


@dataclass(frozen=True)
class SweepCommand:
    """Search a config's hyper-parameters with Optuna, and print the command that trains the best found.

    A space file says what may change, and the config gives the rest. Each trial is trained in memory and
    judged by its validation accuracy: with the seed protocol on the validation part, with the official one on
    a share of Training that is held out; PublicTest is never looked at. Trials that fall behind are given up.

    All is kept in a database. The same command goes on with a sweep that was stopped or killed, and several
    of it at a time share the work; with a database server as --storage also on several machines.
    """

    config: Path
    """Config file, such as configs/run7.py: the base of all trials."""
    space: Path
    """Space file, such as configs/spaces/craft.py: a dict from config field to its range or choices."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """What a malformed row does; short for --data.on-bad-row."""
    trials: int = 50
    """How many trials the sweep is to have in all, those of earlier and other processes included."""
    hours: float = math.inf
    """Begin no trial after so many hours."""
    seeds: int = 1
    """Training seeds of each trial, from train.seed on; their mean accuracy counts."""
    pruner: Literal["median", "halving", "none"] = "median"
    """When a trial is given up. median: its best epoch is below the median of the others at this epoch;
    halving: it is not in the best third at 1, 3, 9 ... times the spared epochs; none: never."""
    spared_epochs: int | None = None
    """No trial is given up before so many epochs; by default a quarter of train.epochs."""
    holdout: float = 0.15
    """Share of Training that is held out with the official protocol; exact copies stay together."""
    sweep_seed: int = 0
    """Seed of the sampler and of the hold-out."""
    storage: str | None = None
    """SQLAlchemy URL of the database; by default the SQLite file runs/sweeps/NAME.db, where NAME is made of
    the config's name and the space file's."""
    out: Path | None = None
    """Folder for sweep.json and the pictures; by default runs/sweeps/NAME."""


def main(argv: list[str] | None = None) -> int:
    """Parse, sweep, and return the exit status."""
    return cli.run(lambda: _sweep(cli.parse(SweepCommand, argv, prog="python -m fer_jax.sweep"), argv))


def _sweep(options: SweepCommand, argv: list[str] | None) -> int:
    _check(options)
    settings = with_data(options.settings, options.data, options.on_bad_row)
    space = load_space(options.space, settings)
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "a sweep needs Optuna, which is not installed: `pip install 'optuna>=4'`, or "
            "`pip install 'fer-jax[sweep]'`, which brings it"
        )
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.sweep import run

    words = ["python", "-m", "fer_jax.sweep", *(sys.argv[1:] if argv is None else argv)]
    plan = run.Plan(
        config=settings,
        config_file=options.config,
        space=space,
        name=f"{settings.name}-{options.space.stem}",
        trials=options.trials,
        hours=options.hours,
        seeds=[
            dataclasses.replace(settings.train, seed=settings.train.seed + number).seed
            for number in range(options.seeds)
        ],
        pruner=options.pruner,
        spared_epochs=options.spared_epochs or max(1, settings.train.epochs // 4),
        holdout=options.holdout,
        sweep_seed=options.sweep_seed,
        storage=options.storage,
        out=options.out,
        # A password in the database's URL is nobody's business.
        invocation=re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", shlex.join(words)),
    )
    return run.sweep(plan, clock=time.monotonic)


def _check(options: SweepCommand) -> None:
    """Refuse what is out of range."""
    whole = (
        ("trials", options.trials, 1, _MOST_TRIALS),
        ("seeds", options.seeds, 1, _MOST_SEEDS),
        ("sweep-seed", options.sweep_seed, 0, 2**32 - 1),
        ("spared-epochs", options.spared_epochs, 1, _MOST_TRIALS),
    )
    for name, value, least, most in whole:
        if value is not None and not least <= value <= most:
            raise ConfigError(f"--{name} is {value}; wanted an integer in {least}..{most}")
    if not options.hours > 0:
        raise ConfigError(f"--hours is {options.hours}; wanted hours > 0")
    if not 0 < options.holdout < 1:
        raise ConfigError(f"--holdout is {options.holdout}; wanted a share in (0, 1), such as 0.15")
    cli.refuse_other_targets(options.settings)
    if options.settings.train.resample:
        raise ConfigError(f"train.resample is {options.settings.train.resample}; leave it at 0 for a sweep")


if __name__ == "__main__":
    sys.exit(main())
