"""The plots of the photos page: how far the detector goes, and what each part of the chain takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes

from fer_jax.report.plots import (
    OBJECTIVE_COLOUR,
    TRAIN_COLOUR,
    VAL_COLOUR,
    WIDE_DPI,
    drawing,
    write_png,
)


class Panel(NamedTuple):
    """The labels of a panel, and whether its horizontal axis is logarithmic."""

    title: str
    x: str
    is_log: bool


PANELS: Final = {
    "roll": Panel("Roll", "degrees", False),
    "size": Panel("Size, in a photo of 1280 × 960", "side of the face, pixels", True),
    "blur": Panel("Blur", "sd, pixels of a 48 × 48 face", False),
}

LEAST_FACES: Final = 10
"""A share of fewer is not drawn; the table has it."""

Rows = Sequence[Mapping[str, Any]]


def plot_limits(content: dict[str, Any], path: Path) -> None:
    """Draw what `benchmarks.photos.limits` measured, with 95 % intervals; 1600 × 625 pixels.

    Args:
        content: its JSON.
        path: the PNG to write.
    """
    settings = content["settings"]
    title = f"{settings['faces']:,} faces at each value; network {settings['network']}"
    with drawing(title=title, size=(9, 3.5), dpi=WIDE_DPI) as figure:
        grid = figure.subplots(1, len(PANELS), sharey=True)
        for axes, (what, panel) in zip(grid, PANELS.items(), strict=True):
            rows = [row for row in content["results"] if row["what"] == what]
            _draw(axes, rows, panel)
            if what == "size":
                for row_kind, colour in ((False, TRAIN_COLOUR), (True, OBJECTIVE_COLOUR)):
                    _draw_portrait(axes, content["results"], has_small_faces=row_kind, colour=colour)
        grid[0].set_ylabel("percent")
        grid[0].set_ylim(0, 102)
        handles, names = grid[1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(figure, path)


def _draw(axes: Axes, rows: Rows, panel: Panel) -> None:
    once = [row for row in rows if not row["small_faces"]]
    twice = [row for row in rows if row["small_faces"]]
    _draw_line(axes, once, "found", ("found", TRAIN_COLOUR))
    if twice:
        _draw_line(axes, twice, "found", ("found with --small-faces", OBJECTIVE_COLOUR))
    _draw_line(axes, once, "accuracy", ("accuracy on the found", VAL_COLOUR))
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x)
    if panel.is_log:
        axes.set_xscale("log")
        ticks = [8, 16, 32, 64, 144, 300]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)


def _draw_portrait(axes: Axes, rows: Rows, *, has_small_faces: bool, colour: str) -> None:
    own = [row for row in rows if row["what"] == "portrait" and row["small_faces"] == has_small_faces]
    shares = [100 * row["found"]["ratio"] for row in own]
    label = None if has_small_faces else "a portrait with its head"
    axes.plot([row["value"] for row in own], shares, ":", color=colour, lw=1.6, label=label)


def _draw_line(axes: Axes, rows: Rows, key: str, look: tuple[str, str]) -> None:
    """Draw a share over the values; without those of hardly any faces."""
    name, colour = look
    rows = [row for row in rows if row[key]["total"] >= LEAST_FACES]
    values = [row["value"] for row in rows]
    axes.plot(values, [100 * row[key]["ratio"] for row in rows], "o-", color=colour, ms=3.5, label=name)
    low, high = ([100 * row[key][end] for row in rows] for end in ("low", "high"))
    axes.fill_between(values, low, high, color=colour, alpha=0.15, linewidth=0)
