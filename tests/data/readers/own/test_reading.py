import dataclasses
import io
import itertools
import os
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fer_jax.config.data import DataConfig
from fer_jax.config.model import ModelConfig
from fer_jax.data import load
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.readers.own import reading
from fer_jax.errors import DataError
from fer_jax.faces import detectors
from fer_jax.faces.boxes import Boxes
from fer_jax.faces.crop import CONTRACT, Square, cut_out, place_square
from fer_jax.report import terminal

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (70, 90, 3), np.uint8)
GRAY = RNG.integers(0, 256, (48, 48), np.uint8)
RESIZE = DataConfig(fit="resize", class_map="folders")
SKIP = DataConfig(fit="resize", class_map="folders", on_bad_row="skip")


def encode(image: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def middle(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    return cut_out(image, Square((width - side) / 2, (height - side) / 2, side), CONTRACT)


GOOD = {
    "joy/1.png": encode(RGB, "PNG"),
    "calm/2.bmp": encode(RGB[::-1], "BMP"),
    "calm/3.png": encode(GRAY, "PNG"),
}


def make_huge_png() -> bytes:
    """Make a PNG of 40,000 × 40,000 pixels with next to no content."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_pictures_become_what_predict_makes_of_them(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    clear[:20, :, 3] = 0
    on_white = RGB.copy()
    on_white[:20] = 255
    deep = RNG.integers(0, 256, (50, 50)).astype(np.uint16)
    pictures = {
        "turned.png": (encode(np.rot90(RGB), "PNG", exif=exif), RGB),
        "clear.webp": (encode(clear, "WEBP", lossless=True, exact=True), on_white),
        "deep.tiff": (encode(deep * 257, "TIFF"), np.dstack([deep.astype(np.uint8)] * 3)),
        "palette.png": (encode(Image.fromarray(RGB).quantize(16), "PNG"), None),
        "print.jpg": (encode(Image.fromarray(RGB).convert("CMYK"), "JPEG"), None),
        "same.png": (encode(GRAY, "PNG"), np.dstack([GRAY] * 3)),
    }
    write(tmp_path, {f"{'ab'[n % 2]}/{name}": each for n, (name, (each, _)) in enumerate(pictures.items())})
    examples = reading.read(tmp_path, RESIZE)
    names = sorted(pictures, key=lambda name: (list(pictures).index(name) % 2, name))
    for image, name in zip(examples.images, names, strict=True):
        wanted = pictures[name][1]
        if wanted is None:
            wanted = np.asarray(Image.open(io.BytesIO(pictures[name][0])).convert("RGB"))
        np.testing.assert_array_equal(image, middle(wanted), err_msg=name)
    np.testing.assert_array_equal(examples.images[names.index("same.png"), ..., 0], GRAY)
    assert examples.class_names == ("a", "b")
    assert examples.is_own
    for words in ("1 turned upright by EXIF", "1 reduced to 8 bits", "1 laid on white", "1 from CMYK"):
        assert words in examples.contents, words


def test_a_folder_a_zip_and_a_tar_are_the_same(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", GOOD | {"README.md": b"x", "calm/.DS_Store": b""})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for name, content in GOOD.items():
            packed.writestr(f"top/{name}", content)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as stream:
        stream.add(folder, "top")
    table = "path,label\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in sorted(GOOD))
    write(folder, {"manifest.csv": table.encode()})
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        for name, content in {**GOOD, "manifest.csv": table.encode()}.items():
            packed.writestr(f"top/{name}", content)
    found = [
        reading.read(tmp_path / name, RESIZE)
        for name in ("folder/manifest.csv", "a.zip", "a.tar.gz", "b.zip")
    ]
    (folder / "manifest.csv").unlink()
    found.append(reading.read(folder, RESIZE))
    assert {each.sha256 for each in found} == {found[0].sha256}
    assert found[0].labels.tolist() == [0, 0, 1]
    assert {each.usages.tolist()[0] for each in found} == {-1}


def test_classes_are_the_same_however_a_system_writes_their_accents(tmp_path: Path) -> None:
    mapping = '{"fro\u0308hlich": "gl\u00fccklich", "m\u00fcde": "mu\u0308de"}'
    found = set()
    for form in ("NFC", "NFD"):
        names = [unicodedata.normalize(form, f"{name}/1.png") for name in ("fr\u00f6hlich", "m\u00fcde")]
        folder = write(
            tmp_path / form, dict(zip(names, (GOOD["joy/1.png"], GOOD["calm/3.png"]), strict=True))
        )
        packed, _ = pack(folder)
        table = "path,label\n" + "".join(f"{name},{name[:-6]}\n" for name in names)
        write(tmp_path, {f"{form}/all.csv": table.encode()})
        for path in (folder, packed, folder / "all.csv"):
            found.add(reading.read(path, RESIZE).class_names)
        mapped = reading.read(packed, replace(RESIZE, class_map=mapping))
        assert mapped.class_names == ("gl\u00fccklich", "m\u00fcde")
    assert found == {("fr\u00f6hlich", "m\u00fcde")}
    typed = ModelConfig(classes=2, class_names=("mu\u0308de", "fro\u0308hlich"))
    assert typed.names == ("m\u00fcde", "fr\u00f6hlich")


def pack(folder: Path) -> list[Path]:
    """Pack a folder as a zip and as a tar archive."""
    paths = [folder.with_suffix(".zip"), folder.with_suffix(".tar")]
    with zipfile.ZipFile(paths[0], "w") as packed:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            packed.write(path, path.relative_to(folder))
    with tarfile.open(paths[1], "w") as stream:
        stream.add(folder, ".")
    return paths


def test_a_link_in_a_tar_is_one_bad_picture(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", GOOD)
    (folder / "joy" / "link.png").symlink_to("1.png")
    _, tar = pack(folder)
    with pytest.raises(DataError, match=r"joy/link\.png: it is a link or a device; .*tar --dereference"):
        reading.read(tar, RESIZE)
    (folder / "joy" / "link.png").unlink()
    skipped = reading.read(tar, replace(RESIZE, on_bad_row="skip"))
    assert skipped.sha256 == reading.read(folder, RESIZE).sha256
    assert ["link.png" in line for line in skipped.skipped_rows] == [True]


def test_a_linked_folder_in_a_tar_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder", GOOD)
    (folder / "fear").symlink_to("joy")
    with pytest.raises(DataError, match=r"folder\.tar, member fear: it is a link or a device"):
        reading.read(pack(folder)[1], replace(RESIZE, on_bad_row="skip"))


def test_system_files_are_passed_over_and_hidden_pictures_are_told(tmp_path: Path) -> None:
    litter = ["__MACOSX/joy/1.png", "joy/._1.png", "joy/.DS_Store", "calm/.ipynb_checkpoints/2.png"]
    hidden = [".old/joy/1.png", ".old/2.png", "joy/.3.png"]
    read_too = ["__fear/1.png", "joy/__4.png"]
    others = dict.fromkeys([*litter, *hidden, ".git/HEAD", *read_too], GOOD["joy/1.png"])
    folder = write(tmp_path / "folder", {**GOOD, **others})
    by_name = DataConfig(fit="resize", class_map='{"calm": "calm", "joy": "joy", "__fear": "fear"}')
    for path in (folder, *pack(folder)):
        examples = reading.read(path, by_name)
        assert class_counts(examples.labels, classes=3) == (2, 2, 1)
        told = "3 pictures left out because a name begins with a dot: .old 2, joy/.3.png 1"
        assert examples.cautions == (told,)
        with pytest.raises(DataError, match=r"__fear/1.png: found the label '__fear'; wanted names"):
            reading.read(path, RESIZE)


def test_parts_and_groups(tmp_path: Path) -> None:
    write(
        tmp_path, {f"{part}/{name}": each for part in ("train", "Val", "test") for name, each in GOOD.items()}
    )
    examples = reading.read(tmp_path, RESIZE)
    # By their paths, in which capitals come first.
    assert examples.usages.tolist() == [1] * 3 + [2] * 3 + [0] * 3
    assert "given parts: 3 for train, 3 for val, 3 for test" in examples.contents
    rows = (
        "train/joy/1.png,joy,anna\ntrain/calm/2.bmp,calm,\ntest/joy/1.png,joy,\ntest/calm/2.bmp,calm,anna\n"
    )
    write(tmp_path, {"manifest.csv": b"path,label,group\n" + rows.encode()})
    grouped = reading.read(tmp_path / "manifest.csv", RESIZE)
    assert grouped.groups is not None
    assert grouped.groups.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tiny.png", encode(GRAY[:1, :1], "PNG"), "found 1 × 1 pixels; wanted at least 12 × 12"),
        ("huge.png", make_huge_png(), "178,956,970 pixels"),
        (
            "moving.png",
            encode(RGB, "PNG", save_all=True, append_images=[Image.fromarray(RGB[::-1])]),
            "found an animation or a file of several pages",
        ),
        ("cut.jpg", encode(RGB, "JPEG")[:-400], "the picture is damaged or cut off"),
        ("text.png", b"no picture", "this is not a picture that can be read"),
        ("drawn.png", encode(GRAY, "GIF"), "this is not a picture that can be read"),
        ("notes.txt", b"", "found a file that is no picture; wanted PNG, JPEG, WebP, TIFF or BMP"),
        ("empty.png", b"", "nothing came"),
    ],
)
def test_a_bad_picture_is_named_and_may_be_left_out(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    write(tmp_path, {**GOOD, f"joy/{name}": content})
    with pytest.raises(DataError) as raised:
        reading.read(tmp_path, RESIZE)
    assert str(raised.value).startswith(f"{tmp_path}, joy/{name}: ")
    assert message in str(raised.value)
    assert "--on-bad-row skip" in str(raised.value)
    examples = reading.read(tmp_path, SKIP)
    assert len(examples) == 3
    assert len(examples.skipped_rows) == 1
    assert examples.cautions == ("1 bad picture left out",)


def test_a_damaged_member_of_an_archive_is_a_bad_picture(tmp_path: Path) -> None:
    bitmap = encode(GRAY, "BMP")
    folder = write(tmp_path / "folder", {**GOOD, "joy/x.bmp": bitmap, "joy/y.bmp": bitmap[:90]})
    packed, stream = pack(folder)
    content = packed.read_bytes()
    place = content.index(bitmap) + 500  # It is stored as it is.
    packed.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(
        DataError, match=r"folder.zip, joy/x.bmp: the archive is damaged or locked: Bad CRC-32 for file"
    ):
        reading.read(packed, RESIZE)
    for path, bad in ((packed, ["joy/x.bmp", "joy/y.bmp"]), (stream, ["joy/y.bmp"])):
        examples = reading.read(path, SKIP)
        assert [message.split(":")[0] for message in examples.skipped_rows] == bad
        assert len(examples) == 5 - len(bad)


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"1.png": GOOD["joy/1.png"]})
    folder = write(tmp_path / "folder", GOOD)
    (folder / "joy" / "out.png").symlink_to(outside / "1.png")
    (folder / "joy" / "in.png").symlink_to(folder / "joy" / "1.png")
    (folder / "sad").symlink_to(outside)
    table = b"path,label\njoy/1.png,joy\ncalm/2.bmp,calm\njoy/out.png,joy\nsad/1.png,sad\n"
    examples = reading.read(folder, SKIP)
    assert [message.split(":")[0] for message in examples.skipped_rows] == ["sad", "joy/out.png"]
    assert len(examples) == 4
    write(folder, {"manifest.csv": table})
    listed = reading.read(
        folder / "manifest.csv", DataConfig(fit="resize", class_map="folders", on_bad_row="skip")
    )
    assert [message.split(":")[0] for message in listed.skipped_rows] == [
        "line 4, joy/out.png",
        "line 5, sad/1.png",
    ]
    assert all("link" in message for message in [*examples.skipped_rows, *listed.skipped_rows])


def test_refuse_takes_only_what_fits(tmp_path: Path) -> None:
    small = np.dstack([GRAY] * 3)
    write(tmp_path, {"a/1.png": encode(GRAY, "PNG"), "b/1.webp": encode(small, "WEBP", lossless=True)})
    as_it_is = DataConfig(class_map="folders")
    np.testing.assert_array_equal(reading.read(tmp_path, as_it_is).images[..., 0], [GRAY, GRAY])
    small[0, 0, 0] ^= 1
    for content, message in [
        (encode(small, "PNG"), "found a colour picture"),
        (encode(RGB, "PNG"), "found 90 × 70 pixels; wanted 48 × 48"),
        (encode(GRAY.astype(np.uint16) * 257, "PNG"), "found a picture that is stored as: more than 8 bits"),
    ]:
        write(tmp_path, {"a/1.png": content})
        with pytest.raises(DataError, match=message):
            reading.read(tmp_path, as_it_is)


def test_the_face_is_found_as_predict_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = np.array([[5.0, 5, 20, 20], [30, 20, 40, 40]])
    counts = iter([0, 1, 2])

    def make_detector(*_: Any, **__: Any) -> Any:
        def detect(image: np.ndarray) -> Boxes:
            count = next(counts)
            return Boxes(boxes[:count], np.ones(count), np.zeros((count, 5, 2)))

        return detect

    monkeypatch.setattr(detectors, "make_detector", make_detector)
    write(tmp_path, {f"{name}/{name}.png": encode(RGB, "PNG") for name in "abc"})
    examples = reading.read(tmp_path, DataConfig(fit="detect", class_map="folders", on_bad_row="skip"))
    wanted = [cut_out(RGB, place_square(box, CONTRACT, scale=1.0), CONTRACT) for box in boxes]
    np.testing.assert_array_equal(examples.images, wanted)
    assert examples.skipped_rows[0].startswith("a/a.png: found no face in it")
    assert "1 picture with several faces, of which the largest is taken" in examples.cautions


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1.png"], "found no picture in a folder of a class"),
        ([".old/joy/1.png"], "1 picture left out because a name begins with a dot: .old 1"),
        (["labels.csv"], "is labels.csv a manifest of them? give it with --data"),
        (
            ["joy/anna/1.png", "sad/anna/1.png"],
            "at different depths, or below several folders: joy/anna/1.png and",
        ),
        (["train/joy/1.png", "joy/1.png"], "in train/, val/ or test/ and some not"),
    ],
)
def test_other_layouts_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    write(tmp_path, dict.fromkeys(names, GOOD["joy/1.png"]))
    with pytest.raises(DataError) as raised:
        reading.read(tmp_path, RESIZE)
    assert message in str(raised.value)


def test_the_cache_knows_content_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    folder = write(tmp_path / "folder", GOOD)
    write(folder, {"manifest.csv": b"path,label,group\njoy/1.png,joy,x\ncalm/2.bmp,calm,x\n"})
    reads = []
    real = reading.read

    def count(path: Path, config: DataConfig, **options: Any) -> Examples:
        reads.append(path)
        return real(path, config, **options)

    monkeypatch.setattr(reading, "read", count)

    def load_it(**options: Any) -> Examples:
        return load.load_examples(DataConfig(path=str(folder), **options))

    first, again = (load_it(fit="resize", class_map="folders") for _ in range(2))
    assert len(reads) == 1
    assert again.sha256 == first.sha256
    assert again.class_names == first.class_names == ("calm", "joy")
    assert again.is_own
    assert again.groups is not None
    assert again.groups.tolist() == [0, 0]
    load_it(fit="resize", class_map='{"joy": "happy", "calm": "calm"}')
    write(folder, {"joy/1.png": encode(RGB[:60], "PNG")})
    os.utime(folder / "joy/1.png", (0, 0))
    changed = load_it(fit="resize", class_map="folders")
    assert len(reads) == 3
    assert changed.sha256 != first.sha256


def test_a_long_reading_shows_how_far_it_is_and_the_cache_has_nothing_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    config = DataConfig(path=str(write(tmp_path / "folder", GOOD)), fit="resize", class_map="folders")
    listener = Mock()
    for _ in range(2):
        load.load_examples(config, listener=listener)
    assert listener.mock_calls == [call.move(0, 3), call.move(1, 3), call.move(2, 3)]
    # Every look at this clock takes six seconds.
    seconds = itertools.count(0, 6)
    console = Console(file=io.StringIO(), force_terminal=False, width=200, get_time=lambda: next(seconds))
    terminal.load_data(console, dataclasses.replace(config, class_map='{"joy": "happy", "calm": "calm"}'))
    assert isinstance(console.file, io.StringIO)
    assert "reading the data: 0 of 3, elapsed 0:00:" in console.file.getvalue()


def test_numbers_of_fer2013_are_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "faces.bin"
    path.write_bytes(b"\x89HDF")
    with pytest.raises(DataError, match=r"found an HDF5 file; .* are for pictures: give a folder"):
        reading.read(path, RESIZE)
