"""The speed tables and their plot in docs/, from the JSON files of the benchmarks.

    python -m benchmarks.tables                             # -> docs/
    python -m benchmarks.tables --results other/results     # from other files

Nothing is measured here. All numbers come from the raw samples: median, minimum and maximum, with ratios
taken within each round. What has no file is "not measured". Of several variants of a library the fastest is
shown, by name. The same files always give the same text.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from benchmarks.harness import arena, bench
from benchmarks.harness.gemm import find_peaks
from benchmarks.harness.sections import PAGES, find_page, write_or_tell, write_section
from benchmarks.tables.parts import responsiveness_table, roofline_table, same_accuracy_table
from benchmarks.tables.plot import plot
from benchmarks.tables.user import (
    HEAD,
    KINDS,
    NOT_MEASURED,
    NOTHING,
    Content,
    flatten,
    median_and_range,
    ratio_and_range,
    to_result,
)
from benchmarks.throughput import large_data, tricks
from fer_jax import cli
from fer_jax.files import read_json
from fer_jax.text import Table, escape, to_markdown

SECTION = "speed"
PARTS: dict[str, Callable[[Content], str]] = {
    "tricks-run6": tricks.markdown_table,
    "roofline-run6": roofline_table,
    "roofline-vgg": roofline_table,
    "same_accuracy-run7": same_accuracy_table,
    "responsiveness-run6": responsiveness_table,
    large_data.SECTION: large_data.table,
}
"""By file: the function that writes the section of the same name."""
NETS = {"step-run6": "the run 6 net", "step-vgg": "the VGG-like net", "step-xception": "mini-Xception"}
"""By file: the networks that are listed even if they were not measured."""
BASELINE = "torch"
HOW_TO_READ = (
    "Median (smallest..largest); ratios are taken round by round. The GEMM peak is the fastest large matrix\n"
    "product on this machine in the row's precision, measured at the same time; a share counts the\n"
    "operations of the direct convolution, and can exceed 100 % where Winograd's needs fewer. The last\n"
    "table shows the fastest variant of each library."
)


@dataclass(frozen=True)
class Tables:
    """Write the docs' speed tables and their plot from the benchmarks' JSON files."""

    results: Path = bench.RESULTS
    """Folder of the JSON files."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the sections to write, such as the one between <!-- speed --> and
    <!-- /speed -->."""
    plot: Path = bench.ROOT / "docs" / "images" / "speed.png"
    """The PNG to draw."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, read, write, and return the exit status."""
    return cli.run(lambda: _write(cli.parse(Tables, argv, prog="python -m benchmarks.tables")))


def _write(options: Tables) -> int:
    contents = read(options.results)
    folder = find_page(options.pages, SECTION).parent
    picture = PurePath(os.path.relpath(options.plot, folder)).as_posix()
    with bench.reading(f"a file in {options.results}"):
        text, steps = section(contents, picture), list_steps(contents)
        if steps:
            panels = {
                f"Train step of {title}, {content['settings']['batch_size']} images; img/s": _train_rows(
                    content
                )
                for title, content in steps.items()
            }
            plot(panels, options.plot)
            print(f"drawn to {options.plot}")
    sections = {SECTION: text} | write_parts(options.results)
    written = [write_section(options.pages, name, part) for name, part in sections.items()]
    for page in dict.fromkeys(written):
        print(f"written to {page}")
    return 0


def read(folder: Path) -> dict[str, Content]:
    """Read the files that the tables are made from.

    Returns:
        Their contents by name, without `.json`, in alphabetical order.
    """
    kinds = "|".join(("step", *KINDS))
    paths = [path for path in sorted(folder.glob("*.json")) if re.match(rf"({kinds})(-|$)", path.stem)]
    return {path.stem: read_json(path) for path in paths}


def write_parts(folder: Path) -> dict[str, str]:
    """Return the sections that show one file each, in Markdown, by name."""
    return {name: write_or_tell(folder, name, write) for name, write in PARTS.items()}


def section(contents: Mapping[str, Content], picture: str) -> str:
    """Return the section `speed` in Markdown.

    Args:
        contents: from `read`.
        picture: path of the plot, relative to the page.
    """
    steps = list_steps(contents)
    parts = [f"![The train step in JAX and in PyTorch]({picture})"] if steps else []
    for title in dict.fromkeys([*NETS.values(), *steps]):
        parts.append(f"**Train step of {title}**")
        parts[-1] += _step_part(steps[title]) if title in steps else f": {NOT_MEASURED}."
    lines: Table = [HEAD]
    for kind, write_lines in KINDS.items():
        own = [content for name, content in contents.items() if name.split("-")[0] == kind]
        lines += [line for content in own or [NOTHING] for line in write_lines(content)]
    parts.append(_markdown(lines, left_columns=2))
    return "\n\n".join([*parts, _tell_places(contents)])


def _markdown(lines: Table, *, left_columns: int) -> str:
    return to_markdown([[escape(cell) for cell in line] for line in lines], left_columns=left_columns)


# The train step.


def list_steps(contents: Mapping[str, Content]) -> dict[str, Content]:
    """Return the files with a train step, by their names in headings; those of `NETS` come first."""
    names = [name for name in dict.fromkeys([*NETS, *contents]) if name in contents]
    return {
        NETS.get(name, name.removeprefix("step-")): contents[name]
        for name in names
        if name.split("-")[0] == "step" and _train_rows(contents[name])
    }


def _train_rows(content: Content) -> list[dict[str, Any]]:
    """Return the rows of the train step, without those of the machine's peak."""
    return [row for row in content["results"] if row["what"] == "train" and "images_per_s" in row]


def _step_part(content: Content) -> str:
    """Return the text after a network's name: the batch, the machine's peak, and the table."""
    rows = _train_rows(content)
    results = {row["name"]: to_result(row) for row in rows}
    has_device = any(result.facts.get("peak_device_mib") for result in results.values())
    title = results[BASELINE].facts["title"] if BASELINE in results else "PyTorch tuned"
    memory = "peak device MiB" if has_device else "peak MiB"
    lines = [["", "ms/step", "img/s", "share of GEMM peak", f"speed-up over {title}", memory]]
    for row in rows:
        result, share = results[row["name"]], row["share_of_peak"]
        ratio = (
            ratio_and_range(arena.ratios(result, results[BASELINE])) if BASELINE in results else NOT_MEASURED
        )
        peak = result.facts.get("peak_device_mib") if has_device else result.facts["peak_rss_mib"]
        lines.append(
            [
                result.facts["title"],
                median_and_range([1000 * seconds for seconds in flatten(result)]),
                median_and_range([row["images_per_s"]]),
                f"{100 * share:.0f} %" if share else NOT_MEASURED,
                ratio,
                f"{peak:,.0f}" if peak else NOT_MEASURED,
            ]
        )
    gemms = [to_result(row) for row in content["results"] if row["what"] == "train" and row not in rows]
    peaks = [f"{flops / 1e9:,.0f} GFLOP/s in {dtype}" for dtype, flops in find_peaks(gemms).items()]
    told = f"; GEMM peak {' and '.join(peaks)}" if peaks else ""
    return f", {content['settings']['batch_size']} images{told}\n\n{_markdown(lines, left_columns=1)}"


def _tell_places(contents: Mapping[str, Content]) -> str:
    """Explain the numbers, and list the machines, versions and dates of the measurements."""
    places: dict[str, list[str]] = {}
    for name, content in contents.items():
        device = [] if content["device"] == "CPU" else [content["device"]]
        versions = [f"{each} {content['versions'].get(each, 'not installed')}" for each in ("jax", "torch")]
        place = "; ".join([", ".join([*device, content["machine"]]), ", ".join(versions)])
        places.setdefault(place, []).append(name)
    told = []
    for place, names in places.items():
        dates = sorted({contents[name]["date"][:10] for name in names})
        whose = f"{', '.join(names)}: " if len(places) > 1 else ""
        told.append(f"{whose}{place}; {' to '.join(dates[:: max(1, len(dates) - 1)])}.")
    dirty = [name for name, content in contents.items() if bench.has_uncommitted(content)]
    if dirty:
        told.append(f"{bench.UNCOMMITTED.capitalize()}, which no commit holds: {', '.join(dirty)}.")
    return "\n\n".join([HOW_TO_READ, *told])


if __name__ == "__main__":
    sys.exit(main())
