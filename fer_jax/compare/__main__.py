"""Put trained runs side by side, and say which of their differences are real.

python -m fer_jax.compare runs/run6-seed0 runs/run7-seed0
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow
from fer_jax.errors import ConfigError
from fer_jax.inference.rows import Part


@dataclass(frozen=True)
class CompareCommand:
    """Put trained runs side by side: one table, their curves, and which differences are real.

    Prints and writes as compare.md, compare.html, compare.json and pictures:

    - accuracy on train, val and test with its interval or its spread over the seeds, the gap, what each run
      changed, parameters, multiply-accumulates, speed, and the epoch of the best validation accuracy;
    - McNemar's test of each pair of runs on the same images, corrected for the number of pairs (Holm), with
      the difference in accuracy and its 95 % interval;
    - the learning curves of all runs over each other.

    Runs that differ in their seed alone are one line, and their first seed is the one that is tested. All
    runs must have been trained on the same data, labels and split, and are measured by these labels.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs, such as runs/run6-seed0, in the order of the table; or a folder that holds some, such
    as runs, which stands for all in it by name."""
    data: Path | None = None
    """Another file to compare on; by default the data that the runs were trained on."""
    split: Part = "val"
    """On which images the pairs are tested. val: what one chooses runs by; test: what nothing was chosen by,
    for the last word; train: how well they fit; PublicTest, PrivateTest: the file's rows of that usage;
    all: every labelled row of the file."""
    on_bad_row: BadRow | None = None
    """What a malformed row does."""
    speed: bool = True
    """Show images a second and seconds an epoch. Leave them out where other work ran beside the trainings."""
    out: Path | None = None
    """Folder to write into; by default the one that holds the runs."""
    name: str = "compare"
    """Name of the files: NAME.md, NAME.html, NAME.json, NAME_curves.png ..."""


def main(argv: list[str] | None = None) -> int:
    """Parse, compare, and return the exit status."""
    return cli.run(lambda: _compare(cli.parse(CompareCommand, argv, prog="python -m fer_jax.compare")))


def _compare(options: CompareCommand) -> int:
    if not options.runs:
        raise ConfigError("no run was named; give two runs such as runs/run6-seed0, or a folder of runs")
    if not options.name or Path(options.name).name != options.name:
        raise ConfigError(f"--name is {options.name!r}; wanted a file name without a folder; see --out")
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.compare import run

    run.compare_runs(
        options.runs,
        options.data,
        part=options.split,
        on_bad_row=options.on_bad_row,
        has_speed=options.speed,
        out=options.out,
        name=options.name,
        invocation=_invocation(options),
    )
    return 0


def _invocation(options: CompareCommand) -> str:
    """Write the command again, as it may stand in a page that others read."""
    words = ["python", "-m", "fer_jax.compare", *map(_shown, options.runs), "--split", options.split]
    for name, path in (("--data", options.data), ("--out", options.out)):
        words += [] if path is None else [name, _shown(path)]
    words += [] if options.on_bad_row is None else ["--on-bad-row", options.on_bad_row]
    words += [] if options.speed else ["--no-speed"]
    return shlex.join([*words, "--name", options.name])


def _shown(path: Path) -> str:
    """Write a path without what only this machine has in front of it."""
    here, absolute = Path.cwd(), path.absolute()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else path.name


if __name__ == "__main__":
    sys.exit(main())
