"""A session on an accelerator: pieces in order, each saved when it is done, until the time is up.

A piece is one measurement with one JSON. A session skips the pieces whose JSON is there already, from the
same source; it starts a piece only if it is expected to fit into what is left of the time, and it ends in
time whatever a piece does: a training saves a checkpoint, anything else is given up. A piece in which two
earlier calls ended, by a crash inside a library say, comes last.
"""

import hashlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal

from rich.console import Console

from benchmarks.harness import bench
from benchmarks.harness.unattended import UNFINISHED
from fer_jax.errors import FerJaxError, RunError
from fer_jax.files import Json, read_json, write_json, write_text
from fer_jax.runtime.signals import StopError

SAVING_S: Final = 10.0
"""What is kept of the time for a training's last checkpoint and the program's end."""
PREFIX: Final = "gpu-"
INDEX: Final = "pieces.json"

Status = Literal["done", "kept", "ruled out", "left", "failed"]
FINISHED: Final[tuple[Status, ...]] = ("done", "kept", "ruled out")


class OutOfTimeError(BaseException):
    """The time is up. No library that catches every `Exception` may go on with the work."""


@dataclass(frozen=True)
class Content:
    """What a piece has measured.

    Attributes:
        results: rows, ready for JSON.
        settings: what was measured, ready for JSON.
        extra: further entries of the JSON.
        files: what else it has written, relative to the session's folder; without them it is not done.
    """

    results: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[str] = ()


@dataclass(eq=False)
class Session:
    """What all pieces of a call share.

    Attributes:
        data: FER2013's CSV; None: synthetic faces, at tiny size alone.
        ferplus: the votes of FER+; None: not at hand.
        out: folder of what comes back: the JSONs, `weights/` and `bank/`; and `runs/`, to resume here.
        is_tiny: whether everything is as small as it can be, to try the program on a CPU.
        command: the command line, for the JSONs.
        console: for people.
        ends_at: moment of `time.monotonic` at which the program has to have ended; None: no limit.
        keeps_all: whether pieces that were measured from other source files count, too.
        has_rung: whether the time is up.
        begun: the mark of the piece in work; None before the first.
    """

    data: Path | None
    ferplus: Path | None
    out: Path
    is_tiny: bool
    command: str
    console: Console
    ends_at: float | None
    keeps_all: bool = False
    has_rung: bool = False
    begun: Path | None = None
    source: str = field(default_factory=lambda: hash_source())

    def left_s(self) -> float:
        """Return how many seconds are left for pieces."""
        return float("inf") if self.ends_at is None else self.ends_at - SAVING_S - time.monotonic()

    @property
    def runs(self) -> Path:
        """The folder of the runs of this source: those of another one are not gone on with."""
        return self.out / "runs" / self.source[:12]

    def has_trained(self, name: str) -> bool:
        """Whether a run was trained here, so that its programs are compiled."""
        return (self.runs / name).exists()

    def path(self, name: str) -> Path:
        """Return the JSON of a piece."""
        return self.out / f"{PREFIX}{name}.json"

    def mark(self, name: str) -> Path:
        """Name the file that is there while a piece is measured, and afterwards if the process was killed."""
        return self.out / f"{name}.begun"

    def tries(self, name: str) -> int:
        """Count the calls that ended in the middle of a piece."""
        mark = self.mark(name)
        return len(mark.read_text()) if mark.exists() else 0

    def find(self, name: str) -> Json | None:
        """Read the JSON of a piece; None if there is none that counts, or a file of it is missing."""
        path = self.path(name)
        if not path.exists():
            return None
        content: Json = read_json(path)
        is_same = self.keeps_all or content.get("source_sha256") == self.source
        is_same = is_same and content.get("is_tiny") == self.is_tiny
        is_whole = is_same and all((self.out / file).exists() for file in content["files"])
        return content if is_whole else None

    def read(self, name: str) -> Json:
        """Read the JSON of a piece that another one needs.

        Raises:
            RunError: there is none.
        """
        content = self.find(name)
        if content is None:
            raise RunError(f"{self.path(name)} is missing, or from another source; measure it first")
        return content

    def save(self, name: str, question: str, content: Content, seconds: float) -> None:
        """Write the JSON of a piece, whole or not at all."""
        about = {
            "source_sha256": self.source,
            "is_tiny": self.is_tiny,
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
            "seconds": seconds,
            "files": list(content.files),
        }
        bench.write(
            self.path(name),
            question=question,
            command=self.command,
            settings=content.settings,
            results=content.results,
            extra={**content.extra, **about},
        )


@dataclass(frozen=True)
class Piece:
    """One measurement.

    Attributes:
        name: of its JSON, behind `gpu-`.
        question: what it answers.
        estimate_s: how long it takes, in seconds: an estimate, from what the session has measured before.
        measure: measures it.
        after: the pieces that it needs the results of.
        needs: in words, what else it needs and lacks; None: nothing.
        needs_card: whether it measures the accelerator, or trains on it.
        ruled_out: in words, why it need not be measured, by what was measured before; None: it has to be.
    """

    name: str
    question: str
    estimate_s: Callable[[Session], float]
    measure: Callable[[Session], Content]
    after: tuple[str, ...] = ()
    needs: Callable[[Session], str | None] = lambda session: None
    needs_card: bool = True
    ruled_out: Callable[[Session], str | None] = lambda session: None

    def is_settled(self, session: Session) -> bool:
        """Whether there is nothing left to measure."""
        return session.find(self.name) is not None or self.ruled_out(session) is not None


@dataclass(frozen=True)
class Outcome:
    """How a piece ended: its status, and a reason in words unless it was measured now."""

    name: str
    status: Status
    reason: str = ""


def hash_source() -> str:
    """Hash the Python files that decide a measurement: the package, the benchmarks and the configs."""
    digest = hashlib.sha256()
    for folder in ("fer_jax", "benchmarks", "configs"):
        for path in sorted((bench.ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(bench.ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def run(session: Session, wanted: Sequence[Piece], known: Sequence[Piece]) -> list[Outcome]:
    """Measure pieces in their order; `pieces.json` says after each how all of them stand.

    A piece that fails is reported and left, with its traceback in NAME.error.txt; the others go on.

    Args:
        session: of this call.
        wanted: the pieces to measure.
        known: all pieces, also those that the wanted ones need the results of.
    """
    outcomes: list[Outcome] = []
    by_name = {piece.name: piece for piece in known}
    # Else a crash would meet every further call at the same place.
    wanted = sorted(wanted, key=lambda piece: session.tries(piece.name) > 1)
    with _limited(session):
        for piece in wanted:
            outcome = _run_piece(session, piece, by_name)
            outcomes.append(outcome)
            words = f": {outcome.reason}" if outcome.reason else ""
            session.console.print(f"{outcome.name}: {outcome.status}{words}")
            _write_index(session, wanted, outcomes)
    _write_index(session, wanted, outcomes)
    return outcomes


def _run_piece(session: Session, piece: Piece, known: Mapping[str, Piece]) -> Outcome:
    if session.find(piece.name) is not None:
        return Outcome(piece.name, "kept")
    ruling = piece.ruled_out(session)
    if ruling is not None:
        return Outcome(piece.name, "ruled out", ruling)
    obstacle = _find_obstacle(session, piece, known)
    if obstacle is not None:
        return Outcome(piece.name, "left", obstacle)
    started = time.monotonic()
    session.console.rule(f"{piece.name}: {piece.question}")
    session.begun = session.mark(piece.name)
    with session.begun.open("a") as mark:
        mark.write(".")
    try:
        content = piece.measure(session)
        session.save(piece.name, piece.question, content, round(time.monotonic() - started, 3))
    except (OutOfTimeError, SystemExit):
        if not session.has_rung:
            raise
        return Outcome(piece.name, "left", f"the time was up after {time.monotonic() - started:.0f} s of it")
    except StopError:
        raise
    except FerJaxError as error:
        return Outcome(piece.name, "failed", str(error))
    except Exception as error:  # One piece in trouble must not take the others with it.
        write_text(session.out / f"{piece.name}.error.txt", traceback.format_exc())
        return Outcome(piece.name, "failed", f"{type(error).__name__}: {error}")
    finally:
        session.begun.unlink(missing_ok=True)
    return Outcome(piece.name, "done")


def _find_obstacle(session: Session, piece: Piece, known: Mapping[str, Piece]) -> str | None:
    missing = [name for name in piece.after if not known[name].is_settled(session)]
    if missing:
        return f"it needs the results of {', '.join(missing)}"
    lacks = piece.needs(session)
    if lacks is not None:
        return lacks
    needed, left = piece.estimate_s(session), session.left_s()
    if session.has_rung or needed > left:
        return f"it takes about {needed:.0f} s, and {max(left, 0):.0f} s are left"
    return None


def _write_index(session: Session, pieces: Sequence[Piece], outcomes: Sequence[Outcome]) -> None:
    known = {outcome.name: outcome for outcome in outcomes}
    rows = [known.get(piece.name, Outcome(piece.name, "left", "not begun")) for piece in pieces]
    content = [{"name": row.name, "status": row.status, "reason": row.reason} for row in rows]
    write_json(session.out / INDEX, {"is_tiny": session.is_tiny, "pieces": bench.without_folders(content)})


@contextmanager
def _limited(session: Session) -> Iterator[None]:
    """Stop a piece when the time is up, and end the program if it does not stop."""
    if session.ends_at is None:
        yield
        return

    outer = signal.getsignal(signal.SIGTERM)

    def ring(signum: int, frame: FrameType | None) -> None:
        session.has_rung = True
        if signal.getsignal(signal.SIGTERM) is outer:
            raise OutOfTimeError
        # A training collects signals, and saves a checkpoint before it returns.
        signal.raise_signal(signal.SIGTERM)

    def leave() -> None:
        # A call of a library that does not come back, such as a compilation: all finished pieces are saved.
        if session.begun is not None:
            session.begun.unlink(missing_ok=True)
        sys.stderr.write("\nthe time is up; the piece in work is given up; call again for the rest\n")
        sys.stderr.flush()
        os._exit(UNFINISHED)

    old = signal.signal(signal.SIGALRM, ring)
    last = threading.Timer(max(0.0, session.left_s()) + SAVING_S, leave)
    last.daemon = True
    last.start()
    signal.setitimer(signal.ITIMER_REAL, max(0.001, session.left_s()))
    try:
        yield
    except OutOfTimeError:
        # It rang between two pieces.
        session.has_rung = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        last.cancel()
