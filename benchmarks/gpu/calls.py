"""From the options of a call to its session, and how it ended."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Final

import jax
from rich.table import Table

from benchmarks.gpu import tiny
from benchmarks.gpu.pieces import list_pieces
from benchmarks.gpu.session import FINISHED, INDEX, Piece, Session, run
from benchmarks.harness import bench
from benchmarks.harness.unattended import UNFINISHED
from fer_jax.config.fields import suggest
from fer_jax.errors import ConfigError
from fer_jax.runtime import compile_cache, cpu, machine

WIDTH: Final = 160
VOTES: Final = "fer2013new.csv"


def measure(
    *,
    data: Path | None,
    ferplus: Path | None,
    out: Path,
    names: tuple[str, ...],
    is_tiny: bool,
    command: str,
    ends_at: float,
    keeps_all: bool,
) -> int:
    """Measure pieces until they are done or the time is up, and return the exit status.

    Args:
        data: FER2013's CSV; at tiny size it is made.
        ferplus: the votes of FER+; None: those beside the data.
        out: folder of the results.
        names: of the pieces, in their order; none: all.
        is_tiny: whether to try the program only.
        command: the command line, for the JSONs.
        ends_at: moment of `time.monotonic` at which the program has to have ended.
        keeps_all: whether pieces that were measured from other source files count, too.

    Raises:
        ConfigError: a piece has another name, there is no accelerator, or a package has no version.
    """
    console = bench.make_console(WIDTH)
    cpu.tune_cpu()
    known = list_pieces()
    wanted = _choose(known, names)
    versions = _describe_versions()
    on_card = [piece.name for piece in wanted if piece.needs_card]
    if on_card and jax.devices()[0].platform == "cpu" and not is_tiny:
        raise ConfigError(
            f"JAX found no accelerator, only the CPU, and {on_card[0]} needs one; install fer_jax with the "
            "extra gpu on a machine that has one, or try the program with --tiny"
        )
    note = compile_cache.keep_compiled_if_possible()
    if note is not None:
        console.print(note)
    out.mkdir(parents=True, exist_ok=True)
    if is_tiny:
        data, ferplus = tiny.write_data(out / "tiny")
    elif ferplus is None and data is not None and (data.parent / VOTES).exists():
        ferplus = data.parent / VOTES
    session = Session(
        data=data,
        ferplus=ferplus,
        out=out,
        is_tiny=is_tiny,
        command=command,
        console=console,
        ends_at=ends_at,
        keeps_all=keeps_all,
    )
    console.print(
        f"runs on    {machine.describe_device()}; {machine.describe_cpu()}; {session.left_s():.0f} s"
    )
    console.print(f"with       {versions}")
    commit, why_not = machine.find_commit()
    missing = f"none is recorded: {why_not or 'this is no git checkout'}"
    console.print(f"commit     {commit or missing}")
    outcomes = run(session, wanted, known)
    table = Table("piece", "status", "")
    for outcome in outcomes:
        table.add_row(outcome.name, outcome.status, outcome.reason)
    console.print(table)
    left = sum(outcome.status not in FINISHED for outcome in outcomes)
    if left:
        console.print(f"{left} of {len(wanted)} pieces are left, see {out / INDEX}; call again")
    if is_tiny:
        console.print("tiny: these results only show that the program works")
    return UNFINISHED if left else 0


def _describe_versions() -> str:
    """List what is installed, before anything is measured: each JSON and each run records it.

    Raises:
        ConfigError: fer_jax or a package that it needs is not installed, but only lies in the search path.
    """
    try:
        versions = bench.list_versions()
    except PackageNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed, and every result records its version: pip install '.[gpu,bench]'"
        ) from None
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _choose(known: list[Piece], names: tuple[str, ...]) -> list[Piece]:
    by_name = {piece.name: piece for piece in known}
    for name in names:
        if name not in by_name:
            raise ConfigError(
                f"--pieces: there is no {name}; the pieces are {', '.join(by_name)}"
                f"{suggest(name, list(by_name))}"
            )
    return [by_name[name] for name in names] if names else known
