"""Measure the bias and the variance of a config's errors, over training seeds and resamples of the data.

python -m fer_jax.bias_variance --config configs/run4.py --data train.csv --width 0.5
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fer_jax import cli
from fer_jax.errors import ConfigError

PROG, MOST = "python -m fer_jax.bias_variance", 256


@dataclass(frozen=True, kw_only=True)
class BiasVarianceCommand(cli.ConfigCommand):
    """Train a config with several seeds on bootstrap resamples, and split its error into bias and variance.

    Bias is what all networks get wrong together, variance what another seed or other data would change
    (Domingos 2000 for the 0-1 loss; also for Brier score and cross-entropy). A resample contains about 63 %
    of the training images, so each network does a little worse than one that is trained on all of them.
    Errors are measured against the labels of the config: FER2013's, or the majority of FER+.

    A study that was stopped continues where it was: the predictions of each finished network are saved.
    """

    ferplus: Path | None = None
    """FER+'s fer2013new.csv: how much its annotators disagree hints at the label noise."""
    seeds: int = 5
    """Number of training seeds, from train.seed on."""
    resamples: int = 3
    """Number of bootstrap resamples of the training images; every seed is trained on each."""
    width: float = 1.0
    """Factor for the features of every block and of the dense layer, for small machines."""
    split: Literal["val", "test"] = "val"
    """The part to measure on."""
    out: Path | None = None
    """The JSON to write; by default runs/bias_variance-NAME.json."""
    work_dir: Path | None = None
    """Folder for the predictions of finished networks; by default runs/bias_variance-NAME."""
    overwrite: bool = False
    """Replace the JSON of a study of another config, part or width, or of other data."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(
        lambda: _measure(cli.parse(BiasVarianceCommand, argv, prog=PROG), cli.command_line(PROG, argv))
    )


def _measure(options: BiasVarianceCommand, invocation: str) -> int:
    for name, value, least in (("seeds", options.seeds, 2), ("resamples", options.resamples, 1)):
        if not least <= value <= MOST:
            raise ConfigError(f"--{name} is {value}; wanted an integer in {least}..{MOST}")
    if not 0 < options.width <= 16:
        raise ConfigError(f"--width is {options.width}; wanted a factor in (0, 16]")
    if options.settings.train.resample:
        raise ConfigError(
            f"train.resample is {options.settings.train.resample}; leave it at 0: --resamples draws them"
        )
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.data.readers import ferplus
    from fer_jax.runs import inputs

    inputs.check_files(options.to_config())
    if options.ferplus is not None:
        ferplus.find(options.ferplus)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.bias_variance import study

    study.measure(options, invocation=invocation, clock=time.perf_counter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
