"""The chain on scenes: faces found and cut out, then classified; each step is kept in a folder.

What is found and cut out does not depend on the network, so it is done once for all of them.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.photos import scenes
from benchmarks.photos.crop_rules import RULES, cut_known
from benchmarks.photos.scenes import Layout, Pasted
from fer_jax import fer2013
from fer_jax.faces.boxes import Boxes
from fer_jax.faces.choices import MIN_FACE_PX, PhotoViews
from fer_jax.faces.crop import CONTRACT, SCALES
from fer_jax.faces.detectors import make_detector
from fer_jax.files import read_arrays, write_arrays
from fer_jax.inference import predictor
from fer_jax.inference.analyzer import Analyzer
from fer_jax.inference.predictor import Network

LEAST_SCORE: Final = 0.5
"""Boxes of which the detector is less sure are never looked at."""
AT_A_TIME: Final = 250
"""Scenes whose faces are kept in one file."""
NEAR: Final = 0.25
"""A box belongs to a face if its centre is nearer than this share of the face's side."""
LIKE: Final = 2.0
"""And if the root of its area is within this factor of the side."""

Advance = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Sightings:
    """What was made of N faces in scenes, in the order of the images.

    Attributes:
        scores: the detector's, of each face's box, float64 [N]; 0 where there is none.
        crops: the square of the crop contract at the scales of the views `photo`, uint8 [N, 3, 48, 48, 1];
            this and the next are 0 where there is no box.
        rules: as each of the R crop rules cuts the box, uint8 [N, R, 48, 48, 1].
        known: the square that the face was pasted to, uint8 [N, 48, 48, 1].
        false_scores: the detector's, of the boxes that belong to no face, float64 [M].
    """

    scores: np.ndarray
    crops: np.ndarray
    rules: np.ndarray
    known: np.ndarray
    false_scores: np.ndarray


def make_finder(*, min_score: float) -> Analyzer:
    """Make the half of the chain that needs no network: `find`."""
    detect = make_detector("yunet", min_score=min_score, min_face_px=MIN_FACE_PX, has_small_faces=False)
    return Analyzer((), detect, "photo", CONTRACT)


def match(xywh: np.ndarray, scores: np.ndarray, faces: Sequence[Pasted]) -> list[int | None]:
    """Find the box of each face, by descending score; a box belongs to one face at most.

    Args:
        xywh: the boxes, float64 [B, 4].
        scores: float64 [B].
        faces: of the scene.

    Returns:
        The index of each face's box; None where there is none.
    """
    boxes: list[int | None] = [None] * len(faces)
    for box in np.argsort(-scores, kind="stable"):
        x, y, width, height = xywh[box]
        for number, face in enumerate(faces):
            off = math.hypot(x + width / 2 - face.x, y + height / 2 - face.y)
            ratio = math.sqrt(width * height) / face.side
            if boxes[number] is None and off < NEAR * face.side and 1 / LIKE < ratio < LIKE:
                boxes[number] = int(box)
                break
    return boxes


def see(layouts: Sequence[Layout], images: np.ndarray, folder: Path, *, advance: Advance) -> Sightings:
    """Make scenes, and find and cut out the faces in them.

    Args:
        layouts: in which each of the N faces stands once.
        images: of the faces, uint8 [N, 48, 48, 1].
        folder: where files of `AT_A_TIME` scenes each are kept; those that are there are not made again.
        advance: called with how many scenes are done.
    """
    finder = functools.cache(lambda: make_finder(min_score=LEAST_SCORE))
    parts = []
    for start in range(0, len(layouts), AT_A_TIME):
        some = layouts[start : start + AT_A_TIME]
        path = folder / f"faces-{start:05d}.npz"
        arrays = read_arrays(path)
        if arrays is None:
            arrays = _see_some(some, images, finder(), advance)
            write_arrays(path, **arrays)
        else:
            advance(len(some))
        parts.append(arrays)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined.pop("rows"))
    false_scores = joined.pop("false_scores")
    return Sightings(**{name: array[order] for name, array in joined.items()}, false_scores=false_scores)


def _see_some(
    layouts: Sequence[Layout], images: np.ndarray, finder: Analyzer, advance: Advance
) -> dict[str, np.ndarray]:
    rows = [face.row for layout in layouts for face in layout.faces]
    blank = np.zeros((len(rows), *fer2013.IMAGE_SHAPE), np.uint8)
    scores, known = np.zeros(len(rows)), blank.copy()
    crops = np.repeat(blank[:, None], len(SCALES["photo"]), axis=1)
    rules = np.repeat(blank[:, None], len(RULES), axis=1)
    false_scores: list[float] = []
    at = 0
    for layout in layouts:
        scene = scenes.decode(scenes.encode(scenes.make_scene(layout, images), layout.quality))
        found = finder.find(scene)
        boxes = found.boxes or Boxes(np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2)))
        matched = match(boxes.xywh, boxes.scores, layout.faces)
        for face, box in zip(layout.faces, matched, strict=True):
            known[at] = cut_known(scene, face.x, face.y, face.side)
            if box is not None:
                scores[at], crops[at] = boxes.scores[box], found.crops[:, box]
                for number, rule in enumerate(RULES.values()):
                    rules[at, number] = rule.cut(scene, boxes.xywh[box], boxes.landmarks[box])
            at += 1
        false_scores += [float(score) for box, score in enumerate(boxes.scores) if box not in matched]
        advance(1)
    return {
        "rows": np.array(rows),
        "scores": scores,
        "crops": crops,
        "rules": rules,
        "known": known,
        "false_scores": np.array(false_scores),
    }


# The network.


def classify(
    network: Network,
    images: np.ndarray,
    seen: Sightings,
    path: Path,
    *,
    has_rules: bool,
    advance: Advance,
) -> dict[str, np.ndarray]:
    """Compute the logits of the faces in all ways; kept in a file, which is read if it is there.

    Args:
        network: the weights.
        images: the faces as they are in FER2013, uint8 [N, 48, 48, 1].
        seen: the same faces in scenes.
        path: the file.
        has_rules: whether the crop rules are asked for too.
        advance: called with how many of `count_passes` are done.

    Returns:
        By name, float64 [N, C]: `direct-single` and `direct-flip`, of the images themselves; `single`,
        `flip` and `photo`, of what the contract cuts out; and, if asked for, `known` and the rules' names.
        NaN where no box was found.
    """
    kept = read_arrays(path)
    if kept is not None:
        advance(count_passes(has_rules=has_rules))
        return kept
    is_found = seen.scores > 0

    def run(faces: np.ndarray) -> np.ndarray:
        return predictor.predict(network, faces, advance=advance)[0].astype(np.float64)

    def run_found(faces: np.ndarray) -> np.ndarray:
        logits = np.full((len(faces), network.classes), np.nan)
        logits[is_found] = run(faces[is_found])
        return logits

    plain, mirrored = run(images), run(images[:, :, ::-1])
    logits = {"direct-single": plain, "direct-flip": (plain + mirrored) / 2}
    scales = [seen.crops[:, number] for number in range(len(SCALES["photo"]))]
    plains = [run_found(each) for each in scales]
    mirroreds = [run_found(each[:, :, ::-1]) for each in scales]
    middle = len(scales) // 2
    logits["single"] = plains[middle]
    logits["flip"] = (plains[middle] + mirroreds[middle]) / 2
    logits["photo"] = np.mean([*plains, *mirroreds], axis=0)
    if has_rules:
        logits["known"] = run(seen.known)
        for number, name in enumerate(RULES):
            logits[name] = run_found(seen.rules[:, number])
    write_arrays(path, **logits)
    return logits


def count_passes(*, has_rules: bool) -> int:
    """Count the passes over the faces that `classify` makes."""
    return 2 + 2 * len(SCALES["photo"]) + (1 + len(RULES) if has_rules else 0)


VIEWS: Final[dict[PhotoViews, str]] = {
    "single": "direct-single",
    "flip": "direct-flip",
    "photo": "direct-flip",
}
"""Views of a face in a photo -> the logits of the face itself that they are compared with."""
