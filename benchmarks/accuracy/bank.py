r"""Write a bank: the answers of teachers to stored views of the training images, for runs anywhere.

    python -m benchmarks.accuracy.bank --config tiny --data fer2013.csv \
        --distill.teachers runs/best-seed0 runs/best-seed1 --distill.views 32 --out best.safetensors
    python -m fer_jax.train --config tiny --data fer2013.csv \
        --distill.bank best.safetensors --distill.views 32

The config is the student's: its augmentation draws the views, its split says which images are asked about,
and the teachers compute in its `device.compute_dtype`, with its `device.kernels`. Each view is cached as soon
as it is answered, so the same command continues after an interruption; then nothing but the file is needed.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from fer_jax import cli
from fer_jax.files import megabytes
from fer_jax.inference.prepare import make_bank
from fer_jax.report import terminal
from fer_jax.runs import inputs

PROGRAM = "python -m benchmarks.accuracy.bank"


@dataclass(frozen=True, kw_only=True)
class BankCommand(cli.ConfigCommand):
    """Ask the teachers of a config about stored views of its training images, and write their answers."""

    out: Path
    """The file to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse, ask, write, and return the exit status."""
    return cli.run(lambda: _write(cli.parse(BankCommand, argv, prog=PROGRAM)))


def _write(options: BankCommand) -> int:
    config = options.to_config()
    inputs.check_files(config)
    console = terminal.begin(f"{config.name} -> {options.out}", config)
    examples = terminal.load_data(console, config.data)
    bank = make_bank(config, examples, options.out, console=console)
    views, images, _ = bank.answers.shape
    names = ", ".join(run["run"] for run in bank.teachers["runs"])
    size = megabytes(options.out.stat().st_size)
    console.print(f"{options.out}: {names} on {views:,} views of {images:,} images, {size}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
