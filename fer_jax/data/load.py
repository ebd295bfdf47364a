"""Where the images of a run come from: the search for a file, and the choice of a reader."""

import os
from pathlib import Path
from typing import Final

from fer_jax.config.data import DataConfig
from fer_jax.data import synthetic
from fer_jax.data.examples import Examples
from fer_jax.data.readers import cache, image_folder
from fer_jax.errors import DataError
from fer_jax.files import suggest_path

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
    "train.csv",
    "train.csv.zip",
    "archive.zip",
)
"""Kaggle's own names of its downloads, searched for in this order: those with the most content first."""

_LOOKED_FOR: Final = f"{', '.join(FILE_NAMES)} and no folder train/ or of a label"

HOW_TO_GET: Final = f"""\
Two ways to get FER2013 (both need a Kaggle account, and the rules of the competition accepted on its page):
  1. Kaggle's command line:
       pip install kaggle
       kaggle competitions download -c {_COMPETITION} -p data
  2. The web page: download into data/ (a .zip is read as it is) from
       https://www.kaggle.com/c/{_COMPETITION}/data
     or, as a folder of images without PublicTest and PrivateTest told apart, from
       https://www.kaggle.com/datasets/msambare/fer2013
Then run again, or name another place with --data PATH or ${VARIABLE}."""


def load_examples(config: DataConfig) -> Examples:
    """Load the images that a config asks for.

    Returns:
        Examples; of unlabelled files too, which `split_examples` refuses.

    Raises:
        DataError: the file is missing, malformed or refused.
    """
    path = find_file(config)
    if path is None:
        return synthetic.draw_examples(seed=config.synthetic_seed, examples=config.synthetic_examples)
    if config.source == "tfds":
        from fer_jax.data.readers import tfds  # Not available on every platform.

        return tfds.read(path, on_bad_row=config.on_bad_row)
    return cache.read_cached(path, on_bad_row=config.on_bad_row)


def name_data(config: DataConfig) -> str:
    """Name what `load_examples` reads, for the names of files: the stem of its file, or "synthetic".

    Raises:
        DataError: as `find_file`.
    """
    path = find_file(config)
    return "synthetic" if path is None else path.stem


def find_file(config: DataConfig) -> Path | None:
    """Find what `load_examples` reads: the config's path, else $FER_JAX_DATA, else a file in data/.

    A folder is a folder of images, or holds one of `FILE_NAMES`.

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
            return _find_given(Path(text).expanduser(), name)
    found = _find_in(DEFAULT_FOLDER) if DEFAULT_FOLDER.is_dir() else None
    if found is None and config.source != "auto":
        raise DataError(
            f"data.source is {config.source}, but no FER2013 file was found: data.path (--data) and "
            f"${VARIABLE} are not set, and {DEFAULT_FOLDER.resolve()} has no {_LOOKED_FOR}\n{HOW_TO_GET}"
        )
    return found


def _find_given(path: Path, name: str) -> Path:
    if not path.exists():
        near = suggest_path(path) or "; give a CSV file, a .zip or a folder of images"
        raise DataError(f"{name} is {path}, and nothing is there{near}")
    if not path.is_dir():
        return path
    found = _find_in(path)
    if found is None:
        raise DataError(f"{name} is the folder {path}, which has no {_LOOKED_FOR}; give the file itself")
    return found


def _find_in(path: Path) -> Path | None:
    """Find the file with the most content in a folder; the folder itself where it holds folders of images.

    A file with another name is used where it is the only CSV file or archive.

    Raises:
        DataError: there are several with other names.
    """
    found = next((path / name for name in FILE_NAMES if (path / name).is_file()), None)
    if found or image_folder.holds_images(path):
        return found or path
    others = sorted(p for p in path.iterdir() if p.suffix.lower() in (".csv", ".zip") and p.is_file())
    if len(others) > 1:
        raise DataError(f"{path} holds {', '.join(p.name for p in others)}; choose one with --data")
    return others[0] if others else None
