import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_jax import fer2013
from fer_jax.data.examples import Examples
from fer_jax.data.readers import kaggle
from fer_jax.errors import DataError

FACES = np.random.default_rng(0).integers(0, 256, (9, 48, 48), np.uint8)


def make_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


FACE = make_png(FACES[0])
RGB = np.stack([FACES[1]] * 3, axis=-1)
MIRROR = {
    "train/angry/10.png": make_png(FACES[0]),
    "train/angry/9.png": make_png(RGB),
    "train/Fearful/1.PNG": make_png(FACES[2]),
    "train/.DS_Store": b"",
    "train/angry/Thumbs.db": b"",
    "README.md": b"",
    "validation/3/1.png": make_png(FACES[3]),
    "test/6_neutral/1.png": make_png(FACES[4]),
    "test/surprised/1.png": make_png(FACES[5]),
}
MIRROR_FACES = [4, 5, 2, 0, 1, 3]
MIRROR_LABELS = [6, 5, 2, 0, 0, 3]
MIRROR_USAGES = [2, 2, 0, 0, 0, 1]


def write(files: dict[str, bytes], root: Path) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(files: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def assert_is_mirror(examples: Examples) -> None:
    np.testing.assert_array_equal(examples.images[..., 0], FACES[MIRROR_FACES])
    np.testing.assert_array_equal(examples.labels, MIRROR_LABELS)
    np.testing.assert_array_equal(examples.usages, MIRROR_USAGES)
    arrays = (examples.images, examples.labels, examples.usages)
    assert [each.dtype.name for each in arrays] == ["uint8", "int32", "int32"]


def test_a_mirror_and_its_zip_give_the_same(tmp_path: Path) -> None:
    assert_is_mirror(kaggle.read(write(MIRROR, tmp_path / "mirror"), on_bad_row="stop"))
    assert_is_mirror(kaggle.read(write_zip(MIRROR, tmp_path / "archive.zip"), on_bad_row="stop"))
    wrapped = {f"archive/fer/{name}": content for name, content in MIRROR.items()}
    wrapped["__MACOSX/archive/train/angry/._9.png"] = b""
    assert_is_mirror(kaggle.read(write_zip(wrapped, tmp_path / "wrapped.zip"), on_bad_row="stop"))


def test_label_folders_alone_have_no_usage(tmp_path: Path) -> None:
    examples = kaggle.read(write({"sad/1.png": FACE, "HAPPY/1.png": FACE}, tmp_path), on_bad_row="stop")
    assert (examples.labels.tolist(), examples.usages.tolist()) == ([3, 4], [-1, -1])


def test_a_gray_jpeg_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 48), 77, np.uint8)).save(buffer, "JPEG")
    examples = kaggle.read(write({"sad/1.jpg": buffer.getvalue()}, tmp_path), on_bad_row="stop")
    assert (examples.images == 77).all()


COLOUR = RGB.copy()
COLOUR[7, 7, 1] ^= 1
BAD_IMAGES: dict[str, tuple[bytes, str]] = {
    "large.png": (make_png(np.zeros((64, 48), np.uint8)), "found 48 × 64 pixels; wanted 48 × 48"),
    "colour.png": (make_png(COLOUR), "found a colour image"),
    "deep.png": (make_png(FACES[0].astype(np.uint16)), "mode I;16"),
    "cut.png": (FACE[:500], "cannot be read"),
    "text.png": (b"emotion,pixels", "cannot be read"),
    "empty.jpg": (b"", "cannot be read"),
    "face.gif": (b"GIF89a", "not an image"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_stops_or_is_left_out(name: str, tmp_path: Path) -> None:
    content, wanted = BAD_IMAGES[name]
    root = write({f"train/sad/{name}": content, "train/sad/0.png": FACE}, tmp_path / "fer")
    with pytest.raises(DataError) as error:
        kaggle.read(root, on_bad_row="stop")
    assert str(error.value).startswith(f"{root}, train/sad/{name}: ")
    assert wanted in str(error.value)
    examples = kaggle.read(root, on_bad_row="skip")
    assert len(examples) == len(examples.skipped_rows) == 1
    assert f"train/sad/{name}: " in examples.skipped_rows[0]


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"train/contempt/1.png": FACE}, "the folder 'contempt'; wanted angry, disgust"),
        ({"4_neutral/1.png": FACE}, "the folder '4_neutral'"),
        ({"1.png": FACE}, "the folder '.'"),
        ({"train/sad/1.png": FACE, "old/train/sad/1.png": FACE}, "several data sets, in ., old"),
        (
            {"train/sad/1.png": FACE, "sad/1.png": FACE},
            "some images in train/, validation/ or test/ and some not",
        ),
        ({"notes.txt": b""}, "no .png or .jpg"),
    ],
)
def test_a_folder_that_is_no_mirror_is_refused(files: dict[str, bytes], wanted: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        kaggle.read(write(files, tmp_path), on_bad_row="stop")
    assert wanted in str(error.value)


def many(part: str, counts: tuple[int, ...]) -> dict[str, bytes]:
    return {f"{part}{label}/{i}.png": FACE for label, count in enumerate(counts) for i in range(count)}


def test_a_merged_test_is_left_out_or_refused(tmp_path: Path) -> None:
    merged = many("test/", (7178, 0, 0, 0, 0, 0, 0))
    path = write_zip({"train/sad/1.png": FACE} | merged, tmp_path / "mirror.zip")
    examples = kaggle.read(path, on_bad_row="stop")
    assert examples.usages.tolist() == [fer2013.USAGES.index("Training")]
    assert examples.contents.startswith("test/ is left out: 7,178 rows with no usage")
    for name, files in {"test": merged, "flat": many("", (7178, 0, 0, 0, 0, 0, 0))}.items():
        with pytest.raises(DataError, match=r"7,178 rows.*merged"):
            kaggle.read(write_zip(files, tmp_path / f"{name}.zip"), on_bad_row="stop")


def test_a_test_part_is_known_by_its_counts(tmp_path: Path) -> None:
    files = {"train/sad/1.png": FACE} | many("test/", fer2013.CLASS_COUNTS["PublicTest"])
    examples = kaggle.read(write_zip(files, tmp_path / "mirror.zip"), on_bad_row="stop")
    assert "3,589 PublicTest rows (the official counts)" in examples.contents
    assert not (examples.usages == fer2013.USAGES.index("PrivateTest")).any()
