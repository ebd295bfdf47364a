"""Tables of one JSON each: where a step's time goes, whether speed cost accuracy, how commands respond."""

from collections.abc import Mapping
from typing import Any

from benchmarks.harness.arena import format_range
from fer_jax.text import Table, counted, decimal, to_markdown

KINDS = {
    "convolutions": ("convolution",),
    "gradients with respect to the input": ("convolution by input",),
    "gradients with respect to the kernel": ("convolution by kernel",),
    "batch norm, ReLU, pooling, dropout": ("rest",),
    "their gradients": ("rest gradient",),
    "dense layers and their gradients": ("product", "product by input", "product by kernel"),
    "optimizer": ("update",),
}
"""By row of the table: the parts in the JSON that it adds up."""


def roofline_table(content: Mapping[str, Any]) -> str:
    """Return the table of `benchmarks.roofline` in Markdown, with a line that explains it.

    Args:
        content: the JSON file's.
    """
    totals = content["totals"]
    libraries = list(totals)
    rows: Table = [["part of the step, ms", *libraries, "lower bound"]]
    for title, parts in KINDS.items():
        times = [sum(totals[library]["parts_s"][part] for part in parts) for library in libraries]
        bound = sum(totals[libraries[0]]["bounds_s"][part] for part in parts)
        rows.append([title, *map(_show_ms, times), _show_ms(bound)])
    sums = [totals[library]["sum_s"] for library in libraries]
    rows.append(
        ["sum of the parts, each run alone", *map(_show_ms, sums), _show_ms(totals[libraries[0]]["bound_s"])]
    )
    rows.append(
        ["**the whole step**", *(f"**{_show_ms(totals[each]['step_s'])}**" for each in libraries), ""]
    )
    peak, bandwidth = content["peak_flop_per_s"] / 1e9, content["bandwidth_byte_per_s"] / 1e9
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Train step of {content['settings']['config']['name']}, float32, PyTorch tuned; medians. Lower "
        f"bound: the larger of operations at {peak:.0f} GFLOP/s and bytes at {bandwidth:.0f} GB/s, both "
        f"measured at the same time. {content['machine']}; {content['date'][:10]}."
    )


def same_accuracy_table(content: Mapping[str, Any]) -> str:
    """Return the table of `benchmarks.accuracy.same_accuracy` in Markdown, with a line that explains it.

    Args:
        content: the JSON file's.
    """
    rows: Table = [["part", "before", "now", "now − before", "in standard errors"]]
    for row in content["results"]:
        means = (f"{row[side]['mean']:.2f} ± {row[side]['sd']:.2f}" for side in ("before", "now"))
        rows.append(
            [row["part"], *means, f"{row['difference']:+.2f}", decimal(row["in_standard_errors"], digits=1)]
        )
    seeds = len(content["now"])
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy of {content['settings']['config']['name']} in percent, mean ± standard deviation over "
        f"{seeds} seeds. Before: plain layers and float augmentation."
    )


def responsiveness_table(content: Mapping[str, Any]) -> str:
    """Return the table of `benchmarks.latency.responsiveness` in Markdown, with a line that explains it.

    Args:
        content: the JSON file's.
    """
    rows: Table = [["command", "refusal, s", "first line, s", "longest silence, s", "in all, s"]]
    for row in content["results"]:
        refused = [seconds for samples in row["refusals_s"].values() for seconds in samples]
        waits = (row[key] for key in ("first_line_s", "longest_silence_s", "total_s"))
        rows.append([f"`{row['name']}`", *(format_range(each, 2) for each in (refused, *waits))])
    settings = content["settings"]
    is_synthetic = settings["data"] == "synthetic"
    images = counted(settings["examples"], "synthetic face") if is_synthetic else settings["data"]
    is_cold = "caches" in settings
    compiled = "nothing compiled before" if is_cold else "some programs already compiled by earlier commands"
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Median (smallest..largest) over {counted(settings['rounds'], 'round')}, each command a new process "
        "with its output in a pipe. Refusal: from the start of the process to its end, for a missing file, "
        "run or name and for a changed field. First line: from the start to the first output. Longest "
        "silence: between two outputs after that, or before the end. "
        f"{settings['config']['name']}, {counted(settings['epochs'], 'epoch')}, {images}, {compiled}. "
        f"{content['machine']}; {content['date'][:10]}."
    )


def _show_ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"
