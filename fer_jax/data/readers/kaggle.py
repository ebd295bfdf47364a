"""Kaggle's files -> Examples: CSV in every variant, folders of images, and zip archives of either.

A file's type is read from its content, not its name.
"""

import dataclasses
import hashlib
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.data.examples import Examples, class_counts, hash_arrays
from fer_jax.data.readers import csv_rows, image_folder, official
from fer_jax.errors import DataError

_ZIP_START: Final = b"PK\x03\x04"
# Longer than any header, far shorter than a row.
_HEADER_BYTES: Final = 4096


def read(path: Path, *, on_bad_row: BadRow) -> Examples:
    """Read a CSV file, a folder of images, or a zip archive of one of them.

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
        if path.is_dir():
            return _from_images(image_folder.list_folder(path), path, on_bad_row=on_bad_row)
        with path.open("rb") as file:
            if file.read(len(_ZIP_START)) == _ZIP_START:
                return _read_zip(path, on_bad_row=on_bad_row)
        if path.suffix.lower() == ".zip":
            raise DataError(f"{path}: it is not a zip archive, or a damaged one; download it again")
        return _from_csv(path.read_bytes(), path, str(path), on_bad_row=on_bad_row)
    except OSError as error:
        raise DataError(f"{path}: cannot read it: {error.strerror or error}; give another --data") from None


def _make_examples(rows: csv_rows.Rows, path: Path, *, words: list[str]) -> Examples:
    """Describe and hash the rows; the words begin their description."""
    skipped = [f"{len(rows.skipped)} bad left out"] if rows.skipped else []
    contents = "; ".join([*words, official.describe_rows(rows.labels, rows.usages), *skipped])
    arrays = (rows.images, rows.labels, rows.usages)
    return Examples(*arrays, contents, hash_arrays(*arrays), path, rows.skipped)


def _from_csv(text: bytes, path: Path, where: str, *, on_bad_row: BadRow) -> Examples:
    # Hashing releases the GIL: it costs nothing beside the parsing.
    with ThreadPoolExecutor(1) as pool:
        md5 = pool.submit(lambda: hashlib.md5(text, usedforsecurity=False).hexdigest())
        rows = csv_rows.parse(text, where=where, on_bad_row=on_bad_row)
        known_as = fer2013.KNOWN_MD5.get(md5.result())
    labels, usages = rows.labels, rows.usages
    if (usages == fer2013.UNLABELLED).all() and (labels != fer2013.UNLABELLED).all():
        official.refuse_merged(class_counts(labels), len(rows.skipped), where)
        usages = np.full_like(usages, official.find_usage(class_counts(labels)))
    rows = csv_rows.Rows(rows.images, labels, usages, rows.skipped)
    return _make_examples(rows, path, words=[f"this is {known_as}"] if known_as else [])


def _from_images(images: image_folder.ImageFiles, path: Path, *, on_bad_row: BadRow) -> Examples:
    rows, words = image_folder.decode(images, where=str(path), on_bad_row=on_bad_row)
    return _make_examples(rows, path, words=words)


def _read_zip(path: Path, *, on_bad_row: BadRow) -> Examples:
    try:
        with zipfile.ZipFile(path) as archive:
            # macOS adds a shadow of each file.
            names = [n for n in archive.namelist() if not n.endswith("/") and not image_folder.is_litter(n)]
            member = _choose_table(archive, names, path)
            if member is None:
                images = image_folder.ImageFiles(names, archive.read)
                return _from_images(images, path, on_bad_row=on_bad_row)
            where = f"{path}, member {member}"
            examples = _from_csv(archive.read(member), path, where, on_bad_row=on_bad_row)
            return dataclasses.replace(examples, contents=f"{member}: {examples.contents}")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise DataError(f"{path}: the zip archive is damaged or locked: {error}; download it again") from None


def _choose_table(archive: zipfile.ZipFile, names: list[str], path: Path) -> str | None:
    """Choose the CSV with the most content: labels and usages, else labels, else pixels; None: no CSV."""
    columns: dict[str, tuple[str, ...]] = {}
    errors: list[DataError] = []
    for name in names:
        if name.lower().endswith(".csv"):
            with archive.open(name) as member:
                try:
                    columns[name] = csv_rows.read_header(
                        member.readline(_HEADER_BYTES), f"{path}, member {name}"
                    )
                except DataError as error:  # Such as example_submission.csv in Kaggle's archive.
                    errors.append(error)
    if not columns:
        if errors and not any(name.lower().endswith(image_folder.SUFFIXES) for name in names):
            raise errors[0]
        return None
    richness = {name: ("emotion" in found) * 2 + ("Usage" in found) for name, found in columns.items()}
    richest = [name for name in richness if richness[name] == max(richness.values())]
    if len(richest) > 1:
        raise DataError(
            f"{path}: found {len(richest)} CSV files with the same columns: {', '.join(richest)}; wanted "
            "one; unpack the right one and give its path"
        )
    return richest[0]
