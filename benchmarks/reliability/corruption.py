"""Is damage to a checkpoint always found? Damage every file of one in hundreds of ways, and resume.

    python -m benchmarks.reliability.corruption

The checkpoints `last`, `previous` and `best` of a small state are saved, and then `last` is damaged, once a
trial: every file is truncated at 64 lengths, has 256 single bits flipped, is swapped with every other one,
removed, made unreadable, or replaced by what is no file; a file is added to every folder. The damage has to
be found, the newest good checkpoint has to be the one that is used, and both have to be named. Some trials
restore the state too, and a few run `python -m fer_jax.train --resume`. Where all three are damaged, the run
is refused with exit status 4 and nothing is deleted. Writes benchmarks/results/reliability-corruption.json.
"""

import contextlib
import errno
import hashlib
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple
from unittest import mock

import numpy as np
from rich.console import Console

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.engine.loop import Replica
from fer_jax.errors import RunError
from fer_jax.files import Json
from fer_jax.runs import checkpoint
from fer_jax.train import resume

PROGRAM: Final = "python -m benchmarks.reliability.corruption"
QUESTION: Final = "Is damage to a checkpoint always found, and the newest good one used?"
STEPS: Final = {checkpoint.LAST: 3, checkpoint.PREVIOUS: 2, checkpoint.BEST: 1}
NOBODY: Final = 65534
TRAIN: Final = ("--config", str(Path(__file__).with_name("tiny.py")))


@dataclass(frozen=True, kw_only=True)
class CorruptionOptions:
    """Damage the files of a checkpoint, and check that each damage is found."""

    truncations: int = 64
    """Lengths at which each file is cut off."""
    flips: int = 256
    """Bits flipped in each file, one at a time."""
    restores: int = 16
    """Of so many trials one restores the state too."""
    all_bad: int = 200
    """Trials in which all three checkpoints are damaged."""
    commands: bool = True
    """Resume a damaged run with `python -m fer_jax.train` too."""
    seed: int = 0
    """Seed of the bits and of the damages drawn."""
    out: Path = bench.RESULTS / "reliability-corruption.json"
    """The JSON to write."""


class Damage(NamedTuple):
    """A damage to a checkpoint.

    Attributes:
        kind: for the table.
        what: the file, and how it is damaged.
        make: damages it, and gives the context in which it lasts.
    """

    kind: str
    what: str
    make: Callable[[], contextlib.AbstractContextManager[object]]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 where a damage was not found."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(CorruptionOptions, argv, prog=PROGRAM), argv))


def _run(options: CorruptionOptions, argv: Sequence[str]) -> int:
    console = bench.make_console()
    with tempfile.TemporaryDirectory() as scratch:
        results, failures = try_all(options, Path(scratch), console)
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            **{"truncations": options.truncations, "flips": options.flips, "restores": options.restores},
            **{"all_bad": options.all_bad, "seed": options.seed},
        },
        results=results,
        extra={"failures": failures},
    )
    tried = sum(row["tried"] for row in results)
    console.print(f"{tried - len(failures):,} of {tried:,} as promised; written to {options.out}")
    return 1 if failures else 0


def try_all(options: CorruptionOptions, scratch: Path, console: Console) -> tuple[list[Json], list[str]]:
    """Make all trials; return a row for each kind of damage, and what went wrong."""
    scratch.chmod(0o755)  # For the user without rights who cannot read a file.
    folder, rng = scratch / "run", random.Random(options.seed)
    states = save_three(folder / "checkpoints", np.random.default_rng(options.seed))
    tried: Counter[str] = Counter()
    failures: list[str] = []

    def note(kind: str, what: str, wrong: str | None) -> None:
        tried[kind] += 1
        if wrong is not None:
            failures.append(f"{kind}: {what}: {wrong}")

    last = folder / "checkpoints" / checkpoint.LAST
    for number, damage in enumerate(list_damages(last, options, rng)):
        with damage.make():
            wrong = find_fault(folder, states, is_restored=number % options.restores == 0)
        note(damage.kind, damage.what, wrong)
    note("none", "after all repairs", None if checkpoint.find_damage(last) is None else "damaged")
    for number in range(options.all_bad):
        with contextlib.ExitStack() as damages:
            made = [rng.choice(list_content_damages(last.with_name(name), rng)) for name in STEPS]
            for each in made:
                damages.enter_context(each.make())
            note("all three", f"{number}: {[each.what for each in made]}", find_acceptance(folder, states))
    if options.commands:
        for kind, what, wrong in try_commands(scratch / "trained", rng):
            note(kind, what, wrong)
    for kind, count in tried.items():
        console.print(f"{kind:40} {count:>6,}")
    failed = Counter(line.partition(":")[0] for line in failures)
    return [{"damage": kind, "tried": n, "failed": failed[kind]} for kind, n in tried.items()], failures


def list_content_damages(folder: Path, rng: random.Random) -> list[Damage]:
    """List some damages to a checkpoint that leave it in its place, and this process its rights."""
    some = CorruptionOptions(truncations=2, flips=2)
    return [
        each
        for each in list_damages(folder, some, rng)
        if each.kind not in ("unreadable (permissions)", "folder missing")
    ]


def save_three(checkpoints: Path, rng: np.random.Generator) -> dict[str, Json]:
    """Save `best`, `previous` and `last` of a small state, as `STEPS` says; return the states by name."""
    names = {step: name for name, step in STEPS.items()}
    states = {}
    for step in sorted(names):
        kernels = {f"layer{n}": rng.normal(size=(4, 8)).astype(np.float32) for n in range(3)}
        state = {"params": kernels, "step": np.int32(step)}
        meta = {"step": step, "progress": {"history": []}}
        checkpoint.save(state, meta, checkpoints, is_best=names[step] == checkpoint.BEST)
        states[names[step]] = state
    return states


def list_damages(folder: Path, options: CorruptionOptions, rng: random.Random) -> Iterator[Damage]:
    """List the damages to a checkpoint's files and folders."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    folders = sorted({folder, *(path for path in folder.rglob("*") if path.is_dir())})
    for path in files:
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        lengths = {len(content) * part // options.truncations for part in range(options.truncations)}
        for length in sorted(lengths | {len(content) - 1}):
            yield _rewritten("truncated", f"{name} to {length}", path, content[:length])
        bits = 8 * len(content)
        for bit in sorted(rng.sample(range(bits), min(options.flips, bits))):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            yield _rewritten("one bit flipped", f"{name}, bit {bit}", path, bytes(flipped))
        yield _rewritten("file longer", name, path, content + b"\0")
        yield Damage("file missing", name, partial(_moved, path))
        for kind, make in (("folder", Path.mkdir), ("FIFO", os.mkfifo), ("dangling link", _link_nowhere)):
            yield Damage(f"a {kind} in its place", name, partial(_moved, path, make))
        yield Damage("unreadable (EIO)", name, partial(_failing, path))
        if os.geteuid() == 0:
            yield Damage("unreadable (permissions)", name, partial(_forbidden, path))
    for one, other in combinations(files, 2):
        if one.read_bytes() != other.read_bytes():
            yield Damage("two files swapped", f"{one.name}, {other.name}", partial(_swapped, one, other))
    for path in folders:
        name = path.relative_to(folder).as_posix()
        yield Damage("file added", name, partial(_written, path / "added"))
        yield Damage("folder missing", name, partial(_moved, path))
        if os.geteuid() == 0:
            yield Damage("unreadable (permissions)", name, partial(_forbidden, path))


def _rewritten(kind: str, what: str, path: Path, content: bytes) -> Damage:
    return Damage(kind, what, partial(_written, path, content))


@contextlib.contextmanager
def _written(path: Path, content: bytes = b"") -> Iterator[None]:
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_bytes(before)


@contextlib.contextmanager
def _moved(path: Path, make: Callable[[Path], object] = lambda path: None) -> Iterator[None]:
    """Move a file or folder out of the checkpoint, and make something else in its place."""
    aside = Path(tempfile.gettempdir()) / f"corruption-{secrets.token_hex(8)}"
    shutil.move(path, aside)
    make(path)
    try:
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        shutil.move(aside, path)


def _link_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


@contextlib.contextmanager
def _swapped(one: Path, other: Path) -> Iterator[None]:
    first, second = one.read_bytes(), other.read_bytes()
    with _written(one, second), _written(other, first):
        yield


@contextlib.contextmanager
def _failing(path: Path) -> Iterator[None]:
    """Let every read of a file fail, as on a broken disk."""
    open_file = Path.open

    def fail(each: Path, *words: object, **options: object) -> object:
        if each == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return open_file(each, *words, **options)  # type: ignore[call-overload]

    # All of `pathlib`'s ways to read go through it, or through `io.open`.
    with mock.patch.object(Path, "open", fail), mock.patch("io.open", _failing_open(path)):
        yield


def _failing_open(path: Path) -> Callable[..., object]:
    real = open

    def fail(file: object, *words: object, **options: object) -> object:
        if str(file) == str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(file, *words, **options)  # type: ignore[call-overload]

    return fail


@contextlib.contextmanager
def _forbidden(path: Path) -> Iterator[None]:
    """Let a user without rights find a file or folder that it may not read."""
    mode = path.stat().st_mode & 0o777
    path.chmod(0)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        path.chmod(mode)


def find_fault(folder: Path, states: dict[str, Json], *, is_restored: bool) -> str | None:
    """Say what is wrong with how a run resumes whose `last` is damaged; None: nothing."""
    last, previous = (folder / "checkpoints" / name for name in (checkpoint.LAST, checkpoint.PREVIOUS))
    try:
        good, damaged = checkpoint.find_good(folder / "checkpoints", resume.NAMES)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if good != previous:
        return f"{good.name} was used"
    if len(damaged) != 1 or not damaged[0].startswith(f"checkpoint {last} cannot be used: "):
        return f"the message was {damaged}"
    if not is_restored:
        return None
    template = {"params": {name: np.zeros_like(x) for name, x in states[good.name]["params"].items()}}
    replica = Replica(0, folder, template | {"step": np.int32(0)})  # type: ignore[arg-type]
    try:
        lines = resume.restore([replica], select="last")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if checkpoint.state_hash(replica.state) != checkpoint.state_hash(states[good.name]):
        return "other bits were restored"
    wanted = [f"note: {damaged[0]}; using previous", f"resuming at step 2 from {previous}"]
    return None if lines == wanted else f"it said {lines}"


def find_acceptance(folder: Path, states: dict[str, Json]) -> str | None:
    """Say what is wrong with how a run is refused whose checkpoints are all damaged; None: nothing."""
    before = hash_tree(folder)
    replica = Replica(0, folder, states[checkpoint.LAST])  # type: ignore[arg-type]
    try:
        lines = resume.restore([replica], select="last")
    except RunError as error:
        named = all(str(folder / "checkpoints" / name) in str(error) for name in STEPS)
        if error.exit_code != 4 or not named:
            return f"the message was {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    else:
        return f"it was resumed: {lines}"
    return None if hash_tree(folder) == before else "files were changed"


def hash_tree(folder: Path) -> str:
    """Hash the names and contents of everything in a folder that can be read."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        if path.is_file():
            with contextlib.suppress(OSError):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def try_commands(folder: Path, rng: random.Random) -> Iterator[tuple[str, str, str | None]]:
    """Train a tiny network, damage it, and resume with the command: kind, what, and what is wrong."""
    options = CorruptionOptions(truncations=1, flips=1)
    made = _train(folder)
    yield "command", "trains", None if made.returncode == 0 else made.stderr
    checkpoints = folder / "checkpoints"
    for name in (checkpoint.LAST, checkpoint.PREVIOUS):
        damage = rng.choice(
            [each for each in list_damages(checkpoints / name, options, rng) if "bit" in each.kind]
        )
        with damage.make():
            done = _train(folder, "--resume")
        said = f"note: checkpoint {checkpoints / name} cannot be used: "
        is_right = done.returncode == 0 and (name != checkpoint.LAST or said in done.stdout)
        yield "command", f"{name}: {damage.what}", None if is_right else done.stdout + done.stderr
    with contextlib.ExitStack() as damages:
        for name in STEPS:
            damage = next(list_damages(checkpoints / name, options, rng))
            damages.enter_context(damage.make())
        before = hash_tree(checkpoints)
        done = _train(folder, "--resume")
        is_right = done.returncode == 4 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        is_right = is_right and hash_tree(checkpoints) == before
        yield "command", "all three", None if is_right else done.stdout + done.stderr


def _train(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "fer_jax.train", *TRAIN, "--run-dir", str(folder), *more]
    return subprocess.run(words, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
