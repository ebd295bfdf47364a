"""Release the weights of a finished run: a safetensors file and the card that says what it is worth.

python -m fer_jax.release runs/mid-seed0 --name mid --data fer2013.csv
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.images.views import ViewChoice


@dataclass(frozen=True)
class ReleaseCommand:
    """Write a run's selected weights as NAME.safetensors, with the card NAME.json, for `fer_jax.load(NAME)`.

    The tensors are rounded and read back first, and every figure of the card is measured from what was read:
    on PublicTest and PrivateTest, where the data has them, and on the parts of the run's own split.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The folder of a finished run, such as runs/mid-seed0."""
    name: str
    """Name of the weights, such as tiny or mid; those that are there under it are replaced."""
    data: Path | None = None
    """Another file to measure on; by default the data that the run was trained on."""
    on_bad_row: BadRow | None = None
    """What a malformed row does."""
    views: ViewChoice = "flip"
    """Measured too, beside the single view; as `evaluate --help` explains them."""
    dtype: Literal["float16", "float32"] = "float16"
    """Numbers in the file. float16 halves it and moves a logit by about a thousandth."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv: measure by the label that most annotators gave, too. By default the file that
    the run learned from, if it learned FER+."""
    out: Path | None = None
    """Folder to write into; by default the package's own, weights/."""


def main(argv: list[str] | None = None) -> int:
    """Parse, release, and return the exit status."""
    return cli.run(lambda: _release(cli.parse(ReleaseCommand, argv, prog="python -m fer_jax.release")))


def _release(options: ReleaseCommand) -> int:
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.release import run as release_run

    release_run.release_run(
        options.run,
        options.data,
        name=options.name,
        on_bad_row=options.on_bad_row,
        views=options.views,
        dtype=options.dtype,
        ferplus=options.ferplus,
        out=options.out,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
