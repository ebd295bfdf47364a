"""Measure a trained run on any part of its data, or on another file.

python -m fer_jax.evaluate runs/run6-seed0 --split val
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fer_jax import command
from fer_jax.config import BadRow

Part = Literal["val", "test", "PublicTest", "PrivateTest", "all"]


@dataclass(frozen=True)
class EvaluateCommand:
    """Measure the weights that a run's config selects: its best epoch, or its last.

    Prints the figures and writes them, with the confusion matrix as a picture, into the run's folder.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder, such as runs/run6-seed0."""
    data: Path | None = None
    """Another file to measure on; by default the data that the run was trained on."""
    split: Part = "val"
    """val, test: the parts of the run's own split; PublicTest, PrivateTest: the file's rows of that usage;
    all: every labelled row of the file."""
    on_bad_row: BadRow | None = None
    """What a malformed row does."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return command.run(
        lambda: _evaluate(command.parse(EvaluateCommand, argv, prog="python -m fer_jax.evaluate"))
    )


def _evaluate(options: EvaluateCommand) -> int:
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax import evaluation

    evaluation.evaluate_run(options.run, options.data, part=options.split, on_bad_row=options.on_bad_row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
