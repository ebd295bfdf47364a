"""Release the weights of a finished run: a safetensors file and the card that says how good it is.

python -m fer_jax.release runs/mid-seed0 --name mine --data fer2013.csv
"""

import sys

from fer_jax import cli
from fer_jax.release.options import ReleaseOptions


def main(argv: list[str] | None = None) -> int:
    """Parse, release, and return the exit status."""
    return cli.run(lambda: _release(cli.parse(ReleaseOptions, argv, prog="python -m fer_jax.release")))


def _release(options: ReleaseOptions) -> int:
    # JAX and its libraries take seconds to import: --help and a wrong command line need not wait for them.
    from fer_jax.release import run

    run.release(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
