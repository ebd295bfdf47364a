"""Where the data of a run is: the search for a file, and what to say where none is found that can be read."""

import os
from pathlib import Path
from typing import Final

from fer_jax.config.data import DataConfig
from fer_jax.data.readers import archives, file_kinds, image_folder
from fer_jax.data.readers.file_kinds import printable
from fer_jax.data.readers.folder_names import SUFFIXES
from fer_jax.data.readers.own import manifest
from fer_jax.errors import DataError
from fer_jax.files import expand_home, find_other_kind, suggest_path
from fer_jax.litter import is_litter

DEFAULT_FOLDER: Final = Path("data")
VARIABLE: Final = "FER_JAX_DATA"

_COMPETITION: Final = "challenges-in-representation-learning-facial-expression-recognition-challenge"

FILE_NAMES: Final = (
    "icml_face_data.csv",
    "fer2013.csv",
    "fer2013/fer2013.csv",
    f"{_COMPETITION}.zip",
    "icml_face_data.csv.zip",
    "fer2013.csv.zip",
    "fer2013.zip",
    "fer2013.tar.gz",
    "train.csv",
    "train.csv.zip",
    "archive.zip",
)
"""Kaggle's own names of its downloads, searched for in this order: those with the most content first."""

VOTES: Final = "fer2013new.csv"
"""FER+'s file, which may lie beside the data and is none."""

_READABLE_ENDS: Final = (".csv", *archives.NAME_ENDS)
_DATA_ENDS: Final = (
    *(*_READABLE_ENDS, *SUFFIXES),
    *(".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".z01", ".001"),
    *(".tsv", ".parquet", ".feather", ".arrow", ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".sqlite", ".db"),
    *(".npz", ".npy", ".h5", ".hdf5", ".pkl", ".pickle", ".mat", ".pt", ".pth", ".tfrecord", ".array_record"),
    *(".part", ".crdownload", ".download", ".partial"),
)
"""Ends of names, in lower case, that let a file look like data, readable or not."""

_DATA_WORDS: Final = ("fer2013", "fer-2013", "icml_face", "facial-expression")
_LEVELS: Final = 3

_LOOKED_FOR: Final = f"{', '.join(FILE_NAMES)} and no folder train/ or of a label"

HOW_TO_GET: Final = f"""\
Two ways to get FER2013 (both need a Kaggle account, and the rules of the competition accepted on its page):
  1. Kaggle's command line:
       pip install kaggle
       kaggle competitions download -c {_COMPETITION} -p data
  2. The web page: download into data/ (a .zip or .tar.gz is read as it is) from
       https://www.kaggle.com/c/{_COMPETITION}/data
     or, as a folder of images without PublicTest and PrivateTest told apart, from
       https://www.kaggle.com/datasets/msambare/fer2013
Then run again, or name another place with --data PATH or ${VARIABLE}."""


def find_file(config: DataConfig) -> Path | None:
    """Find what `load_examples` reads: the config's path, else $FER_JAX_DATA, else a file in data/.

    A folder is a folder of images, or holds one of `FILE_NAMES`, or, of one's own pictures, a manifest.

    Returns:
        The path; None: synthetic faces.

    Raises:
        DataError: a path was given and nothing is there, or the source needs a file and none is found.
    """
    if config.source == "synthetic":
        return None
    # A given path that does not exist is an error: training on something else would be worse.
    given = {"data.path (--data)": config.path, f"${VARIABLE}": os.environ.get(VARIABLE) or None}
    for name, text in given.items():
        if text is not None:
            return _find_given(text, name, is_own=config.is_own)
    if config.is_own:
        raise DataError(
            f"data.fit is {config.fit} and data.class_map {config.class_map[:80]}, which are for pictures of "
            "your own, and none are named; give a folder of class folders, an archive of it, or a manifest "
            "with --data"
        )
    if os.path.lexists(DEFAULT_FOLDER):
        found = _find_in(DEFAULT_FOLDER)
        if found is not None:
            return found
        unread = _describe_unread(DEFAULT_FOLDER)
        if unread is not None:  # Somebody put it there to train on it.
            raise DataError(f"{unread}; or, for drawn faces all the same, say so: --data.source synthetic")
    if config.source != "auto":
        raise DataError(
            f"data.source is {config.source}, but no FER2013 file was found: data.path (--data) and "
            f"${VARIABLE} are not set, and {DEFAULT_FOLDER.resolve()} has no {_LOOKED_FOR}\n{HOW_TO_GET}"
        )
    return None


def name_data(config: DataConfig) -> str:
    """Name what is read, for the names of files: the stem of its file, or "synthetic".

    Raises:
        DataError: as `find_file`.
    """
    path = find_file(config)
    return "synthetic" if path is None else path.stem.removesuffix(".tar").removesuffix(".csv")


def _find_given(text: str, name: str, *, is_own: bool) -> Path:
    try:
        path = expand_home(text)
        is_there, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:  # Too long, or with a NUL.
        said = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{name} is {printable(text[:200])}: {said}; give another path") from None
    if not is_there:
        near = suggest_path(path) or "; give a CSV file, an archive or a folder of images"
        raise DataError(f"{name} is {printable(text)}, and nothing is there{near}")
    if not is_folder:
        return path
    if is_own:
        # Whatever is in it: a manifest that cannot be used is reported, not ignored.
        return next((path / each for each in manifest.NAMES if (path / each).is_file()), path)
    found = _find_in(path)
    if found is None:
        why = _describe_unread(path) or "give the file itself"
        raise DataError(f"{name} is the folder {path}, which has no {_LOOKED_FOR}; {why}")
    return found


def _find_manifest(folder: Path) -> Path | None:
    """Find a manifest in a folder; a file that only has its name does not count."""
    named = (folder / name for name in manifest.NAMES)
    return next((each for each in named if manifest.is_manifest(manifest.read_start(each))), None)


def _find_in(path: Path) -> Path | None:
    """Find the file with the most content in a folder; the folder itself where it holds folders of images.

    A file with another name is used where it is the only CSV file or archive.

    Raises:
        DataError: there are several with other names, or it is no folder that can be read.
    """
    try:
        usual = next((path / name for name in FILE_NAMES if (path / name).is_file()), None)
        found = usual or _find_manifest(path)
        if found or image_folder.holds_images(path):
            return found or path
        others = [
            each
            for each in sorted(path.iterdir())
            if each.name.lower().endswith(_READABLE_ENDS) and not is_litter(each.name) and each.is_file()
        ]
    except OSError as error:
        raise DataError(f"{path}: cannot read this folder: {error.strerror}; give another --data") from None
    others = [each for each in others if each.name != VOTES]
    if len(others) > 1:
        names = printable(", ".join(each.name for each in others))
        raise DataError(f"{path} holds {names}; choose one with --data")
    return others[0] if others else None


def _describe_unread(folder: Path) -> str | None:
    """Say what looks like data in a folder that `_find_in` finds nothing in, and what to do; None: nothing.

    Raises:
        DataError: a folder in it cannot be read.
    """

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot read this folder: {error.strerror}; allow it, or move it")

    for parent, folders, files in os.walk(folder, onerror=fail):
        inner = Path(parent)
        folders[:] = sorted(name for name in folders if not is_litter(name))
        if len(inner.relative_to(folder).parts) >= _LEVELS:
            folders.clear()
        if inner != folder and (found := _find_in(inner)) is not None:
            return f"{folder} has data in a folder of its own; give it: --data {printable(str(found))}"
        for name in sorted(files):
            lower = name.lower()
            looks_like_data = lower.endswith(_DATA_ENDS) or any(word in lower for word in _DATA_WORDS)
            if looks_like_data and not is_litter(name):
                return f"{printable(str(inner / name))} is not read: {_explain_unread(inner / name)}"
    return None


def _explain_unread(path: Path) -> str:
    """Say why a file is no data that can be read, and what to do."""
    if path.name == VOTES:
        return "these are FER+'s votes, which have no pixels; get fer2013.csv too"
    if other := find_other_kind(path):
        return f"it is {other}; write its content to a file, or remove it"
    try:
        with path.open("rb") as file:
            start = file.read(archives.BLOCK_BYTES)
    except FileNotFoundError:
        return "it is a link to what is not there; link it anew, or remove it"
    except OSError as error:
        return f"{error.strerror}; allow it, or remove it"
    if path.name.lower().endswith(SUFFIXES):
        return "it is an image in no folder of a label; wanted train/<label>/*.png; move or remove it"
    kind = file_kinds.find_kind(start)
    if kind is not None and not archives.begins_archive(start):
        return f"it is {kind[0]}; {kind[1]}"
    return "its name is none that is looked for; name it with --data, or move it elsewhere"
