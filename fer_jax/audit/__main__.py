"""Look through the data: copies, images without a face, and labels that are probably wrong.

python -m fer_jax.audit --data fer2013.csv --ferplus fer2013new.csv
"""

import shlex
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

MAX_FOLDS = 20


@dataclass(frozen=True)
class AuditCommand:
    """Find exact and near copies, images without a face and likely label errors, and write what was found.

    Into the folder --out go audit.html (a page with the faces in doubt), audit.json (all figures) and
    audit.csv (a line for each row in doubt, marked keep or drop), which `python -m fer_jax.train --drop`
    obeys. The page holds pictures of the data: do not publish those of FER2013.
    """

    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; by default as in training."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, ten annotators' votes a row, to check the findings against."""
    config: Path = Path("configs/run7.py")
    """Config file of the networks that search for label errors."""
    folds: int = 4
    """How many networks, each trained without one fold of the rows; 0 does not search for label errors."""
    epochs: int = 8
    """Epochs of each of these networks, in place of the config's."""
    out: Path | None = None
    """Folder to write; by default audit/NAME, after the data's file."""
    work_dir: Path | None = None
    """Folder of the finished folds, from which a stopped search goes on; by default OUT/work."""
    on_bad_row: BadRow | None = None
    """What a malformed row does."""


def main(argv: list[str] | None = None) -> int:
    """Parse, audit, and return the exit status."""
    return cli.run(lambda: _audit(cli.parse(AuditCommand, argv, prog="python -m fer_jax.audit"), argv))


def _audit(options: AuditCommand, argv: list[str] | None) -> int:
    if options.folds != 0 and not 2 <= options.folds <= MAX_FOLDS:
        raise ConfigError(f"--folds is {options.folds}; wanted 0, or an integer in 2..{MAX_FOLDS}")
    # Without a search nothing is trained, and no config file has to be there.
    config = load_config(options.config) if options.folds else Config(name="audit")
    config = with_data(config, options.data, options.on_bad_row)
    cli.refuse_other_targets(config)
    if options.folds:
        config = replace(config, train=replace(config.train, epochs=options.epochs))
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.audit import run

    run.audit(
        config,
        votes_path=options.ferplus,
        folds=options.folds,
        out=options.out,
        work=options.work_dir,
        invocation=shlex.join(["python", "-m", "fer_jax.audit", *(sys.argv[1:] if argv is None else argv)]),
        clock=time.perf_counter,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
