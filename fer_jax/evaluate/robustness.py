"""Robustness: how much of the accuracy is left under each corruption of the images."""

from collections.abc import Callable
from typing import Final

import numpy as np

from fer_jax.data.examples import Examples
from fer_jax.files import Json
from fer_jax.images.corruptions import CORRUPTIONS, draw_chances
from fer_jax.inference.predictor import LARGEST_BATCH, Network, predict
from fer_jax.text import Table, align, counted

SEED: Final = 0
MAX_IMAGES: Final = 2048
"""Images that are measured: 46 passes over more of them take minutes, and with these the 95 % interval of an
accuracy reaches at most 2.2 points to either side."""

_BATCHES_AT_A_TIME: Final = 4
"""Batches of images that are corrupted at once: their noise has to fit into memory."""


def count_passes(images: int) -> int:
    """Count how often `measure` calls `advance` for so many images."""
    parts = _cut(min(images, MAX_IMAGES))
    return len(parts) * (1 + sum(len(corruption.levels) for corruption in CORRUPTIONS))


def measure(network: Network, examples: Examples, rows: np.ndarray, *, advance: Callable[[], None]) -> Json:
    """Count the correct predictions under every corruption and strength, in a single view.

    Of more than `MAX_IMAGES` images that many are measured, spread evenly over the labelled rows, int [N],
    N >= 1. `advance` is called after each pass over a part of the images.

    Returns:
        `total` (the images measured), `classes`, `clean_correct`, and `corruptions`: for each `name`,
        `what` (words, with the unit), `levels` (five, from the mildest to the strongest) and `correct` (five
        counts).
    """
    places = np.linspace(0, len(rows) - 1, min(len(rows), MAX_IMAGES)).round().astype(int)
    correct = np.zeros((len(CORRUPTIONS), len(CORRUPTIONS[0].levels)), np.int64)
    clean = 0
    for cut in _cut(len(places)):
        part = rows[places[cut]]
        images, labels = examples.images[part], examples.labels[part]
        clean += _count_correct(network, images, labels)
        advance()
        chances = draw_chances(part, seed=SEED)
        for line, corruption in zip(correct, CORRUPTIONS, strict=True):
            for strength, level in enumerate(corruption.levels):
                line[strength] += _count_correct(network, corruption.apply(images, chances, level), labels)
                advance()
    return {
        "total": len(places),
        "classes": network.classes,
        "clean_correct": clean,
        "corruptions": [
            {"name": kind.name, "what": kind.what, "levels": list(kind.levels), "correct": line.tolist()}
            for kind, line in zip(CORRUPTIONS, correct, strict=True)
        ],
    }


def _count_correct(network: Network, images: np.ndarray, labels: np.ndarray) -> int:
    return int((predict(network, images)[0].argmax(axis=1) == labels).sum())


def _cut(images: int) -> list[slice]:
    size = _BATCHES_AT_A_TIME * LARGEST_BATCH
    return [slice(start, start + size) for start in range(0, images, size)]


def table(robustness: Json) -> str:
    """Lay out what `measure` returns for the terminal: accuracy in percent, and the level in brackets."""
    total = robustness["total"]
    rows: Table = [["accuracy in %, (level)", "1", "2", "3", "4", "5", ""]]
    for each in robustness["corruptions"]:
        cells = [
            f"{100 * correct / total:.1f} ({level:g})"
            for level, correct in zip(each["levels"], each["correct"], strict=True)
        ]
        rows.append([each["name"], *cells, each["what"]])
    # The last column is text and aligned left: all its cells get the same width.
    width = max(len(row[-1]) for row in rows)
    clean = f"clean: {100 * robustness['clean_correct'] / total:.1f} % of {counted(total, 'image')}, one view"
    lines = align([[*row[:-1], row[-1].ljust(width)] for row in rows]).splitlines()
    return "\n".join([*(line.rstrip() for line in lines), clean])
