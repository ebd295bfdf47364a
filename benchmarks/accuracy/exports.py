"""Do exported networks predict what they predict in JAX? All forms, and what float16 and int8 cost.

    python -m benchmarks.accuracy.exports --data fer2013.csv --ferplus fer2013new.csv --emulate tiny mid
    python -m benchmarks.accuracy.exports --redraw

Exports each network in every form and compares it on PublicTest, int8 with the quantiser's default settings
too. With `--emulate` int8 also runs on a processor without VNNI, which QEMU emulates. Writes
benchmarks/results/exports.json and the section `exports` of docs/.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.accuracy import export_worker
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli
from fer_jax.errors import ConfigError, RunError
from fer_jax.export import comparison, int8, metadata, onnx_file, run
from fer_jax.export.faces import Faces
from fer_jax.export.graph import translation
from fer_jax.export.metadata import Origin
from fer_jax.export.options import ExportOptions
from fer_jax.files import Json, read_json
from fer_jax.inference import classifiers
from fer_jax.inference.predictor import Network, predict
from fer_jax.inference.weights import Classifier
from fer_jax.text import percent, to_markdown

PROGRAM = "python -m benchmarks.accuracy.exports"
SECTION = "exports"
EMULATOR = "qemu-x86_64"
PROCESSOR = "Haswell"
"""The processor that is emulated: AVX2, but no VNNI."""

FORMS = {
    "onnx": "ONNX",
    "onnx-float16": "ONNX, kernels in float16",
    "stablehlo": "StableHLO",
    "int8": "ONNX, int8",
    "int8-default": "the same, default settings",
}
"""Name of a form in the JSON -> its words in the table."""


@dataclass(frozen=True)
class Exports:
    """Export networks, and compare each file with the network in JAX."""

    networks: tuple[str, ...] = ("tiny", "mid", "best", "ferplus")
    """Released weights, or folders of runs."""
    data: Path | None = None
    """FER2013 file."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, for networks that were trained on it."""
    emulate: tuple[str, ...] = ()
    """Networks whose int8 files also run on an emulated processor; slow."""
    emulated_faces: int = 256
    """Faces there, the first ones of PublicTest."""
    out: Path = bench.RESULTS / "exports.json"
    """The JSON to write."""
    pages: tuple[Path, ...] = field(default=PAGES)
    """Pages that are searched for the section."""
    redraw: bool = False
    """Only write the section again, from the JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(Exports, argv, prog=PROGRAM), bench.to_command(PROGRAM, argv)))


def _run(options: Exports, command: str) -> int:
    if not options.redraw:
        if options.emulate and shutil.which(EMULATOR) is None:
            raise ConfigError(f"--emulate needs {EMULATOR}, which is not there; apt install qemu-user")
        bench.write(
            options.out,
            question="Do exported networks predict what they predict in JAX?",
            command=command,
            settings={"emulated_faces": options.emulated_faces, "processor": PROCESSOR},
            results=[row for name in options.networks for row in _measure(options, name)],
            extra={},
        )
    print(f"written to {write_section(options.pages, SECTION, table(read_json(options.out)))}")
    return 0


def _measure(options: Exports, named: str) -> Iterator[Json]:
    """Export a network in every form, and compare each."""
    console = bench.make_console()
    classifier, measured, reference = load(console, named, options.data, options.ferplus)
    origin = metadata.trace_origin(named, classifier, name=classifier.name)
    for form, content, program in _export(classifier.network, origin, measured):
        logits = comparison.run(program, measured.images, advance=lambda count: None)
        row: Json = {
            "name": origin.name,
            "form": form,
            "bytes": len(content),
            "tensors_sha256": origin.tensors_sha256,
            "data": measured.facts,
            "compared": comparison.compare(reference, logits, measured.labels),
        }
        if form.startswith("int8"):
            row["calibration"] = measured.calibration_facts
        if form.startswith("int8") and named in options.emulate:
            chosen = slice(0, options.emulated_faces)
            emulated = _emulate(content, measured.images[chosen])
            row["emulated"] = comparison.compare(reference[chosen], emulated, measured.labels[chosen])
        changed, accuracy = row["compared"]["changed"], describe_accuracy(row["compared"])
        console.print(f"{origin.name:<10} {form:<14} {changed:>5,} changed, accuracy {accuracy}")
        yield row


def load(
    console: Console, named: str, data: Path | None, votes: Path | None
) -> tuple[Classifier, Faces, np.ndarray]:
    """Load a network and the faces to compare on, and predict their logits float32 [N, C] in JAX."""
    classifier = classifiers.load(named)
    ferplus = votes if classifier.own_labels.source == "ferplus" else None
    measured = run.load_faces(
        console, classifier, ExportOptions(named, to=("int8",), data=data, ferplus=ferplus)
    )
    return classifier, measured, predict(classifier.network, measured.images)[0]


def _export(
    network: Network, origin: Origin, measured: Faces
) -> Iterator[tuple[str, bytes, comparison.Program]]:
    """Export a network in every form: name of the form, bytes of the file, and the same ready to run."""
    console = bench.make_console()
    for form in ("onnx", "onnx-float16", "stablehlo", "int8"):
        dtype: Any = "float16" if form == "onnx-float16" else "float32"
        target: Any = form.removesuffix("-float16")
        made = run.make(console, target, network, origin, measured, dtype)
        yield form, made.content, made.program
    model = onnx_file.build(translation.translate(network), dtype="float32", metadata={}, version="")
    by_default = int8.quantise_with(model, measured.calibration, {}, advance=lambda count: None)
    content = by_default.SerializeToString()
    yield "int8-default", content, comparison.open_onnx(content)


def _emulate(model: bytes, images: np.ndarray) -> np.ndarray:
    """Run an ONNX model on the emulated processor: logits float32 [N, C].

    Raises:
        RunError: the emulator or the model failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, faces, logits = (Path(folder) / name for name in ("model.onnx", "faces.npy", "logits.npy"))
        path.write_bytes(model)
        np.save(faces, images)
        words = [EMULATOR, "-cpu", PROCESSOR, sys.executable, export_worker.__file__, path, faces, logits]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RunError(f"{EMULATOR} ended with status {done.returncode}: {done.stderr[-500:]}")
        answers: np.ndarray = np.load(logits)
        return answers


def table(content: dict[str, Any]) -> str:
    """Lay out the results as Markdown."""
    has_emulated = any("emulated" in row for row in content["results"])
    head = ["network", "file", "MB", "largest difference of a logit", "changed predictions", "accuracy"]
    rows = [[*head, *(["without VNNI"] if has_emulated else [])]]
    for row in content["results"]:
        compared = row["compared"]
        cells = [
            f"`{row['name']}`",
            FORMS[row["form"]],
            f"{row['bytes'] / 1e6:.2f}",
            f"{compared['largest_difference']:.2g}",
            f"{compared['changed']:,} of {compared['faces']:,}",
            describe_accuracy(compared),
        ]
        if has_emulated:
            cells.append(describe_accuracy(row["emulated"]) if "emulated" in row else "–")
        rows.append(cells)
    return f"{to_markdown(rows, left_columns=2)}\n\n{_explain(content, has_emulated=has_emulated)}"


def describe_accuracy(compared: Json) -> str:
    """Write the accuracy of an export, and of the network in JAX where it differs."""
    shares = {
        name: percent(count / compared["total"], digits=2) for name, count in compared["correct"].items()
    }
    is_same = compared["correct"]["export"] == compared["correct"]["network"]
    return shares["export"] if is_same else f"{shares['export']} (JAX {shares['network']})"


def _explain(content: dict[str, Any], *, has_emulated: bool) -> str:
    versions, first = content["versions"], content["results"][0]
    calibration = next(row["calibration"] for row in content["results"] if "calibration" in row)
    text = (
        f"Compared on {first['data']['part']}, single view, with ONNX Runtime {versions['onnxruntime']} and "
        f"JAX {versions['jax']} on {content['machine']}. Networks trained on FER+'s votes are measured by "
        f"their majority. Calibrated on {calibration['words']}."
    )
    if has_emulated:
        settings = content["settings"]
        text += (
            f" Without VNNI: the first {settings['emulated_faces']:,} faces on a {settings['processor']} "
            "processor emulated by QEMU."
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
