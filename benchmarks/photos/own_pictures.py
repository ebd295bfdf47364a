"""A folder as somebody brings it: drawn faces as colour JPEGs of mixed sizes, one folder for each class.

    python -m benchmarks.photos.own_pictures my_faces    # 60 pictures of five classes

Nobody is on the pictures: `data.synthetic` draws the faces, `photos.scenes` puts each into a background. With
them the guide to pictures of your own can be followed, and tests train on such a folder.
"""

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import tyro
from PIL import Image

from benchmarks.photos.scenes import Layout, Pasted, make_scene
from fer_jax import cli, fer2013
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError, RunError

CLASSES: Final = {
    "anger": "angry",
    "calm": "neutral",
    "fright": "fear",
    "joy": "happy",
    "sorrow": "sad",
}
"""The folders, and which of FER2013's expressions is drawn for each."""

SHORT_SIDES: Final = (80, 420)
"""Range of a picture's shorter side in pixels."""
LONGEST: Final = 1.4
"""How many times as long the other side is at most."""
FACE_SHARES: Final = (0.8, 0.95)
"""Range of a face's side as a share of the shorter side of its picture."""
TINTS: Final = ((0.9, 1.1), (0.75, 0.95), (0.6, 0.9))
"""Ranges of the factors of red, green and blue."""
TURNED: Final = 0.2
"""Share of the pictures that are stored on their side, as telephones do, with EXIF's word for it."""
_ORIENTATION: Final = 0x0112
_ON_ITS_SIDE: Final = 6


@dataclass(frozen=True)
class OwnPictures:
    """Draw a folder of class folders with colour JPEGs, to try out training on pictures of your own."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder to write; it must not exist."""
    pictures: int = 60
    """How many, over all five classes."""
    seed: int = 0
    """Another seed gives other pictures."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, draw, and return the exit status."""
    return cli.run(
        lambda: _draw(cli.parse(OwnPictures, argv, prog="python -m benchmarks.photos.own_pictures"))
    )


def _draw(options: OwnPictures) -> int:
    if options.pictures < len(CLASSES):
        raise ConfigError(f"--pictures is {options.pictures}; wanted at least {len(CLASSES)}, one a class")
    if options.folder.exists():
        raise RunError(f"{options.folder} exists; name another folder")
    paths = draw_folder(options.folder, pictures=options.pictures, seed=options.seed)
    print(f"{len(paths)} pictures in {options.folder}: {', '.join(CLASSES)}")
    return 0


def draw_folder(folder: Path, *, pictures: int, seed: int) -> list[Path]:
    """Draw pictures into class folders, as many of each class give or take one, and list their paths.

    The same folder, number and seed give the same bytes with the same Pillow.
    """
    # Of every seven faces five are of the classes.
    faces = draw_examples(seed=seed, examples=fer2013.CLASS_COUNT * (pictures // len(CLASSES) + 1))
    labels = {fer2013.LABELS.index(expression): name for name, expression in CLASSES.items()}
    rows = [row for row in range(len(faces)) if int(faces.labels[row]) in labels]
    # All of a class's first faces, then its second ones: any number of pictures is balanced.
    turns = {row: sum(faces.labels[:row] == faces.labels[row]) for row in rows}
    paths = []
    for number, row in enumerate(sorted(rows, key=lambda row: (turns[row], row))[:pictures]):
        path = folder / labels[int(faces.labels[row])] / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_dress(faces.images, row, seed=(seed, number)))
        paths.append(path)
    return paths


def _dress(images: np.ndarray, row: int, *, seed: tuple[int, int]) -> bytes:
    """Make the colour JPEG of a face, one of uint8 [N, 48, 48, 1]: its size, background, tint and quality."""
    rng = np.random.default_rng((*seed, 2))
    short = round(float(np.exp(rng.uniform(*np.log(SHORT_SIDES)))))
    sides = [short, round(short * rng.uniform(1, LONGEST))]
    width, height = sides if rng.random() < 0.5 else sides[::-1]
    face = Pasted(row, width / 2, height / 2, short * rng.uniform(*FACE_SHARES), 0.0)
    quality = int(rng.integers(60, 96))
    scene = make_scene(Layout(seed, width, height, "noise", (face,), quality), images)
    tint = np.array([rng.uniform(*each) for each in TINTS])
    picture = Image.fromarray(np.clip(scene * tint, 0, 255).astype(np.uint8))
    exif = Image.Exif()
    if rng.random() < TURNED:
        picture = picture.transpose(Image.Transpose.ROTATE_90)
        exif[_ORIENTATION] = _ON_ITS_SIDE
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality, exif=exif)
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
