"""Time the first commands of a new user, and measure the first network.

    python -m benchmarks.latency.first_minutes measure
    python -m benchmarks.latency.first_minutes write      # -> docs/quickstart.md

Each command runs in a new process, on synthetic faces, with nothing in fer_jax's caches: what it compiles is
part of the time. Its processor time is measured too. On a machine with other work the seconds grow and the
processor seconds hardly do; the load average says how much else was running at the start. `measure` writes
benchmarks/results/first_minutes.json.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import tyro

from benchmarks.harness import arena, bench, timeline
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli
from fer_jax.files import read_json
from fer_jax.text import Table, percent, to_markdown

PROGRAM: Final = "python -m benchmarks.latency.first_minutes"
QUESTION: Final = "How long do the first commands of a new user take, and how good is the first network?"
SECTION: Final = "first-minutes"
SYNTHETIC: Final = ("--data.source", "synthetic")

Name = Literal["train", "check", "check-quick"]


class Command(NamedTuple):
    """A command to time: the module, its words, and the option that names the folder it writes."""

    module: str
    words: tuple[str, ...]
    folder_option: str


COMMANDS: Final[dict[Name, Command]] = {
    "train": Command("fer_jax.train", ("--config", "configs/run6.py"), "--run-dir"),
    "check": Command("fer_jax.check", ("--config", "configs/run7.py"), "--out"),
    "check-quick": Command("fer_jax.check", ("--config", "configs/run7.py", "--quick"), "--out"),
}


@dataclass(frozen=True)
class FirstMinutes:
    """Time the first commands of a new user, or write the docs' table from the results."""

    verb: Annotated[Literal["measure", "write"], tyro.conf.Positional]
    """measure: run the commands and write the JSON; write: the table."""
    commands: tuple[Name, ...] = get_args(Name)
    """Commands to run."""
    rounds: int = 1
    """Times to run each command."""
    results: Path = bench.RESULTS / "first_minutes.json"
    """The JSON to write, or to read."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or write, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(FirstMinutes, argv, prog=PROGRAM), argv))


def _run(options: FirstMinutes, argv: list[str] | None) -> int:
    if options.verb == "write":
        content = read_json(options.results)
        with bench.reading(options.results):
            print(f"written to {write_section(options.pages, SECTION, table(content))}")
        return 0
    runs: dict[Name, list[dict[str, float]]] = {name: [] for name in options.commands}
    for _ in range(options.rounds):
        for name in options.commands:
            runs[name].append(_time(COMMANDS[name]))
            print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in runs[name][-1].items()))
    bench.write(
        options.results,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"rounds": options.rounds},
        results=[
            arena.to_row(
                arena.Result(
                    name,
                    {"words": _words(COMMANDS[name]), "runs": found},
                    [[run["total_s"]] for run in found],
                )
            )
            for name, found in runs.items()
        ],
        extra={},
    )
    print(f"written to {options.results}")
    return 0


def _words(command: Command) -> str:
    return " ".join(["python", "-m", command.module, *command.words])


def _time(command: Command) -> dict[str, float]:
    """Run a command with empty caches; return its seconds and, if it trains, its accuracy on test."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, load = Path(scratch) / "out", os.getloadavg()[0]
        words = [*command.words, *SYNTHETIC, command.folder_option, str(folder)]
        started, used = time.monotonic(), _processor_seconds()
        timeline.call(timeline.python(command.module, *words), {"FER_JAX_CACHE": f"{scratch}/cache"})
        figures = {
            "total_s": time.monotonic() - started,
            "processor_s": _processor_seconds() - used,
            "load_average": load,
        }
        metrics = folder / "metrics.json"
        if metrics.exists():
            figures["test_accuracy"] = read_json(metrics)["test"]["accuracy"]
        return figures


def _processor_seconds() -> float:
    """Return the processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(content: Mapping[str, Any]) -> str:
    """Return the table in Markdown, with a line below it that explains it."""
    rows: Table = [["command", "seconds", "processor seconds", "load average before", "accuracy on test"]]
    for row in content["results"]:
        runs = row["facts"]["runs"]
        spans = [
            arena.format_range([run[key] for run in runs], digits)
            for key, digits in (("total_s", 0), ("processor_s", 0), ("load_average", 1))
        ]
        accuracies = [run["test_accuracy"] for run in runs if "test_accuracy" in run]
        rows.append([f"`{row['facts']['words']}`", *spans, percent(accuracies[0]) if accuracies else ""])
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"On synthetic faces, with empty caches: median (minimum..maximum). {content['machine']}."
    )


if __name__ == "__main__":
    sys.exit(main())
