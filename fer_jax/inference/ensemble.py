"""Averages of logits: over the views of an image, and over the networks of an ensemble."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax.errors import RunError
from fer_jax.images.views import show
from fer_jax.inference.predictor import predict
from fer_jax.inference.run_weights import Trained
from fer_jax.report import terminal


def average(logits: Sequence[np.ndarray], folders: Sequence[Path]) -> np.ndarray:
    """Average the logits of several networks.

    Args:
        logits: of each, float64 [N, C].
        folders: of each, for messages.

    Returns:
        float64 [N, C].

    Raises:
        RunError: they are about other numbers of classes.
    """
    for folder, each in zip(folders, logits, strict=True):
        if each.shape != logits[0].shape:
            raise RunError(
                f"{folder} tells {each.shape[1]} classes apart, and {folders[0]} {logits[0].shape[1]}; "
                "name runs of as many classes"
            )
    mean: np.ndarray = np.mean(logits, axis=0)
    return mean


def average_views(console: Console, trained: Trained, images: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Average the logits of images over views.

    Args:
        console: where the bar is shown.
        trained: the weights.
        images: uint8 [N, 48, 48, 1].
        names: of the views, at least one.

    Returns:
        float64 [N, C].
    """
    total = np.zeros((len(images), trained.config.model.classes))
    with terminal.make_bar(console) as bar:
        task = bar.add_task("views", total=len(names), speed="")
        for name in names:
            total += predict(trained, show(images, name))[0]
            bar.advance(task)
    return total / len(names)
