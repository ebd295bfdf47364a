"""Measure the bias and the variance of a config's errors, over training seeds and resamples of the data.

python -m fer_jax.bias_variance --config configs/run4.py --data train.csv --width 0.5
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError

MOST = 256


@dataclass(frozen=True)
class BiasVarianceCommand:
    """Train a config over seeds and bootstrap resamples, and split its error into bias and variance.

    Bias is what all networks get wrong together, variance what another seed or other data would change
    (Domingos 2000 for the 0-1 loss; Brier score and cross-entropy too). A resample holds about 63 % of the
    training images, so a network does a little worse than one that is trained on all of them.

    A study that was stopped goes on where it was: the predictions of each finished network are kept.
    """

    config: Path
    """Config file, such as configs/run4.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """What a malformed row does; short for --data.on-bad-row."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv: its annotators' votes bound the noise of the labels."""
    seeds: int = 5
    """How many training seeds, from train.seed on."""
    resamples: int = 3
    """How many bootstrap resamples of the training images; every seed is trained on each."""
    width: float = 1.0
    """Multiply the features of every block and of the dense layer, for small machines."""
    split: Literal["val", "test"] = "val"
    """The part to measure on."""
    out: Path | None = None
    """The JSON to write; by default runs/bias_variance-NAME.json."""
    work_dir: Path | None = None
    """Folder for the predictions of finished networks; by default runs/bias_variance-NAME."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(
        lambda: _measure(cli.parse(BiasVarianceCommand, argv, prog="python -m fer_jax.bias_variance"), argv)
    )


def _measure(options: BiasVarianceCommand, argv: list[str] | None) -> int:
    for name, value, least in (("seeds", options.seeds, 2), ("resamples", options.resamples, 1)):
        if not least <= value <= MOST:
            raise ConfigError(f"--{name} is {value}; wanted an integer in {least}..{MOST}")
    if not 0 < options.width <= 16:
        raise ConfigError(f"--width is {options.width}; wanted a factor in (0, 16]")
    if options.settings.train.resample:
        raise ConfigError(
            f"train.resample is {options.settings.train.resample}; leave it at 0: --resamples draws them"
        )
    cli.refuse_other_targets(options.settings)
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.bias_variance import study

    words = ["python", "-m", "fer_jax.bias_variance", *(sys.argv[1:] if argv is None else argv)]
    study.measure(
        with_data(options.settings, options.data, options.on_bad_row),
        seeds=options.seeds,
        resamples=options.resamples,
        width=options.width,
        part=options.split,
        ferplus_file=options.ferplus,
        out=options.out,
        work_dir=options.work_dir,
        invocation=shlex.join(words),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
