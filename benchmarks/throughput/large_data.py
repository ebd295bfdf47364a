"""How fast is training on images that do not fit into memory? From a mapped file, and from memory.

    FER_JAX_CACHE=/large/disk python -m benchmarks.throughput.large_data

Draws three million synthetic faces (7 GB) into the cache, in a process that may use 1.5 GB, and takes batches
and training steps of a tiny network from them: from a mapped file, in memory where there is enough, with the
file's pages in the page cache or dropped, read ahead or not. The same with a data set that fits
into memory. Each measurement is a process of its own; they take turns. Batches are hashed, and must be the
same however the images are held. For Linux. Writes benchmarks/results/large_data.json.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.harness import arena, bench, memory
from benchmarks.throughput.large_data_worker import WARM_STEPS, Job, Reading
from fer_jax import cli, fer2013, files
from fer_jax.data.split import TRAIN_SHARE
from fer_jax.errors import ConfigError, RunError
from fer_jax.text import MISSING, Table, to_markdown

PROGRAM: Final = "python -m benchmarks.throughput.large_data"
QUESTION: Final = "How fast is training on images that do not fit into memory?"
SECTION: Final = "large_data"
TASKS: Final = ("input", "train")
_QUICK_TASKS: Final = ("input",)
"""Of a candidate that takes minutes, in one round alone."""
_TRAINING_SHARE: Final = 0.8 * TRAIN_SHARE
"""Of the synthetic faces, as the protocol `seed` splits them."""

Limiter = Callable[[Sequence[str]], list[str]]
"""Makes a command that runs another one with a memory limit."""


class Way(NamedTuple):
    """How images are held and read.

    Attributes:
        title: for the table.
        is_large: whether it is the large data set.
        is_loaded: whether the images are copied into memory first.
        is_cold: whether the file's pages are dropped before the clock starts.
        reading: see `Reading`.
        is_limited: whether the process has the memory limit.
    """

    title: str
    is_large: bool
    is_loaded: bool
    is_cold: bool
    reading: Reading
    is_limited: bool


WAYS: Final = {
    "small-memory": Way("in memory", False, True, False, "ahead", True),
    "small-warm": Way("mapped, pages in memory", False, False, False, "ahead", True),
    "small-cold": Way("mapped, pages on the disk", False, False, True, "ahead", True),
    "small-cold-alone": Way("the same, each image read alone when used", False, False, True, "alone", True),
    "large-cold": Way("mapped, pages on the disk", True, False, True, "ahead", True),
    "large-cold-alone": Way("the same, each image read alone when used", True, False, True, "alone", True),
    "large-cold-around": Way(
        "the same, read as the system does by itself", True, False, True, "around", True
    ),
    "large-warm": Way("mapped, pages in memory; no limit", True, False, False, "ahead", False),
    "large-memory": Way("in memory; no limit", True, True, False, "ahead", False),
}
"""The candidates, by name."""


@dataclass(frozen=True)
class LargeData:
    """Measure batches and training steps from a mapped file, and from memory."""

    examples: int = 3_000_000
    """Synthetic faces of the large data set."""
    small: int = 250_000
    """Synthetic faces of the data set that fits into memory."""
    limit_mb: int = 1500
    """Memory that a process may use, in MB of a million bytes."""
    steps: int = 300
    """Batches, or training steps, that are timed."""
    batch_size: int = 128
    """Images per batch."""
    rounds: int = 3
    """Turns of each candidate."""
    candidates: tuple[str, ...] = tuple(WAYS)
    """Candidates; those without a limit are left out where the memory does not suffice."""
    only_draw: bool = False
    """Only draw the data into the cache."""
    out: Path = bench.RESULTS / f"{SECTION}.json"
    """The JSON to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _measure(cli.parse(LargeData, argv, prog=PROGRAM), argv))


def _measure(options: LargeData, argv: list[str] | None) -> int:
    console = bench.make_console()
    unknown = [name for name in options.candidates if name not in WAYS]
    if unknown:
        raise ConfigError(f"--candidates has {', '.join(unknown)}; wanted some of {', '.join(WAYS)}")
    steps = int(min(options.examples, options.small) * _TRAINING_SHARE) // options.batch_size
    if options.steps + WARM_STEPS >= steps:
        raise ConfigError(
            f"--steps is {options.steps}, and an epoch of the smaller data set has about {steps} steps; "
            f"wanted at most {steps - WARM_STEPS - 1}"
        )
    limit = options.limit_mb * 10**6
    with memory.limited_group(limit) as group:
        console.print(f"a process may use {options.limit_mb:,} MB ({_describe_limit(group)})")
        drawn = [_draw(options, examples, group) for examples in (options.small, options.examples)]
        for each in drawn:
            console.print(f"{each['examples']:,} faces: {each['load_s']:.0f} s to draw or to open")
        if options.only_draw:
            return 0
        ways = _keep_possible(options, console)
        results = _take_turns(options, ways, group, console)
        bench.write(
            options.out,
            question=QUESTION,
            command=bench.to_command(PROGRAM, argv),
            settings={
                name: getattr(options, name)
                for name in ("examples", "small", "limit_mb", "steps", "batch_size", "rounds")
            }
            | {
                "limit": _describe_limit(group),
                "read_around_kib": memory.find_read_around_kib(files.cache_folder()),
            },
            results=results,
            extra={"drawn": drawn},
        )
    console.print(table(json.loads(options.out.read_text())))
    console.print(f"written to {options.out}")
    return 0


def _describe_limit(group: Path | None) -> str:
    kind = "a control group: own memory and page cache" if group else "RLIMIT_DATA: own memory"
    return f"enforced by {kind}"


def _keep_possible(options: LargeData, console: Any) -> dict[str, Way]:
    """Leave out what needs more memory than the machine has left."""
    needed = options.examples * fer2013.PIXEL_COUNT * 5 // 4
    free = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    ways = {name: WAYS[name] for name in options.candidates}
    if free >= needed:
        return ways
    kept = {name: way for name, way in ways.items() if way.is_limited}
    left_out = ", ".join(ways.keys() - kept.keys())
    if left_out:
        console.print(f"left out: {left_out}; {free / 1e9:.1f} GB are free, and {needed / 1e9:.1f} needed")
    return kept


def _draw(options: LargeData, examples: int, group: Path | None) -> dict[str, Any]:
    job = Job("draw", examples, False, False, "ahead", 0, options.batch_size)
    return {"examples": examples} | _run(job, _limiter(options, group))


def _limiter(options: LargeData, group: Path | None) -> Limiter:
    return partial(memory.limit_command, group=group, limit=options.limit_mb * 10**6)


def _take_turns(
    options: LargeData, ways: Mapping[str, Way], group: Path | None, console: Any
) -> list[dict[str, Any]]:
    limit = _limiter(options, group)
    rounds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number in range(options.rounds):
        for name, way in ways.items():
            if way.reading == "around" and number:
                continue
            examples = options.examples if way.is_large else options.small
            held = (way.is_loaded, way.is_cold, way.reading)
            for task in _list_tasks(way):
                job = Job(task, examples, *held, options.steps, options.batch_size)
                found = _run(job, limit if way.is_limited else list)
                rounds.setdefault((name, task), []).append(found)
                console.print(
                    f"round {number + 1}, {name}, {task}: {found['images_per_s']:,.0f} images/s, "
                    f"{found['own_peak_bytes'] / 1e6:,.0f} MB of its own"
                )
    results = [
        {"name": name, **way._asdict(), **{task: _gather(rounds[name, task]) for task in _list_tasks(way)}}
        for name, way in ways.items()
    ]
    _check_same(results)
    return results


def _list_tasks(way: Way) -> Sequence[str]:
    return _QUICK_TASKS if way.reading == "around" else TASKS


def _gather(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the rounds of a candidate: lists of what varies."""
    return {key: [each[key] for each in found] for key in found[0]}


def _check_same(results: Sequence[Mapping[str, Any]]) -> None:
    """Refuse measurements of different batches or trainings.

    Raises:
        RunError: the batches or the objectives of one data set differ.
    """
    for is_large in (False, True):
        some = [each for each in results if each["is_large"] == is_large]
        for task, key in (("input", "batches_sha256"), ("train", "objective")):
            values = {value for each in some if task in each for value in each[task][key]}
            if len(values) > 1:
                raise RunError(f"{key} differs between the ways to hold the same images: {sorted(values)}")


def _run(job: Job, limit: Limiter) -> dict[str, Any]:
    """Run a worker; `limit` makes the command that limits it.

    Raises:
        RunError: it failed, or was killed for its memory.
    """
    worker = [sys.executable, "-m", "benchmarks.throughput.large_data_worker", json.dumps(job)]
    done = subprocess.run(limit(worker), capture_output=True, text=True, cwd=bench.ROOT, check=False)
    if done.returncode:
        why = "killed: it needs more memory" if done.returncode < 0 else done.stderr[-arena.TAIL_CHARACTERS :]
        raise RunError(f"{job.task} of {job.examples:,} images ended with {done.returncode}: {why}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _format_rates(rates: Sequence[float]) -> str:
    if len(rates) == 1:
        return f"{rates[0]:,.0f} (once)"
    middle, low, high = (f"{each:,.0f}" for each in (statistics.median(rates), min(rates), max(rates)))
    return f"{middle} ({low}..{high})"


def table(content: Mapping[str, Any]) -> str:
    """Write the table of docs/guides/large_data.md, with what it was measured on."""
    settings = content["settings"]
    rows: Table = [["images", "held", "batches, images/s", "training, images/s", "own memory, MB"]]
    for each in content["results"]:
        examples = settings["examples" if each["is_large"] else "small"]
        rates = [_format_rates(each[task]["images_per_s"]) if task in each else MISSING for task in TASKS]
        own = max(value for task in TASKS if task in each for value in each[task]["own_peak_bytes"])
        rows.append([f"{examples:,}", each["title"], *rates, f"{own / 1e6:,.0f}"])
    drawn = content["drawn"][-1]
    opened = statistics.median(
        seconds for each in content["results"] if each["is_large"] for seconds in each["input"]["load_s"]
    )
    return (
        f"{to_markdown(rows, left_columns=2)}\n\n"
        f"A process may use {settings['limit_mb']:,} MB, {settings['limit']}, where the row does not say "
        f"otherwise. Median (smallest..largest) of {settings['rounds']} processes, {settings['steps']} "
        f"batches of {settings['batch_size']} each. Batches were hashed and are the same in every row of a "
        f"data set, as is the training objective. Own memory is the largest peak, without pages of files. "
        f"Left to itself, the system reads up to {settings['read_around_kib'] or MISSING} KiB of this disk "
        f"around a page. "
        f"{drawn['examples']:,} faces are {drawn['examples'] * fer2013.PIXEL_COUNT / 1e9:.1f} GB; opening "
        f"them takes {opened:.1f} s. {content['machine']}; {content['date'][:10]}."
    )


if __name__ == "__main__":
    sys.exit(main())
