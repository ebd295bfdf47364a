"""All metrics of a set of predictions, with bootstrap intervals and calibration: arrays in, JSON out.

Metrics are computed from the logits in float64.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import log_softmax

from fer_jax.files import Json
from fer_jax.metrics import bootstrap, calibration
from fer_jax.metrics.counts import count_predictions
from fer_jax.metrics.scores import confusion_ratios, roc_auc, summarise, top2_hits, wilson_interval
from fer_jax.randomness import Stream, numpy_rng

BOOTSTRAP_SEED: Final = 0

Predictions = tuple[np.ndarray, np.ndarray]
"""Logits float64 [N, C], and the labels int [N] of the same images."""


def measure(logits: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Json:
    """Compute all metrics of a set of predictions, with their bootstrap intervals; ready for JSON.

    Args:
        logits: float64 [N, C], N >= 1.
        labels: int [N], 0..C-1.
        names: of the C classes.

    Returns:
        What `metrics.scores.summarise` gives, with `top2_correct`, `top2_accuracy`, `roc_auc` by label,
        `macro_roc_auc` (mean of the classes that have one) and `intervals`, of the bootstrap; if all images
        are right, or none, Wilson's for the accuracy. A metric without a value is None, and so is the
        interval of one that is the same on each resample.
    """
    figures = make_figures(logits, labels)
    values = {name: value[0] for name, value in figures(np.ones((1, len(labels)))).items()}
    rng = numpy_rng(BOOTSTRAP_SEED, Stream.BOOTSTRAP)
    resampled = bootstrap.resample(rng, figures, images=len(labels))
    distances = np.abs(resampled.pop("excesses") - values["excesses"]).sum(axis=1)
    ends = {name: bootstrap.percentile_interval(each) for name, each in resampled.items()}
    # With few images the interval of a distance reaches beyond 1, which no calibration error does.
    ends["ece"] = np.minimum(bootstrap.distance_interval(values["ece"], distances), 1.0)
    # Where all images are right, or none, resamples say nothing about others.
    total = len(labels)
    for name in ("accuracy", "top2_accuracy"):
        right = round(total * float(values[name]))
        if right in (0, total):
            ends[name] = np.array(wilson_interval(right, total))
    if values["accuracy"] in (0, 1):
        ends["ece"] = np.full(2, np.nan)
    interval_of_class = {label: _interval(ends["roc_auc"][:, k]) for k, label in enumerate(names)}
    auc_of_class = {label: _number(values["roc_auc"][k]) for k, label in enumerate(names)}
    return summarise(count_predictions(log_softmax(logits, axis=1), labels), names) | {
        "top2_correct": int(top2_hits(logits, labels).sum()),
        "top2_accuracy": float(values["top2_accuracy"]),
        "roc_auc": auc_of_class,
        "macro_roc_auc": _number(values["macro_roc_auc"]),
        "intervals": {
            "level": bootstrap.LEVEL,
            "resamples": bootstrap.RESAMPLES,
            "seed": BOOTSTRAP_SEED,
            **{name: _interval(value) for name, value in ends.items() if name != "roc_auc"},
            "roc_auc": interval_of_class,
        },
    }


def make_figures(logits: np.ndarray, labels: np.ndarray) -> bootstrap.Figures:
    """Make the function that computes the metrics for many weightings of the images at once; see `measure`.

    Returns:
        Weights float64 [R, N] -> `accuracy`, `balanced_accuracy`, `macro_f1`, `top2_accuracy`, `loss` (nats),
        `ece` and `macro_roc_auc`, each float64 [R], `roc_auc` float64 [R, C], and `excesses` float64 [R, 15],
        whose absolute values add up to `ece`. NaN stands where a class without weight leaves no value.
    """
    log_probs = log_softmax(logits, axis=1)
    images, classes = np.arange(len(labels)), logits.shape[1]
    cell_of_image = np.zeros((len(labels), classes**2))
    cell_of_image[images, labels * classes + log_probs.argmax(axis=1)] = 1
    losses, is_top2 = -log_probs[images, labels], top2_hits(logits, labels)
    confidences, is_correct = calibration.confidences_of(log_probs, labels)

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        total = weights.sum(axis=1)
        aucs = np.stack([roc_auc(log_probs[:, k], labels == k, weights) for k in range(classes)], axis=1)
        with_auc = (~np.isnan(aucs)).sum(axis=1)
        no_auc = np.full(len(weights), np.nan)
        excesses = calibration.excesses(confidences, is_correct, weights)
        return {
            **confusion_ratios((weights @ cell_of_image).reshape(-1, classes, classes)),
            "top2_accuracy": weights @ is_top2 / total,
            "loss": weights @ losses / total,
            "excesses": excesses,
            "ece": np.abs(excesses).sum(axis=1),
            "roc_auc": aucs,
            "macro_roc_auc": np.divide(np.nansum(aucs, axis=1), with_auc, out=no_auc, where=with_auc > 0),
        }

    return figures


def calibrate(measured: Predictions, held_out: Predictions | None) -> Json:
    """Describe the calibration of a set of predictions, before and after temperature scaling.

    The temperature is fitted on `held_out`, the predictions of the validation part.

    Returns:
        `ece` and `bins` of `metrics.calibration.describe`, `temperature`, `fitted_on` ("val") and `scaled`:
        `ece`, `bins` and `loss` (nats) after it; None for these three without a validation part.
    """
    logits, labels = measured
    before = calibration.describe(log_softmax(logits, axis=1), labels)
    if held_out is None:
        return before | {"temperature": None, "fitted_on": None, "scaled": None}
    temperature = calibration.fit_temperature(*held_out)
    log_probs = log_softmax(logits / temperature, axis=1)
    loss = -float(log_probs[np.arange(len(labels)), labels].mean())
    scaled = calibration.describe(log_probs, labels) | {"loss": loss}
    return before | {"temperature": temperature, "fitted_on": "val", "scaled": scaled}


def _interval(ends: np.ndarray) -> list[float] | None:
    return None if np.isnan(ends).any() else [float(end) for end in ends]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
