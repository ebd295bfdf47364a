import sys
from pathlib import Path

import numpy as np
import pytest

from fer_jax.data.examples import Examples
from fer_jax.data.readers import kaggle, tfds
from fer_jax.errors import DataError

pytest.importorskip("tensorflow_datasets", reason="not on Windows")


def write_csv(path: Path, *, rows: int) -> np.ndarray:
    """Write a fer2013.csv with random faces; returns them, uint8 [rows, 48, 48, 1]."""
    images = np.random.default_rng(0).integers(0, 256, (rows, 48, 48, 1), np.uint8)
    usages = ("Training", "PublicTest", "PrivateTest")
    lines = [f"{i % 7},{' '.join(map(str, image.ravel()))},{usages[i % 3]}" for i, image in enumerate(images)]
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    return images


def arrays(examples: Examples) -> tuple[np.ndarray, ...]:
    return examples.images, examples.labels, examples.usages


def assert_same(a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> None:
    for left, right in zip(a, b, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.fixture
def csv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    write_csv(tmp_path / "fer2013.csv", rows=40)
    return tmp_path / "fer2013.csv"


def test_gives_what_the_kaggle_loader_gives_and_says_nothing(
    csv_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from_tfds = tfds.read(csv_file, on_bad_row="stop")
    assert capfd.readouterr() == ("", "")
    from_kaggle = kaggle.read(csv_file, on_bad_row="stop")
    assert_same(arrays(from_tfds), arrays(from_kaggle))
    assert from_tfds.sha256 == from_kaggle.sha256
    assert "tensorflow" not in sys.modules


def test_rows_keep_their_order_and_minus_one_survives(tmp_path: Path) -> None:
    rows = 5000  # More than one read, and enough for a shuffle by key to show.
    images = np.zeros((rows, 48, 48, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.arange(rows) // 256, np.arange(rows) % 256
    labels = np.arange(rows, dtype=np.int32) % 8 - 1
    examples = Examples(images, labels, np.full(rows, -1, np.int32), contents="", sha256="")
    tfds.build(examples, tmp_path)
    assert_same(tfds.read_built(tmp_path), arrays(examples))


def test_is_built_once_and_again_only_when_damaged_or_unfinished(
    csv_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds: list[Path] = []
    build = tfds.build

    def counted_build(examples: Examples, folder: Path) -> None:
        builds.append(folder)
        build(examples, folder)

    monkeypatch.setattr(tfds, "build", counted_build)
    wanted = arrays(tfds.read(csv_file, on_bad_row="stop"))
    tfds.read(csv_file, on_bad_row="stop")
    assert len(builds) == 1

    (stored,) = builds[0].rglob("*.array_record*")
    content = bytearray(stored.read_bytes())
    content[content.index(wanted[0][20].tobytes()[:64]) + 30] ^= 1
    stored.write_bytes(content)
    assert_same(arrays(tfds.read(csv_file, on_bad_row="stop")), wanted)
    assert len(builds) == 2

    next(builds[0].rglob("dataset_info.json")).unlink()
    assert_same(arrays(tfds.read(csv_file, on_bad_row="stop")), wanted)
    assert len(builds) == 3


@pytest.mark.parametrize("package", ["tensorflow_datasets", "array_record"])
def test_a_missing_library_has_a_cure(csv_file: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=f"{package} is not installed: `pip install .*--data.source kaggle"):
        tfds.read(csv_file, on_bad_row="stop")
