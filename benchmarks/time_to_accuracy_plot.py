"""The picture of the time-to-accuracy benchmark: validation accuracy over seconds, a line for each run."""

from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_jax.pictures import QUIET_COLOUR, STYLE, TRAIN_COLOUR, VAL_COLOUR, write_png

COLOURS = {"jax": TRAIN_COLOUR, "torch-users": QUIET_COLOUR, "torch-tuned": VAL_COLOUR}


def plot(content: dict[str, Any], path: Path) -> None:
    """Draw what `benchmarks.time_to_accuracy` wrote, with a mark where a target was reached first.

    Args:
        content: of its JSON.
        path: the PNG to write, in one step.
    """
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), dpi=160, layout="constrained")
        axes = figure.add_subplot()
        for row in content["results"]:
            _draw(axes, row)
        axes.set_title(f"{content['settings']['config']['name']}: {content['machine']}, {content['device']}")
        axes.set_xlabel("minutes from the start of the process, everything counted")
        axes.set_ylabel("validation accuracy, %")
        axes.legend(loc="lower right", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(figure, path)


def _draw(axes: Axes, row: dict[str, Any]) -> None:
    minutes = [seconds / 60 for seconds in row["ends_s"]]
    percents = [100 * ratio for ratio in row["val_accuracy"]]
    colour = COLOURS.get(row["name"], QUIET_COLOUR)
    label = f"{row['name']}, seed {row['seed']}: {max(percents):.1f} % at best"
    axes.plot(minutes, percents, color=colour, marker="o", markersize=3, linewidth=1.4, label=label)
    if row.get("viewed"):
        seen = row["viewed"]
        percent = 100 * seen["correct"] / seen["total"]
        label = f"its last weights, views {seen['views']}: {percent:.1f} % in {seen['seconds'] / 60:.1f} min"
        axes.plot(
            seen["seconds"] / 60, percent, color=colour, marker="*", markersize=9, linestyle="", label=label
        )
    # Of several targets that one epoch reached, the highest says it all.
    highest = {target["epoch"]: target for target in row["reached"] if target["seconds"] is not None}
    for target in highest.values():
        place = (target["seconds"] / 60, percents[target["epoch"] - 1])
        words = f"{target['percent']:g} % in {place[0]:.1f} min"
        axes.annotate(
            words,
            place,
            xytext=(8, -14),
            textcoords="offset points",
            fontsize=7.5,
            color=QUIET_COLOUR,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
