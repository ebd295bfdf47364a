"""The kinds of files that fer_jax writes, each as the program that writes it does."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np

from benchmarks.harness.bench import is_installed
from fer_jax import fer2013
from fer_jax.config.run import Config
from fer_jax.data.readers.cached.cache import read_cached
from fer_jax.data.split import Split
from fer_jax.files import keep_array, read_array, write_json, write_table
from fer_jax.predict.drawn import save_picture
from fer_jax.predict.recordings import writing_video
from fer_jax.release import run as release
from fer_jax.report import markdown, plots, run_page
from fer_jax.runs import checkpoint, record, trackers

PIXELS: Final = 48 * 48
DATA: Final = "faces.csv"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file.

    Attributes:
        write: writes it into a folder; the number tells its versions apart.
        is_spared: a program goes on where it cannot be written.
        are_together: its files belong together: all are new, or all are old.
        is_good: checks what is in the folder; None: files are compared byte by byte with the version that was
            there and with the one that was to be written.
        before: how often it is written before the disk is full.
    """

    write: Callable[[Path, int], None]
    is_spared: bool = False
    are_together: bool = False
    is_good: Callable[[Path], bool] | None = None
    before: int = 1


def _rng(version: int) -> np.random.Generator:
    return np.random.default_rng(version)


def _checkpoint(folder: Path, version: int) -> None:
    rng = _rng(version)
    state = {f"layer{n}": rng.normal(size=(40, 100)).astype(np.float32) for n in range(12)}
    meta = {"step": version, "progress": {"history": []}}
    checkpoint.save(state, meta, folder / "checkpoints", is_best=True)


def _taken_meanwhile(folder: Path, version: int) -> None:
    """Save a checkpoint while another program takes the space between the check and the write."""
    with mock.patch.object(checkpoint, "_reserve"):
        _checkpoint(folder, version)


def _has_good_checkpoints(folder: Path) -> bool:
    names = {path.name for path in (folder / "checkpoints").iterdir()}
    last = checkpoint.read_meta(folder / "checkpoints" / checkpoint.LAST)["step"]
    wanted = {checkpoint.LAST, checkpoint.PREVIOUS, checkpoint.BEST}
    is_whole = all(checkpoint.find_damage(folder / "checkpoints" / name) is None for name in wanted)
    return names == wanted and is_whole and last in (2, 3)


def _log(folder: Path, version: int) -> None:
    _log_to(folder, version, _config())


def _log_and_board(folder: Path, version: int) -> None:
    _log_to(folder, version, replace(_config(), train=replace(_config().train, trackers=("tensorboard",))))


def _log_to(folder: Path, version: int, config: Config) -> None:
    figures = dict.fromkeys(trackers.SCALARS, 1 / 3)
    lines = [figures | {"epoch": n, "step": n, "words": "x" * 4000} for n in range(1, 4)]
    with record.open_log(folder, config, lines[:version]) as add:
        add(lines[version])


def _has_whole_lines(folder: Path) -> bool:
    text = (folder / "log.jsonl").read_text()
    epochs = [json.loads(line)["epoch"] for line in text.splitlines()]
    return text.endswith("\n") and epochs == list(range(1, len(epochs) + 1)) and len(epochs) >= 1


def _config() -> Config:
    config = Config(name="storage")
    return replace(config, train=replace(config.train, trackers=()))


def _run_record(folder: Path, version: int) -> None:
    rows = np.arange(version, 6000 + version)
    split = Split(rows[:4000], rows[4000:5000], rows[5000:])
    facts = {"command": "x" * 20_000, "version": version}
    record.write(folder, _config(), split, facts, train_hashes=_rng(version).integers(2**63, size=4000))


def _report(run: Path) -> Callable[[Path, int], None]:
    def write(folder: Path, version: int) -> None:
        if version == 1:
            shutil.copytree(run, folder, dirs_exist_ok=True)
        else:
            markdown.write(folder)
            run_page.write(folder)

    return write


def _picture(folder: Path, version: int) -> None:
    counts = _rng(version).integers(1, 900, size=(7, 7))
    figure = plots.plot_confusion(counts, fer2013.LABELS, title=f"version {version}")
    plots.write_png(figure, folder / "confusion.png")


def _cache(folder: Path, version: int) -> None:
    os.environ["FER_JAX_CACHE"] = str(folder)
    data = folder.parent / DATA
    if not data.exists():
        rows = [" ".join(map(str, _rng(row).integers(256, size=PIXELS))) for row in range(12)]
        data.write_text("emotion,pixels\n" + "".join(f"{n % 7},{row}\n" for n, row in enumerate(rows)))
    if version == 1:
        return  # There is nothing in the cache at first.
    examples = read_cached(data, on_bad_row="stop")
    if len(examples.labels) != 12:
        raise ValueError("the data is not what is in the file")


def _has_good_cache(folder: Path) -> bool:
    os.environ["FER_JAX_CACHE"] = str(folder)
    return len(read_cached(folder.parent / DATA, on_bad_row="stop").labels) == 12


def _answers(folder: Path, version: int) -> None:
    os.environ["FER_JAX_CACHE"] = str(folder)
    keep_array("answers/a", _rng(version).normal(size=(500, 7)))


def _has_good_answers(folder: Path) -> bool:
    os.environ["FER_JAX_CACHE"] = str(folder)
    found = read_array("answers/a")
    return found is not None and any(np.array_equal(found, _rng(v).normal(size=(500, 7))) for v in (1, 2))


def _release(folder: Path, version: int) -> None:
    tensors = _rng(version).bytes(60_000)
    release.write(folder, "tiny", tensors, {"name": "tiny", "version": version, "about": "x" * 20_000})


def _sweep(folder: Path, version: int) -> None:
    from fer_jax.sweep import study
    from fer_jax.sweep.board import Team, open_board
    from fer_jax.sweep.database import Patience, database_errors
    from fer_jax.sweep.space import Range

    storage = f"sqlite:///{folder / 'sweep.db'}"
    patience = Patience(0.0, clock=time.monotonic, pause=time.sleep, tell=print)
    with database_errors(storage):
        board = open_board(
            storage,
            "storage",
            {"rate": Range(1e-5, 1.0, "log")},
            {"seeds": [0]},
            pruner="none",
            spared_epochs=1,
            seed=0,
            password=None,
            team=Team(patience, dead_after_s=60.0),
        )
        turn = study.take(board, most=100)
        if turn is not None:
            study.finish(board, turn, value=0.5, facts={"words": "x" * 40_000, "version": version})


def _has_good_database(folder: Path) -> bool:
    """Whether the trial that was finished before is there, and another one can be made."""
    import sqlite3

    with sqlite3.connect(folder / "sweep.db") as database:
        is_whole = database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        done = database.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0]
    return is_whole and done >= 1


def _json(folder: Path, version: int) -> None:
    write_json(folder / "faces.json", {"version": version, "faces": _rng(version).random(3000).tolist()})


def _table(name: str) -> Callable[[Path, int], None]:
    def write(folder: Path, version: int) -> None:
        import pandas as pd

        table = pd.DataFrame(_rng(version).random((900, 7)), columns=[f"p{n}" for n in range(7)])
        write_table(folder / name, table, is_parquet=name.endswith(".parquet"))

    return write


def _drawn(name: str) -> Callable[[Path, int], None]:
    def write(folder: Path, version: int) -> None:
        save_picture(_rng(version).integers(256, size=(120, 160, 3), dtype=np.uint8), folder / name)

    return write


def _video(folder: Path, version: int) -> None:
    with writing_video(folder / "drawn.mp4", fps=25) as write:
        for frame in range(12):
            write(_rng(100 * version + frame).integers(256, size=(64, 64, 3), dtype=np.uint8), frame / 25)


def list_kinds(run: Path) -> dict[str, Kind]:
    """List the kinds by name; `run` is the folder of a finished run, for its report."""
    saved: dict[str, Any] = {"is_good": _has_good_checkpoints, "before": 2}
    kinds = {
        "checkpoint": Kind(write=_checkpoint, **saved),
        "checkpoint, space taken meanwhile": Kind(write=_taken_meanwhile, **saved),
        "log": Kind(write=_log, is_good=_has_whole_lines),
        "log and TensorBoard": Kind(write=_log_and_board, is_good=_has_whole_lines),
        "run record": Kind(write=_run_record),
        "report": Kind(write=_report(run)),
        "picture": Kind(write=_picture),
        "cache of examples": Kind(write=_cache, is_spared=True, is_good=_has_good_cache),
        "cache of answers": Kind(write=_answers, is_spared=True, is_good=_has_good_answers),
        "release": Kind(write=_release, are_together=True),
        "table, JSON": Kind(write=_json),
        "table, CSV": Kind(write=_table("faces.csv")),
        "drawn copy, PNG": Kind(write=_drawn("drawn.png")),
        "drawn copy, JPEG": Kind(write=_drawn("drawn.jpg")),
    }
    if is_installed("pyarrow"):
        kinds["table, Parquet"] = Kind(write=_table("faces.parquet"))
    if is_installed("av"):
        kinds["drawn copy, video"] = Kind(write=_video)
    if is_installed("optuna"):
        kinds["sweep database"] = Kind(write=_sweep, is_good=_has_good_database)
    return kinds
