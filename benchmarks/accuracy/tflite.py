"""Do networks predict as TFLite files what they predict in JAX? They are converted in another environment.

    python3 -m venv tflite-env && tflite-env/bin/pip install litert-converter ai-edge-litert
    python -m benchmarks.accuracy.tflite --python tflite-env/bin/python --data fer2013.csv --keep exported
    python -m benchmarks.accuracy.tflite --redraw

The converter and fer_jax want different versions of one package. So the StableHLO of a network for one face
is written here, and converted and run there. Writes benchmarks/results/tflite.json and the section `tflite`
of docs/; with `--keep` also the files, NAME.tflite.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accuracy import exports, tflite_worker
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli, fer2013
from fer_jax.errors import ConfigError, RunError
from fer_jax.export import comparison
from fer_jax.export.graph.translation import make_program
from fer_jax.files import Json, read_json
from fer_jax.inference.predictor import Network
from fer_jax.text import to_markdown

PROGRAM = "python -m benchmarks.accuracy.tflite"
SECTION = "tflite"
PACKAGES = ("litert-converter", "ai-edge-litert")
VERSIONS = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PACKAGES}}}))"
"""What prints the versions of these packages as JSON."""


@dataclass(frozen=True)
class TFLite:
    """Convert networks to TFLite, and compare each file with the network in JAX."""

    networks: tuple[str, ...] = ("tiny", "mid", "best", "ferplus")
    """Released weights, or folders of runs."""
    python: Path | None = None
    """The Python of an environment with litert-converter and ai-edge-litert."""
    data: Path | None = None
    """FER2013 file."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, for networks that were trained on it."""
    keep: Path | None = None
    """Folder to keep the files in; by default they are only measured."""
    out: Path = bench.RESULTS / "tflite.json"
    """The JSON to write."""
    pages: tuple[Path, ...] = field(default=PAGES)
    """Pages that are searched for the section."""
    redraw: bool = False
    """Only write the section again, from the JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(TFLite, argv, prog=PROGRAM), bench.to_command(PROGRAM, argv)))


def _run(options: TFLite, command: str) -> int:
    if not options.redraw:
        if options.python is None:
            raise ConfigError(f"--python is missing: the Python of an environment with {', '.join(PACKAGES)}")
        versions = json.loads(_call(options.python, ["-c", VERSIONS]))
        bench.write(
            options.out,
            question="Do TFLite files predict what the networks predict in JAX?",
            command=command,
            settings={"converter": versions},
            results=[_measure(options, options.python, name) for name in options.networks],
            extra={},
        )
    print(f"written to {write_section(options.pages, SECTION, table(read_json(options.out)))}")
    return 0


def _measure(options: TFLite, python: Path, named: str) -> Json:
    """Convert one network, and compare the file."""
    console = bench.make_console()
    classifier, measured, reference = exports.load(console, named, options.data, options.ferplus)
    with tempfile.TemporaryDirectory() as folder:
        names = ("program.mlir", "faces.npy", "model.tflite", "logits.npy")
        program, faces, model, logits = (Path(folder) / name for name in names)
        program.write_text(write_program(classifier.network), encoding="utf-8")
        np.save(faces, measured.images)
        _call(python, [tflite_worker.__file__, *map(str, (program, faces, model, logits))])
        compared = comparison.compare(reference, np.load(logits), measured.labels)
        size = model.stat().st_size
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(model, options.keep / f"{classifier.name}.tflite")
    console.print(f"{classifier.name:<10} {compared['changed']:,} changed")
    return {"name": classifier.name, "bytes": size, "data": measured.facts, "compared": compared}


def write_program(network: Network) -> str:
    """Write a network for one face, uint8 [1, 48, 48, 1] -> logits float32 [1, C], as text of StableHLO."""
    program = make_program(network)
    face = jax.ShapeDtypeStruct((1, *fer2013.IMAGE_SHAPE), jnp.uint8)
    exported = jax.export.export(jax.jit(lambda images: program(network.variables, images)))(face)
    return str(exported.mlir_module())


def _call(python: Path, words: Sequence[str]) -> str:
    """Run the other environment's Python, and return what it prints.

    Raises:
        RunError: it failed.
    """
    try:
        done = subprocess.run([str(python), *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise RunError(f"--python {python} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:]
        raise RunError(f"--python {python} ended with status {done.returncode}: {' '.join(last)}")
    return done.stdout


def table(content: dict[str, Any]) -> str:
    """Lay out the results as Markdown."""
    rows = [["network", "MB", "largest difference of a logit", "changed predictions", "accuracy"]]
    for row in content["results"]:
        compared = row["compared"]
        rows.append(
            [
                f"`{row['name']}`",
                f"{row['bytes'] / 1e6:.2f}",
                f"{compared['largest_difference']:.2g}",
                f"{compared['changed']:,} of {compared['faces']:,}",
                exports.describe_accuracy(compared),
            ]
        )
    versions = ", ".join(f"{name} {version}" for name, version in content["settings"]["converter"].items())
    part = content["results"][0]["data"]["part"]
    return f"{to_markdown(rows, left_columns=1)}\n\nCompared on {part}, single view, with {versions}."


if __name__ == "__main__":
    sys.exit(main())
