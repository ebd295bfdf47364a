import errno
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from fer_jax import fer2013
from fer_jax.data.examples import Examples
from fer_jax.data.readers import image_folder, kaggle, official
from fer_jax.data.readers.kaggle_csv.rows import Rows
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
    "train/angry/9.png:Zone.Identifier": b"[ZoneTransfer]",
    "train/angry/._9.png": b"\0",
    "train/@eaDir/angry/9.png": b"\0",
    "train/Desktop.ini": b"",
    "train/angry/~$9.png": b"",
    "train/.directory": b"",
    "README.md": b"",
    "train/3_happy/1.png": make_png(FACES[3]),
    "train/6_neutral/1.png": make_png(FACES[4]),
    "train/surprised/1.png": make_png(FACES[5]),
}
MIRROR_FACES = [3, 4, 2, 0, 1, 5]
MIRROR_LABELS = [3, 6, 2, 0, 0, 5]


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


def write_tar(files: dict[str, bytes], path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def assert_is_mirror(examples: Examples) -> None:
    np.testing.assert_array_equal(examples.images[..., 0], FACES[MIRROR_FACES])
    np.testing.assert_array_equal(examples.labels, MIRROR_LABELS)
    assert set(examples.usages) == {fer2013.UNLABELLED}
    arrays = (examples.images, examples.labels, examples.usages)
    assert [each.dtype.name for each in arrays] == ["uint8", "int32", "int32"]


def test_a_mirror_and_its_zip_give_the_same(tmp_path: Path) -> None:
    assert_is_mirror(kaggle.read(write(MIRROR, tmp_path / "mirror"), on_bad_row="stop"))
    assert_is_mirror(kaggle.read(write_zip(MIRROR, tmp_path / "archive.zip"), on_bad_row="stop"))
    wrapped = {f"archive/fer/{name}": content for name, content in MIRROR.items()}
    wrapped["__MACOSX/archive/train/angry/._9.png"] = b""
    assert_is_mirror(kaggle.read(write_zip(wrapped, tmp_path / "wrapped.zip"), on_bad_row="stop"))
    from_windows = {name.replace("/", "\\"): content for name, content in MIRROR.items()}
    assert_is_mirror(kaggle.read(write_zip(from_windows, tmp_path / "windows.zip"), on_bad_row="stop"))
    for ending, mode in {
        "tar": "w",
        "tar.gz": "w:gz",
        "tgz": "w:gz",
        "tar.bz2": "w:bz2",
        "tar.xz": "w:xz",
    }.items():
        path = write_tar(MIRROR, tmp_path / f"mirror.{ending}", mode)
        assert_is_mirror(kaggle.read(path, on_bad_row="stop"))


def test_one_member_that_cannot_be_unpacked_is_one_bad_image(tmp_path: Path) -> None:
    damaged = write_zip(MIRROR | {"train/sad/9.png": FACE}, tmp_path / "damaged.zip")
    content = bytearray(damaged.read_bytes())
    content[content.index(b"train/sad/9.png") + 40] ^= 1
    damaged.write_bytes(content)
    linked = write_tar(MIRROR, tmp_path / "linked.tar", "w")
    with tarfile.open(linked, "a") as archive:
        link = tarfile.TarInfo("train/sad/9.png")
        link.type, link.linkname = tarfile.SYMTYPE, "../angry/1.png"
        archive.addfile(link)
    for path, why in ((damaged, "the archive is damaged"), (linked, "it is a link or a device")):
        with pytest.raises(DataError, match=rf"train/sad/9\.png: {why}"):
            kaggle.read(path, on_bad_row="stop")
        examples = kaggle.read(path, on_bad_row="skip")
        assert_is_mirror(examples)
        assert ["train/sad/9.png" in line for line in examples.skipped_rows] == [True]


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


def test_a_link_to_nothing_is_a_bad_image(tmp_path: Path) -> None:
    root = write({"train/sad/0.png": FACE}, tmp_path / "fer")
    (root / "train" / "sad" / "1.png").symlink_to("gone.png")
    with pytest.raises(DataError, match=r"train/sad/1\.png: it cannot be read: No such file"):
        kaggle.read(root, on_bad_row="stop")
    assert len(kaggle.read(root, on_bad_row="skip")) == 1


@pytest.mark.parametrize("name", ["train/happy", "test"])
def test_a_linked_folder_is_refused_and_not_left_out(name: str, tmp_path: Path) -> None:
    root = write({"train/sad/0.png": FACE}, tmp_path / "fer")
    (tmp_path / "else" / "sad").mkdir(parents=True)
    (root / name).symlink_to(tmp_path / "else")
    with pytest.raises(DataError, match=f"fer/{name}: found a link to a folder, which is not followed; copy"):
        kaggle.read(root, on_bad_row="skip")


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        (
            {"train/contempt/1.png": FACE, "train/sad/1.png": FACE},
            "train/contempt/1.png: found a folder of contempt, with 1 image in all; FER2013 has no contempt",
        ),
        ({"1/a.png": FACE, "7/a.png": FACE}, "RAF-DB's are 1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad"),
        ({"0/a.png": FACE, "7/a.png": FACE}, "AffectNet's are 0 neutral, 1 happy"),
        ({"train/2/a.png": FACE, "train/3/a.png": FACE}, "numbered 2, 3, and FER2013's are 0 to 6"),
        (
            {"FER2013Train/fer0000000.png": FACE, "FER2013Train/label.csv": b""},
            "fer2013new.csv with --labels",
        ),
        ({"test/sad/1.png": FACE}, "its 1 image are neither PublicTest nor PrivateTest"),
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


def many(part: str, counts: tuple[int, ...]) -> list[str]:
    return [f"{part}{label}/{i}.png" for label, count in enumerate(counts) for i in range(count)]


@pytest.fixture
def decode_names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Rows, list[str]]]:
    """Give the function that reads black faces of these names, thousands of them without a file."""
    monkeypatch.setattr(image_folder, "_decode_image", lambda *_: np.zeros((48, 48, 1), np.uint8))

    def decode(*names: str) -> tuple[Rows, list[str]]:
        files = image_folder.ImageFiles(list(names), len, str.encode)
        return image_folder.decode(files, where="mirror", on_bad_row="stop")

    return decode


def test_only_official_parts_have_their_names(
    decode_names: Callable[..., tuple[Rows, list[str]]],
) -> None:
    """The test of the mirrors is merged, and one mirror cuts all 35,887 images in its own way."""
    merged = many("test/", (7178, 0, 0, 0, 0, 0, 0))
    rows, cautions = decode_names("train/sad/1.png", *merged)
    assert rows.usages.tolist() == [fer2013.UNLABELLED]
    assert cautions[-1].startswith("test/ is left out: 7,178 rows with no usage")
    for names in (merged, many("", (7178, 0, 0, 0, 0, 0, 0))):
        with pytest.raises(DataError, match=r"7,178 rows.*merged"):
            decode_names(*names)

    public = many("test/", fer2013.CLASS_COUNTS["PublicTest"])
    rows, cautions = decode_names("train/sad/1.png", *public, *many("validation/", (2, 1, 1, 1, 1, 1, 1)))
    assert rows.usages.tolist() == [fer2013.USAGES.index("PublicTest")] * 3589 + [fer2013.UNLABELLED]
    assert cautions[-1].startswith("validation/ is left out: its 8 images are neither")
    described = official.describe_rows(rows.labels, rows.usages, rows.images)
    assert described.startswith("3,589 PublicTest rows (the official counts, but other pixels")

    usages, cautions = image_folder._find_usages(
        [image_folder._Image("", 3, "train")] * 28_821 + [image_folder._Image("", 3, "validation")] * 7_066,
        "",
    )
    assert usages == {"train": fer2013.UNLABELLED}
    assert "its 7,066 images are neither PublicTest nor PrivateTest" in cautions[0]
    assert "not comparable" in cautions[1]


def test_numbered_folders_are_read_with_a_caution_or_not_at_all(
    tmp_path: Path, decode_names: Callable[..., tuple[Rows, list[str]]]
) -> None:
    examples = kaggle.read(
        write({f"{n}/1.png": FACE for n in (0, 2, 6)}, tmp_path / "few"), on_bad_row="stop"
    )
    assert examples.labels.tolist() == [0, 2, 6]
    assert "FER2013's order (0 angry, 1 disgust, 2 fear" in examples.cautions[0]
    assert examples.cautions[0] in examples.facts["description"]
    # Keras and torchvision number folders by the alphabet.
    angry, disgust, fear, happy, sad, surprise, neutral = (n // 30 for n in fer2013.CLASS_COUNTS["Training"])
    with pytest.raises(DataError, match=r"are those of FER2013 in alphabetical order"):
        decode_names(*many("", (angry, disgust, fear, happy, neutral, sad, surprise)))
    assert (
        len(decode_names(*many("", (angry, disgust, fear, happy, sad, surprise, neutral)))[0].labels) == 954
    )


def test_contempt_is_left_out_loudly(tmp_path: Path) -> None:
    files = {"sad/1.png": FACE, "contempt/1.png": FACE, "7-contempt/2.png": FACE}
    examples = kaggle.read(write(files, tmp_path), on_bad_row="skip")
    assert examples.labels.tolist() == [4]
    assert examples.cautions[0].startswith("2 images of contempt left out: FER2013 has no contempt")
    assert "model.classes 8" in examples.description


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_images_are_turned_upright(kind: str, tmp_path: Path) -> None:
    wanted = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / "sad" / f"{orientation}.{kind.lower()}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(FACES[0]).save(path, kind, exif=exif)
        with Image.open(path) as image:
            wanted.append(np.asarray(ImageOps.exif_transpose(image)))
    examples = kaggle.read(tmp_path, on_bad_row="stop")
    np.testing.assert_array_equal(examples.images[..., 0], wanted)


def test_a_folder_that_cannot_be_read_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scan = write(MIRROR, tmp_path / "mirror"), os.scandir

    def fail(folder: Any) -> Any:
        if str(folder).endswith("3_happy"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(DataError, match=r"Permission denied"):
        kaggle.read(path, on_bad_row="skip")


def test_what_is_too_large_is_not_opened(tmp_path: Path) -> None:
    """A PNG that unpacks to gigabytes, a file of zeros without an end, a pipe in which nobody writes."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0), b"IDAT": b""}
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )
    root = write({"sad/1.png": FACE, "sad/2.png": bomb}, tmp_path / "faces")
    with (root / "sad" / "3.png").open("wb") as file:
        file.truncate(100 * 2**30)
    os.mkfifo(root / "sad" / "4.png")
    examples = kaggle.read(root, on_bad_row="skip")
    assert [message.partition(": ")[2][:24] for message in examples.skipped_rows] == [
        "found 10000 × 10000 pixe",
        "it has more than 1,048,5",
        "found a pipe or a device",
    ]
