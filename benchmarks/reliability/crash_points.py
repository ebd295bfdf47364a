"""Where a run is killed: named points, and the instruments that kill a process there.

The program that is tested knows nothing of this. In a process that is about to train, `os.replace`,
`shutil.rmtree`, some functions of fer_jax and JAX, and Python's audit events of opened files are watched; at
the chosen occurrence of the chosen point the process gets SIGKILL. Within a write it dies at a chosen byte,
by the default action of SIGXFSZ: a file-size limit of so many bytes is set when the file has been opened.
"""

import importlib
import os
import random
import re
import resource
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from fer_jax.files import Json

SAVE_BEGINS, SAVE_ENDS, AIM_BEGINS, AIM_ENDS = b"(", b")", b"[", b"]"
"""What a watched process writes into its pipe."""
TORN_BYTES: Final = 200
"""A torn file has at most so many bytes; all files that are written are longer."""

ORBAX_FOLDER: Final = r"/checkpoints/\.new/arrays\.orbax[^/]*"
"""Where Orbax writes the arrays, in threads of its own."""

FILES: Final = {
    name: rf"/\.{re.escape(name)}\.\w+\.tmp$"
    for name in (
        *("config.json", "split.npz", "run.json", "log.jsonl"),
        *("metrics.json", "curves.png", "confusion_val.png", "report.md", "report.html"),
    )
} | {
    "checkpoint meta.json": r"/checkpoints/\.new/\.meta\.json\.\w+\.tmp$",
    "checkpoint manifest.json": r"/checkpoints/\.new/\.manifest\.json\.\w+\.tmp$",
}
"""Files that are written beside their place and then moved there: the paths where they are written."""
OTHER_FILES: Final = {
    "checkpoint arrays": rf"{ORBAX_FOLDER}/",
    "copy of a checkpoint": r"/checkpoints/\.new-best/",
}
FOLDERS: Final = {
    "checkpoint arrays": r"/checkpoints/\.new/arrays[^/]*$",
    "last checkpoint to previous": r"/checkpoints/last$",
    "best checkpoint": r"/checkpoints/\.new-best$",
    "new checkpoint to last": r"/checkpoints/\.new$",
}
"""Folders that are moved: the paths from which."""
PRUNED: Final = {
    "previous checkpoint": r"/checkpoints/previous$",
    "best checkpoint": r"/checkpoints/best$",
    "unfinished checkpoint": r"/checkpoints/\.new(-best)?$",
    "tensorboard": r"/tensorboard$",
}
FUNCTIONS: Final = {
    "reading the data": ("fer_jax.report.terminal", "load_data", 0.05),
    "building the network": ("fer_jax.train.run", "_build", 0.3),
    "restoring": ("fer_jax.train.resume", "restore", 0.05),
    "training": ("fer_jax.engine.loop", "_take_steps", 0.1),
    "evaluation": ("fer_jax.engine.loop", "_record_epoch", 0.05),
    "saving": ("fer_jax.runs.checkpoint", "save", 0.1),
    "checking a checkpoint": ("fer_jax.runs.checkpoint", "find_damage", 0.004),
    "final measurement and reports": ("fer_jax.train.finish", "finish", 1.0),
}
"""Functions, and about how many seconds a call takes."""
COMPILING: Final = {
    "compiling": ("jax._src.compiler", "backend_compile_and_load", 0.2),
    "writing the compile cache": ("jax._src.lru_cache", "LRUCache.put", 0.002),
}
COMPILED_FILES: Final = {"compile cache": r"/xla/[^/]*-cache$"}
EVENTS: Final = "tensorboard events"
"""A file that is written by `RecordWriter.flush`, long after it has been opened."""
LOGGING: Final = "adding a line to the log"
LOG_NAME: Final = "log.jsonl"


class Point(NamedTuple):
    """A point at which a run can be killed.

    Attributes:
        kind: "write", "move", "prune", "call" or "log".
        name: in the tables above.
        moment: "before", "in" or "after".
    """

    kind: str
    name: str
    moment: str

    def __str__(self) -> str:
        """Describe it in a few words."""
        what = self.name if self.kind in ("call", "log") else f"the {self.kind} of {self.name}"
        return f"{self.moment} {what}"


WARM_POINTS: Final = (
    *(Point("write", name, moment) for name in (*FILES, *OTHER_FILES, EVENTS) for moment in ("before", "in")),
    *(Point("move", name, moment) for name in (*FILES, *FOLDERS) for moment in ("before", "after")),
    *(Point("prune", name, moment) for name in PRUNED for moment in ("before", "in", "after")),
    *(Point("call", name, moment) for name in FUNCTIONS for moment in ("before", "in", "after")),
    *(Point("log", LOGGING, moment) for moment in ("before", "in", "after")),
)
COLD_POINTS: Final = (
    *(Point("call", name, moment) for name in COMPILING for moment in ("before", "in", "after")),
    *(Point("write", name, "in") for name in COMPILED_FILES),
)
"""Points that need an empty compile cache."""
POINTS: Final = (*WARM_POINTS, *COLD_POINTS)
LEAVING_POINT: Final = Point("move", "checkpoint manifest.json", "before")
LEFTOVER_POINTS: Final = tuple(
    point for point in WARM_POINTS if point.kind == "prune" and point.name == "unfinished checkpoint"
)
"""Points that a run comes to only where the one before it was killed at `LEAVING_POINT` or the like."""
EARLIER_KILL: Final = Point("call", "saving", "after"), 2
"""A point, with its occurrence, after which a run is resumed with at least one finished epoch."""
_WRITTEN: Final = FILES | OTHER_FILES | COMPILED_FILES
_MOVED: Final = FILES | FOLDERS


@dataclass
class Watch:
    """Counts the points that a process comes to, and kills it at one of them.

    Attributes:
        pipe: the writing end; the other process reads when a save and the chosen call begin and end.
        point: where to kill the process; None: nowhere.
        occurrence: at which time that it comes there, from 1.
        draw: a number in 0..1 that chooses the byte or the deletion within the point.
        reached: how often it came to each point.
        main_thread: the one that trains.
        removals: how many files of a folder are deleted before the end; 0: it is not chosen.
        is_armed: whether the next write ends the process.
        is_log_due: whether the next line of the log does.
    """

    pipe: int
    point: Point | None
    occurrence: int
    draw: float
    reached: Counter[Point] = field(default_factory=Counter)
    main_thread: int = field(default_factory=threading.get_ident)
    removals: int = 0
    is_armed: bool = False
    is_log_due: bool = False

    def tell(self, word: bytes) -> None:
        """Write a word into the pipe; the call returns before the other process has read it."""
        os.write(self.pipe, word)

    def come_to(self, kind: str, name: str, moment: str) -> bool:
        """Count a point, and tell whether this is the chosen one."""
        point = Point(kind, name, moment)
        self.reached[point] += 1
        return point == self.point and self.reached[point] >= self.occurrence

    def pass_by(self, kind: str, name: str, moment: str) -> None:
        """Count a point; the process ends here if it is the chosen one."""
        if self.come_to(kind, name, moment):
            die()

    def tear(self, size: int) -> None:
        """Let the next write end the process within it: `size` bytes are in the file before."""
        limit = size + round(self.draw * TORN_BYTES)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        self.is_armed = True

    def lift_limit(self) -> None:
        """Take the limit back."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.is_armed = False


def die() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def watch(pipe: int, point: Point | None, *, occurrence: int, draw: float) -> Watch:
    """Watch this process from now on, see `Watch`."""
    watched = Watch(pipe, point, occurrence, draw)
    if point is not None:
        # Python ignores it, and a write beyond the limit would be an error.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))
    for table in (FUNCTIONS, COMPILING):
        for name, (module, attribute, _) in table.items():
            _wrap_call(watched, name, module, attribute)
    _wrap_saving(watched)
    _wrap_log(watched)
    _wrap_events(watched)
    _wrap_moves(watched)
    _wrap_prunes(watched)
    _listen(watched)
    return watched


def _find(table: dict[str, str], path: str) -> list[str]:
    return [name for name, pattern in table.items() if re.search(pattern, path)]


def _locate(module: str, attribute: str) -> tuple[Any, str, Callable[..., Any]]:
    owner: Any = importlib.import_module(module)
    *classes, last = attribute.split(".")
    for name in classes:
        owner = getattr(owner, name)
    return owner, last, getattr(owner, last)


def _wrap_call(watched: Watch, name: str, module: str, attribute: str) -> None:
    owner, last, function = _locate(module, attribute)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        watched.pass_by("call", name, "before")
        if is_aim := watched.come_to("call", name, "in"):
            watched.tell(AIM_BEGINS)
        result = function(*args, **kwargs)
        if is_aim:
            watched.tell(AIM_ENDS)
        watched.pass_by("call", name, "after")
        return result

    setattr(owner, last, wrapped)


def _wrap_saving(watched: Watch) -> None:
    owner, last, save = _locate("fer_jax.runs.checkpoint", "save")

    def wrapped(*args: Any, **kwargs: Any) -> None:
        watched.tell(SAVE_BEGINS)
        save(*args, **kwargs)
        watched.tell(SAVE_ENDS)

    setattr(owner, last, wrapped)


def _wrap_log(watched: Watch) -> None:
    owner, last, open_log = _locate("fer_jax.runs.record", "open_log")

    @contextmanager
    def wrapped(folder: Path, *args: Any) -> Iterator[Callable[[Json], None]]:
        with open_log(folder, *args) as add:

            def add_record(record: Json) -> None:
                watched.pass_by("log", LOGGING, "before")
                watched.is_log_due = watched.come_to("log", LOGGING, "in")
                add(record)
                watched.pass_by("log", LOGGING, "after")

            yield add_record

    setattr(owner, last, wrapped)


def _wrap_events(watched: Watch) -> None:
    owner, last, flush = _locate("tensorboardX.record_writer", "RecordWriter.flush")

    def wrapped(writer: Any) -> None:
        watched.pass_by("write", EVENTS, "before")
        is_chosen = watched.come_to("write", EVENTS, "in")
        if is_chosen:
            watched.tear(Path(writer.path).stat().st_size)
        flush(writer)
        if is_chosen:
            watched.lift_limit()  # There was less to write than the limit.

    setattr(owner, last, wrapped)


def _wrap_moves(watched: Watch) -> None:
    for last in ("rename", "replace"):
        move = getattr(os, last)

        def wrapped(source: Any, target: Any, *, move: Any = move, **kwargs: Any) -> None:
            names = _find(_MOVED, os.fspath(source))
            for name in names:
                watched.pass_by("move", name, "before")
            move(source, target, **kwargs)
            for name in names:
                watched.pass_by("move", name, "after")

        setattr(os, last, wrapped)


def _wrap_prunes(watched: Watch) -> None:
    remove_tree = shutil.rmtree

    def wrapped(path: Any, *args: Any, **kwargs: Any) -> None:
        is_there = Path(path).is_dir()
        names = _find(PRUNED, os.fspath(path)) if is_there else []
        for name in names:
            watched.pass_by("prune", name, "before")
            if watched.come_to("prune", name, "in"):
                watched.removals = 1 + round(watched.draw * 12)
        remove_tree(path, *args, **kwargs)
        if watched.removals:
            die()  # It had fewer files.
        for name in names:
            watched.pass_by("prune", name, "after")

    setattr(shutil, "rmtree", wrapped)  # noqa: B010


def _listen(watched: Watch) -> None:
    def hear(event: str, args: Sequence[Any]) -> None:
        if event not in ("open", "os.remove", "os.rename"):
            return
        # Without O_CREAT a file is read, or opened again to sync it.
        path = os.fspath(args[0]) if isinstance(args[0], str | os.PathLike) else ""
        is_new = event == "open" and isinstance(args[2], int) and bool(args[2] & os.O_CREAT)
        if threading.get_ident() == watched.main_thread:
            _hear_main(watched, event, path, is_new=is_new)
        if is_new:
            _hear_write(watched, path)

    sys.addaudithook(hear)


def _hear_main(watched: Watch, event: str, path: str, *, is_new: bool) -> None:
    """Count the deletions within a folder; let the limit on a file that has been written go."""
    if event == "os.remove" and watched.removals:
        watched.removals -= 1
        if not watched.removals:
            die()
    if watched.is_armed and (is_new or event == "os.rename"):
        watched.lift_limit()  # What was opened before has been written, and was shorter than the limit.
    if watched.is_log_due and is_new and path.endswith(LOG_NAME):
        watched.is_log_due = False
        watched.tear(Path(path).stat().st_size)


def _hear_write(watched: Watch, path: str) -> None:
    """Count a file that is about to be written; Orbax's are written in other threads than the main one."""
    if threading.get_ident() != watched.main_thread and not re.search(ORBAX_FOLDER, path):
        return
    for name in _find(_WRITTEN, path):
        watched.pass_by("write", name, "before")
        if watched.come_to("write", name, "in"):
            watched.tear(0)


def choose_delay(draws: random.Random, point: Point) -> float:
    """Choose how many seconds after its begin a call is killed."""
    return draws.uniform(0, (FUNCTIONS | COMPILING)[point.name][2])
