import bz2
import gzip
import hashlib
import io
import lzma
import runpy
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_jax import fer2013
from fer_jax.data.examples import Examples
from fer_jax.data.readers import archives, file_kinds, kaggle
from fer_jax.data.readers.cached import cache
from fer_jax.data.readers.kaggle_csv import header, rows
from fer_jax.errors import DataError

ROWS = 70  # More than one chunk of the reader.
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (ROWS, 48, 48, 1), np.uint8)
LABELS = np.arange(ROWS, dtype=np.int32) % 7
USAGES = np.arange(ROWS, dtype=np.int32) % 3
PIXELS = [" ".join(map(str, image.ravel())) for image in IMAGES]


def make_csv(header: str, row: str) -> bytes:
    """Write the faces by a format of `emotion`, `pixels` and `usage`."""
    lines = [
        row.format(emotion=label, pixels=pixels, usage=fer2013.USAGES[usage])
        for label, pixels, usage in zip(LABELS, PIXELS, USAGES, strict=True)
    ]
    return "\n".join([header, *lines, ""]).encode()


FULL = make_csv("emotion,pixels,Usage", "{emotion},{pixels},{usage}")
LINES = FULL.split(b"\n")


def with_line(number: int, new: bytes) -> bytes:
    return b"\n".join([*LINES[: number - 1], new, *LINES[number:]])


def with_pixel(number: bytes) -> bytes:
    """Put this in the place of the fifth number of line 68, which is in the reader's second chunk."""
    label, pixels, usage = LINES[67].split(b",")
    numbers = pixels.split(b" ")
    return with_line(68, b",".join([label, b" ".join([*numbers[:4], number, *numbers[5:]]), usage]))


def make_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def read(content: bytes, tmp_path: Path, name: str = "faces.csv") -> Examples:
    path = tmp_path / name
    path.write_bytes(content)
    return kaggle.read(path, on_bad_row="stop")


@pytest.mark.parametrize(
    ("content", "has_labels", "has_usages"),
    [
        (FULL, True, True),
        (FULL.removesuffix(b"\n"), True, True),
        (b"\xef\xbb\xbf" + FULL, True, True),
        (FULL.replace(b"\n", b"\r\n") + b"\r\n\r\n", True, True),
        (make_csv("emotion, Usage, pixels", "{emotion},{usage},{pixels}"), True, True),
        (make_csv('"usage" ,pixels,"emotion"', '{usage}," {pixels} ","{emotion}"'), True, True),
        (make_csv("emotion,pixels", '{emotion},"{pixels}"'), True, False),
        (make_csv("pixels", "{pixels}"), False, False),
    ],
    ids=["plain", "no-last-newline", "bom", "crlf", "icml", "quoted-reordered", "train", "test"],
)
def test_every_spelling_gives_the_same(
    content: bytes, has_labels: bool, has_usages: bool, tmp_path: Path
) -> None:
    examples = read(content, tmp_path)
    arrays = (examples.images, examples.labels, examples.usages)
    assert [each.dtype.name for each in arrays] == ["uint8", "int32", "int32"]
    np.testing.assert_array_equal(examples.images, IMAGES)
    np.testing.assert_array_equal(examples.labels, LABELS if has_labels else -1)
    np.testing.assert_array_equal(examples.usages, USAGES if has_usages else -1)
    assert examples.sha256 == hashlib.sha256(b"".join(each.tobytes() for each in arrays)).hexdigest()


def test_pandas_reads_the_same(tmp_path: Path) -> None:
    table = pd.read_csv(io.BytesIO(FULL))
    examples = read(FULL, tmp_path)
    pixels = np.array([row.split() for row in table["pixels"]], np.int64)
    np.testing.assert_array_equal(examples.images.reshape(ROWS, -1), pixels)
    np.testing.assert_array_equal(examples.labels, table["emotion"])
    assert [fer2013.USAGES[usage] for usage in examples.usages] == list(table["Usage"])


ROW = LINES[67]
TABLE = pd.DataFrame({"emotion": LABELS, "pixels": PIXELS})
LISTS = pd.DataFrame({"emotion": LABELS, "pixels": [image.ravel().tolist() for image in IMAGES]})
BAD_FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "too bright": (with_pixel(b"300"), ("line 68", "field pixels", "number 5", "'300'", "0..255")),
    "underscore": (with_pixel(b"1_0"), ("line 68", "number 5", "'1_0'")),
    "plus": (with_pixel(b"+5"), ("line 68", "number 5", "'+5'")),
    "float": (with_pixel(b"1.5"), ("line 68", "number 5", "'1.5'")),
    "four digits": (with_pixel(b"0012"), ("line 68", "number 5", "'0012'")),
    "foreign digit": (with_pixel("٣".encode()), ("line 68", "number 5", "'٣'")),
    "two blanks": (with_pixel(b""), ("line 68", "number 5", "nothing")),
    "tab": (with_pixel(b"1\t2"), ("line 68", "number 5", r"'1\t2'")),
    "NUL": (with_pixel(b"1\x002"), ("line 68", "number 5", r"'1\x002'")),
    "one more": (with_pixel(b"1 2"), ("line 68", "field pixels", "2,305 numbers", "2,304")),
    "one less": (with_line(68, ROW.replace(b" ", b"", 1)), ("line 68", "field pixels")),
    "no pixels": (with_line(68, b"3,,Training"), ("line 68", "field pixels", "nothing")),
    "label 7": (
        with_line(68, b"7" + ROW[1:]),
        ("line 68", "'7', contempt", "0..6", "model.classes 8", "skip"),
    ),
    "label 3.0": (with_line(68, b"3.0" + ROW[1:]), ("line 68", "'3.0', a decimal", "astype(int)")),
    "label as a word": (with_line(68, b"happy" + ROW[1:]), ("'happy', a word", "0 angry, 1 disgust")),
    "no label": (with_line(68, ROW[1:]), ("line 68", "field emotion", "''")),
    "usage": (with_line(2, LINES[1] + b"s"), ("line 2", "field Usage", "'Trainings'", "PublicTest")),
    "a field more": (with_line(68, ROW + b",1"), ("line 68", "fields: found 4", "wanted 3")),
    "open quote": (
        with_line(68, ROW.replace(b",", b',"', 1)),
        ("line 68", "field pixels", "quote", "not closed"),
    ),
    "header again": (with_line(68, LINES[0]), ("line 68", "the header again")),
    "cut off": (FULL[:-4000], (f"line {ROWS + 1}", "wanted 3", "truncated")),
    "empty": (b"", ("is empty", "emotion,pixels")),
    "header alone": (LINES[0] + b"\n", ("no row after the header",)),
    "no header": (b"\n".join(LINES[1:]), ("line 1", "a row", "wanted the header")),
    "misspelt column": (
        FULL.replace(b"emotion", b"emotoin", 1),
        ("line 1", "'emotoin'", "did you mean 'emotion'"),
    ),
    "column twice": (b"emotion,pixels,pixels\n", ("line 1", "'pixels'", "2 times")),
    "no pixels column": (b"emotion,Usage\n0,Training\n", ("line 1", "'pixels' is missing")),
    "semicolons": (FULL.replace(b",", b";"), ("line 1", "separator is a semicolon", "sep=','")),
    "tabs": (FULL.replace(b",", b"\t"), ("line 1", "separator is a tab")),
    "index": (TABLE.to_csv().encode(), ("column 1 is ''", "index of a DataFrame", "index=False")),
    "index twice": (b"Unnamed: 0,emotion,pixels\n", ("column 1 is 'Unnamed: 0'", "index=False")),
    "extra column": (b"emotion,pixels,Usage,name\n", ("unknown column 'name'", "leave it out")),
    "another name": (b"label,pixels\n", ("unknown column 'label'", "is it 'emotion'?")),
    "list": (
        LISTS.to_csv(index=False).encode(),
        ("line 2", "found 2,305", "brackets and commas", "' '.join"),
    ),
    "array": (b"emotion,pixels\n3,[70  80 ...  22]\n", ("line 2", "printed with `...`", "lost")),
    "a column a pixel": (b"emotion," + b",".join(b"p%d" % n for n in range(2304)), ("2,305 columns",)),
    "votes": (
        b"Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n",
        ("FER+'s votes", "--labels.ferplus"),
    ),
    "votes' output": (b'fer0000000.png,"(0, 0, 48, 48)",4,0\n', ("output of FER+", "--labels.ferplus")),
    "Parquet": (b"PAR1\x15\x04", ("a Parquet file", "read_parquet(FILE).to_csv")),
    "7z": (b"7z\xbc\xaf\x27\x1c", ("a 7z archive", "7z x FILE")),
    "RAR": (b"Rar!\x1a\x07", ("a RAR archive", "unrar x FILE")),
    "pickle": (b"\x80\x05\x95", ("a pickle", "can run code")),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", ("Git LFS", "git lfs pull")),
    "Excel": (make_zip({"xl/workbook.xml": b""}), ("an Excel workbook", "read_excel(FILE).to_csv")),
    "zip in a zip": (make_zip({"fer2013.tar.gz": b""}), ("another archive, fer2013.tar.gz", "outer")),
    "UTF-16": (FULL.decode().encode("utf-16"), ("UTF-16", "save it as UTF-8")),
    "UTF-16 without mark": (FULL.decode().encode("utf-16-le"), ("UTF-16", "save it as UTF-8")),
    "bare CR": (FULL.replace(b"\n", b"\r"), ("bare CR",)),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0", ("a PNG image",)),
    "web page": (b"<!DOCTYPE html>\n", ("a web page", "sign in")),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_words(name: str, tmp_path: Path) -> None:
    content, wanted = BAD_FILES[name]
    with pytest.raises(DataError) as error:
        read(content, tmp_path)
    message = str(error.value)
    assert message.startswith(str(tmp_path / "faces.csv"))
    assert [part for part in wanted if part not in message] == []
    assert len(message) < 500 + len(str(tmp_path))
    assert message.isprintable()


def test_skip_leaves_out_the_bad_rows_alone(tmp_path: Path) -> None:
    lines = list(LINES)
    lines[1] = lines[1].replace(b",", b',"', 1)
    lines[65:67] = [b"9" + lines[65][1:], b""]
    path = tmp_path / "faces.csv"
    path.write_bytes(b"\n".join(lines))
    examples = kaggle.read(path, on_bad_row="skip")
    kept = np.delete(np.arange(ROWS), [0, 64, 65])
    np.testing.assert_array_equal(examples.images, IMAGES[kept])
    np.testing.assert_array_equal(examples.labels, LABELS[kept])
    assert [message.split(":")[0] for message in examples.skipped_rows] == [
        "line 2, field pixels",
        "line 66, field emotion",
    ]
    assert "2 bad left out" in examples.contents
    path.write_bytes(b"\n".join([*LINES[:3], b"7" + LINES[3][1:], b"7" + LINES[4][1:]]))
    examples = kaggle.read(path, on_bad_row="skip")
    assert examples.cautions[0].startswith("2 rows of contempt left out (label 7): FER2013 has no contempt")
    path.write_bytes(b"\n".join(lines[:2]))
    with pytest.raises(DataError, match="all 1 rows are bad"):
        kaggle.read(path, on_bad_row="skip")


def test_the_fast_and_the_careful_reader_agree() -> None:
    rng = np.random.default_rng(1)
    alphabet = np.frombuffer(b'0123456789   +-._,"\t\0x', np.uint8)
    agreed = {True: 0, False: 0}
    for trial in range(300):
        row = np.frombuffer(LINES[1 + trial % 5], np.uint8).copy()
        row[rng.integers(0, len(row))] = rng.choice(alphabet)
        lines = [LINES[6], row.tobytes(), LINES[7]]
        fast = rows._parse_chunk(lines, header.COLUMNS)
        careful, messages = rows._parse_one_by_one(lines, header.COLUMNS, first_number=2)
        assert (fast is None) == bool(messages)
        agreed[fast is None] += 1
        if fast is not None:
            for left, right in zip(fast, careful, strict=True):
                np.testing.assert_array_equal(left, right)
    assert min(agreed.values()) > 50


def black_faces(counts: tuple[int, ...]) -> bytes:
    rows = [f"{label},{'0 ' * 2303}0\n" * count for label, count in enumerate(counts)]
    return ("emotion,pixels\n" + "".join(rows)).encode()


def test_official_parts_are_known_by_their_counts(tmp_path: Path) -> None:
    counts = fer2013.CLASS_COUNTS["PublicTest"]
    examples = read(black_faces(counts), tmp_path)
    assert set(examples.usages) == {fer2013.USAGES.index("PublicTest")}
    assert examples.contents == (
        "3,589 PublicTest rows (the official counts, but other pixels: saved as JPEG, or changed)"
    )
    assert examples.cautions == ()
    named = (
        black_faces((1, *[0] * 6))
        .replace(b"emotion,pixels", b"Usage,emotion,pixels")
        .replace(b"\n0,", b"\nPublicTest,0,")
    )
    assert "the file's PublicTest is not the official one" in read(named, tmp_path).description
    moved = read(black_faces((counts[0] - 1, counts[1] + 1, *counts[2:])), tmp_path)
    assert set(moved.usages) == {-1}


def test_the_merged_test_is_refused(tmp_path: Path) -> None:
    merged = black_faces((7178, 0, 0, 0, 0, 0, 0))
    with pytest.raises(DataError, match=r"7,178 rows.*merged"):
        read(merged, tmp_path)
    path = tmp_path / "with_a_bad_row.csv"
    path.write_bytes(merged.replace(b"0,0", b"8,0", 1))
    with pytest.raises(DataError, match=r"7,178 rows.*merged"):
        kaggle.read(path, on_bad_row="skip")


def test_a_zip_is_read_in_place(tmp_path: Path) -> None:
    train = make_csv("emotion,pixels", '{emotion},"{pixels}"')
    members = {
        "example_submission.csv": b"id,emotion\n1,0\n",
        "fer2013.tar.gz": b"\x1f\x8b",
        "__MACOSX/._icml_face_data.csv": b"\0",
        "test.csv": b"pixels\n" + PIXELS[0].encode(),
        "train.csv": train,
        "icml_face_data.csv": FULL,
    }
    # The archive is known by its content.
    assert read(make_zip(members), tmp_path, "download").sha256 == read(FULL, tmp_path).sha256
    with pytest.raises(DataError, match=r"the same columns: train\.csv, icml_face_data\.csv"):
        read(make_zip(members | {"icml_face_data.csv": train}), tmp_path)
    with pytest.raises(DataError, match=r"member a/b.csv, line 68, field pixels, number 5"):
        read(make_zip({"a/b.csv": with_pixel(b"256")}), tmp_path)
    with pytest.raises(DataError, match=r"member a.csv, line 1: unknown column 'id'"):
        read(make_zip({"a.csv": b"id,emotion\n1,0\n"}), tmp_path)


def make_tar(members: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    fast = {"preset": 0} if mode == "w:xz" else {}
    with tarfile.open(fileobj=buffer, mode=mode, **fast) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_kaggles_old_archive_is_read(mode: str, tmp_path: Path) -> None:
    members = {"fer2013/README": b"", "fer2013/._fer2013.csv": b"\0", "fer2013/fer2013.csv": FULL}
    whole = make_tar(members, mode)
    examples = read(whole, tmp_path, "download")
    assert examples.sha256 == read(FULL, tmp_path).sha256
    assert examples.contents.startswith("fer2013/fer2013.csv: 24 Training rows")
    for harmed in (whole[: len(whole) // 2], whole[: -9 if mode != "w" else -10240]):
        with pytest.raises(DataError, match=r"the archive is damaged"):
            read(harmed, tmp_path)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, partial(lzma.compress, preset=0)])
def test_a_compressed_file_is_read(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    examples = read(compress(FULL), tmp_path, "fer2013.csv.gz")
    assert examples.sha256 == read(FULL, tmp_path).sha256
    with pytest.raises(DataError, match=r"member faces\.csv, line 68, field pixels, number 5"):
        read(compress(with_pixel(b"256")), tmp_path)


def test_a_small_compressed_file_takes_little_memory(tmp_path: Path) -> None:
    packed = gzip.compress(FULL)
    tracemalloc.start()
    try:
        read(packed, tmp_path, "fer2013.csv.gz")
        assert tracemalloc.get_traced_memory()[1] < 2**27, "a buffer of the most that is read of any file"
    finally:
        tracemalloc.stop()


def test_an_archive_holds_files_alone(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("fer2013.csv")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match=r"member fer2013\.csv: it is a link"):
        read(buffer.getvalue(), tmp_path)


def test_a_tar_archive_has_each_file_once(tmp_path: Path) -> None:
    """The program tar unpacks the last one; a reader that stops at the name takes the first."""
    one, two = make_tar({"fer2013.csv": FULL}, "w"), make_tar({"./fer2013.csv": with_pixel(b"7")}, "w")
    end = -len(FULL) % 512 + 512 + len(FULL)
    with pytest.raises(DataError, match=r"fer2013\.csv is in it twice"):
        read(one[:end] + two, tmp_path)


def test_bombs_are_refused_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "sparse.csv").open("wb") as file:
        file.truncate(100 * 2**30)
    with pytest.raises(DataError, match=r"sparse\.csv: it has 100\.0 GiB; at most 1 GiB is read"):
        cache.read_cached(tmp_path / "sparse.csv", on_bad_row="stop")
    monkeypatch.setattr(file_kinds, "MOST_BYTES", 10_000)
    monkeypatch.setattr(archives, "MOST_BYTES", 10_000)
    monkeypatch.setattr(archives, "_MOST_TAR_BYTES", 40_000)
    faces = {"fer2013.csv": b"emotion,pixels\n" + bytes(10_000)}
    many = {f"{number}.txt": b"" for number in range(100)}
    for bomb in (
        make_zip(faces),
        make_tar(faces, "w:gz"),
        make_tar(many, "w:gz"),
        gzip.compress(make_tar({"1.txt": b""}, "w") + bytes(50_000)),
        gzip.compress(faces["fer2013.csv"]),
    ):
        (tmp_path / "bomb").write_bytes(bomb)
        with pytest.raises(DataError, match=r"GiB|damaged"):
            kaggle.read(tmp_path / "bomb", on_bad_row="stop")


@pytest.mark.parametrize("harm", ["cut", "flip", "text"])
def test_a_damaged_zip_is_refused(harm: str, tmp_path: Path) -> None:
    whole = make_zip({"fer2013.csv": FULL})
    flipped = whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:]
    content = {"cut": whole[:5000], "flip": flipped, "text": FULL}[harm]
    with pytest.raises(DataError, match=r"damaged.*download it again"):
        read(content, tmp_path, "fer2013.zip")


def test_a_known_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fer2013.KNOWN_MD5, hashlib.md5(FULL).hexdigest(), "a friend's file")
    assert read(FULL, tmp_path).contents.startswith("this is a friend's file; 24 Training rows")
    # What is known is the CSV, in an archive or not.
    zipped = read(make_zip({"a.csv": FULL}), tmp_path)
    assert zipped.contents.startswith("a.csv: this is a friend's file; ")


def test_real_faces(tmp_path: Path) -> None:
    script = Path(__file__).parents[4] / "shared" / "fer2013" / "unpack.py"
    if not script.is_file():
        pytest.skip("needs the packed FER2013 beside the repository: ../shared/fer2013/unpack.py")
    unpack = runpy.run_path(str(script))
    # The smaller part: writing all rows as text takes longer than this file's tests together.
    packed = lzma.decompress((script.parent / "PublicTest.med.xz").read_bytes())
    images = unpack["undo_prediction"](np.frombuffer(packed, np.uint8).reshape(-1, 48, 48))
    labels = np.fromfile(script.parent / "labels.bin", np.uint8)[unpack["PARTS"]["Training"] :]
    texts = np.array([str(value) for value in range(256)], object)
    rows = zip(labels, texts[images.reshape(len(images), -1)], strict=True)
    text = "emotion,pixels\n" + "".join(f"{label},{' '.join(row)}\n" for label, row in rows)
    examples = read(text.encode(), tmp_path)
    np.testing.assert_array_equal(examples.images[..., 0], images)
    np.testing.assert_array_equal(examples.labels, labels)
    assert examples.contents == "3,589 PublicTest rows (the official counts)"
