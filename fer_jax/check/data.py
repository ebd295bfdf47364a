"""Sanity checks of the data before a run: what augmentation leaves of a face, and how the parts were made."""

import math
from collections.abc import Mapping

import numpy as np

from fer_jax import fer2013
from fer_jax.check.finding import Finding, make_finding, percent


def check_augmentation(lost: np.ndarray, turned_deg: np.ndarray, grays: np.ndarray) -> Finding:
    """Judge whether a person could still read the expression from what augmentation leaves.

    Args:
        lost: float [N], share of each image that is taken away, see `check.legibility.measure_lost_shares`.
        turned_deg: float [N], see `check.legibility.measure_turns`.
        grays: float [N], share of the grays that stay different, see `check.legibility.measure_grays`.
    """
    mean, most = float(lost.mean()), float(np.quantile(lost, 0.95))
    turn = float(np.quantile(turned_deg, 0.95))
    mean_grays, least_grays = float(grays.mean()), float(np.quantile(grays, 0.05))
    words = (
        f"takes away {percent(mean)} of an image on average; 95 % of the images lose at most "
        f"{percent(most)} and are turned by at most {turn:.0f}°"
    )
    if least_grays < 1:
        words += f", and keep at least {percent(least_grays)} of the grays apart"
    return make_finding(
        "augmentation",
        is_failed=mean > 0.5 or mean_grays < 0.25,
        is_warned=mean > 0.2 or most > 0.5 or turn > 45 or least_grays < 0.25,
        measured=words if most or turn or least_grays < 1 else "takes nothing away",
        wanted="20 % on average, 50 % and 45° at most, a quarter of the grays",
        advice="labels may no longer fit what is left of the faces: look at augmentation.png, and lower "
        "augment.max_shift_px, augment.max_erase_fraction, augment.max_rotation_deg, augment.max_stretch, "
        "augment.max_brightness, augment.max_contrast or augment.max_gamma, or raise augment.min_crop_scale",
        figures={"mean_lost": mean, "most_lost": most, "turned_deg": turn, "least_grays": least_grays},
    )


def check_copies(copies: Mapping[str, int], sizes: Mapping[str, int], *, can_group: bool) -> Finding:
    """Judge whether images of the training part stand in the parts that measure it.

    Args:
        copies: rows of val and test of which train holds an exact copy, see `data.split.count_leaks`.
        sizes: rows of each part.
        can_group: whether the split may be made otherwise: not so with the official usages.
    """
    counted = [f"{number:,} of {sizes[name]:,} in {name}" for name, number in copies.items()]
    has_copies = any(copies.values())
    return make_finding(
        "copies across parts",
        is_failed=has_copies and can_group,
        is_warned=has_copies,
        measured=" and ".join(counted),
        wanted="no image of val or test in train",
        advice="the figures of these parts would be too good: keep copies together (split.group_duplicates)"
        if can_group
        else "the official parts share images: report how many beside the accuracy, or leave them out",
        figures=copies,
    )


def check_classes(counts: Mapping[str, tuple[int, ...]]) -> Finding:
    """Judge whether the parts hold the classes in the same shares.

    Args:
        counts: rows of each class by part; "train" is compared with, empty parts are left out.
    """
    train = np.array(counts["train"]) / sum(counts["train"])
    worst, worst_off, is_chance, missing = "", 0.0, True, []
    for name, rows in counts.items():
        total = sum(rows)
        if not total:
            continue
        off = np.abs(np.array(rows) / total - train)
        label = int(off.argmax())
        error = math.sqrt(train[label] * (1 - train[label]) / total)
        if off[label] > worst_off:
            worst, worst_off = f"{fer2013.LABELS[label]} in {name}", float(off[label])
            is_chance = worst_off <= 3 * error
        missing += [f"{name} has no {fer2013.LABELS[label]}" for label, n in enumerate(rows) if not n]
    difference = f"shares differ from train's by at most {100 * worst_off:.1f} points" + (
        f" ({worst})" if worst else ""
    )
    return make_finding(
        "class shares",
        is_failed=False,
        is_warned=bool(missing) or (worst_off > 0.03 and not is_chance),
        measured="; ".join([*missing, difference]),
        wanted="every class in every part, shares within 3 points",
        advice="the parts do not measure the same thing: check the file's labels, or split otherwise "
        "(split.seed, split.protocol)",
        figures={"difference": worst_off},
    )
