"""The worker of the rivals' benchmark: one program looks at photos and writes what it saw.

    python rival_worker.py NAME JOB.json ANSWERS.json

It runs in the rival's own environment, so it imports the standard library and, late, the rival. The job has
`photos`, paths of JPEG files, and `boxes`, of the first photos: a face's x, y, width and height. The answers
are, for each photo, the faces with box and label, and the seconds that it took from the decoded picture on;
and the seconds of a face whose box is known.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

WARM_UP = 5
"""Photos that are looked at before the clock starts."""

Seen = list[dict[str, Any]]
"""Faces of a photo, each with `box`, [x, y, width, height], and `label`, in the rival's own words."""
Box = tuple[int, int, int, int]


class Ready(NamedTuple):
    """A rival that is loaded.

    Attributes:
        read: a path -> the picture as the rival wants it.
        look: a picture -> the faces in it.
        classify: a picture and a face's box -> the face; None where the rival does not offer it.
    """

    read: Callable[[str], Any]
    look: Callable[[Any], Seen]
    classify: Callable[[Any, Box], Seen]


def make_fer(*, has_mtcnn: bool) -> Ready:
    """Load `fer` with the detector that it has by default, OpenCV's Haar cascade, or with MTCNN."""
    cv2 = importlib.import_module("cv2")
    program = importlib.import_module("fer.fer").FER(mtcnn=has_mtcnn)

    def to_faces(found: Any) -> Seen:
        return [
            {
                "box": [float(length) for length in face["box"]],
                "label": max(face["emotions"], key=face["emotions"].get),
            }
            for face in found
        ]

    return Ready(
        read=cv2.imread,
        look=lambda picture: to_faces(program.detect_emotions(picture)),
        classify=lambda picture, box: to_faces(program.detect_emotions(picture, face_rectangles=[box])),
    )


def make_fer_jax(*, weights: str) -> Ready:
    """Load fer_jax with its defaults."""
    numpy = importlib.import_module("numpy")
    image = importlib.import_module("PIL.Image")
    analyzers = importlib.import_module("fer_jax.inference.analyzer")
    boxes = importlib.import_module("fer_jax.faces.boxes")
    choices = importlib.import_module("fer_jax.faces.choices")
    analyzer = analyzers.make_analyzer(
        [weights],
        views="photo",
        detector="yunet",
        min_score=choices.MIN_SCORE,
        min_face_px=choices.MIN_FACE_PX,
        has_small_faces=False,
    )

    def look(analyzer: Any, picture: Any) -> Seen:
        (faces,) = analyzer.analyze([picture])
        return [
            {"box": list(face.box), "label": analyzer.labels[int(face.log_probabilities.argmax())]}
            for face in faces
        ]

    def classify(picture: Any, box: Box) -> Seen:
        known = boxes.Boxes(numpy.array([box], float), numpy.ones(1), numpy.zeros((1, 5, 2)))
        told = analyzers.Analyzer(
            analyzer.classifiers, lambda picture: known, analyzer.views, analyzer.contract
        )
        return look(told, picture)

    return Ready(
        read=lambda path: numpy.asarray(image.open(path).convert("RGB")),
        look=lambda picture: look(analyzer, picture),
        classify=classify,
    )


MAKERS: dict[str, Callable[[], Ready]] = {
    "fer": lambda: make_fer(has_mtcnn=False),
    "fer-mtcnn": lambda: make_fer(has_mtcnn=True),
    "fer_jax-tiny": lambda: make_fer_jax(weights="tiny"),
    "fer_jax-mid": lambda: make_fer_jax(weights="mid"),
}


def measure(ready: Ready, photos: list[str], boxes: list[Box]) -> dict[str, Any]:
    """Look at photos; return the faces and the seconds of each, and the seconds of each face alone."""
    for path in photos[:WARM_UP]:
        ready.look(ready.read(path))
    seen, photo_s, face_s = [], [], []
    for path in photos:
        picture = ready.read(path)
        started = time.perf_counter()
        seen.append(ready.look(picture))
        photo_s.append(time.perf_counter() - started)
    for turn in range(2):  # The first turn is the warm-up.
        for path, box in zip(photos, boxes, strict=False):
            picture = ready.read(path)
            started = time.perf_counter()
            ready.classify(picture, box)
            if turn:
                face_s.append(time.perf_counter() - started)
    return {"seen": seen, "photo_s": photo_s, "face_s": face_s}


def _peak_mib() -> float:
    """Return the peak memory of this process; getrusage's includes that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> int:
    """Load the rival, measure, write the answers."""
    name, job_path, out = sys.argv[1:]
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    started = time.perf_counter()
    ready = MAKERS[name]()
    facts = {"ready_s": time.perf_counter() - started}
    facts |= measure(ready, job["photos"], [tuple(box) for box in job["boxes"]])
    facts["peak_rss_mib"] = _peak_mib()
    Path(out).write_text(json.dumps(facts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
