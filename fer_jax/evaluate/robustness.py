"""Robustness: how much of the accuracy is left when the pictures get worse, a corruption at a time."""

from collections.abc import Callable
from typing import Final

import numpy as np

from fer_jax.data.examples import Examples
from fer_jax.files import Json
from fer_jax.images.corruptions import CORRUPTIONS, draw_chances
from fer_jax.inference.predictor import predict
from fer_jax.inference.run_weights import Trained
from fer_jax.text import Table, align

SEED: Final = 0
MAX_IMAGES: Final = 2048
"""Images that are measured: 45 passes over more of them take minutes, and on these the 95 % interval of an
accuracy reaches 2.2 points to either side at most."""

_BATCHES_AT_A_TIME: Final = 4
"""Batches of images that are corrupted together: their noise has to fit into memory."""


def passes(trained: Trained, *, images: int) -> int:
    """Say how often `measure` will call `advance` for so many images."""
    parts = _cut(trained, min(images, MAX_IMAGES))
    return len(parts) * sum(len(corruption.levels) for corruption in CORRUPTIONS)


def measure(
    trained: Trained,
    examples: Examples,
    rows: np.ndarray,
    *,
    is_right: np.ndarray,
    advance: Callable[[], None],
) -> Json:
    """Count the right predictions under every corruption and strength; each image is shown in one view.

    Of more than `MAX_IMAGES` images so many are measured, spread evenly over the rows.

    Args:
        trained: the weights.
        examples: the data.
        rows: int [N], labelled rows, N >= 1.
        is_right: bool [N], which of them are predicted right without corruption, in one view.
        advance: called after each part of the images in each strength.

    Returns:
        `total` (the images measured), `classes`, `clean_correct`, and `corruptions`: for each `name`,
        `what` (words, with the unit), `levels` (five, from the mildest to the strongest) and `correct` (five
        counts).
    """
    places = np.linspace(0, len(rows) - 1, min(len(rows), MAX_IMAGES)).round().astype(int)
    correct = np.zeros((len(CORRUPTIONS), len(CORRUPTIONS[0].levels)), np.int64)
    for cut in _cut(trained, len(places)):
        part = rows[places[cut]]
        images, labels = examples.images[part], examples.labels[part]
        chances = draw_chances(part, seed=SEED)
        for line, corruption in zip(correct, CORRUPTIONS, strict=True):
            for strength, level in enumerate(corruption.levels):
                logits, _ = predict(trained, corruption.apply(images, chances, level))
                line[strength] += (logits.argmax(axis=1) == labels).sum()
                advance()
    return {
        "total": len(places),
        "classes": trained.config.model.classes,
        "clean_correct": int(is_right[places].sum()),
        "corruptions": [
            {
                "name": corruption.name,
                "what": corruption.what,
                "levels": list(corruption.levels),
                "correct": line.tolist(),
            }
            for corruption, line in zip(CORRUPTIONS, correct, strict=True)
        ],
    }


def _cut(trained: Trained, images: int) -> list[slice]:
    size = _BATCHES_AT_A_TIME * trained.config.train.eval_batch_size
    return [slice(start, start + size) for start in range(0, images, size)]


def table(robustness: Json) -> str:
    """Lay out what `measure` returns for the terminal: accuracy in percent, the level behind it."""
    total = robustness["total"]
    rows: Table = [["accuracy in %, (level)", "1", "2", "3", "4", "5", ""]]
    for each in robustness["corruptions"]:
        cells = [
            f"{100 * correct / total:.1f} ({level:g})"
            for level, correct in zip(each["levels"], each["correct"], strict=True)
        ]
        rows.append([each["name"], *cells, each["what"]])
    # The last column is words, which stand to the left: they get the same width.
    width = max(len(row[-1]) for row in rows)
    clean = f"clean: {100 * robustness['clean_correct'] / total:.1f} % of {total:,} images, one view"
    lines = align([[*row[:-1], row[-1].ljust(width)] for row in rows]).splitlines()
    return "\n".join([*(line.rstrip() for line in lines), clean])
