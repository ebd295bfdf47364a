import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from fer_jax.config.data import BadRow, DataConfig, SplitConfig
from fer_jax.data import load
from fer_jax.data.examples import Examples
from fer_jax.data.readers import kaggle
from fer_jax.data.readers.cached import cache
from fer_jax.data.split import split_examples
from fer_jax.errors import DataError
from fer_jax.runtime.disk import lock

HEADER = "emotion,pixels,Usage\n"


def row(value: int, *, label: int = 3) -> str:
    return f"{label},{' '.join([str(value)] * 2304)},Training\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with its own cache beside it and no variable set."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FER_JAX_DATA", raising=False)
    return tmp_path / "work"


def write_csv(path: Path, text: str = HEADER + row(1) + row(2), *, age_s: int = 60) -> Path:
    """Write a CSV that looks as if it had been lying there for a while."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    before = path.stat().st_mtime_ns - age_s * 10**9
    os.utime(path, ns=(before, before))
    return path


def read(path: Path) -> Examples:
    return cache.read_cached(path, on_bad_row="stop")


def forbid_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *, on_bad_row: str) -> Examples:
        raise AssertionError(f"parsed {path}")

    monkeypatch.setattr(kaggle, "read", fail)


def test_the_second_read_does_not_parse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(folder / "a.csv")
    first = read(path)
    other = write_csv(folder / "copy" / "b.csv")
    forbid_parsing(monkeypatch)
    for again in (read(path), read(other)):
        for name in ("images", "labels", "usages"):
            np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
        assert (again.contents, again.sha256, again.notes) == (first.contents, first.sha256, ())
    assert (first.source, again.source, again.is_synthetic) == (path, other, False)


def test_a_settled_file_is_not_even_hashed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(folder / "a.csv")
    read(path)
    memory = next((folder.parent / "cache" / "files").iterdir())
    later = path.stat().st_ctime_ns + 10**10
    os.utime(memory, ns=(later, later))
    forbid_parsing(monkeypatch)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed"))
    read(path)


def test_changed_content_is_noticed(folder: Path) -> None:
    path = write_csv(folder / "a.csv")
    read(path)
    write_csv(path, HEADER + row(3) + row(4))  # the same size, and within the same tick of many a clock
    assert read(path).images[:, 0, 0, 0].tolist() == [3, 4]
    sad = folder / "mirror" / "sad"
    sad.mkdir(parents=True)
    for value in (5, 6):
        Image.new("L", (48, 48), value).save(sad / "1.png")
        assert read(sad.parent).images[0, 0, 0, 0] == value


@pytest.mark.parametrize("suffix", [".images.npy", ".labels.npy", ".json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "remove"])
def test_a_damaged_cache_is_rebuilt(suffix: str, harm: str, folder: Path) -> None:
    path = write_csv(folder / "a.csv")
    first = read(path)
    victim = next(
        each for each in (folder.parent / "cache" / "examples").iterdir() if each.name.endswith(suffix)
    )
    good = victim.read_bytes()
    if harm == "remove":
        victim.unlink()
    else:
        flipped = bytes(byte ^ 1 for byte in good[-9:])
        victim.write_bytes({"flip": good[:-9] + flipped, "cut": good[:-9], "empty": b""}[harm])
    again = read(path)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert ("rebuilt" in again.description) == ((suffix, harm) != (".json", "remove"))
    assert victim.read_bytes() == good
    assert read(path).description == first.description


def test_skipped_rows_are_kept_and_never_served_to_stop(folder: Path) -> None:
    path = write_csv(folder / "a.csv", HEADER + row(1) + row(2, label=9))
    first, second = (cache.read_cached(path, on_bad_row="skip") for _ in range(2))
    assert len(second) == len(second.skipped_rows) == 1
    assert first.skipped_rows == second.skipped_rows
    with pytest.raises(DataError, match="line 3, field emotion"):
        read(path)


def test_an_unwritable_cache_costs_a_note_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(folder / "a.csv")
    monkeypatch.setenv("FER_JAX_CACHE", str(path / "below a file"))
    examples = read(path)
    assert len(examples) == 2
    assert "not cached" in examples.description


def test_many_at_once_agree_and_one_of_them_parses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(folder / "a.csv")
    found: list[str] = []
    parse, parsed = kaggle.read, []

    def note(path: Path, *, on_bad_row: BadRow) -> Examples:
        parsed.append(path)
        return parse(path, on_bad_row=on_bad_row)

    monkeypatch.setattr(kaggle, "read", note)
    monkeypatch.setattr(lock, "_TURN_SECONDS", 0.01)
    threads = [threading.Thread(target=lambda: found.append(read(path).sha256)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [read(path).sha256] * 8
    assert parsed == [path]
    assert not list((folder.parent / "cache").rglob("*.tmp"))


MAKER = """
import sys, time
from pathlib import Path
from fer_jax.data.readers import kaggle
from fer_jax.data.readers.cached import cache
def read(path, *, on_bad_row):
    print("reading", flush=True)
    time.sleep(60)
kaggle.read = read
cache.read_cached(Path(sys.argv[1]), on_bad_row="stop")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_who_finds_another_process_at_it_waits_and_says_so_and_a_killed_one_blocks_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, told = write_csv(folder / "a.csv"), list[str]()
    monkeypatch.setattr(lock, "_TOLD_AFTER", 3)
    with subprocess.Popen([sys.executable, "-c", MAKER, str(path)], stdout=subprocess.PIPE) as maker:

        def tell(line: str) -> None:
            told.append(line)
            maker.kill()

        try:
            assert maker.stdout is not None and maker.stdout.readline() == b"reading\n"
            found = cache.read_cached(path, on_bad_row="stop", tell=tell)
        finally:
            maker.kill()
    assert (len(found), found.notes) == (2, ())
    (line,) = told
    assert line.startswith(f"waiting for process {maker.pid} on ")
    assert {each.suffix for each in (folder.parent / "cache" / "examples").iterdir()} == {".json", ".npy"}


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "read-only"), lock.HeldError(None, Path("owner"))])
def test_nobody_waits_for_a_lock_that_cannot_be_had_or_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(lock, "hold", Mock(side_effect=error))
    assert len(read(write_csv(folder / "a.csv"))) == 2


def test_search_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load.find_file(DataConfig()) is None
    assert load.load_examples(DataConfig(synthetic_examples=70)).description.startswith("70 synthetic")
    (folder / "data").mkdir()
    assert load.find_file(DataConfig()) is None
    (folder / "data" / "train" / "sad").mkdir(parents=True)
    assert load.find_file(DataConfig()) == Path("data")
    for name in (
        "train.csv",
        "fer2013.csv",
        "icml_face_data.csv",
    ):  # each richer than the one before, or as rich
        write_csv(folder / "data" / name)
        assert load.find_file(DataConfig()) == Path("data") / name
    write_csv(folder / "variable.csv")
    monkeypatch.setenv("FER_JAX_DATA", "variable.csv")
    assert load.find_file(DataConfig()) == Path("variable.csv")
    write_csv(folder / "given" / "train.csv")
    assert load.find_file(DataConfig(path="given")) == Path("given/train.csv")
    assert load.find_file(DataConfig(path="given", source="synthetic")) is None
    assert load.load_examples(DataConfig(path="given")).description.startswith(
        "given/train.csv: 2 Training rows"
    )


@pytest.mark.parametrize("place", ["path", "variable"])
@pytest.mark.parametrize("name", ["nothing.csv", "empty"])
def test_what_is_given_must_be_there(
    place: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(folder / "data" / "train.csv")
    (folder / "empty").mkdir()
    if place == "variable":
        monkeypatch.setenv("FER_JAX_DATA", name)
    with pytest.raises(DataError, match=name):
        load.load_examples(DataConfig(path=name if place == "path" else None))


@pytest.mark.parametrize("source", ["kaggle", "tfds"])
def test_a_file_or_nothing(source: str, folder: Path) -> None:
    with pytest.raises(DataError) as error:
        load.load_examples(DataConfig(source=source))  # type: ignore[arg-type]
    message = str(error.value)
    assert str(folder / "data") in message
    assert "kaggle competitions download" in message
    assert "https://www.kaggle.com/" in message


def test_unlabelled_files_load_and_are_refused_for_training(folder: Path) -> None:
    path = write_csv(folder / "test.csv", "pixels\n" + " ".join(["0"] * 2304) + "\n")
    examples = load.load_examples(DataConfig(path=str(path)))
    assert examples.labels.tolist() == [-1]
    with pytest.raises(DataError, match=r"test\.csv.*no labels"):
        split_examples(examples, SplitConfig())


def test_a_folder_is_searched_for_files_of_other_names_too(folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    path = write_csv(folder / "data" / "mine.csv")
    assert load.find_file(DataConfig()) == path.relative_to(folder)
    write_csv(folder / "data" / "other.csv")
    with pytest.raises(DataError, match=r"mine\.csv, other\.csv.*--data"):
        load.find_file(DataConfig())


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("fer2013.7z", b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it (7z x FILE)"),
        ("faces.parquet", b"PAR1", "a Parquet file; save it as CSV"),
        ("faces.npz", b"PK\x03\x04", "its name is none that is looked for"),
        ("fer2013.gz", b"\x1f\x8b", "its name is none that is looked for; name it with --data"),
        (
            "sub/folder/fer2013.csv",
            b"",
            "data in a folder of its own; give it: --data data/sub/folder/fer2013.csv",
        ),
        ("archive/train/sad/1.png", b"", "give it: --data data/archive"),
        ("1.png", b"\x89PNG", "an image in no folder of a label"),
        ("fer2013new.csv", b"Usage", "FER+'s votes, which have no pixels"),
        ("fer2013.csv.part", b"emotion", "its name is none that is looked for"),
        ("fer2013", b"emotion", "its name is none that is looked for"),
    ],
)
def test_synthetic_faces_never_stand_for_data_that_is_there(
    name: str, content: bytes, wanted: str, folder: Path
) -> None:
    path = folder / "data" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        load.find_file(DataConfig())
    assert wanted in str(error.value)
    assert "--data.source synthetic" in str(error.value)
    assert load.find_file(DataConfig(source="synthetic")) is None


def test_what_is_no_data_may_lie_in_the_folder(folder: Path) -> None:
    for name in ("README.md", ".gitkeep", "notes/todo.txt", "desktop.ini"):
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text("")
    assert load.find_file(DataConfig()) is None
    (folder / "data" / "fer2013.csv").symlink_to("gone.csv")
    with pytest.raises(DataError, match=r"a link to what is not there"):
        load.find_file(DataConfig())


@pytest.mark.parametrize("name", ["fer2013.tar.gz", "mine.tgz", "mine.csv.gz"])
def test_archives_are_found(name: str, folder: Path) -> None:
    write_csv(folder / "data" / name)
    write_csv(folder / "data" / "fer2013new.csv")
    assert load.find_file(DataConfig()) == Path("data") / name
    assert "." not in load.name_data(DataConfig())


@pytest.mark.parametrize("text", ["a" * 5000, "a\0b", "~nobody-of-this-name/faces.csv"])
def test_a_path_that_cannot_be_one_is_refused(text: str, folder: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path"):
        load.find_file(DataConfig(path=text))
