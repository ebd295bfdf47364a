import os
import zipfile
from pathlib import Path

import pytest

from fer_jax.config.data import DataConfig, SplitConfig
from fer_jax.data.load import load_examples
from fer_jax.data.location import find_file, name_data
from fer_jax.data.split import split_examples
from fer_jax.errors import DataError

ROW = f"3,{' '.join(['1'] * 2304)},Training\n"


def write_csv(path: Path, text: str = f"emotion,pixels,Usage\n{ROW}{ROW}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_search_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_file(DataConfig()) is None
    assert load_examples(DataConfig(synthetic_examples=70)).description.startswith("70 synthetic")
    (folder / "data").mkdir()
    assert find_file(DataConfig()) is None
    (folder / "data" / "train" / "sad").mkdir(parents=True)
    assert find_file(DataConfig()) == Path("data")
    for name in (
        "train.csv",
        "fer2013.csv",
        "icml_face_data.csv",
    ):  # each richer than the one before, or as rich
        write_csv(folder / "data" / name)
        assert find_file(DataConfig()) == Path("data") / name
    write_csv(folder / "variable.csv")
    monkeypatch.setenv("FER_JAX_DATA", "variable.csv")
    assert find_file(DataConfig()) == Path("variable.csv")
    write_csv(folder / "given" / "train.csv")
    assert find_file(DataConfig(path="given")) == Path("given/train.csv")
    assert find_file(DataConfig(path="given", source="synthetic")) is None
    assert load_examples(DataConfig(path="given")).description.startswith("given/train.csv: 2 Training rows")


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_a_manifest_in_a_folder_is_not_passed_over(name: str, folder: Path) -> None:
    (folder / "mine" / "happy").mkdir(parents=True)
    write_csv(folder / "mine" / name, "path,label\n")
    assert find_file(DataConfig(path="mine")) == Path("mine") / name
    with zipfile.ZipFile(folder / "mine.zip", "w") as archive:
        archive.writestr(f"mine/{name}", "path,label\n")
    with pytest.raises(
        DataError, match=f"found the manifest mine/{name}, which lists .* add --data.fit resize"
    ):
        load_examples(DataConfig(path="mine.zip"))


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
        load_examples(DataConfig(path=name if place == "path" else None))


@pytest.mark.parametrize("source", ["kaggle", "tfds"])
def test_a_file_or_nothing(source: str, folder: Path) -> None:
    with pytest.raises(DataError) as error:
        load_examples(DataConfig(source=source))  # type: ignore[arg-type]
    message = str(error.value)
    assert str(folder / "data") in message
    assert "kaggle competitions download" in message
    assert "https://www.kaggle.com/" in message


def test_unlabelled_files_load_and_are_refused_for_training(folder: Path) -> None:
    path = write_csv(folder / "test.csv", "pixels\n" + " ".join(["0"] * 2304) + "\n")
    examples = load_examples(DataConfig(path=str(path)))
    assert examples.labels.tolist() == [-1]
    with pytest.raises(DataError, match=r"test\.csv.*no labels"):
        split_examples(examples, SplitConfig())


def test_a_folder_is_searched_for_files_of_other_names_too(folder: Path) -> None:
    (folder / "data").mkdir(exist_ok=True)
    path = write_csv(folder / "data" / "mine.csv")
    assert find_file(DataConfig()) == path.relative_to(folder)
    write_csv(folder / "data" / "other.csv")
    with pytest.raises(DataError, match=r"mine\.csv, other\.csv.*--data"):
        find_file(DataConfig())


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
        find_file(DataConfig())
    assert wanted in str(error.value)
    assert "--data.source synthetic" in str(error.value)
    assert find_file(DataConfig(source="synthetic")) is None


def test_what_is_no_data_may_lie_in_the_folder(folder: Path) -> None:
    for name in ("README.md", ".gitkeep", "notes/todo.txt", "desktop.ini"):
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text("")
    assert find_file(DataConfig()) is None
    (folder / "data" / "fer2013.csv").symlink_to("gone.csv")
    with pytest.raises(DataError, match=r"a link to what is not there"):
        find_file(DataConfig())
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "data" / "data.csv")  # Reading it would wait for ever.
        with pytest.raises(DataError, match=r"data.csv is not read: it is a pipe or a device"):
            find_file(DataConfig())


@pytest.mark.parametrize("name", ["fer2013.tar.gz", "mine.tgz", "mine.csv.gz"])
def test_archives_are_found(name: str, folder: Path) -> None:
    write_csv(folder / "data" / name)
    write_csv(folder / "data" / "fer2013new.csv")
    assert find_file(DataConfig()) == Path("data") / name
    assert "." not in name_data(DataConfig())


@pytest.mark.parametrize("text", ["a" * 5000, "a\0b", "~nobody-of-this-name/faces.csv"])
def test_a_path_that_cannot_be_one_is_refused(text: str, folder: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path"):
        find_file(DataConfig(path=text))
