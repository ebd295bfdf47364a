"""How good and how fast are programs that people install? All see the same scenes.

    python -m benchmarks.photos.rivals --data fer2013.csv

Makes an environment for each of them with `pip install`, as a user would, and lets it look at the scenes
with its defaults. One whose weights are not in its package, but fetched from elsewhere at the first use, is
installed and imported and otherwise left out. Writes benchmarks/results/photos-rivals.json. Environments
and answers that are there already are used again.
"""

import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np

from benchmarks.harness import bench
from benchmarks.harness.arena import tail
from benchmarks.photos import chain, rival_worker, scenes, scores
from benchmarks.photos.__main__ import WORK, Usage, load_part
from fer_jax import cli, fer2013
from fer_jax.errors import RunError
from fer_jax.files import read_json, write_json
from fer_jax.report import terminal

PROGRAM: Final = "python -m benchmarks.photos.rivals"
QUESTION: Final = "How good and how fast are other programs on the same scenes?"
WORKER: Final = Path(rival_worker.__file__)
SAFE: Final = ("-P",)
"""Option of Python: nothing is imported from the folder of the program or from this checkout."""
OURS: Final = "fer_jax-mid"
"""The row that the others are compared with."""
IMPORTS: Final = 3
"""Timed imports, each in a new process, after one that fills the disk's cache."""
KNOWN_BOXES: Final = 50
"""Faces whose box is told, to time the rest."""
NOT_THEIRS: Final = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "__pycache__")
"""What is in an environment before anything is installed."""

Name = Literal["fer_jax-tiny", "fer_jax-mid", "fer", "fer-mtcnn", "deepface", "emotiefflib", "hsemotion-onnx"]


class Rival(NamedTuple):
    """A program that looks at photos.

    Attributes:
        title: in the table.
        environment: its folder; several rows can share one.
        requirements: what pip installs.
        statement: what a user imports.
        weights: where its weights are fetched from at the first use; None: they are in the package.
    """

    title: str
    environment: str
    requirements: tuple[str, ...]
    statement: str
    weights: str | None = None


# Both import what their packages do not ask for: pkg_resources of an older setuptools, and werkzeug.
_FER: Final = ("fer==25.10.3", "setuptools<81")
_DEEPFACE: Final = ("deepface==0.0.103", "werkzeug")
_OURS: Final = (".[use]",)
RIVALS: Final[dict[Name, Rival]] = {
    "fer_jax-tiny": Rival("fer_jax, `tiny`", "fer_jax", _OURS, "import fer_jax.inference.analyzer"),
    "fer_jax-mid": Rival("fer_jax, `mid`", "fer_jax", _OURS, "import fer_jax.inference.analyzer"),
    "fer": Rival("fer, Haar cascade (its default)", "fer", _FER, "from fer.fer import FER"),
    "fer-mtcnn": Rival("fer, MTCNN", "fer", _FER, "from fer.fer import FER"),
    "deepface": Rival("deepface", "deepface", _DEEPFACE, "from deepface import DeepFace", "github.com"),
    "emotiefflib": Rival(
        "EmotiEffLib",
        "emotiefflib",
        ("emotiefflib==1.1.1",),
        "from emotiefflib.facial_analysis import EmotiEffLibRecognizer",
        "github.com",
    ),
    "hsemotion-onnx": Rival(
        "HSEmotion, ONNX",
        "hsemotion-onnx",
        ("hsemotion-onnx==0.3.1",),
        "from hsemotion_onnx.facial_emotions import HSEmotionRecognizer",
        "github.com",
    ),
}
LABELS: Final = {name: label for label, name in enumerate(fer2013.NAMES)} | {
    "anger": 0,
    "happiness": 3,
    "sadness": 4,
}
"""The rivals' names of the classes, in lower case; any other answer is wrong."""


@dataclass(frozen=True)
class Rivals:
    """Measure other programs on the same scenes."""

    data: Path | None = None
    """Kaggle's fer2013.csv."""
    part: Usage = "PublicTest"
    """Rows of the file whose faces are pasted."""
    faces: int = 600
    """The first so many of them."""
    rivals: tuple[Name, ...] = get_args(Name)
    """Programs to measure."""
    seed: int = 0
    """Seed of the scenes."""
    environments: Path = bench.ROOT / "runs" / "photos-environments"
    """Folder of the environments; one that is there is not made again. They take ten gigabytes."""
    work: Path = WORK
    """Folder of the answers so far."""
    out: Path = bench.RESULTS / "photos-rivals.json"
    """The JSON to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(Rivals, argv, prog=PROGRAM), argv))


def _run(options: Rivals, argv: Sequence[str] | None) -> int:
    console = terminal.make_console()
    examples, rows = load_part(options.data, options.part, options.faces)
    images, labels = examples.images[rows], examples.labels[rows]
    layouts = scenes.draw_layouts(options.seed, faces=len(images))
    commit = bench.source_key()
    folder = options.work.absolute() / f"rivals-{examples.sha256[:8]}-{len(images)}-{options.seed}-{commit}"
    job = write_job(folder, layouts, images)
    answers, results = {}, []
    for name in options.rivals:
        rival = RIVALS[name]
        python = make_environment(rival, options.environments.absolute() / rival.environment, commit=commit)
        console.print(f"{rival.title}: installed")
        facts = {
            "name": name,
            "title": rival.title,
            "requirements": rival.requirements,
            "weights_from": rival.weights,
            "import_s": time_import(python, rival.statement),
            "installed_mib": measure_size(python) / 2**20,
        }
        if rival.weights is None:
            answers[name] = look(name, python, job, folder / f"{name}.json")
            console.print(f"{rival.title}: measured")
        results.append(facts)
    right = {name: judge(answer["seen"], layouts, labels) for name, answer in answers.items()}
    for row in results:
        if row["name"] in answers:
            row |= score(right, row["name"], labels, answers[row["name"]])
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "part": options.part,
            "faces": len(images),
            "scenes": len(layouts),
            "seed": options.seed,
            "data_sha256": examples.sha256,
            "ours": OURS,
            "known_boxes": KNOWN_BOXES,
        },
        results=results,
        extra={"python": sys.version.split()[0]},
    )
    console.print(f"written to {options.out}")
    return 0


def write_job(folder: Path, layouts: Sequence[scenes.Layout], images: np.ndarray) -> Path:
    """Write the scenes as JPEG files, and what the worker has to do; return the path of that."""
    photos = [folder / f"{number:05d}.jpg" for number in range(len(layouts))]
    for photo, layout in zip(photos, layouts, strict=True):
        if not photo.exists():
            folder.mkdir(parents=True, exist_ok=True)
            photo.write_bytes(scenes.encode(scenes.make_scene(layout, images), layout.quality))
    boxes = [_guess_box(layout.faces[0]) for layout in layouts[:KNOWN_BOXES]]
    write_json(folder / "job.json", {"photos": [str(photo.resolve()) for photo in photos], "boxes": boxes})
    return folder / "job.json"


def _guess_box(face: scenes.Pasted) -> list[int]:
    """Say where a detector finds a face of FER2013, in whole pixels."""
    width, height = 0.8 * face.side, 1.04 * face.side
    return [round(value) for value in (face.x - width / 2, face.y - height / 2, width, height)]


def make_environment(rival: Rival, folder: Path, *, commit: str | None) -> Path:
    """Make an environment and install a rival, unless that is done; return its Python.

    Raises:
        RunError: pip failed.
    """
    python, mark = folder / "bin" / "python", folder / "installed.txt"
    # Ours is installed from this checkout, which may have changed.
    checkout = (str(commit),) if rival.requirements == _OURS else ()
    wanted = "\n".join((*rival.requirements, *checkout))
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        mark.unlink(missing_ok=True)
        venv.create(folder, clear=True, with_pip=True)
        call([str(python), "-m", "pip", "install", "--quiet", *rival.requirements])
        mark.write_text(wanted, encoding="utf-8")
    return python


def time_import(python: Path, statement: str) -> list[float]:
    """Time an import in new processes, from their start to their end; seconds."""
    seconds = []
    for _ in range(1 + IMPORTS):
        started = time.monotonic()
        call([str(python), *SAFE, "-c", statement])
        seconds.append(time.monotonic() - started)
    return seconds[1:]


def measure_size(python: Path) -> int:
    """Add up the bytes of what was installed."""
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    theirs = [each for each in packages.iterdir() if not each.name.startswith(NOT_THEIRS)]
    files = [file for each in theirs for file in ([each] if each.is_file() else each.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")


def look(name: Name, python: Path, job: Path, out: Path) -> dict[str, Any]:
    """Let a rival look at the photos, unless its answers are there; return them."""
    if not out.exists():
        call([str(python), *SAFE, str(WORKER), name, str(job), f"{out}.new"])
        Path(f"{out}.new").rename(out)
    return read_json(out)


def call(argv: Sequence[str]) -> None:
    """Run a program to its end in the repository, without what this process's environment says to Python.

    Raises:
        RunError: it failed; the message has the end of what it printed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        argv,
        cwd=bench.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise RunError(f"{' '.join(argv[:4])} ended with status {done.returncode}:\n{tail(done.stdout)}")


def judge(
    seen: Sequence[Sequence[dict[str, Any]]], layouts: Sequence[scenes.Layout], labels: np.ndarray
) -> dict[str, Any]:
    """Compare answers with the truth.

    Returns:
        `is_found` and `is_right`, bool [N], and `false`, how many boxes belong to no face.
    """
    is_found, is_right = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    false = 0
    for faces, layout in zip(seen, layouts, strict=True):
        boxes = np.array([face["box"] for face in faces]).reshape(-1, 4)
        # No rival gives scores; all boxes count alike.
        matched = chain.match(boxes, np.zeros(len(boxes)), layout.faces)
        for pasted, box in zip(layout.faces, matched, strict=True):
            if box is not None:
                is_found[pasted.row] = True
                is_right[pasted.row] = LABELS.get(faces[box]["label"].lower(), -1) == labels[pasted.row]
        false += len(faces) - sum(box is not None for box in matched)
    return {"is_found": is_found, "is_right": is_right, "false": false}


def score(
    judged: dict[Name, dict[str, Any]], name: Name, labels: np.ndarray, answer: dict[str, Any]
) -> dict[str, Any]:
    """Compute a rival's figures: faces found, accuracy, and seconds."""
    own = judged[name]
    found, right = int(own["is_found"].sum()), int(own["is_right"].sum())
    against = on_both = None
    if OURS in judged and name != OURS:
        ours = judged[OURS]
        against = scores.difference(ours["is_right"], own["is_right"])
        both = ours["is_found"] & own["is_found"]
        on_both = scores.difference(ours["is_right"][both], own["is_right"][both])
    return {
        "found": scores.share(found, len(labels)),
        "accuracy_on_found": scores.share(right, found),
        "accuracy": scores.share(right, len(labels)),
        "false": own["false"],
        "against_ours": against,
        "against_ours_on_both": on_both,
        "ready_s": answer["ready_s"],
        "peak_rss_mib": answer["peak_rss_mib"],
        "is_own_peak": True,
        "photo_s": statistics.quantiles(answer["photo_s"], n=4),
        "face_s": statistics.quantiles(answer["face_s"], n=4),
    }


if __name__ == "__main__":
    sys.exit(main())
