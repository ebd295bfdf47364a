"""Sanity checks of the data before a run: what augmentation leaves of a face, and how the data was split."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer_jax.check.finding import Finding, make_finding
from fer_jax.text import percent


def check_augmentation(lost: np.ndarray, turned_deg: np.ndarray, gray_levels: np.ndarray) -> Finding:
    """Judge, by what `check.legibility` measures [N], if a person could still recognise the expression."""
    mean, most = float(lost.mean()), float(np.quantile(lost, 0.95))
    turn = float(np.quantile(turned_deg, 0.95))
    mean_grays, least_grays = float(gray_levels.mean()), float(np.quantile(gray_levels, 0.05))
    words = (
        f"removes {percent(mean, digits=0)} of an image on average; 95 % of the images lose at most "
        f"{percent(most, digits=0)} and are rotated by at most {turn:.0f}°"
    )
    if least_grays < 1:
        words += f", and keep at least {percent(least_grays, digits=0)} of the gray levels distinct"
    return make_finding(
        "augmentation",
        is_failed=mean > 0.5 or mean_grays < 0.25,
        is_warned=mean > 0.2 or most > 0.5 or turn > 45 or least_grays < 0.25,
        measured=words if most or turn or least_grays < 1 else "removes nothing",
        wanted="20 % on average, 50 % and 45° at most, a quarter of the gray levels",
        advice="labels may no longer match what is left of the faces: look at augmentation.png, and lower "
        "augment.max_shift_px, augment.max_erase_fraction, augment.max_rotation_deg, augment.max_stretch, "
        "augment.max_brightness, augment.max_contrast or augment.max_gamma, or raise augment.min_crop_scale",
        figures={"mean_lost": mean, "most_lost": most, "turned_deg": turn, "least_grays": least_grays},
    )


def check_copies(
    copies: Mapping[str, int], near: Mapping[str, int] | None, sizes: Mapping[str, int], *, protocol: str
) -> Finding:
    """Judge whether val and test contain images of the training part.

    Args:
        copies: rows of val and test with an exact copy in train, see `data.split.count_leaks`.
        near: those with a near copy, see `data.split.count_near_leaks`; None: it was not searched for.
        sizes: rows of each part.
        protocol: of the split, which decides what can be done.
    """
    measured = " and ".join(f"{number:,} of {sizes[name]:,} in {name}" for name, number in copies.items())
    if near is not None:
        measured += f"; near copies: {' and '.join(f'{number:,} in {name}' for name, number in near.items())}"
    has_copies, can_group = any(copies.values()), protocol in ("seed", "holdout")
    if protocol == "official":
        cure = "the official parts share images: report how many beside the accuracy, or leave them out"
    elif protocol == "given":
        cure = "the given parts share images: move or delete these, or let split.protocol seed cut the parts"
    else:
        kind = "group_duplicates" if has_copies else "group_near_copies"
        cure = f"results on these parts would be too good: keep copies together (split.{kind})"
    return make_finding(
        "copies across parts",
        is_failed=has_copies and can_group,
        is_warned=has_copies or any((near or {}).values()),
        measured=measured,
        wanted="no image of val or test in train",
        advice=cure,
        figures={**copies} | {f"near_{name}": number for name, number in (near or {}).items()},
    )


def check_classes(counts: Mapping[str, tuple[int, ...]], names: Sequence[str]) -> Finding:
    """Judge whether the classes have the same shares in all parts.

    Args:
        counts: rows of each class by part; the others are compared with "train", empty ones left out.
        names: of the classes.
    """
    train = np.array(counts["train"]) / sum(counts["train"])
    # The largest difference; one that is more than chance and 3 points is larger than any that is not.
    worst, missing = (False, 0.0, ""), list[str]()
    for part, rows in counts.items():
        total = sum(rows)
        if not total:
            continue
        off, error = np.abs(np.array(rows) / total - train), np.sqrt(train * (1 - train) / total)
        is_real = (off > 0.03) & (off > 3 * error)
        found = zip(is_real.tolist(), off.tolist(), names, strict=True)
        worst = max(worst, *((real, points, f"{name} in {part}") for real, points, name in found))
        missing += [f"{part} has no {names[label]}" for label, n in enumerate(rows) if not n]
    is_warned, most_off, where = worst
    difference = (
        f"shares differ from train's by {'' if is_warned else 'at most '}{100 * most_off:.1f} points"
        + (f" ({where})" if most_off else "")
    )
    return make_finding(
        "class shares",
        is_failed=False,
        is_warned=bool(missing) or is_warned,
        measured="; ".join([*missing, difference]),
        wanted="every class in every part, shares within 3 points",
        advice="the parts do not measure the same thing: check the file's labels, or change the split "
        "(split.seed, split.protocol)",
        figures={"difference": most_off},
    )
