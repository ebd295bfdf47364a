"""Pictures of every kind, made on the spot, against what they must look like."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, TiffTags, features

from fer_jax.errors import DataError
from fer_jax.faces import pictures
from fer_jax.faces.pictures import Picture, read_frames, to_rgb

CORNERS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 0, 0], [255, 255, 255]]])
RGB = np.kron(CORNERS, np.ones((16, 16, 1), int)).astype(np.uint8)
"""Six squares of pure colours, uint8 [32, 48, 3]."""

RED, BLUE = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")


def read(image: Image.Image, kind: str, **options: object) -> list[Picture]:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return list(read_frames(buffer.getvalue()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(kind: str, orientation: int) -> None:
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: np.rot90,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    (picture,) = read(Image.fromarray(RGB), kind, exif=exif, **{"lossless": True, "quality": 95})
    wanted = turns[orientation](RGB)
    assert picture.image.shape == wanted.shape
    # The middle of each square, where JPEG's colours are right.
    np.testing.assert_allclose(
        picture.image[8::16, 8::16].astype(int), wanted[8::16, 8::16], atol=0 if kind != "JPEG" else 12
    )
    assert (picture.source, picture.frame, picture.time_s) == ("-", 0, None)
    assert picture.traits == ({"lying or mirrored"} if orientation > 1 else set())


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_picture_that_is_not_loaded_yet_is_turned_once(kind: str, tmp_path: Path) -> None:
    path, exif = tmp_path / "turned", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(path, kind, exif=exif)
    (by_name,) = read_frames(path)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(to_rgb(opened), by_name.image)


def test_modes_become_rgb() -> None:
    gray = np.array([[0, 102, 255]], np.uint8)  # in the palette of the web
    three = np.repeat(gray[..., None], 3, axis=2)
    for mode in ("L", "1", "P", "CMYK", "YCbCr", "HSV", "LA", "RGBA"):
        wanted = np.where(three > 127, 255, 0) if mode == "1" else three
        source = Image.fromarray(wanted.astype(np.uint8)).convert(mode, dither=Image.Dither.NONE)
        np.testing.assert_allclose(to_rgb(source).astype(int), wanted, atol=2, err_msg=mode)


def test_transparent_is_white() -> None:
    half = np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [0, 0, 0, 51]]], np.uint8)
    np.testing.assert_array_equal(
        to_rgb(Image.fromarray(half)), [[[255, 255, 255], [200, 0, 0], [204, 204, 204]]]
    )
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    (picture,) = read(palette, "PNG", transparency=1)
    np.testing.assert_array_equal(picture.image, [[[10, 20, 30], [255, 255, 255]]])
    (picture,) = read(palette, "PNG", transparency=b"\xff\x00")
    np.testing.assert_array_equal(picture.image, [[[10, 20, 30], [255, 255, 255]]])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_picture_with_an_opaque_alpha_channel_is_not_transparent(mode: str) -> None:
    pixels = np.full((6, 8, 4), 255, np.uint8)
    (opaque,) = read(Image.fromarray(pixels).convert(mode), "PNG")
    pixels[0, 0, 3] = 254
    (clear,) = read(Image.fromarray(pixels).convert(mode), "PNG")
    assert not opaque.traits
    assert clear.traits == {"transparent"}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([[0, 257, 65535]], np.uint16), [0, 1, 255]),
        (np.array([[0, 100, 200]], np.int32), [0, 100, 200]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.2, 1]], np.float32), [0, 51, 255]),
        (np.array([[0, 51, 255]], np.float32), [0, 51, 255]),
        (np.array([[np.nan, 0, 1e9]], np.float32), [0, 0, 255]),
    ],
)
def test_gray_of_more_bits_is_scaled(values: np.ndarray, wanted: list[int]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    (picture,) = read_frames(buffer.getvalue())
    np.testing.assert_array_equal(picture.image, np.repeat(np.array([wanted])[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_frames_with_times(kind: str) -> None:
    options = {"save_all": True, "append_images": [BLUE, RED], "duration": [200, 300, 100], "lossless": True}
    frames = read(RED, kind, **options)
    assert [(each.frame, round(each.time_s or 0, 6)) for each in frames] == [(0, 0), (1, 0.2), (2, 0.5)]
    assert [each.image[0, 0].tolist() for each in frames] == [[255, 0, 0], [0, 0, 255], [255, 0, 0]]


def test_pages_are_frames_without_times_and_smaller_copies_are_left_out() -> None:
    assert [each.time_s for each in read(RED, "TIFF", save_all=True, append_images=[BLUE])] == [None, None]
    small = RED.resize((4, 3))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    (only,) = read(RED, "TIFF", save_all=True, append_images=[small])
    assert only.image.shape == (6, 8, 3)
    odd = TiffImagePlugin.ImageFileDirectory_v2()
    odd.tagtype[254], odd[254] = TiffTags.ASCII, "odd"
    small.encoderinfo = {"tiffinfo": odd}
    assert len(read(RED, "TIFF", save_all=True, append_images=[small])) == 2
    # The second picture of a phone's JPEG is a depth map or the like.
    (only,) = read(RED, "MPO", save_all=True, append_images=[BLUE])
    assert only.image[0, 0].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_a_default_image_is_no_frame_of_an_animated_png() -> None:
    frames = read(RED, "PNG", save_all=True, append_images=[BLUE], default_image=True, duration=50)
    assert [each.image[0, 0].tolist() for each in frames] == [[0, 0, 255]]


def test_an_animated_png_without_a_frame_is_refused() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    chunks = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 8, 2, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", 1, 0)),
        chunk(b"IDAT", zlib.compress(bytes(6 * (1 + 3 * 8)))),
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 6, 0, 0, 1, 10, 0, 0)),
        chunk(b"IEND", b""),
    ]
    with pytest.raises(DataError, match="has no frame"):
        list(read_frames(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)))


def test_names_in_any_script(tmp_path: Path) -> None:
    path = tmp_path / "Лицо 顔 وجه.png"
    Image.new("RGB", (1, 1), "red").save(path)
    (picture,) = read_frames(path)
    assert (picture.source, picture.image.tolist()) == (str(path), [[[255, 0, 0]]])
    assert pictures.is_picture(path)


def make_png(width: int, height: int) -> bytes:
    """Write a PNG of one colour, of which a row is compressed to nearly nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (1 + (width + 7) // 8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "limit", "message"),
    [
        (b"", pictures.MAX_PIXELS, "nothing came"),
        (b"Dear diary,\nno face today", pictures.MAX_PIXELS, r"begins with .*44 65 61"),
        (make_png(30_000, 30_000), pictures.MAX_PIXELS, "more than 178,956,970 pixels"),
        (make_png(12_000, 12_000), 40_000_000, r"12000 × 12000 pixels; at most 40,000,000"),
        (make_png(30, 30)[:48], pictures.MAX_PIXELS, "damaged or cut off"),
    ],
)
def test_a_bad_picture_is_one_message(content: bytes, limit: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_frames(content, max_pixels=limit))


def test_a_bad_file_is_one_message(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1000])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    messages = {
        "cut.jpg": "damaged or cut off",
        "text.jpg": r"this is not a picture .*'not a pictu",
        "empty.jpg": "the file is empty",
        "gone.jpg": "cannot be read: No such file",
        ".": "is a folder",
    }
    for name, message in messages.items():
        with pytest.raises(DataError, match=message):
            list(read_frames(tmp_path / name))
    with pytest.raises(DataError, match="wanted a picture as PNG, WEBP"):
        list(read_frames(tmp_path / "whole.jpg", formats=("PNG", "WEBP")))


def test_damaged_metadata_spoils_nothing() -> None:
    """Pillow would warn, and warnings are errors here."""
    (picture,) = read(RED, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    assert picture.image.shape == (6, 8, 3)


def test_heic_names_its_plug_in(tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    assert pictures.is_picture(path)
    assert {".heic", ".jpg", ".png", ".avif", ".gif"} < pictures.suffixes()
    with pytest.raises(DataError, match=r"pillow-heif|damaged or cut off"):
        list(read_frames(path))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow is built without AVIF")
def test_avif() -> None:
    (picture,) = read(RED, "AVIF", quality=95)
    assert picture.image[0, 0].tolist() == pytest.approx([255, 0, 0], abs=3)
