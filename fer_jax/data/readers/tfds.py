"""The same Examples through TensorFlow Datasets: a builder of ours, stored as array_record, no TensorFlow.

The rows of the Kaggle reader are written once as a TFDS data set into the user's cache folder, and read back
from there. Other tools open the same folder with `tfds.builder_from_directory`.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.examples import Examples
from fer_jax.data.readers.cached import cache
from fer_jax.errors import DataError
from fer_jax.files import cache_folder

_NAME = "fer2013_rows"
_VERSION = "1.0.0"
_SPLIT = "rows"
_READ_ROWS = 4096

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""images uint8 [N, 48, 48, 1], labels int32 [N], usages int32 [N], as in `Examples`."""


def read(path: Path, *, on_bad_row: BadRow) -> Examples:
    """Read a Kaggle file or folder through TensorFlow Datasets.

    Args:
        path: what `kaggle.read` takes.
        on_bad_row: stop at the first malformed row, or skip these and list them.

    Returns:
        The arrays that `kaggle.read` returns, row for row.

    Raises:
        DataError: the data is malformed; tensorflow-datasets or array_record is not installed; or the cache
            folder cannot be written.
    """
    _import_tfds()
    examples = cache.read_cached(path, on_bad_row=on_bad_row)
    folder = Path("tfds")
    try:
        folder = cache_folder() / folder / examples.sha256
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{folder}.lock"):
            arrays = _read_if_same(examples, folder)
            if arrays is None:
                shutil.rmtree(folder, ignore_errors=True)
                build(examples, folder)
                arrays = read_built(folder)
    except OSError as error:
        raise DataError(
            f"cannot keep the TFDS data set in {folder}: {error.strerror or error}; fix that, or name "
            "another folder in $FER_JAX_CACHE"
        ) from None
    images, labels, usages = arrays
    return dataclasses.replace(examples, images=images, labels=labels, usages=usages)


def build(examples: Examples, folder: Path) -> None:
    """Write Examples as a TFDS data set, in the order of the rows.

    TFDS writes to a temporary folder and renames it at the end, so `read_built` never reads an interrupted
    build.

    Args:
        examples: at least one row.
        folder: the TFDS `data_dir`; it must not hold such a data set yet.

    Raises:
        DataError: tensorflow-datasets or array_record is not installed.
    """
    tfds = _import_tfds()
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    builder = _builder_class()(examples, data_dir=folder)
    # It prints a notice about a download, though there is none.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_dir=folder, download_config=config, file_format="array_record")


def read_built(folder: Path) -> Arrays:
    """Read back all rows of a data set that `build` wrote into a folder, in their order.

    Raises:
        DataError: tensorflow-datasets or array_record is not installed.
    """
    tfds = _import_tfds()
    builder = tfds.builder_from_directory(folder / _NAME / _VERSION)
    source = builder.as_data_source(split=_SPLIT)
    images = np.empty((len(source), *fer2013.IMAGE_SHAPE), np.uint8)
    labels = np.empty(len(source), np.int32)
    usages = np.empty(len(source), np.int32)
    for start in range(0, len(source), _READ_ROWS):
        rows = range(start, min(start + _READ_ROWS, len(source)))
        for row, fields in zip(rows, source.__getitems__(list(rows)), strict=True):
            images[row], labels[row], usages[row] = fields["image"], fields["label"], fields["usage"]
    return images, labels, usages


def _read_if_same(examples: Examples, folder: Path) -> Arrays | None:
    """Read the built data set; None where there is none, or it is damaged."""
    if not folder.is_dir():
        return None
    try:
        arrays = read_built(folder)
    except Exception:  # Damage may raise anything; the cure is the same: build again.
        return None
    wanted = (examples.images, examples.labels, examples.usages)
    return arrays if all(map(np.array_equal, arrays, wanted)) else None


def _import_tfds() -> Any:
    # Imported here: it takes half a second, and is not available on every platform.
    packages = ("tensorflow_datasets", "array_record")
    missing = " and ".join(name for name in packages if importlib.util.find_spec(name) is None)
    if missing:
        raise DataError(
            f"data.source is tfds, but {missing} is not installed: `pip install {' '.join(packages)}` "
            "(Linux and macOS only), or use --data.source kaggle, which returns the same arrays"
        )
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    return tfds


@functools.cache
def _builder_class() -> Any:
    import tensorflow_datasets as tfds

    class FerRows(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg, misc]
        """Rows of FER2013 as TFDS features; not registered: the data set is found by its folder."""

        name = _NAME
        VERSION = tfds.core.Version(_VERSION)
        # The folder of checksums and citations: there are none. Left to find it, TFDS 4.9.10 imports
        # importlib_resources, which it does not depend on.
        code_path = None

        def __init__(self, examples: Examples, **kwargs: Any) -> None:
            self._examples = examples
            super().__init__(**kwargs)

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Tensor(shape=fer2013.IMAGE_SHAPE, dtype=np.uint8, encoding="bytes"),
                "label": tfds.features.Scalar(dtype=np.int32),
                "usage": tfds.features.Scalar(dtype=np.int32),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"label: of {fer2013.LABELS}; usage: of {fer2013.USAGES}; -1: none given",
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {_SPLIT: self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            columns = (self._examples.images, self._examples.labels, self._examples.usages)
            for row, (image, label, usage) in enumerate(zip(*columns, strict=True)):
                yield row, {"image": image, "label": label, "usage": usage}

    return FerRows
