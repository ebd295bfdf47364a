"""Check again what runs, released weights and the pages of the docs claim.

python -m fer_jax.verify runs/run6-seed0
python -m fer_jax.verify mid --data fer2013.csv
python -m fer_jax.verify README.md docs
"""

import sys
from typing import Final

from fer_jax import cli
from fer_jax.verify.options import VerifyOptions, check

PROGRAM: Final = "python -m fer_jax.verify"


def main(argv: list[str] | None = None) -> int:
    """Parse, verify, and return the exit status."""
    return cli.run(lambda: _verify(cli.parse(VerifyOptions, argv, prog=PROGRAM), argv))


def _verify(options: VerifyOptions, argv: list[str] | None) -> int:
    check(options)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.verify import run

    run.verify(options, invocation=cli.command_line(PROGRAM, argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
