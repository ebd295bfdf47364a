"""Data, weights and run folders run no code: it is planted wherever a reader might unpickle or import."""

import contextlib
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reliability.fuzz_edits import Files, write
from benchmarks.reliability.fuzz_runs import READERS, good_card, good_run
from fer_jax.data.readers import kaggle
from fer_jax.errors import FerJaxError
from fer_jax.files import read_arrays
from fer_jax.inference import weights
from fer_jax.runs import checkpoint, record, tables


class Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.mark), "w")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Name a file that is there when planted code has run, and see that it would have."""
    probe = tmp_path / "probe"
    pickle.loads(pickle.dumps(Planted(probe))).close()
    assert probe.exists()
    return tmp_path / "it-ran"


def objects(mark: Path) -> np.ndarray:
    return np.array([Planted(mark)] * 3, dtype=object)


def packed(mark: Path) -> bytes:
    """Write a split whose arrays hold objects, as NumPy does with pickle."""
    file = io.BytesIO()
    arrays = dict.fromkeys(("train", "val", "test", "train_hashes"), objects(mark))
    np.savez(file, allow_pickle=True, **arrays)
    return file.getvalue()


def saved(mark: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, objects(mark), allow_pickle=True)
    return file.getvalue()


def read_run(folder: Path) -> None:
    record.read_record(folder)
    record.read_config(folder)
    tables.read_log(folder)
    record.read_split(folder)


def named(mark: Path) -> dict[str, object]:
    """Write JSON in the ways in which some readers of JSON name code to run."""
    call = {"args": [f"touch {mark}"], "py/reduce": [{"py/function": "os.system"}, f"touch {mark}"]}
    return {"__class__": "os.system", "_target_": "os.system", "py/object": "os.system", **call}


def run_files(mark: Path) -> dict[str, Files]:
    """List run folders with code in one file each."""
    good, code = good_run(), pickle.dumps(Planted(mark))
    config = json.loads(good["config.json"])
    return {
        "split.npz is a pickle": good | {"split.npz": code},
        "split.npz holds objects": good | {"split.npz": packed(mark)},
        "run.json is a pickle": good | {"run.json": code},
        "run.json names code": good | {"run.json": json.dumps(named(mark)).encode()},
        "config.json names code": good | {"config.json": json.dumps(config | named(mark)).encode()},
        "a name is code": good
        | {"config.json": json.dumps(config | {"name": f"__import__('os').system('touch {mark}')"}).encode()},
    }


@pytest.mark.parametrize("planted", run_files(Path("x")))
def test_a_run_folder_runs_no_code(planted: str, mark: Path, tmp_path: Path) -> None:
    write(run_files(mark)[planted], tmp_path / "run")
    with pytest.raises(FerJaxError):
        read_run(tmp_path / "run")
    assert not mark.exists()


@pytest.mark.parametrize("planted", ["card", "tensors", "card names code"])
def test_weights_run_no_code(planted: str, mark: Path, tmp_path: Path) -> None:
    code = pickle.dumps(Planted(mark))
    card = json.loads(good_card(code))
    files = {
        "card": {"net.json": code, "net.safetensors": code},
        "tensors": {"net.json": good_card(code), "net.safetensors": code},
        "card names code": {
            "net.json": json.dumps(card | {"model": card["model"] | named(mark)}).encode(),
            "net.safetensors": code,
        },
    }[planted]
    write(files, tmp_path)
    with pytest.raises(FerJaxError):
        weights.read(tmp_path, "net")
    assert not mark.exists()


def test_a_checkpoint_runs_no_code(mark: Path, tmp_path: Path) -> None:
    """A pickle stands in place of each file of a checkpoint in turn."""
    state = {"params": {"kernel": np.zeros((2, 3), np.float32)}}
    checkpoint.save(state, {"step": 1}, tmp_path / "good", is_best=False)
    last = tmp_path / "good" / checkpoint.LAST
    names = [path.relative_to(last) for path in last.rglob("*") if path.is_file()]
    for name in names:
        folder = Path(shutil.copytree(last, tmp_path / "planted" / checkpoint.LAST, dirs_exist_ok=True))
        (folder / name).write_bytes(pickle.dumps(Planted(mark)))
        with pytest.raises(FerJaxError):
            checkpoint.find_good(folder.parent, (checkpoint.LAST,))
        # Orbax reads some of its files only sometimes.
        with contextlib.suppress(FerJaxError):
            checkpoint.restore(state, folder)
    assert not mark.exists()


def test_data_runs_no_code(mark: Path, tmp_path: Path) -> None:
    code, folder = pickle.dumps(Planted(mark)), tmp_path / "data"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("images.npy", saved(mark))
        members.writestr("fer2013.csv", code)
    files = {"a.csv": code, "b.npy": saved(mark), "c.zip": archive.getvalue(), "d/sad/0.png": code}
    write(files, folder)
    for path in sorted(folder.iterdir()):
        with pytest.raises(FerJaxError):
            kaggle.read(path, on_bad_row="stop")
    assert read_arrays(folder / "b.npy") is None
    assert not mark.exists()


def test_every_reader_of_runs_and_weights_is_in_this_file() -> None:
    assert {reader.name for reader in READERS} == {"card", "checkpoint", "config", "run", "safetensors"}
