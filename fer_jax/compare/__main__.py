"""Compare trained runs, and test which of their differences are significant.

python -m fer_jax.compare runs/run6-seed0 runs/run7-seed0
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow, Part
from fer_jax.errors import ConfigError


@dataclass(frozen=True)
class CompareCommand:
    """Compare trained runs: one table, their learning curves, and which differences are significant.

    Prints, and writes as compare.md, compare.html, compare.json and plots:

    - accuracy on train, val and test with its interval or its spread over the seeds, the gap, what each run
      changed, parameters, multiply-accumulates, speed, and the epoch with the best validation accuracy;
    - McNemar's test of each pair of runs on the same images, corrected for the number of pairs (Holm), with
      the difference in accuracy and its 95 % interval;
    - the learning curves of all runs in one plot.

    Runs that differ only in their seed are one row; the first seed is used in the tests. All runs must have
    been trained on the same data, labels and split.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs, such as runs/run6-seed0, in the order of the table; or a folder that holds runs, such
    as runs, for all of them, sorted by name."""
    data: Path | None = None
    """Another data file to compare on; by default the one that the runs were trained on."""
    split: Part = "val"
    """Images to test the pairs on. val: for choosing among runs; test: for the final result, nothing was
    chosen on it; train: for the fit; PublicTest, PrivateTest: the rows of the file with this usage; all:
    every labelled row of the file."""
    on_bad_row: BadRow | None = None
    """What a malformed row or picture does: stop, or skip it."""
    speed: bool = True
    """Show images per second and seconds per epoch. Turn it off if other work ran during training."""
    out: Path | None = None
    """Folder to write to; by default the one that holds the runs."""
    name: str = "compare"
    """Name of the files: NAME.md, NAME.html, NAME.json, NAME_curves.png ..."""
    csv: Path | None = None
    """Also write the table of runs to this CSV file, one row per seed and part."""
    overwrite: bool = False
    """Replace the file of --csv."""


def main(argv: list[str] | None = None) -> int:
    """Parse, compare, and return the exit status."""
    return cli.run(lambda: _compare(cli.parse(CompareCommand, argv, prog="python -m fer_jax.compare")))


def _compare(options: CompareCommand) -> int:
    if not options.runs:
        raise ConfigError("no run was named; name two runs such as runs/run6-seed0, or a folder of runs")
    if not options.name or Path(options.name).name != options.name:
        raise ConfigError(
            f"--name is {options.name!r}; wanted a file name without a folder (for which there is --out)"
        )
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.compare import entries
    from fer_jax.runs import inputs, outputs
    from fer_jax.runs.location import find_common_folder, find_folders

    folders = find_folders(options.runs)
    entries.check_comparable(entries.group([entries.read_run(each) for each in folders]), options.split)
    data = inputs.check_data(folders[0], options.data, options.on_bad_row)
    out = find_common_folder(folders) if options.out is None else options.out
    outputs.check_folder("--out", out)
    if options.csv is not None:
        read = [*folders, *([] if data is None else [data])]
        outputs.check_file("--csv", options.csv, inputs=read, may_replace=options.overwrite)
    # Imported late: JAX takes seconds, and nothing that is refused before needs it.
    from fer_jax.compare import run

    run.compare_runs(
        options.runs,
        options.data,
        part=options.split,
        on_bad_row=options.on_bad_row,
        has_speed=options.speed,
        out=out,
        name=options.name,
        csv=options.csv,
        invocation=_invocation(options),
    )
    return 0


def _invocation(options: CompareCommand) -> str:
    """Write the command line for a page that others read."""
    words = ["python", "-m", "fer_jax.compare", *map(_shown, options.runs), "--split", options.split]
    for name, path in (("--data", options.data), ("--out", options.out), ("--csv", options.csv)):
        words += [] if path is None else [name, _shown(path)]
    words += [] if options.on_bad_row is None else ["--on-bad-row", options.on_bad_row]
    words += [] if options.speed else ["--no-speed"]
    words += ["--overwrite"] if options.overwrite else []
    return shlex.join([*words, "--name", options.name])


def _shown(path: Path) -> str:
    """Write a path without the part that exists only on this machine."""
    here, absolute = Path.cwd(), path.absolute()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else path.name


if __name__ == "__main__":
    sys.exit(main())
