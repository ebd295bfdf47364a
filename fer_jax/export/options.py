"""The options of `export`, which are its command line too: the docstrings are the help text."""

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal

import tyro

from fer_jax.config.data import BadRow, DataConfig, LabelSource
from fer_jax.config.overrides import with_data
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.files import read_json
from fer_jax.text import join

Target = Literal["onnx", "stablehlo", "int8"]
StoredDtype = Literal["float32", "float16"]

SYNTHETIC_EXAMPLES: Final = 7000
"""Synthetic faces where there is no file: a tenth of them is PublicTest, as in FER2013."""

NEEDED: Final = ("onnx", "onnxruntime")
"""The packages that ONNX files are made and run with."""


@dataclass(frozen=True)
class ExportOptions:
    """Export a network to a file that other programs run: ONNX, ONNX in int8, or StableHLO.

    The input of each is `images`, uint8 [N, 48, 48, 1], gray levels of N >= 1 cropped faces; the outputs are
    `logits` and `probabilities`, float32 [N, C].

    Each file is compared with the network before it is written: the largest difference between their logits,
    the predictions that changed, and the accuracy of both. The faces are those of PublicTest in a FER2013
    file, or synthetic ones where there is no file. The result is printed, and written beside each file under
    the file's name and .json, such as NAME.onnx.json or NAME-int8.onnx.json. A file that differs by more than
    rounding explains is not written, and the exit status is 1.
    """

    network: Annotated[str, tyro.conf.Positional]
    """Released weights, such as mid or some/folder/mid.safetensors; or the folder of a run."""
    to: tuple[Target, ...] = ("onnx",)
    """onnx: NAME.onnx, in float32; int8: NAME-int8.onnx, quantised, about a quarter of the size; stablehlo:
    NAME.stablehlo, a program for jax.export.deserialize on CPU, CUDA and TPU. A program is code: load only
    those from people you trust."""
    dtype: StoredDtype = "float32"
    """How the kernels of the file for `onnx` are stored. float16: NAME-float16.onnx, half the size; they are
    turned into float32 when it is loaded."""
    data: Path | None = None
    """FER2013 file to compare on, and to calibrate int8 with: Kaggle CSV, archive or folder of images. By
    default what a run was trained on; for released weights $FER_JAX_DATA, then data/, then synthetic
    faces."""
    on_bad_row: BadRow | None = None
    """What a malformed row or picture does: stop, or skip it."""
    labels: LabelSource | None = None
    """Whose labels the accuracy is measured by; by default those that the network was trained on, and
    FER2013's where FER+'s votes are not at hand."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv; by default data/fer2013new.csv."""
    calibration_faces: int = 512
    """Faces of Training that the ranges of int8 are measured on."""
    seed: int = 0
    """Seed of the choice of these faces."""
    out: Path = Path()
    """Folder to write into."""
    overwrite: bool = False
    """Replace files of these names."""


def check(options: ExportOptions) -> None:
    """Check what can be checked before anything is computed, or JAX imported.

    Raises:
        FerJaxError: a user error: the command line, the name of the network, a package, a file.
    """
    if not options.to:
        raise ConfigError("--to names nothing; give onnx, stablehlo or int8")
    for name, value, least in (
        ("--calibration-faces", options.calibration_faces, 1),
        ("--seed", options.seed, 0),
    ):
        if value < least:
            raise ConfigError(f"{name} is {value}; wanted >= {least}")
    if options.dtype == "float16" and "onnx" not in options.to:
        raise ConfigError(f"--dtype float16 is for --to onnx, and --to is {' '.join(options.to)}")
    if options.ferplus is not None and options.labels == "fer2013":
        raise ConfigError("--ferplus names votes, and the labels are FER2013's; leave one of them out")
    name = find_name(options.network)
    _check_packages(options)
    find_data(options)
    if options.ferplus is not None:
        from fer_jax.data.readers import ferplus

        ferplus.find(options.ferplus)
    files = [path for target in options.to for path in name_files(options, name, target)]
    taken = [str(path) for path in files if path.exists()]
    if taken and not options.overwrite:
        raise RunError(f"{join(taken)} would be replaced; give another --out, or --overwrite")
    if options.out.exists() and not options.out.is_dir():
        raise RunError(f"--out is {options.out}, which is a file; give a folder")


def find_name(named: str) -> str:
    """Find the name of a network: of its weights, or of the run's folder.

    Raises:
        RunError: there is no such network, or the folder holds several runs.
    """
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.runs import sources

    found = sources.find(named)
    if isinstance(found, sources.Released):
        return found.name
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise RunError(f"{named} holds {len(found)} runs; name one of {names}")
    return found[0].resolve().name


def name_files(options: ExportOptions, name: str, target: Target) -> tuple[Path, Path]:
    """Name the file of an export, and the JSON beside it."""
    half = "-float16" if options.dtype == "float16" else ""
    file = {"onnx": f"{name}{half}.onnx", "int8": f"{name}-int8.onnx", "stablehlo": f"{name}.stablehlo"}
    return options.out / file[target], options.out / f"{file[target]}.json"


def find_data(options: ExportOptions) -> DataConfig:
    """Find the data to compare on: a file, that of the run's training, or synthetic faces.

    Raises:
        DataError: a file was named, or the run was trained on one, and it is not there.
    """
    from fer_jax.data.location import VARIABLE, find_file
    from fer_jax.runs import inputs, record, sources

    found = sources.find(options.network)
    if isinstance(found, sources.Released):
        config = DataConfig(synthetic_examples=SYNTHETIC_EXAMPLES, on_bad_row=options.on_bad_row or "stop")
        if options.data is not None:
            card = read_json(found.folder / f"{found.name}{sources.CARD_SUFFIX}")
            config = sources.choose_data(card, options.data, options.on_bad_row)
        try:
            find_file(config)
        except DataError:
            if options.data is not None or os.environ.get(VARIABLE):
                raise
            # There is something else in data/, and drawn faces do for a comparison.
            return replace(config, source="synthetic")
        return config
    (folder, *_) = found
    config = with_data(record.read_config(folder), options.data, options.on_bad_row).data
    if options.data is None:
        return inputs.find_trained_on(config, record.read_record(folder).data)
    find_file(config)
    return config


def _check_packages(options: ExportOptions) -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing and set(options.to) != {"stablehlo"}:
        raise ConfigError(
            f"--to {' '.join(options.to)} needs {join(missing)}, not installed here; "
            "`pip install 'fer-jax[export]'` installs what is needed"
        )
