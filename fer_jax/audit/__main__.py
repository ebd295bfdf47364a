"""Search the data for copies, images without a face, and labels that are probably wrong.

python -m fer_jax.audit --data fer2013.csv --ferplus fer2013new.csv
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.config.files import load_config
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError

PROG, MAX_FOLDS = "python -m fer_jax.audit", 20


@dataclass(frozen=True)
class AuditCommand:
    """Find exact and near copies, images without a face and likely label errors.

    The folder --out gets audit.html (a page with the images in doubt), audit.json (all numbers) and
    audit.csv (a line for each row in doubt, marked keep or drop), which `python -m fer_jax.train --drop`
    applies. The page contains pictures of the data: do not publish it if the data is FER2013.
    """

    data: Path | None = None
    """Kaggle CSV, archive or folder of images; by default as in training."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, the votes of ten annotators per row, to check the findings against."""
    config: Path = Path("run7")
    """Config of the networks that search for label errors: a file, or the name of one that comes with
    fer_jax."""
    folds: int = 4
    """Number of networks, each trained without one fold of the rows; 0 does not search for label errors."""
    epochs: int = 8
    """Epochs of each of these networks, instead of the config's."""
    out: Path | None = None
    """Folder to write; by default audit/NAME, with the name of the data file."""
    work_dir: Path | None = None
    """Folder of the finished folds, from which a stopped search continues; by default OUT/work."""
    on_bad_row: BadRow | None = None
    """What a malformed row or picture does: stop, or skip it; short for data.on_bad_row."""
    overwrite: bool = False
    """Replace an audit of other data, by other networks or with votes, or a list that was edited."""


def main(argv: list[str] | None = None) -> int:
    """Parse, audit, and return the exit status."""
    return cli.run(lambda: _audit(cli.parse(AuditCommand, argv, prog=PROG), cli.command_line(PROG, argv)))


def _audit(options: AuditCommand, invocation: str) -> int:
    if options.folds != 0 and not 2 <= options.folds <= MAX_FOLDS:
        raise ConfigError(f"--folds is {options.folds}; wanted 0, or an integer in 2..{MAX_FOLDS}")
    config = load_config(options.config)
    if not options.folds:  # Nothing is trained: the config says only how the data is read and split.
        config = Config(name="audit", data=config.data, split=config.split)
    config = with_data(config, options.data, options.on_bad_row)
    _check_targets(config)
    if options.folds:
        config = replace(config, train=replace(config.train, epochs=options.epochs))
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.data.readers import ferplus
    from fer_jax.runs import inputs

    inputs.check_files(config)
    if options.ferplus is not None:
        ferplus.find(options.ferplus)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.audit import run

    run.audit(options, config, invocation=invocation, clock=time.perf_counter)
    return 0


def _check_targets(config: Config) -> None:
    """Refuse a config with which the networks would not judge FER2013's labels, or not out of sample."""
    source, distill = config.labels.source, config.distill
    if source != "fer2013":
        raise ConfigError(
            f"labels.source is {source}, and an audit checks FER2013's own labels; give a --config that is "
            "trained on them (--ferplus compares the findings with FER+'s votes)"
        )
    if distill.is_on:
        named = f"bank names {distill.bank}" if distill.bank else f"teachers names {distill.teachers[0]}"
        raise ConfigError(
            f"distill.{named}, and teachers may have seen the rows that an audit judges; give a --config "
            "without teachers"
        )
    if config.init.weights is not None:
        raise ConfigError(
            f"init.weights names {config.init.weights}, which may have seen the rows that an audit judges; "
            "give a --config whose networks start from new weights"
        )
    for name in ("max_examples", "resample"):
        if value := getattr(config.train, name):
            raise ConfigError(
                f"train.{name} is {value}, and an audit trains on all rows of the other folds; leave it out"
            )


if __name__ == "__main__":
    sys.exit(main())
