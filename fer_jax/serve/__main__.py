"""Serve predictions over HTTP: a photo goes in as the body of a request, its faces come out as JSON.

python -m fer_jax.serve --weights mid
"""

import sys

from fer_jax import cli
from fer_jax.serve.options import ServeOptions, check


def main(argv: list[str] | None = None) -> int:
    """Parse, serve until a signal comes, and return the exit status."""
    return cli.run(lambda: _serve(cli.parse(ServeOptions, argv, prog="python -m fer_jax.serve")))


def _serve(options: ServeOptions) -> int:
    check(options)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.serve import run

    return run.serve(options)


if __name__ == "__main__":
    sys.exit(main())
