"""Export a network to a file that other programs run: ONNX, ONNX in int8, or StableHLO.

python -m fer_jax.export mid --to onnx int8 --data fer2013.csv
"""

import sys

from fer_jax import cli
from fer_jax.export.options import ExportOptions, check


def main(argv: list[str] | None = None) -> int:
    """Parse, export, and return the exit status: 1 where a file is not what the network is."""
    return cli.run(lambda: _export(cli.parse(ExportOptions, argv, prog="python -m fer_jax.export")))


def _export(options: ExportOptions) -> int:
    check(options)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.export import run

    run.export(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
