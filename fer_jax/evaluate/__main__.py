"""Measure a run, an ensemble of runs or released weights: metrics, calibration, robustness, mistakes.

python -m fer_jax.evaluate runs/run6-seed0 --split val

Several runs are measured as one ensemble.
"""

import sys

from fer_jax import cli
from fer_jax.errors import ConfigError
from fer_jax.evaluate.options import EvaluateOptions


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(lambda: _evaluate(cli.parse(EvaluateOptions, argv, prog="python -m fer_jax.evaluate")))


def _evaluate(options: EvaluateOptions) -> int:
    if not options.runs:
        raise ConfigError("no run was named; give one such as runs/run6-seed0, or several for an ensemble")
    # JAX and its libraries take seconds to import: --help and a wrong command line need not wait for them.
    from fer_jax.evaluate import run

    run.evaluate(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
