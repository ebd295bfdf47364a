"""Find the faces in pictures and videos and predict their expressions.

python -m fer_jax.predict photo.jpg holiday/ --csv faces.csv --out drawn
"""

import sys

from fer_jax import cli
from fer_jax.predict.options import PredictOptions, check
from fer_jax.runtime.verbosity import Verbosity, get_verbosity


def main(argv: list[str] | None = None) -> int:
    """Parse, predict, and return the exit status."""
    return cli.run(lambda: _predict(cli.parse(PredictOptions, argv, prog="python -m fer_jax.predict")))


def _predict(options: PredictOptions) -> int:
    found = check(options)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.predict import run

    outcome = run.predict(options, found)
    notes = () if get_verbosity() == Verbosity.QUIET else outcome.notes
    for kind, messages in (("note", notes), ("error", outcome.problems)):
        for message in messages:
            print(f"{kind}: {message}", file=sys.stderr)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
