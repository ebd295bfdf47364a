"""Builds the demo in one folder: its own files, ONNX Runtime Web, the detector, the networks, an example."""

import contextvars
import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from matplotlib import cbook

from fer_jax.errors import RunError
from fer_jax.faces import yunet
from fer_jax.files import write_json
from fer_jax.runtime.verbosity import Verbosity, set_verbosity
from web.catalogue import describe
from web.runtime import fetch_runtime

PAGE: Final = Path(__file__).parent / "page"
SERVICE_WORKER: Final = "service_worker.js"
MARK: Final = "models/models.json"
"""A folder without this file was not built here, and is not replaced."""

EXAMPLE: Final = {"file": "example.jpg", "title": "the example, Grace Hopper's portrait"}
"""Comes with matplotlib; the picture is the U.S. Navy's and in the public domain."""


def build(out: Path, networks: Sequence[str], export: Callable[[str, Path], Path]) -> None:
    """Build the demo; a reader of the folder sees the old one or the new one.

    Args:
        out: the folder; an earlier demo in it is replaced.
        networks: names of released networks; the page starts with the first.
        export: writes the ONNX file of a network into a folder, and returns its path.

    Raises:
        RunError: there is something else in the folder, or npm cannot get ONNX Runtime Web.
        ConfigError: the detector is not installed.
    """
    if out.exists() and not (out / MARK).is_file():
        raise RunError(f"{out} exists and is no demo; name another folder with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        folder = Path(scratch) / "new"
        shutil.copytree(PAGE, folder)
        fetch_runtime(folder / "runtime")
        shutil.copy(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False), folder / EXAMPLE["file"])
        models = folder / "models"
        models.mkdir()
        detector = models / yunet.FILE
        detector.write_bytes(yunet.read_model())
        files = {name: export(name, models) for name in networks}
        version = importlib.metadata.version("fer-jax")
        write_json(folder / MARK, describe(files, detector, version=version, example=EXAMPLE))
        list_files(folder)
        folder.chmod(0o755)
        if out.exists():
            out.rename(Path(scratch) / "old")
        folder.rename(out)


def export_network(name: str, folder: Path) -> Path:
    """Export a released network to ONNX; float16 is what its kernels are stored in, so nothing is lost.

    The export compares itself with the network, on FER2013's faces if there are any, else on synthetic ones.

    Args:
        name: of the network.
        folder: where to write.

    Returns:
        The file.

    Raises:
        FerJaxError: there is no such network, or the file is not what the network is.
    """
    from fer_jax.export import options, run  # JAX takes seconds to import.

    with tempfile.TemporaryDirectory() as scratch:
        wanted = options.ExportOptions(network=name, to=("onnx",), dtype="float16", out=Path(scratch))
        # In a context of its own: what the page needs to say about a network is in the network's card.
        context = contextvars.copy_context()
        context.run(set_verbosity, Verbosity.QUIET)
        context.run(run.export, wanted)
        file, _ = options.name_files(wanted, name, "onnx")
        return Path(shutil.copy(file, folder / f"{name}.onnx"))


def measure(folder: Path) -> tuple[int, int]:
    """Count the files of a folder, and their bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def list_files(folder: Path) -> None:
    """Write into the service worker which files there are, and a version that changes with each of them."""
    worker = folder / SERVICE_WORKER
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path != worker
    )
    digest = hashlib.sha256(worker.read_bytes())
    for name in names:
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    files = ", ".join(json.dumps(name) for name in ["./", *names])
    text = (
        worker.read_text(encoding="utf-8")
        .replace('"$files"', files)
        .replace("$version", digest.hexdigest()[:16])
    )
    worker.write_text(text, encoding="utf-8")
