"""What the chain is worth in numbers: faces found, and accuracy on them and on all faces."""

from typing import Any, Final

import numpy as np

from benchmarks.photos.chain import VIEWS, Sightings
from benchmarks.photos.crop_rules import RULES
from fer_jax.metrics import paired
from fer_jax.metrics.scores import wilson_interval

THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.9)

Json = dict[str, Any]


def share(part: int, total: int) -> Json:
    """Describe a part of a total, with its 95 % Wilson interval; a ratio of nothing is None."""
    low, high = wilson_interval(part, total) if total else (None, None)
    return {"part": part, "total": total, "ratio": part / total if total else None, "low": low, "high": high}


def difference(first: np.ndarray, second: np.ndarray) -> Json | None:
    """Describe how much more often the second, bool [N], is right than the first, on the same faces.

    With its 95 % interval for pairs and the p-value of McNemar's test. None of no faces.
    """
    if not len(first):
        return None
    counts = paired.count_discordant(first, second)
    low, high = paired.difference_interval(counts)
    return {
        "only_first": counts.only_first,
        "only_second": counts.only_second,
        "difference": counts.difference,
        "low": low,
        "high": high,
        "p": paired.mcnemar(counts),
    }


def score_detector(seen: Sightings, *, scenes: int) -> list[Json]:
    """Count faces found and false finds at each threshold."""
    return [
        {
            "min_score": threshold,
            "found": share(int((seen.scores >= threshold).sum()), len(seen.scores)),
            "false": int((seen.false_scores >= threshold).sum()),
            "scenes": scenes,
        }
        for threshold in THRESHOLDS
    ]


def score_views(
    logits: dict[str, np.ndarray], labels: np.ndarray, seen: Sightings, *, min_score: float
) -> list[Json]:
    """Score each choice of views on the faces that have a label.

    Args:
        logits: see `chain.classify`.
        labels: int [N]; negative where a face has none.
        seen: the faces in scenes.
        min_score: of a face that is found.
    """
    has_label, is_found = labels >= 0, seen.scores >= min_score
    on_found = has_label & is_found
    rows = []
    for views, itself in VIEWS.items():
        answers, direct = _argmax(logits[views]), logits[itself].argmax(axis=1)
        right, direct_right = is_found & (answers == labels), direct == labels
        rows.append(
            {
                "views": views,
                "direct": itself.removeprefix("direct-"),
                "found": share(int(on_found.sum()), int(has_label.sum())),
                "accuracy_on_found": share(int(right[on_found].sum()), int(on_found.sum())),
                "accuracy": share(int(right[has_label].sum()), int(has_label.sum())),
                "direct_on_found": share(int(direct_right[on_found].sum()), int(on_found.sum())),
                "direct_on_all": share(int(direct_right[has_label].sum()), int(has_label.sum())),
                "agreement": share(int((answers == direct)[is_found].sum()), int(is_found.sum())),
                "against_direct_on_found": difference(direct_right[on_found], right[on_found]),
                "against_direct": difference(direct_right[has_label], right[has_label]),
            }
        )
    return rows


def score_rules(
    logits: dict[str, np.ndarray], labels: np.ndarray, seen: Sightings, *, min_score: float
) -> list[Json]:
    """Score the crop rules, and beside them the known squares and the faces themselves, on the found faces.

    A single view each; differences are from the first rule, with p-values corrected for how many there are.
    """
    on_found = (labels >= 0) & (seen.scores >= min_score)
    names = [*RULES, "known", "direct-single"]
    right = {name: (_argmax(logits[name]) == labels)[on_found] for name in names}
    base, *_ = RULES
    others = [difference(right[base], right[name]) for name in names[1:]]
    compared = [each for each in others if each is not None]
    for each, p in zip(compared, paired.holm([each["p"] for each in compared]), strict=True):
        each["p_holm"] = p
    total = int(on_found.sum())
    return [
        {"rule": name, "accuracy": share(int(right[name].sum()), total), "against_contract": against}
        for name, against in zip(names, [None, *others], strict=True)
    ]


def _argmax(logits: np.ndarray) -> np.ndarray:
    """Find the class with the largest logit, -1 where there are none."""
    return np.where(np.isnan(logits[:, 0]), -1, np.nan_to_num(logits, nan=-np.inf).argmax(axis=1))
