"""What is worth measuring on an accelerator, in one program: speed, recipes, weights, and the clock.

    python -m benchmarks.gpu --minutes 13 --data fer2013.csv --out gpu-results
    python -m benchmarks.gpu --minutes 13 --data fer2013.csv --out gpu-results    # again: what is left
    python -m benchmarks.gpu --tiny --out /tmp/tiny    # tries the whole program on a CPU, in tiny
    python -m benchmarks.gpu write    # -> benchmarks/README.md: which pieces have no result yet

The pieces in their order; the seconds of each and their sum are estimates for one H100, not measurements:

    device               15    15  What is the accelerator, and how fast does it multiply?
    epochs               70    85  Does an epoch wait for its optimizer?
    bits                 45   130  Do two runs have the same bits, and a resumed one?
    holdout-old          89   219  How accurate is best after 40 epochs on the hold-out?
    holdout-new         113   332  How accurate is best100 after 80 epochs on the hold-out?
    decision              1   333  Which recipe do the rules choose?
    best-seed0          146   479  What does a seed of the chosen recipe learn from all of Training?
    best-seed1           95   574  What does a seed of the chosen recipe learn from all of Training?
    best-seed2           95   670  What does a seed of the chosen recipe learn from all of Training?
    best-seed3           95   765  What does a seed of the chosen recipe learn from all of Training?
    bank                 45   810  What does the ensemble answer to augmented views of every training image?
    second-seed0        146   956  What does a seed learn that the ensemble teaches?
    second-seed1         95  1051  What does a seed learn that the ensemble teaches?
    scores-best          25  1076  How accurate are the networks on PublicTest?
    scores-second        25  1101  How accurate are the networks on PublicTest?
    steps-best          100  1201  How long does a train step take in JAX and in PyTorch?
    steps-run6           40  1241  How long does a train step take in JAX and in PyTorch?
    steps-vgg            50  1291  How long does a train step take in JAX and in PyTorch?
    kernels              40  1331  Which kernels does a train step spend its time in?
    clock               190  1521  How many seconds from the command to an accuracy?
    clock-autotuned      70  1591  How many, if the kernels are chosen already?
    epoch-run6           80  1671  How long does an epoch take in JAX and in PyTorch?
    steps-best-float32   50  1721  How long does a train step take in JAX and in PyTorch?
    steps-run6-float32   20  1741  How long does a train step take in JAX and in PyTorch?
    steps-vgg-float32    30  1771  How long does a train step take in JAX and in PyTorch?
    epochs-optax        120  1891  How much longer does an epoch take with Optax's Muon?
    steps-autotuned     150  2041  How long does a train step take in JAX and in PyTorch?
    ferplus-seed0       146  2187  What does the large network from FER+'s votes learn?
    plain-seed0         146  2332  What does a second architecture learn?
    plain-seed1          95  2428  What does a second architecture learn?
    ferplus-seed1        95  2523  What does the large network from FER+'s votes learn?
    scores-ferplus       25  2548  How accurate are the networks on PublicTest?
    scores-plain         25  2573  How accurate are the networks on PublicTest?
    clock-several       280  2853  How many seconds until several networks are trained and measured together?

The trainings' seconds are estimated again once `epochs` has measured an epoch, and those of further seeds
once the first is trained. The rules of the decision were written down before it is made:
`benchmarks/accuracy/decision.py`.

All pieces share one process, except for `clock`, `clock-autotuned`, `clock-several` and `epoch-run6`, which
time programs from their start. Each piece is saved as FOLDER/gpu-PIECE.json as soon as it is done. The next
call skips a piece whose JSON is there, from the same source files, and goes on with the rest. A training that
the time cuts off resumes from its checkpoint in FOLDER/runs if that is still there. What has to be kept of
the folder to go on elsewhere: gpu-*.json, weights/, bank/ and autotuned/.
"""

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.errors import ConfigError

PROGRAM = "python -m benchmarks.gpu"
_PIECES = re.findall(r"^    ([a-z]\S*) +(\d+) +\d+  (.*)$", __doc__, re.MULTILINE)


@dataclass(frozen=True)
class Gpu:
    """Measure on an accelerator, the most valuable first, each piece saved as soon as it is done.

    Exit status 0: all pieces are done; 6: some are left, call again.
    """

    verb: Annotated[Literal["measure", "write"], tyro.conf.Positional] = "measure"
    """measure: the pieces; write: list in benchmarks/README.md those without a result."""
    minutes: float = 13.0
    """End after this many minutes; a piece that is not expected to fit is left for another call."""
    data: Path | None = None
    """Kaggle's fer2013.csv, with Training and PublicTest."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv; by default the one beside --data."""
    out: Path = Path("gpu-results")
    """Folder of the results; call with the same one to go on."""
    pieces: tuple[str, ...] = ()
    """Pieces to measure, in this order; by default all, see `python -m benchmarks.gpu --help`."""
    tiny: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Try the program: tiny synthetic data and networks, also on a CPU. The results are marked, and worth
    nothing."""
    keep_all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Pieces that were measured from other source files are done, too: after a repair that cannot change
    them. Each JSON has the hash of its files."""
    pages: tuple[Path, ...] = (bench.ROOT / "benchmarks" / "README.md",)
    """The page that `write` writes to."""
    results: Path = bench.RESULTS
    """Folder of the JSONs that `write` looks for."""


# The list above, for --help.
Gpu.__doc__ = "\n".join(
    [
        f"{Gpu.__doc__}\n    The pieces, with estimated seconds on an H100:\n",
        *(f"    - {name}: {seconds} s. {question}" for name, seconds, question in _PIECES),
    ]
)


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    started = time.monotonic()
    return cli.run(lambda: _do(cli.parse(Gpu, argv, prog=PROGRAM), argv, started))


def _do(options: Gpu, argv: list[str] | None, started: float) -> int:
    if options.verb == "write":
        from benchmarks.gpu.unmeasured import write

        print(f"written to {write(options.pages, options.results)}")
        return 0
    if not options.minutes > 0:
        raise ConfigError(f"--minutes is {options.minutes:g}; it must be more than 0")
    if options.tiny and options.out.resolve() == bench.RESULTS.resolve():
        raise ConfigError(f"--tiny measures nothing, and --out is {options.out}; give another folder")
    if options.data is None and not options.tiny:
        raise ConfigError("--data is missing; give fer2013.csv, which has Training and PublicTest")
    # PyTorch, and the programs that are started, use the card beside this process.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from benchmarks.gpu.calls import measure

    return measure(
        data=options.data,
        ferplus=options.ferplus,
        out=options.out,
        names=options.pieces,
        is_tiny=options.tiny,
        command=bench.to_command(PROGRAM, argv),
        ends_at=started + 60 * options.minutes,
        keeps_all=options.keep_all,
    )


if __name__ == "__main__":
    sys.exit(main())
