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

from fer_jax.config.data import BadRow
from fer_jax.data.examples import Examples
from fer_jax.data.readers import kaggle
from fer_jax.data.readers.cached import cache
from fer_jax.errors import DataError
from fer_jax.runtime.disk import lock

HEADER = "emotion,pixels,Usage\n"


def row(value: int, *, label: int = 3) -> str:
    return f"{label},{' '.join([str(value)] * 2304)},Training\n"


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
    path, listener = write_csv(folder / "a.csv"), Mock()
    monkeypatch.setattr(lock, "_TOLD_AFTER", 3)
    with subprocess.Popen([sys.executable, "-c", MAKER, str(path)], stdout=subprocess.PIPE) as maker:
        listener.tell.side_effect = lambda line: maker.kill()
        try:
            assert maker.stdout is not None and maker.stdout.readline() == b"reading\n"
            found = cache.read_cached(path, on_bad_row="stop", listener=listener)
        finally:
            maker.kill()
    assert (len(found), found.notes) == (2, ())
    listener.tell.assert_called_once()
    assert listener.tell.call_args.args[0].startswith(f"waiting for process {maker.pid} on ")
    assert {each.suffix for each in (folder.parent / "cache" / "examples").iterdir()} == {".json", ".npy"}


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "read-only"), lock.HeldError(None, Path("owner"))])
def test_nobody_waits_for_a_lock_that_cannot_be_had_or_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(lock, "hold", Mock(side_effect=error))
    assert len(read(write_csv(folder / "a.csv"))) == 2
