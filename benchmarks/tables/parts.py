"""README's tables of one JSON each: where a train step's time goes, and whether speed cost learning."""

from collections.abc import Mapping
from typing import Any

from fer_jax.text import Table, to_markdown

KINDS = {
    "convolutions": ("convolution",),
    "their gradients by input": ("convolution by input",),
    "their gradients by kernel": ("convolution by kernel",),
    "batch norm, ReLU, pooling, dropout": ("rest",),
    "their gradients": ("rest gradient",),
    "dense layers and their gradients": ("product", "product by input", "product by kernel"),
    "optimizer": ("update",),
}
"""Rows of the table, and the parts of the JSON that each adds up."""


def roofline_table(content: Mapping[str, Any]) -> str:
    """Write the table in Markdown, with a line below it that says how to read it.

    Args:
        content: of the JSON file.
    """
    totals = content["totals"]
    libraries = list(totals)
    rows: Table = [["part of the step, ms", *libraries, "at least"]]
    for title, parts in KINDS.items():
        times = [sum(totals[library]["parts_s"][part] for part in parts) for library in libraries]
        bound = sum(totals[libraries[0]]["bounds_s"][part] for part in parts)
        rows.append([title, *map(_show_ms, times), _show_ms(bound)])
    sums = [totals[library]["sum_s"] for library in libraries]
    rows.append(["all parts, each alone", *map(_show_ms, sums), _show_ms(totals[libraries[0]]["bound_s"])])
    rows.append(
        ["**the whole step**", *(f"**{_show_ms(totals[each]['step_s'])}**" for each in libraries), ""]
    )
    peak, bandwidth = content["peak_flop_per_s"] / 1e9, content["bandwidth_byte_per_s"] / 1e9
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Train step of {content['settings']['config']['name']}, float32, PyTorch tuned; medians. At least: "
        f"the larger of its operations at {peak:.0f} GFLOP/s and its bytes at {bandwidth:.0f} GB/s, both as "
        f"measured in the same minutes. {content['machine']}; {content['date'][:10]}."
    )


def same_accuracy_table(content: Mapping[str, Any]) -> str:
    """Write the table of `benchmarks.accuracy.same_accuracy` in Markdown, with a line below it that explains it.

    Args:
        content: of the JSON file.
    """
    rows: Table = [["part", "before", "now", "now − before", "in standard errors"]]
    for row in content["results"]:
        means = (f"{row[side]['mean']:.2f} ± {row[side]['sd']:.2f}" for side in ("before", "now"))
        rows.append(
            [row["part"], *means, f"{row['difference']:+.2f}", f"{abs(row['in_standard_errors']):.1f}"]
        )
    seeds = len(content["now"])
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy of {content['settings']['config']['name']} in percent, mean ± standard deviation over "
        f"{seeds} seeds. Before: trained with the plain layers and float augmentation."
    )


def _show_ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"
