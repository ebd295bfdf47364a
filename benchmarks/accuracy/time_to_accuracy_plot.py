"""The plot of the time-to-accuracy benchmark: validation accuracy over time, a line for each run."""

import itertools
import math
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.harness import bench
from fer_jax.report.plots import QUIET_COLOUR, STYLE, TRAIN_COLOUR, VAL_COLOUR, write_png

LONGEST_IN_SECONDS = 300.0
COLOURS = {"jax": TRAIN_COLOUR, "torch-users": QUIET_COLOUR, "torch-tuned": VAL_COLOUR}


def plot(content: dict[str, Any], path: Path) -> None:
    """Draw the JSON of `benchmarks.accuracy.time_to_accuracy`, with a label where each target is reached.

    Args:
        content: the JSON.
        path: the PNG to write.
    """
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), dpi=160, layout="constrained")
        axes = figure.add_subplot()
        rows = content["results"]
        is_short = max(row["ends_s"][-1] for row in rows) <= LONGEST_IN_SECONDS
        for row in rows:
            _draw(axes, row, *((1.0, "s") if is_short else (60.0, "min")))
        name, device = content["settings"]["config"]["name"], content["device"]
        separator = ", " if device == "CPU" else "\n"
        note = f"\n{bench.UNCOMMITTED}" if bench.has_uncommitted(content) else ""
        axes.set_title(f"{name}: {content['machine']}{separator}{device}{note}")
        unit = "seconds" if is_short else "minutes"
        axes.set_xlabel(f"{unit} from the start of the process, everything included")
        axes.set_xlim(left=0)
        axes.set_ylabel("validation accuracy, %")
        axes.legend(loc="best", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(figure, path)


def _draw(axes: Axes, row: dict[str, Any], unit_s: float, unit: str) -> None:
    times = [seconds / unit_s for seconds in row["ends_s"]]
    percents = [math.nan if ratio is None else 100 * ratio for ratio in row["val_accuracy"]]
    measured = [(time, value) for time, value in zip(times, percents, strict=True) if not math.isnan(value)]
    colour, is_warm = COLOURS.get(row["name"], QUIET_COLOUR), row.get("found_compiled_programs", False)
    label = f"{row['name']}, seed {row['seed']}{', compiled programs cached' if is_warm else ''}"
    label += f": {max(value for _, value in measured):.1f} % at best"
    axes.plot(
        *zip(*measured, strict=True),
        color=colour,
        marker="o",
        markersize=3,
        linestyle="--" if is_warm else "-",
        linewidth=1.4,
        label=label,
    )
    if row.get("viewed"):
        seen = row["viewed"]
        percent, time = 100 * seen["correct"] / seen["total"], seen["seconds"] / unit_s
        label = f"its final weights with {seen['views']} TTA: {percent:.1f} % in {time:.1f} {unit}"
        axes.plot(time, percent, color=colour, marker="*", markersize=9, linestyle="", label=label)
    # If one epoch reaches several targets, only the highest is labelled.
    highest = {target["epoch"]: target for target in row["reached"] if target["seconds"] is not None}
    # Below and above the rising line in turn, so that neighbours do not cover each other.
    sides = itertools.cycle([((8, -14), "left"), ((-6, 6), "right")])
    for target, (offset, alignment) in zip(highest.values(), sides, strict=False):
        place = (target["seconds"] / unit_s, percents[target["epoch"] - 1])
        words = f"{target['percent']:g} % in {place[0]:.1f} {unit}"
        axes.annotate(
            words,
            place,
            xytext=offset,
            textcoords="offset points",
            horizontalalignment=alignment,
            fontsize=7.5,
            color=QUIET_COLOUR,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
