"""The work of `export`: make each file, compare it with the network, and write what is right."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from fer_jax.errors import RunError
from fer_jax.export import comparison, faces, int8, metadata, onnx_file, options, stablehlo, text
from fer_jax.export.comparison import Program
from fer_jax.export.faces import Faces
from fer_jax.export.graph import translation
from fer_jax.export.metadata import Origin
from fer_jax.export.options import ExportOptions, StoredDtype, Target
from fer_jax.files import Json, replacing, write_json
from fer_jax.inference import classifiers
from fer_jax.inference.predictor import Network, predict
from fer_jax.inference.weights import Classifier
from fer_jax.report import terminal
from fer_jax.runtime import cpu, machine

FORMAT: Final = 1


@dataclass(frozen=True, eq=False)
class Export:
    """A file to be written.

    Attributes:
        content: its bytes.
        program: the same, ready to run.
        limit: see `comparison.refuse_other`.
        facts: for JSON, what is special about it.
    """

    content: bytes
    program: Program
    limit: float | None
    facts: Json


def export(wanted: ExportOptions) -> None:
    """Write the files that the options name, and beside each how it compares with the network.

    Raises:
        FerJaxError: a user error; or a file is not what the network is, and none was written.
    """
    options.check(wanted)
    console = terminal.make_console()
    cpu.tune_cpu()
    classifier = classifiers.load(wanted.network)
    origin = metadata.trace_origin(wanted.network, classifier, name=options.find_name(wanted.network))
    measured = load_faces(console, classifier, wanted)
    reference = _predict(console, classifier.network, measured.images)
    results = {}
    for target in wanted.to:
        file = options.name_files(wanted, origin.name, target)[0]
        made = make(console, target, classifier.network, origin, measured, wanted.dtype)
        with terminal.show_steps(console, f"comparing {file.name}", len(measured.images)) as steps:
            logits = comparison.run(made.program, measured.images, advance=steps)
        compared = comparison.compare(reference, logits, measured.labels)
        comparison.refuse_other(compared, name=file.name, limit=made.limit)
        results[file] = made, describe(file, target, made, origin, measured, compared)
    console.print(text.describe([result for _, result in results.values()]))
    for file, (made, result) in results.items():
        _write(file, made.content, result)
        console.print(
            f"written to {wanted.out}: {file.name}, {len(made.content):,} bytes, and {file.name}.json"
        )


def _write(file: Path, content: bytes, result: Json) -> None:
    """Write a file and the JSON beside it, each of them whole or not at all."""
    try:
        with replacing(file) as new:
            new.write_bytes(content)
            # Within, so that on a full disk the old ones both stay.
            write_json(file.with_name(f"{file.name}.json"), result)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}; name another place with --out") from None


def load_faces(console: Console, classifier: Classifier, wanted: ExportOptions) -> Faces:
    """Load the data to compare and calibrate on, and show what it is.

    Raises:
        FerJaxError: the data or the votes cannot be used.
    """
    examples = terminal.load_data(console, options.find_data(wanted))
    measured = faces.choose(classifier, examples, wanted)
    console.print(f"network    {classifier.name}: classes {', '.join(classifier.labels)}")
    console.print(f"compared   on {measured.words}")
    if "int8" in wanted.to:
        console.print(f"calibrated on {measured.calibration_facts['words']}")
    return measured


def _predict(console: Console, network: Network, images: np.ndarray) -> np.ndarray:
    with terminal.show_steps(console, "predicting in JAX", len(images)) as steps:
        return predict(network, images, advance=lambda share: steps(share * len(images)))[0]


def make(
    console: Console,
    target: Target,
    network: Network,
    origin: Origin,
    measured: Faces,
    dtype: StoredDtype,
) -> Export:
    """Make one file of a network; `dtype` is that of the kernels in the file for "onnx".

    Raises:
        ConfigError: the network has an operation that cannot be translated to ONNX.
    """
    if target == "stablehlo":
        program = stablehlo.serialise(network)
        facts: Json = {"platforms": list(stablehlo.PLATFORMS)}
        return Export(program, stablehlo.open_program(program), comparison.MOST_ROUNDING, facts)
    dtype = dtype if target == "onnx" else "float32"
    graph, about = translation.translate(network), origin.to_metadata()
    model = onnx_file.build(graph, dtype=dtype, metadata=about, version=origin.version)
    limit: float | None = comparison.MOST_ROUNDING
    if dtype == "float16" and comparison.is_rounded_by_half(network.variables["params"]):
        limit = comparison.MOST_ROUNDED_KERNELS
    facts = {"kernels": dtype}
    if target == "int8":
        with terminal.show_steps(console, "calibrating int8", len(measured.calibration)) as steps:
            model = int8.quantise(model, measured.calibration, metadata=about, advance=steps)
        limit, facts = None, {"kernels": "int8", "calibration": measured.calibration_facts}
    content = model.SerializeToString()
    facts |= {"opset": onnx_file.OPSET, "nodes": len(model.graph.node)}
    return Export(content, comparison.open_onnx(content), limit, facts)


def describe(
    file: Path, target: Target, made: Export, origin: Origin, measured: Faces, compared: Json
) -> Json:
    """Describe an export for JSON: what it is, where it comes from, and how it compares."""
    return {
        "format": FORMAT,
        "file": file.name,
        "target": target,
        "bytes": len(made.content),
        "sha256": hashlib.sha256(made.content).hexdigest(),
        **made.facts,
        "name": origin.name,
        "labels": list(origin.labels),
        "card_sha256": origin.card_sha256,
        "tensors_sha256": origin.tensors_sha256,
        "contract": origin.contract,
        "data": measured.facts,
        "compared": compared,
        "date": machine.now(),
        **machine.describe(),
    }
