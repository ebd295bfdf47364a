"""Which committed JSON each section of the docs shows, and how its text is written from it.

Nothing is measured or written here: `fer_jax.verify` and the tests compare the text with the page.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple, get_args

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import (
    ablation,
    accuracy_tables,
    bias_variance,
    ceiling,
    exports,
    fine_tuning,
    fine_tuning_tables,
    label_errors,
    ladder,
    networks,
    tflite,
)
from benchmarks.accuracy.long_ablation import __main__ as long_ablation
from benchmarks.accuracy.long_ablation import table as long_ablation_table
from benchmarks.gpu import session, unmeasured
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, find_page, write_or_tell
from benchmarks.latency import browser_demo, first_minutes
from benchmarks.photos import tables as photos
from benchmarks.reliability import tables as reliability
from benchmarks.serve import hostile, throughput
from benchmarks.tables import __main__ as speed
from benchmarks.throughput import cluster_plan
from fer_jax.runs import sources

EXCEPTIONS: Final = bench.RESULTS / "EXCEPTIONS.json"
"""What is known to be without a command or a clean commit, and why."""

PICTURE: Final = bench.ROOT / "docs" / "images" / "speed.png"


class Section(NamedTuple):
    """A section of the docs.

    Attributes:
        files: the JSON that it shows.
        write: its text, without the marks.
    """

    files: tuple[Path, ...]
    write: Callable[[], str]


_ONE_FILE: Final[dict[str, tuple[str, Callable[[Any], str]]]] = {
    accuracy.SECTION: ("accuracy", accuracy_tables.table),
    accuracy.SHORT_SECTION: ("accuracy", accuracy_tables.short_table),
    "equal_cost": ("accuracy-equal_cost", accuracy_tables.table),
    "ladder": ("ladder", ladder.ladder_table),
    ceiling.SECTION: ("ceiling", ceiling.table),
    ablation.SECTION: ("ablation", ablation.table),
    long_ablation.SECTION: (long_ablation.RESULTS, long_ablation_table.table),
    **{networks.section(size): (networks.section(size), networks.table) for size in networks.COMPARISONS},
    label_errors.SECTION: ("label_errors", label_errors.table),
    fine_tuning.SECTION: (fine_tuning.RESULTS, fine_tuning_tables.describe),
    exports.SECTION: ("exports", exports.table),
    tflite.SECTION: ("tflite", tflite.table),
    browser_demo.SECTION: ("browser-demo", browser_demo.to_text),
    throughput.SECTION: ("serve-throughput", throughput.describe),
    hostile.SECTION: ("serve-hostile", hostile.describe),
    **photos.SECTIONS,
    **reliability.SECTIONS,
    **{name: (name, write) for name, write in speed.PARTS.items()},
}
"""By section: the JSON it shows, and what writes it."""


def list_sections() -> dict[str, Section]:
    """List every section that a program writes, by name."""
    found = {
        name: Section((bench.RESULTS / f"{file}.json",), partial(write_or_tell, bench.RESULTS, file, write))
        for name, (file, write) in _ONE_FILE.items()
    }
    first = {name: _in_results(f"first_minutes-{name}") for name in get_args(first_minutes.Name)}
    for section in (first_minutes.SECTION, *first_minutes.PRINTED.values()):
        names = [name for name, each in first_minutes.PRINTED.items() if each == section] or list(first)
        files = tuple(first[name] for name in names)
        found[section] = Section(files, partial(_write_first_minutes, section))
    cards = tuple(sources.WEIGHTS / f"{name}.json" for name in sources.list_names(sources.WEIGHTS))
    found[accuracy.WEIGHTS_SECTION] = Section(cards, lambda: accuracy_tables.weights_table(sources.WEIGHTS))
    studies = tuple(sorted(bench.RESULTS.glob("bias_variance-*.json")))
    found[bias_variance.SECTION] = Section(
        studies, lambda: bias_variance.table(bias_variance.read(bench.RESULTS))
    )
    planned = tuple(_in_results(name) for name in cluster_plan.FILES)
    found[cluster_plan.SECTION] = Section(planned, lambda: cluster_plan.write(bench.RESULTS))
    pieces = tuple(sorted(bench.RESULTS.glob(f"{session.PREFIX}*.json")))
    found[unmeasured.SECTION] = Section(pieces, lambda: unmeasured.describe(bench.RESULTS))
    measured = tuple(_in_results(name) for name in speed.read(bench.RESULTS))
    return found | {speed.SECTION: Section(measured, _write_speed)}


def _in_results(name: str) -> Path:
    return bench.RESULTS / f"{name}.json"


def _write_first_minutes(section: str) -> str:
    contents: Mapping[str, Any] = first_minutes.read(bench.RESULTS, get_args(first_minutes.Name))
    return first_minutes.write_sections(contents)[section]


def _write_speed() -> str:
    folder = find_page(PAGES, speed.SECTION).parent
    return speed.section(speed.read(bench.RESULTS), PurePath(os.path.relpath(PICTURE, folder)).as_posix())
