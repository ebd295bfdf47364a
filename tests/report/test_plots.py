"""Pictures: they open, have the promised size, and hold still."""

import io
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from fer_jax.fer2013 import LABELS
from fer_jax.report.plots import (
    TRAIN_COLOUR,
    VAL_COLOUR,
    plot_confusion,
    plot_curves,
    spread,
    to_png,
    write_png,
)


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def make_history(*, epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "rate": 0.01 / epoch,
            "objective": 2.0 / epoch,
            "train_loss": 1.9 / epoch,
            "train_accuracy": 0.9 - 0.6 / epoch,
            "val_loss": 1.8 - 0.1 * epoch,
            "val_accuracy": 0.5 - 0.2 / epoch,
            "seconds": 1.5,
            "images_per_second": 900.0,
        }
        for epoch in range(1, epochs + 1)
    ]


def has_colour(path: Path, colour: str) -> bool:
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return bool((pixels_of(path) == wanted).all(axis=-1).any())


@pytest.mark.parametrize("epochs", [1, 5])
def test_curves_open_with_the_promised_size_and_show_both_parts(tmp_path: Path, epochs: int) -> None:
    path = tmp_path / "curves.png"
    write_png(plot_curves(make_history(epochs=epochs), title="run6", measured_epoch=epochs), path)
    assert pixels_of(path).shape == (800, 1600, 3)
    assert has_colour(path, TRAIN_COLOUR)
    assert has_colour(path, VAL_COLOUR)


def test_same_numbers_same_bytes_whatever_the_users_style(tmp_path: Path) -> None:
    history = make_history(epochs=3)
    figure = plot_curves(history, title="run6", measured_epoch=3)
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 20, "grid.color": "red"}):
        again = plot_curves(history, title="run6", measured_epoch=3)
        pictures = [to_png(figure), to_png(again)]
    assert pictures[0] == pictures[1] == to_png(plot_curves(history, title="run6", measured_epoch=3))
    assert plt.get_fignums() == []


def test_a_notebook_shows_a_figure_at_its_size_in_inches() -> None:
    picture, size = plot_confusion(np.eye(7, dtype=np.int64), LABELS, title="")._repr_png_()  # type: ignore[attr-defined]
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (1120, 1040)
    assert size == {"width": 672, "height": 624}


def test_the_measured_epoch_is_marked(tmp_path: Path) -> None:
    history = make_history(epochs=5)
    first, last = (to_png(plot_curves(history, title="run6", measured_epoch=epoch)) for epoch in (3, 5))
    assert first != last


def test_confusion_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "confusion_val.png"
    path.write_bytes(b"old")
    write_png(plot_confusion(np.diag([5, 0, 7, 1000, 1, 2, 3]), LABELS, title="run6, val"), path)
    assert pixels_of(path).shape == (1040, 1120, 3)
    assert [each.name for each in tmp_path.iterdir()] == ["confusion_val.png"]


def test_confusion_is_shaded_by_row_share_with_true_classes_down(tmp_path: Path) -> None:
    confusion = np.zeros((7, 7), np.int64)
    confusion[0, 6] = 9
    confusion[3, 3], confusion[3, 6] = 100_000, 20_000
    write_png(plot_confusion(confusion, LABELS, title=""), tmp_path / "confusion.png")
    red, _, blue = pixels_of(tmp_path / "confusion.png").astype(int).T
    is_dark = ((red < 100) & (blue > red + 50)).T
    height, width = is_dark.shape
    assert is_dark[: height // 4, 2 * width // 3 :].sum() > 5000
    assert not is_dark[3 * height // 4 :].any()


def test_spread_keeps_order_and_distance() -> None:
    heights = [0.5, 0.51, 0.49, 0.0, 0.07]
    placed = spread(heights, min_gap=0.1)
    assert np.argsort(placed).tolist() == np.argsort(heights).tolist()
    assert np.diff(sorted(placed)).min() >= 0.1 - 1e-9
    assert placed[0] == pytest.approx(0.5)
    assert spread([0.2, 0.8], min_gap=0.1) == [0.2, 0.8]
