"""What is left when the disk is full? Fill it while each kind of file is written, at ten places.

    python -m benchmarks.reliability.storage

Each kind of file is written once, and then again by a process that may not make a file larger than a tenth
of what it needs, two tenths, and so on (EFBIG, by the limit that `ulimit -f` sets), and on a disk that has
room for as much (ENOSPC, a tmpfs of that size; for root on Linux, who may mount one). The process has to
end with status 4 and one message, what was there has to be there still and be good, and nothing half-
written may have the final name of a file. A program does without a cache. Some trials run `python -m
fer_jax.train` as a user does, and resume the run when there is room again. Writes
benchmarks/results/reliability-storage.json.
"""

import contextlib
import hashlib
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rich.console import Console

from benchmarks.harness import bench
from benchmarks.reliability.storage_kinds import Kind, list_kinds
from fer_jax import cli
from fer_jax.errors import ConfigError
from fer_jax.files import Json, read_json

PROGRAM: Final = "python -m benchmarks.reliability.storage"
QUESTION: Final = "What is left when the disk is full, or a file may not become larger?"
Error = Literal["EFBIG", "ENOSPC"]
PAGE: Final = 4096
ROOM: Final = 64 << 20
OWN_FILES: Final = (".lock", ".owner.json")
TRAIN: Final = ("--config", str(Path(__file__).with_name("tiny.py")))


@dataclass(frozen=True, kw_only=True)
class StorageOptions:
    """Write each kind of file on a disk that is full, and check what is left."""

    places: int = 10
    """How many tenths, or other parts, of a file are written before the disk is full."""
    kinds: tuple[str, ...] = ()
    """Kinds of files, by the start of their names; all by default."""
    commands: bool = True
    """Train on a full disk with `python -m fer_jax.train` too."""
    out: Path = bench.RESULTS / "reliability-storage.json"
    """The JSON to write."""


class Ending(NamedTuple):
    """How a process ended: its status, and what it said on stderr."""

    status: int
    said: str


class Version(NamedTuple):
    """What a kind of file looks like when it is written: SHA-256 by name, and bytes by name."""

    hashes: dict[str, str]
    sizes: dict[str, int]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 where something was lost."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(StorageOptions, argv, prog=PROGRAM), argv))


def _run(options: StorageOptions, argv: Sequence[str]) -> int:
    console = bench.make_console()
    with tempfile.TemporaryDirectory() as scratch:
        results, failures = try_all(options, Path(scratch), console)
    errors = sorted({row["error"] for row in results})
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"places": options.places, "errors": errors},
        results=results,
        extra={"failures": failures},
    )
    tried = sum(row["tried"] for row in results)
    for line in failures:
        console.print(line)
    console.print(f"{tried - len(failures):,} of {tried:,} as promised; written to {options.out}")
    return 1 if failures else 0


def try_all(options: StorageOptions, scratch: Path, console: Console) -> tuple[list[Json], list[str]]:
    """Try all kinds of files; return a row for each kind and error, and what went wrong."""
    run = scratch / "run"
    _train(run)
    shutil.rmtree(run / "checkpoints")
    kinds = list_kinds(run)
    chosen = {n: k for n, k in kinds.items() if not options.kinds or n.startswith(options.kinds)}
    if not chosen:
        raise ConfigError(f"--kinds is {' '.join(options.kinds)}; there are {', '.join(kinds)}")
    results: list[Json] = []
    failures: list[str] = []
    with _mounted(scratch / "disk") as disk:
        for name, kind in chosen.items():
            for error in ("EFBIG", "ENOSPC") if disk else ("EFBIG",):
                row, wrong = try_kind(name, kind, error, scratch / name, disk, options.places)
                results.append(row)
                failures += wrong
                console.print(f"{name:36} {error}: {row['tried']} tried, {row['failed']} failed")
    if options.commands:
        # On a disk of its own: what was deleted on the other one may still be held open.
        with _mounted(scratch / "small") as disk:
            row, wrong = try_commands(scratch / "trained", disk)
        results.append(row)
        failures += wrong
    return results, failures


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[Path | None]:
    """Mount a disk in memory; None where this process may not."""
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        yield None
        return
    words = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _resize(disk: Path, size: int) -> None:
    words = ["mount", "-o", f"remount,size={size}", str(disk)]
    subprocess.run(words, check=True, capture_output=True)


def try_kind(
    name: str, kind: Kind, error: Error, folder: Path, disk: Path | None, places: int
) -> tuple[Json, list[str]]:
    """Write a kind of file with too little room, at several places; return a row and what went wrong."""
    home = folder if disk is None or error == "EFBIG" else disk / "home"
    versions = []
    for number in range(1, kind.before + 2):
        _prepare(home, disk, kind, writes=number)
        versions.append(_look(home))
    old, new = versions[-2:]
    written = {each: size for each, size in new.sizes.items() if old.hashes.get(each) != new.hashes[each]}
    if not written:  # The same again, such as a report of the same run.
        written = new.sizes
    needed = (
        max(written.values())
        if error == "EFBIG"
        else sum(PAGE * math.ceil(n / PAGE) for n in written.values())
    )
    counts = {"refused": 0, "fitted": 0, "done_without": 0}
    failures = []
    tried = 0
    for part in range(places):
        room = needed * part // places
        _prepare(home, disk, kind, writes=kind.before)
        if error == "ENOSPC" and disk is not None:
            used = shutil.disk_usage(disk).used
            _resize(disk, max(PAGE * ((used + room) // PAGE), PAGE))
        ending = _write(kind, home, kind.before + 1, limit=room if error == "EFBIG" else None)
        if disk is not None:
            _resize(disk, ROOM)
        tried += 1
        outcome, wrong = judge(kind, home, ending, old, new)
        if wrong is None:
            counts[outcome] += 1
        else:
            failures.append(f"{name}, {error} after {room} of {needed} bytes: {wrong}")
    row = {"kind": name, "error": error, "tried": tried, **counts, "failed": len(failures)}
    return row, failures


def _prepare(home: Path, disk: Path | None, kind: Kind, *, writes: int) -> None:
    """Start anew, and write the versions from 1 to `writes`."""
    if disk is not None:
        _resize(disk, ROOM)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for version in range(1, writes + 1):
        ending = _write(kind, home, version, limit=None)
        if ending.status:
            raise ConfigError(f"with room enough: {ending.said}")


def _write(kind: Kind, home: Path, version: int, *, limit: int | None) -> Ending:
    """Write a version in a process of its own, as a command does, with a limit to the bytes of a file."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks; it has computed nothing in this process.
        child = os.fork()
    if child == 0:
        status = 99
        try:
            os.close(reader)
            os.dup2(writer, 2)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            status = cli.run(partial(_program, kind, home, version))
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, errors="replace") as pipe:
        said = pipe.read()
    return Ending(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said)


def _program(kind: Kind, home: Path, version: int) -> int:
    kind.write(home, version)
    return 0


def _look(home: Path) -> Version:
    paths = {p.relative_to(home).as_posix(): p for p in sorted(home.rglob("*")) if p.is_file()}
    paths = {name: path for name, path in paths.items() if path.name not in OWN_FILES}
    return Version(
        {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()},
        {name: path.stat().st_size for name, path in paths.items()},
    )


def judge(kind: Kind, home: Path, ending: Ending, old: Version, new: Version) -> tuple[str, str | None]:
    """Judge a trial: how it ended (refused, fitted, done_without), and what is wrong; None: nothing."""
    if ending.status == 0 and not ending.said:
        is_written = kind.is_good is not None or _look(home).hashes == new.hashes
        outcome = "fitted" if is_written and not kind.is_spared else "done_without"
        if not is_written and not kind.is_spared:
            return outcome, f"status 0, and the new version is not there: {sorted(_look(home).hashes)}"
    elif ending.status == 4 and not kind.is_spared:
        outcome = "refused"
        if not ending.said.startswith("error: ") or ending.said.count("\n") != 1:
            return outcome, f"it said {ending.said!r}"
    else:
        return "", f"status {ending.status}, and it said {ending.said!r}"
    return outcome, _find_loss(kind, home, old, new)


def _find_loss(kind: Kind, home: Path, old: Version, new: Version) -> str | None:
    if kind.is_good is not None:
        try:
            return None if kind.is_good(home) else "what is left is not good"
        except Exception as error:
            return f"what is left is not good: {type(error).__name__}: {error}"
    left = _look(home).hashes
    if strange := left.keys() - old.hashes.keys() - new.hashes.keys():
        return f"left behind: {sorted(strange)}"
    if lost := old.hashes.keys() - left.keys():
        return f"lost: {sorted(lost)}"
    for name, found in left.items():
        if found not in (old.hashes.get(name), new.hashes.get(name)):
            return f"neither old nor new: {name}"
    if kind.are_together and left not in (old.hashes, new.hashes):
        return "some files are old and some new"
    return None


def try_commands(folder: Path, disk: Path | None) -> tuple[Json, list[str]]:
    """Train with too little room, then resume with enough: the bits are those of a run that had enough."""
    failures: list[str] = []
    tried = failed = 0
    _train(folder / "whole")
    wanted = read_json(folder / "whole" / "run.json")["last_state_sha256"]
    trials: list[tuple[str, Path, int | None]] = [("EFBIG", folder / "limited", 8192)]
    if disk is not None:
        trials.append(("ENOSPC", disk / "full", None))
    for error, run, limit in trials:
        tried, before = tried + 1, len(failures)
        if disk is not None and limit is None:
            _resize(disk, 1 << 20)
        done = _command(run, limit=limit)
        is_right = done.returncode == 4 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        if not is_right or "Continue with --resume" in done.stdout:
            failures.append(f"train, {error}: status {done.returncode}: {done.stdout}{done.stderr}")
        if disk is not None:
            _resize(disk, ROOM)
        more = ["--resume"] if (run / "run.json").exists() else []
        done = _command(run, *more, limit=None)
        if done.returncode or read_json(run / "run.json")["last_state_sha256"] != wanted:
            failures.append(f"train, {error}, resumed: status {done.returncode}: {done.stdout}{done.stderr}")
        failed += len(failures) > before
    counts = {"refused": tried - failed, "fitted": 0, "done_without": 0}
    return {"kind": "train", "error": "both", "tried": tried, **counts, "failed": failed}, failures


def _train(folder: Path) -> None:
    done = _command(folder, limit=None)
    if done.returncode:
        raise ConfigError(f"the tiny run failed: {done.stderr}")


def _command(folder: Path, *more: str, limit: int | None) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "fer_jax.train", *TRAIN, "--run-dir", str(folder), *more]
    if limit is not None:
        # Compiled programs are larger; that they cannot be kept is another message.
        words = [
            "bash",
            "-c",
            f'ulimit -f {limit // 1024}; exec "$@"',
            "bash",
            *words,
            "--device.no-compile-cache",
        ]
    return subprocess.run(words, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
