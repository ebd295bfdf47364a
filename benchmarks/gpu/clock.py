"""From the command to an accuracy, everything counted: in new processes, from a cold and a warm cache.

Cold: no compiled program is at hand. Warm: those of the cold run are. Autotuned: no compiled program, but
XLA's choice of kernels on this card, which the cold training wrote; the folder `autotuned` keeps it.

The flags for that are those of the training alone: each process that compiles with them writes the file anew,
so the measurement with views would replace the training's choices by its own. And the warm training has
those of the cold one, although it compiles nothing: XLA's flags are part of the key of a kept program.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.accuracy import time_to_accuracy
from benchmarks.accuracy.time_to_accuracy import TimeToAccuracy
from benchmarks.gpu import tiny
from benchmarks.gpu.session import Content, Session
from benchmarks.harness import bench, timeline
from fer_jax.config.files import load_config, to_json
from fer_jax.errors import RunError
from fer_jax.files import read_json
from fer_jax.runtime import cpu

CONFIG: Final = bench.ROOT / "configs" / "best.py"
TARGETS: Final = (60, 65, 66, 68, 70, 71, 72)
LONG: Final = "best100"
SEVERAL: Final = 2
DUMP: Final = "--xla_gpu_dump_autotune_results_to"
AUTOTUNED: Final = "autotuned"
"""Folder of XLA's choice of kernels, in a file named as `fer_jax` looks for it."""
VIEWS: Final = "flip-zooms"


def measure(session: Session) -> Content:
    """Time the training from a cold cache, which dumps what autotuning found, and from a warm one."""
    home, choice = _empty(session), _name_choice(session)
    dump = home / "autotuned.txt"
    flags = f"{DUMP}={dump}"
    rows = [_time(session, "cold", home, flags)]
    shutil.rmtree(choice.parent, ignore_errors=True)
    # On a CPU there is nothing to choose.
    if dump.exists():
        choice.parent.mkdir()
        shutil.copyfile(dump, choice)
    rows.append(_time(session, "warm", home, flags))
    return _to_content(session, rows, files=[f"{AUTOTUNED}/{choice.name}"] if choice.exists() else [])


def measure_autotuned(session: Session) -> Content:
    """Time the training from a cold cache with the kernels that autotuning chose before."""
    choice = _name_choice(session)
    if not choice.exists() and not session.is_tiny:
        raise RunError(f"{choice} is missing: what `clock` autotuned was dumped nowhere, or for another card")
    flags = f"{cpu.LOAD_AUTOTUNED}={choice.resolve()}" if choice.exists() else ""
    return _to_content(session, [_time(session, "autotuned", _empty(session), flags)])


def measure_several(session: Session) -> Content:
    """Time several seeds of the large recipe and their ensemble's measurement, from a cold cache."""
    home = _empty(session)
    path = _config(session) if session.is_tiny else bench.ROOT / "configs" / f"{LONG}.py"
    folder = home / "runs"
    words = ["--config", str(path), *timeline.data_words(session.data, 0), "--seeds", str(SEVERAL)]
    with _environment(home):
        started = time.perf_counter()
        run = timeline.watch(timeline.python("fer_jax.train", *words, "--run-dir", str(folder)), folder)
        options = ("--split", "val", "--views", VIEWS, "--no-robustness", "--out", str(home / "ensemble"))
        timeline.call(timeline.python("fer_jax.evaluate", str(folder), *options))
        seconds = time.perf_counter() - started
    figures = read_json(next((home / "ensemble").glob("ensemble_*.json")))
    row = {
        "name": "cold, several networks",
        "networks": SEVERAL,
        "views": VIEWS,
        "seconds": seconds,
        "trained_s": run.total_s,
        "ends_s": run.ends_s,
        "correct": figures["correct"],
        "total": figures["total"],
    }
    return Content([row], {"config": to_json(load_config(path)), "data": timeline.name_data(session.data)})


def _time(session: Session, name: str, home: Path, flags: str) -> dict[str, Any]:
    options = TimeToAccuracy(
        config=_config(session), data=session.data, targets=TARGETS, views="flip", keep=home / name
    )
    with _environment(home):
        training = {"XLA_FLAGS": " ".join(filter(None, [os.environ.get("XLA_FLAGS"), flags]))}
        # Tried and remembered before the clock starts: the flags are this benchmark's, not a user's.
        timeline.call([sys.executable, *timeline.CHECK_FLAGS], training)
        (row,) = time_to_accuracy.train(options, session.console, training)
    return {**row, "name": name, "xla_flags": flags.replace(f"{session.out.resolve()}{os.sep}", "")}


def _to_content(session: Session, rows: list[dict[str, Any]], files: Sequence[str] = ()) -> Content:
    config = to_json(load_config(_config(session)))
    return Content(
        files=files,
        settings={"config": config, "targets_percent": TARGETS, "data": timeline.name_data(session.data)},
        results=rows,
    )


def _name_choice(session: Session) -> Path:
    return session.out / AUTOTUNED / (cpu.name_autotuned() or "unknown.txt")


def _config(session: Session) -> Path:
    return tiny.write_config(session.out / "tiny") if session.is_tiny else CONFIG


def _empty(session: Session) -> Path:
    """Make an empty folder for runs and compiled programs."""
    home = session.out.resolve() / "clock"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    return home


@contextmanager
def _environment(home: Path) -> Iterator[None]:
    """Give processes that are started an own cache; they share the card."""
    old = dict(os.environ)
    more: Mapping[str, str] = {
        "FER_JAX_CACHE": str(home / "cache"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    # A folder that JAX is told to keep programs in would be neither cold nor ours.
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(old)
