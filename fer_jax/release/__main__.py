"""Release the weights of a finished run: a safetensors file and the card that says how good it is.

python -m fer_jax.release runs/mid-seed0 --name mine --data fer2013.csv

Released weights are measured again: python -m fer_jax.release mid --name mid --out FOLDER --data fer2013.csv
"""

import sys

from fer_jax import cli
from fer_jax.release.options import ReleaseOptions, choose_folder


def main(argv: list[str] | None = None) -> int:
    """Parse, release, and return the exit status."""
    return cli.run(lambda: _release(cli.parse(ReleaseOptions, argv, prog="python -m fer_jax.release")))


def _release(options: ReleaseOptions) -> int:
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.data.readers import ferplus
    from fer_jax.runs import inputs, sources

    choose_folder(options)
    found = sources.find(options.run)
    if isinstance(found, sources.Released):
        sources.check_data(found, options.data)
    else:
        inputs.read_finished(options.run)
        inputs.check_data(options.run, options.data, options.on_bad_row)
    if options.ferplus is not None:
        ferplus.find(options.ferplus)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.release import run

    run.release(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
