"""What the benchmark programs share: installed libraries, the console, and the JSON file they write."""

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, write_json
from fer_jax.runtime import machine
from fer_jax.runtime.verbosity import Verbosity, get_verbosity

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
HOW_TO_INSTALL = "pip install 'fer-jax[bench]'"

# The machine and what is installed on it.


def is_installed(module: str) -> bool:
    """Whether a library of the extra `bench` is installed; it is not imported."""
    return importlib.util.find_spec(module) is not None


def keep_installed(needs: Mapping[str, Sequence[str]], console: Console) -> list[str]:
    """Leave out the candidates that need a library that is not installed, and say so.

    Args:
        needs: the modules that each candidate needs, by the candidate's name.
        console: where the message goes.

    Returns:
        The other candidates' names.
    """
    missing = {module for modules in needs.values() for module in modules if not is_installed(module)}
    left_out = [name for name, modules in needs.items() if missing.intersection(modules)]
    if left_out:
        console.print(
            f"left out: {', '.join(left_out)}; not installed: {', '.join(sorted(missing))}; {HOW_TO_INSTALL}"
        )
    return [name for name in needs if name not in left_out]


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU; no library is started."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def use_cpu_alone() -> None:
    """Keep this process and its children on the CPU, for comparisons in which all candidates run there."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_platforms", "cpu")


def source_key() -> str:
    """Name the source by its commit; if that does not identify it, anew each time, so nothing is reused."""
    commit = machine.git_commit()
    return commit if commit and not commit.endswith("-dirty") else f"{commit}-{secrets.token_hex(4)}"


def empty_work_folder(option: str, folder: Path) -> None:
    """Empty a work folder that an earlier call has made, or make it.

    Raises:
        RunError: it holds something, and no earlier call has made it.
    """
    mark = folder / ".benchmark"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise RunError(f"{option} is {folder}, which holds other files; name a new folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def multiplies_bfloat16() -> bool:
    """Whether the machine has bfloat16 instructions; without them a matrix product can take minutes."""
    cpu = Path("/proc/cpuinfo")
    return (
        has_gpu()
        or not cpu.exists()
        or re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", cpu.read_text()) is not None
    )


def list_versions() -> dict[str, str]:
    """Return the versions of fer_jax's dependencies and of the libraries it is compared with."""
    others = (
        "torch",
        "torchvision",
        "triton",
        "onnx",
        "onnxruntime",
        "opencv-python-headless",
        "opencv-python",
        "pillow",
    )
    versions = machine.list_versions()
    for name in others:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


# The console.


def make_console(width: int | None = None) -> Console:
    """Make the console of a program.

    Args:
        width: columns where the output goes to a file, so that no table is wrapped.
    """
    console = Console(markup=False, highlight=False, quiet=get_verbosity() == Verbosity.QUIET)
    if width is not None and not console.is_terminal:
        console.width = width
    return console


def make_table(title: str, columns: Sequence[str], *, first: str = "") -> Table:
    """Make a table with a first column of names and right-aligned columns of numbers."""
    table = Table(first, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


# The JSON file.


def to_command(program: str, argv: Sequence[str] | None) -> str:
    """Return the command line that repeats a measurement.

    Args:
        program: such as `python -m benchmarks.latency`.
        argv: its options; None: those of this process.
    """
    return f"{program} {shlex.join(sys.argv[1:] if argv is None else argv)}".strip()


def write(
    out: Path,
    *,
    question: str,
    command: str,
    settings: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    extra: Mapping[str, Any],
) -> None:
    """Write a benchmark's JSON, with the machine, the versions, the commit and the date.

    Call it after `arena.compare`: finding out the device starts JAX in this process.

    Args:
        out: the file; its folder is created if necessary.
        question: what the benchmark answers.
        command: repeats the measurement.
        settings: ready for JSON.
        results: one a row, see `arena.to_row`.
        extra: further entries of the file.

    Absolute paths lose their folders, see `without_folders`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "question": question,
        "command": command,
        "date": machine.now(),
        "git": machine.git_commit(),
        "machine": machine.describe_cpu(),
        "device": machine.describe_device(),
        "versions": list_versions(),
        "settings": settings,
        "results": results,
    }
    write_json(out, without_folders({**content, **extra}))


def read_rows(out: Path) -> list[dict[str, Any]]:
    """Read the rows of a JSON file written before, each with its `origin`, to keep some of them.

    What only a machine that is gone could measure again is not lost with the rest of the file.

    Args:
        out: the file; without it there are none.

    Raises:
        RunError: the file has another format.
    """
    if not out.exists():
        return []
    content = read_json(out)
    with reading(out):
        origin = {name: content[name] for name in ("command", "date", "git", "machine", "device", "versions")}
        return [{"origin": origin} | row for row in content["results"]]


def merge_rows(
    before: Sequence[dict[str, Any]], measured: Sequence[dict[str, Any]], order: Sequence[str]
) -> list[dict[str, Any]]:
    """Put new rows in the place of those of the same names, all in an order; names not in it come last."""
    names = {row["name"] for row in measured}
    others = [row for row in before if row["name"] not in names]
    every = [*order, *(row["name"] for row in others)]
    return sorted([*measured, *others], key=lambda row: every.index(row["name"]))


UNCOMMITTED = "measured with uncommitted changes"


def has_uncommitted(content: Mapping[str, Any]) -> bool:
    """Whether a JSON file was measured with uncommitted changes, so that no commit holds its code."""
    return str(content.get("git")).endswith("-dirty")


@contextmanager
def reading(file: Path | str) -> Iterator[None]:
    """Report a JSON file that lacks what the code inside reads.

    Args:
        file: the file, or words for several.

    Raises:
        RunError: an entry is missing or has another type.
    """
    try:
        yield
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{file} does not have the benchmarks' present format ({error!r}); measure again, or name another"
        ) from error


def redraw(source: Path, picture: Path | None, draw: Callable[[dict[str, Any], Path], None]) -> int:
    """Draw a picture from a JSON file measured before, for the option `--redraw`.

    Args:
        source: the JSON.
        picture: the PNG that `--plot` names.
        draw: (content, picture) -> None.

    Raises:
        ConfigError: `--plot` is missing.
        RunError: the JSON has another format.
    """
    if picture is None:
        raise ConfigError("--redraw needs --plot, the PNG to draw")
    with reading(source):
        draw(read_json(source), picture)
    print(f"drawn to {picture}")
    return 0


def without_folders(content: Any) -> Any:
    """Remove the folders of absolute paths from all text: where a file lay on one machine does not matter.

    Args:
        content: text, numbers, lists and mappings, nested.

    Returns:
        The same, with paths in the repository relative to its root, and of all others only the file's name.

    >>> without_folders({"command": f"train --config {ROOT}/configs/run6.py --data /home/me/train.csv"})
    {'command': 'train --config configs/run6.py --data train.csv'}
    """
    if isinstance(content, str):
        return re.sub(r"(?<![\w.:/])/(?:[\w.~-]+/)+", "", content.replace(f"{ROOT}/", ""))
    if isinstance(content, Mapping):
        return {name: without_folders(value) for name, value in content.items()}
    if isinstance(content, Sequence):
        return [without_folders(value) for value in content]
    return content
