"""Measure a run, an ensemble of runs or released weights: metrics, calibration, robustness, mistakes.

python -m fer_jax.evaluate runs/run6-seed0 --split val

Several runs are measured as one ensemble.
"""

import sys

from fer_jax import cli
from fer_jax.errors import ConfigError
from fer_jax.evaluate.options import EvaluateOptions, check


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(lambda: _evaluate(cli.parse(EvaluateOptions, argv, prog="python -m fer_jax.evaluate")))


def _evaluate(options: EvaluateOptions) -> int:
    if not options.runs:
        raise ConfigError("no run was named; give one such as runs/run6-seed0, or several for an ensemble")
    check(options)
    # Imported here: JAX takes seconds to import, and nothing that is refused before needs it.
    from fer_jax.evaluate import run

    run.evaluate(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
