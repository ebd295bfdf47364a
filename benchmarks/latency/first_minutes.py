"""Time the first commands of a new user, and measure the first network.

    python -m benchmarks.latency.first_minutes measure
    python -m benchmarks.latency.first_minutes write      # -> docs/quickstart.md

Each command runs in a new process, on synthetic faces, with nothing in fer_jax's caches: what it compiles is
part of the time. Its processor time is measured too. On a machine with other work the seconds grow and the
processor seconds hardly do; the load average says how much else was running. `measure` writes
benchmarks/results/first_minutes-COMMAND.json, with what the command printed, and skips what is there.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import tyro

from benchmarks.harness import bench, timeline
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli
from fer_jax.errors import RunError
from fer_jax.files import read_json
from fer_jax.text import MISSING, Table, percent, to_markdown

PROGRAM: Final = "python -m benchmarks.latency.first_minutes"
QUESTION: Final = "How long do the first commands of a new user take, and how good is the first network?"
SECTION: Final = "first-minutes"
PRINTED: Final = {"train": "first-run", "check": "first-check"}
"""Sections with what a command printed."""
NOTICE_RULES: Final = 2
"""Lines around the notice that the faces are synthetic."""
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
    results: Path = bench.RESULTS
    """Folder of the JSON files."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the sections to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or write, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(FirstMinutes, argv, prog=PROGRAM)))


def _run(options: FirstMinutes) -> int:
    if options.verb == "write":
        contents = read(options.results, options.commands)
        with bench.reading(options.results):
            for section, text in write_sections(contents).items():
                print(f"written to {write_section(options.pages, section, text)}")
        return 0
    for name in options.commands:
        out = options.results / f"first_minutes-{name}.json"
        if out.exists():
            print(f"{out} exists; delete it to measure {name} again")
            continue
        figures, printed = _time(COMMANDS[name])
        bench.write(
            out,
            question=QUESTION,
            command=f"{PROGRAM} measure --commands {name}",
            settings={"words": _words(COMMANDS[name])},
            results=[{"name": name, **figures}],
            extra={"printed": printed.splitlines()},
        )
        print(f"written to {out}")
    return 0


def read(folder: Path, commands: Sequence[Name]) -> dict[str, dict[str, Any]]:
    """Read the results of some commands, by name.

    Raises:
        RunError: one is missing.
    """
    paths = {name: folder / f"first_minutes-{name}.json" for name in commands}
    for name, path in paths.items():
        if not path.exists():
            raise RunError(f"{path} is missing; measure it with `{PROGRAM} measure --commands {name}`")
    return {name: read_json(path) for name, path in paths.items()}


def _words(command: Command) -> str:
    return " ".join(["python", "-m", command.module, *command.words])


def _time(command: Command) -> tuple[dict[str, float], str]:
    """Run a command with empty caches; return its figures and what it printed."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "out"
        words = [*command.words, *SYNTHETIC, command.folder_option, str(folder)]
        started, used = time.monotonic(), _processor_seconds()
        printed = timeline.call(
            timeline.python(command.module, *words), {"FER_JAX_CACHE": f"{scratch}/cache"}
        )
        figures = {
            "total_s": time.monotonic() - started,
            "processor_s": _processor_seconds() - used,
            "load_average": os.getloadavg()[1],
        }
        metrics = folder / "metrics.json"
        if metrics.exists():
            figures["test_accuracy"] = read_json(metrics)["test"]["accuracy"]
        return figures, printed.replace(str(folder), folder.name)


def _processor_seconds() -> float:
    """Return the processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_sections(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the sections in Markdown, by name: the table, and what commands printed."""
    rows: Table = [["command", "seconds", "processor seconds", "load average", "accuracy on test"]]
    for content in contents.values():
        (figures,) = content["results"]
        spent = [f"{figures[key]:.0f}" for key in ("total_s", "processor_s", "load_average")]
        accuracy = percent(figures["test_accuracy"]) if "test_accuracy" in figures else MISSING
        rows.append([f"`{content['settings']['words']}`", *spent, accuracy])
    machines = dict.fromkeys(content["machine"] for content in contents.values())
    text = (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        "On synthetic faces, in a new process with empty caches. Load average: processes that wanted a core, "
        "this one included; the more of them, the more seconds for the same processor seconds. Machine: "
        f"{'; '.join(machines)}."
    )
    printed = {
        section: "\n".join(["```text", *_shorten(contents[name]["printed"]), "```"])
        for name, section in PRINTED.items()
        if name in contents
    }
    return {SECTION: text, **printed}


def _shorten(lines: Sequence[str]) -> list[str]:
    """Leave out how to get FER2013, which the notice says at length."""
    rules = [number for number, line in enumerate(lines) if line.startswith("─")]
    if len(rules) != NOTICE_RULES:
        return list(lines)
    return [*lines[: rules[0] + 2], "...", *lines[rules[1] :]]


if __name__ == "__main__":
    sys.exit(main())
