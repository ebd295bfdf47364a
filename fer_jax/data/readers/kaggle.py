"""Kaggle's files -> Examples: CSV in every variant, folders of images, and archives of either.

A file's type is read from its content, not its name.
"""

import dataclasses
import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.examples import Examples, class_counts, hash_arrays
from fer_jax.data.readers import (
    archives,
    file_kinds,
    folder_names,
    image_folder,
    official,
)
from fer_jax.data.readers.archives import Archive
from fer_jax.data.readers.file_kinds import printable
from fer_jax.data.readers.kaggle_csv.header import WANTED_HEADER, read_header
from fer_jax.data.readers.kaggle_csv.rows import Rows, parse
from fer_jax.data.readers.own import manifest
from fer_jax.errors import DataError
from fer_jax.litter import is_litter
from fer_jax.text import counted


def read(path: Path, *, on_bad_row: BadRow) -> Examples:
    """Read a CSV file, a folder of images, or an archive of one of them, see `archives`.

    A file without a `Usage` column but with the class counts of an official part, such as Kaggle's train.csv,
    gets that usage.

    Args:
        path: the file or folder.
        on_bad_row: stop at the first malformed row or image, or skip these and list them.

    Returns:
        Examples in the file's order (images: sorted by their paths); `source` is the path.

    Raises:
        DataError: the data is missing, malformed, or the merged test of 7,178 rows.
    """
    try:
        file_kinds.check_source(path)
        if path.is_dir():
            return _from_images(image_folder.list_folder(path), path, on_bad_row=on_bad_row)
        with archives.opened(path, leaves_out=is_litter, keeps_images=True) as archive:
            if archive is not None:
                return _from_archive(archive, path, on_bad_row=on_bad_row)
        if path.name.lower().endswith(archives.NAME_ENDS):
            raise DataError(f"{path}: it is named as an archive, but is none, or damaged; download it again")
        return _from_csv(path.read_bytes(), path, str(path), on_bad_row=on_bad_row)
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror or error}; give another --data") from None


def _make_examples(rows: Rows, path: Path, *, words: list[str], cautions: list[str]) -> Examples:
    """Describe and hash the rows; the words begin their description."""
    skipped = [f"{len(rows.skipped)} bad left out"] if rows.skipped else []
    contents = "; ".join([*words, official.describe_rows(rows.labels, rows.usages, rows.images), *skipped])
    arrays = (rows.images, rows.labels, rows.usages)
    return Examples(*arrays, contents, hash_arrays(*arrays), path, tuple(cautions), rows.skipped)


def _from_csv(text: bytes, path: Path, where: str, *, on_bad_row: BadRow) -> Examples:
    # Hashing releases the GIL: it costs nothing beside the parsing.
    with ThreadPoolExecutor(1) as pool:
        md5 = pool.submit(lambda: hashlib.md5(text, usedforsecurity=False).hexdigest())
        rows = parse(text, where=where, on_bad_row=on_bad_row)
        known_as = fer2013.KNOWN_MD5.get(md5.result())
    labels, usages = rows.labels, rows.usages
    counts = class_counts(labels)
    if (labels != fer2013.UNLABELLED).all():
        official.refuse_other_order(counts, where)
        if (usages == fer2013.UNLABELLED).all():
            official.refuse_merged(counts, len(rows.skipped), where)
            usages = np.full_like(usages, official.find_usage(counts))
    cautions = []
    if rows.contempt_rows:
        left_out = counted(rows.contempt_rows, "row")
        cautions.append(f"{left_out} of contempt left out (label 7): {official.CONTEMPT}")
    cautions += official.list_unofficial(labels, usages)
    rows = dataclasses.replace(rows, usages=usages)
    words = [f"this is {known_as}"] if known_as else []
    return _make_examples(rows, path, words=words, cautions=cautions)


def _from_images(images: image_folder.ImageFiles, path: Path, *, on_bad_row: BadRow) -> Examples:
    rows, cautions = image_folder.decode(images, where=str(path), on_bad_row=on_bad_row)
    return _make_examples(rows, path, words=[], cautions=cautions)


def _from_archive(archive: Archive, path: Path, *, on_bad_row: BadRow) -> Examples:
    _refuse_foreign(archive, path)
    tables = [name for name in archive.sizes if name.rpartition("/")[2] in manifest.NAMES]
    manifests = [name for name in tables if manifest.is_manifest(archive.read_start(name))]
    member = _choose_table(archive, path, but=manifests)
    if member is None and manifests:
        raise DataError(
            f"{path}: found the manifest {printable(manifests[0])}, which lists pictures of your own; to "
            "use it, add --data.fit resize (evaluate: --fit resize); to ignore it, remove it from the archive"
        )
    if member is None:
        images = image_folder.ImageFiles(list(archive.sizes), archive.sizes.__getitem__, archive.read)
        return _from_images(images, path, on_bad_row=on_bad_row)
    where = f"{path}, member {printable(member)}"
    examples = _from_csv(archive.read(member), path, where, on_bad_row=on_bad_row)
    return dataclasses.replace(examples, contents=f"{printable(member)}: {examples.contents}")


def _refuse_foreign(archive: Archive, path: Path) -> None:
    """Refuse an archive that is the file of another program, or holds nothing but another archive."""
    names = list(archive.sizes)
    if any(name.startswith("xl/") for name in names):
        raise DataError(
            f"{path}: this is an Excel workbook; save it as CSV: "
            "pandas.read_excel(FILE).to_csv('fer2013.csv', index=False)"
        )
    if names and all(name.endswith(".npy") for name in names):
        raise DataError(f"{path}: these are NumPy arrays; save their rows as CSV, {WANTED_HEADER}")
    if not any(name.lower().endswith((".csv", *folder_names.SUFFIXES)) for name in names):
        inner = next((name for name in names if name.lower().endswith(archives.NAME_ENDS)), None)
        if inner is not None:
            raise DataError(
                f"{path}: the data in it is in another archive, {printable(inner)}; unpack "
                "the outer one, and give the inner one"
            )


def _choose_table(archive: Archive, path: Path, *, but: Collection[str]) -> str | None:
    """Choose the CSV with the most content: labels and usages, else labels, else pixels; None: no CSV."""
    columns: dict[str, tuple[str, ...]] = {}
    errors: list[DataError] = []
    for name in archive.sizes:
        if name.lower().endswith(".csv") and name not in but:
            try:
                where = f"{path}, member {printable(name)}"
                columns[name] = read_header(archive.read_start(name), where)
            except DataError as error:  # Such as example_submission.csv in Kaggle's archive.
                errors.append(error)
    if not columns:
        if errors and not any(name.lower().endswith(folder_names.SUFFIXES) for name in archive.sizes):
            raise errors[0]
        return None
    richness = {name: ("emotion" in found) * 2 + ("Usage" in found) for name, found in columns.items()}
    richest = [name for name in richness if richness[name] == max(richness.values())]
    if len(richest) > 1:
        raise DataError(
            f"{path}: found {len(richest)} CSV files with the same columns: {printable(', '.join(richest))}; "
            "wanted one; unpack the right one and give its path"
        )
    return richest[0]
