"""A file of a few synthetic faces in Kaggle's format."""

import csv
from pathlib import Path

import pytest

from fer_jax import fer2013
from fer_jax.data.synthetic import draw_examples

FACES = 5


@pytest.fixture(scope="module")
def face_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the same five faces as Training and as PublicTest."""
    faces = draw_examples(seed=0, examples=FACES)
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for part in fer2013.USAGES[:2]:
            for image, label in zip(faces.images, faces.labels, strict=True):
                writer.writerow([label, " ".join(map(str, image.ravel())), part])
    return path
