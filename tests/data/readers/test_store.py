"""Examples on disk: the same bits as in memory, mapped where they are large, trusted only while unchanged."""

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import pytest
from PIL import Image

from fer_jax.cache import __main__ as cache_command
from fer_jax.config.augment import AugmentConfig
from fer_jax.config.data import DataConfig, SplitConfig
from fer_jax.config.run import Config
from fer_jax.config.training import TrainConfig
from fer_jax.data import batches as data_batches
from fer_jax.data import examples as data_examples
from fer_jax.data import synthetic
from fer_jax.data.batches import ReadAhead, make_expect
from fer_jax.data.examples import Examples, hash_images
from fer_jax.data.load import load_examples
from fer_jax.data.readers.cached import store
from fer_jax.data.readers.own import reading
from fer_jax.data.split import split_examples
from fer_jax.engine.input_pipeline import follow, make_recipe_at
from fer_jax.engine.steppers import make_host_stepper
from fer_jax.errors import DataError, DiskError
from fer_jax.images import standardise
from fer_jax.parallel.mesh import OneDevice
from fer_jax.runtime.disk import space

FACES = 210
DATA = DataConfig(source="synthetic", synthetic_examples=FACES)
IN_MEMORY = synthetic.draw_examples(seed=0, examples=FACES)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache, and map all images, however few."""
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "MOST_LOADED_BYTES", 0)
    monkeypatch.setattr(synthetic, "_BLOCK_CHUNKS", 3)
    return tmp_path / "examples"


def settle(folder: Path) -> None:
    """Let the record look clearly younger than the arrays."""
    (record,) = folder.glob("*.json")
    later = record.stat().st_mtime_ns + 10**10
    os.utime(record, ns=(later, later))


def forbid(monkeypatch: pytest.MonkeyPatch, *names: tuple[object, str]) -> None:
    for where, name in names:
        monkeypatch.setattr(where, name, lambda *_, **__: pytest.fail("called"))


def assert_same(found: Examples) -> None:
    assert isinstance(found.images, np.memmap)
    assert (found.sha256, found.contents, found.source) == (IN_MEMORY.sha256, IN_MEMORY.contents, None)
    for name in ("images", "labels", "usages", "hashes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(IN_MEMORY, name), err_msg=name)


def test_mapped_faces_are_those_in_memory_and_drawn_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same(load_examples(DATA))
    assert not list(folder.glob("*.tmp"))
    forbid(monkeypatch, (store, "save_drawn"), (data_examples, "hash_images"))
    assert_same(load_examples(DATA))


def test_a_settled_file_is_not_hashed_and_a_changed_one_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_examples(DATA)
    settle(folder)
    with monkeypatch.context() as patch:
        forbid(patch, (store, "hash_arrays"))
        assert_same(load_examples(DATA))
    (images,) = folder.glob("*.images.npy")
    before = images.stat()
    with images.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0" if IN_MEMORY.images[-1, -1, -1, 0] else b"\1")
    os.utime(images, ns=(before.st_atime_ns, before.st_mtime_ns))  # The inode's own time tells.
    assert store.load(folder / images.name.split(".")[0], None, is_checked=False) is None
    assert_same(load_examples(DATA))  # Drawn again.


def test_a_check_on_request_finds_what_the_stamps_do_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_examples(DATA)
    assert cache_command.main(["check"]) == 0
    assert "1 data set" in capsys.readouterr().out
    with next(folder.glob("*.images.npy")).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0" if IN_MEMORY.images[-1, -1, -1, 0] else b"\1")
    monkeypatch.setattr(store, "is_settled", lambda *_: True)
    assert cache_command.main(["check"]) == 4
    (record,) = folder.glob("*.json")
    assert f"damaged: {record}; delete" in capsys.readouterr().err


def test_classes_and_groups_are_kept(folder: Path) -> None:
    own = replace(IN_MEMORY, class_names=("calm", "loud"), groups=np.arange(FACES) // 3, cautions=("a",))
    kept = store.save(folder / "0123", own)
    found = store.load(folder / "0123", Path("here"), is_checked=False)
    assert found is not None
    for each in (kept, found):
        assert isinstance(each.images, np.memmap)
        assert (each.class_names, each.cautions) == (own.class_names, own.cautions)
        np.testing.assert_array_equal(each.groups, own.groups)
    assert found.source == Path("here")


def test_pictures_are_decoded_into_a_file_where_they_are_many(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("calm/1", "calm/2", "loud/3", "loud/4", "loud/5")):
        path = tmp_path / "own" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IN_MEMORY.images[number, :, :, 0]).save(path)
    (tmp_path / "own" / "calm" / "2.png").write_bytes(b"none")
    own = DataConfig(path=str(tmp_path / "own"), fit="resize", class_map="folders", on_bad_row="skip")
    monkeypatch.setattr(store, "_CHUNK_IMAGES", 2)
    found = load_examples(own)
    assert isinstance(found.images, np.memmap) and found.class_names == ("calm", "loud")
    np.testing.assert_array_equal(found.images, IN_MEMORY.images[[0, 2, 3, 4]])
    monkeypatch.setattr(store, "MOST_LOADED_BYTES", 2**20)
    assert load_examples(own).sha256 == reading.read(tmp_path / "own", own).sha256 == found.sha256
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]


def test_no_room_is_told_before_anything_is_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, (store, "save_drawn"))
    monkeypatch.setattr(space, "free_bytes", lambda path: 10**5)
    with pytest.raises(DiskError, match=r"210 synthetic faces needs up to 487\.2 kB in .*; free some space"):
        load_examples(DATA)


def test_a_cache_that_cannot_be_written_is_a_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "file").touch()
    monkeypatch.setenv("FER_JAX_CACHE", str(folder.parent / "file"))
    with pytest.raises(DataError, match=r"210 synthetic faces .* cannot be written: Not a directory; name"):
        load_examples(DATA)


@pytest.mark.parametrize("repeats", [1, 2])
def test_batches_from_the_file_are_those_from_memory_and_read_before_they_are_used(
    repeats: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_batches, "AHEAD_IMAGES", 16)
    mapped = load_examples(DATA)
    rows = split_examples(mapped, SplitConfig()).train
    np.testing.assert_array_equal(rows, split_examples(IN_MEMORY, SplitConfig()).train)
    config = Config(
        name="a",
        augment=AugmentConfig(rotate_probability=1.0, alternate_flip=True, repeats=repeats),
        train=TrainConfig(batch_size=8),
    )
    expect = make_expect(mapped.images)
    assert isinstance(expect, ReadAhead) and make_expect(IN_MEMORY.images) is None
    advised = Advised(mapped.images)
    monkeypatch.setattr(expect, "_file", advised)
    ahead, plain = (
        make_recipe_at(config, IN_MEMORY.labels, rows, targets=None, seeds=1, expect=each)
        for each in (expect, None)
    )
    epoch_steps = len(rows) // 8
    for step in range(2 * epoch_steps):
        recipe = ahead(0, step)
        assert set(recipe.rows.tolist()) <= advised.rows
        if step == 0:  # And no more than that.
            assert len(advised.rows) < 16 + 8 + 4 * len(recipe.rows)
        found = follow(recipe, mapped.images, mapped.labels)
        wanted = follow(plain(0, step), IN_MEMORY.images, IN_MEMORY.labels)
        np.testing.assert_array_equal(found.images, wanted.images)
        np.testing.assert_array_equal(found.labels, wanted.labels)


class Advised:
    """Notes which rows the system is told to read."""

    def __init__(self, images: np.ndarray) -> None:
        self.file, self.rows = images.base, set[int]()

    def madvise(self, advice: int, begin: int, size: int) -> None:
        self.file.madvise(advice, begin, size)  # type: ignore[union-attr]
        ends = {row: 128 + (row + 1) * 2304 for row in range(FACES)}
        self.rows |= {row for row, end in ends.items() if begin <= end - 2304 and end <= begin + size}


class Noted:
    """Notes which parts of the file the system is told to read."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, int]] = []

    def madvise(self, advice: int, begin: int = 0, size: int = 0) -> None:
        if advice == mmap.MADV_WILLNEED:
            self.parts.append((begin, begin + size))


@pytest.mark.parametrize(
    ("process", "processes", "repeats", "first", "wanted"),
    [
        (0, 1, 1, 0, range(12)),
        (0, 1, 1, 4, [12, 13, 14, 15]),
        (1, 2, 1, 0, [2, 3, 6, 7, 10, 11]),
        (1, 2, 1, 4, [14, 15]),
        # Twice the same four images: each process has all of them, and of four each has half.
        (1, 2, 2, 4, [12, 13, 14, 15]),
        (2, 4, 2, 4, [12, 13]),
        (0, 1, 1, 12, []),
    ],
)
def test_a_process_reads_ahead_what_it_makes_of_each_batch(
    process: int,
    processes: int,
    repeats: int,
    first: int,
    wanted: Sequence[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data_batches, "AHEAD_IMAGES", 8)
    file, page = Noted(), mmap.PAGESIZE
    ahead = ReadAhead(file, 0, lambda batch: np.split(batch, processes)[process])  # type: ignore[arg-type]
    ahead(np.arange(16) * page, first, 4, repeats)  # Far apart: each row begins at the start of a page.
    assert [begin // page // 2304 for begin, _ in file.parts] == list(wanted)


class Half(OneDevice):
    """Takes the second half of each batch."""

    def cut(self, batch: Any, *, axis: int = 0) -> Any:
        return batch[len(batch) // 2 :]


def test_the_stepper_reads_ahead_what_its_place_takes(folder: Path) -> None:
    half, unused = Half(), cast(Any, lambda *_: pytest.fail("called"))
    stepper = make_host_stepper(
        [jax.random.key(0)], unused, unused, load_examples(DATA), eval_batch_size=8, places=[half]
    )
    assert isinstance(stepper.expect, ReadAhead) and stepper.expect._cut == half.cut


def test_pages_of_neighbours_are_read_together() -> None:
    ahead = ReadAhead(Noted(), 128, lambda batch: batch)  # type: ignore[arg-type]
    page = mmap.PAGESIZE
    far = 10 * page  # Row 10 * page begins at a whole number of pages and 128 bytes.
    assert ahead._list_pages(np.array([0, 1, 2, far])) == [
        (0, 128 + 3 * 2304),
        (far * 2304, far * 2304 + 128 + 2304),
    ]
    assert ahead._list_pages(np.array([far])) == [(far * 2304, far * 2304 + 128 + 2304)]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(data_examples, "_CHUNK_IMAGES", 16)
    monkeypatch.setattr(standardise, "_CHUNK_IMAGES", 16)
    yield


def test_chunks_change_nothing(small_chunks: None) -> None:
    images, rows = IN_MEMORY.images, np.arange(3, FACES, 2)
    np.testing.assert_array_equal(hash_images(images), IN_MEMORY.hashes)
    pixels = images[rows].astype(np.float64)
    found = standardise.measure(images, rows)
    assert found == standardise.measure(images[rows])
    assert (found.mean, found.std) == pytest.approx((pixels.mean(), pixels.std()))
