"""The fields of a config by dotted name, those that may differ between runs, and their docstrings."""

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import json
import re
import sys
from collections.abc import Collection, Iterator
from typing import Final

from fer_jax.files import Json


def flatten(fields: Json, prefix: str = "") -> dict[str, str]:
    """Flatten nested JSON into dotted name -> JSON text, with one entry for each element of a list.

    >>> flatten({"train": {"epochs": 3}})
    {'train.epochs': '3'}
    """
    flat: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat |= {f"{prefix}{name}[{index}]": json.dumps(each) for index, each in enumerate(value)}
        else:
            flat[f"{prefix}{name}"] = json.dumps(value)
    return flat


def field_of(name: str) -> str:
    """Name the field that an element of a list of values belongs to.

    >>> field_of("train.trackers[0]"), field_of("train.trackers.0"), field_of("model.blocks.0.pool")
    ('train.trackers', 'train.trackers', 'model.blocks.0.pool')
    """
    return re.sub(r"\[\d+\]$|\.\d+$", "", name)


def field_names(config_class: type) -> list[str]:
    """List the names of all fields of a config class and of its sections."""
    names: list[str] = []
    for each in dataclasses.fields(config_class):
        names.append(each.name)
        if dataclasses.is_dataclass(each.type) and isinstance(each.type, type):
            names.extend(field_names(each.type))
    return names


def suggest(name: str, known: list[str]) -> str:
    """Suggest the known name that is closest to an unknown one; empty if none is close.

    >>> suggest("peek_rate", ["peak_rate", "epochs"])
    "; did you mean 'peak_rate'?"
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


# Data is compared by hash, not by path; limits, a compile cache, fewer checkpoints and measurements, and
# trackers change no bit of the weights.
FREE = (
    "data.path",
    "data.source",
    "data.max_drop_fraction",
    "labels.ferplus",
    "device.compile_cache",
    "train.measure_epochs",
    "train.save_epochs",
    "train.trackers",
)
FILES = (
    "data.path",
    "data.drop",
    "labels.ferplus",
    "distill.teachers",
    "distill.bank",
    "init.weights",
)
"""Fields that name files of this machine; `data.class_map` of a run holds the content of its file."""
# Teachers too are compared by hash when a run is resumed; its extensions are taken from its record. Another
# number of devices changes the rounding alone, and a note says so.
FREE_TO_RESUME = (*FREE, "distill.teachers", "distill.bank", "train.extra_epochs", "device.count")

_GPU: Final = (
    "JAX computes on a GPU where it finds one (pip install 'fer-jax[gpu]'); JAX_PLATFORMS=cpu turns it off"
)
_DROPOUT: Final = "model.dense-dropout-rate", "model.blocks.N.dropout-rate"
_AUGMENT: Final = (
    "each kind of augmentation has a probability, such as --augment.flip-probability; see --help"
)

USUAL_NAMES: Final[dict[str, tuple[str, ...] | str]] = {
    **dict.fromkeys(
        ("lr", "learning-rate", "max-lr", "peak-lr", "rate", "peak-rate"), ("optimizer.peak-rate",)
    ),
    **dict.fromkeys(("batch-size", "batchsize", "batch", "bs", "b"), ("train.batch-size",)),
    **dict.fromkeys(("epochs", "epoch", "n-epochs", "num-epochs", "max-epochs", "e"), ("train.epochs",)),
    **dict.fromkeys(("seed", "random-seed", "random-state"), ("train.seed",)),
    **dict.fromkeys(("num-seeds", "n-seeds"), ("seeds",)),
    **dict.fromkeys(("patience", "early-stopping", "early-stop"), ("train.patience-epochs",)),
    **dict.fromkeys(("max-examples", "subset-size", "limit"), ("train.max-examples",)),
    **dict.fromkeys(("optimizer", "optim", "opt"), ("optimizer.name",)),
    **dict.fromkeys(("momentum", "beta1"), ("optimizer.momentum",)),
    **dict.fromkeys(("weight-decay", "wd", "decay"), ("optimizer.weight-decay",)),
    **dict.fromkeys(("schedule", "scheduler", "lr-schedule", "lr-scheduler"), ("optimizer.schedule",)),
    **dict.fromkeys(("warmup", "warmup-epochs"), ("optimizer.warmup-epochs",)),
    **dict.fromkeys(("clip", "clip-norm", "grad-clip", "max-grad-norm"), ("optimizer.clip-norm",)),
    "l2": ("optimizer.l2",),
    **dict.fromkeys(("pretrained", "finetune", "fine-tune", "weights", "init"), ("init.weights",)),
    **dict.fromkeys(("freeze", "freeze-layers", "frozen"), ("init.freeze-blocks",)),
    **dict.fromkeys(("label-smoothing", "smoothing"), ("loss.label-smoothing",)),
    **dict.fromkeys(("class-weights", "class-weight"), ("loss.class-weights",)),
    **dict.fromkeys(("dropout", "dropout-rate", "drop-rate"), _DROPOUT),
    **dict.fromkeys(("mixup", "mixup-alpha"), ("mix.mixup-alpha",)),
    **dict.fromkeys(("cutmix", "cutmix-alpha"), ("mix.cutmix-alpha",)),
    **dict.fromkeys(("ema", "ema-decay"), ("average.ema-decay",)),
    **dict.fromkeys(("augment", "augmentation", "aug"), _AUGMENT),
    **dict.fromkeys(("amp", "fp16", "bf16", "precision", "dtype"), ("device.compute-dtype",)),
    **dict.fromkeys(("gpu", "gpus", "cuda", "device", "cpu", "tpu", "accelerator"), _GPU),
    **dict.fromkeys(("wandb", "mlflow", "tracker", "trackers", "logger"), ("train.trackers",)),
    **dict.fromkeys(("model", "arch", "net", "network", "c"), ("config",)),
    **dict.fromkeys(("dataset", "data-path", "data-dir", "input", "csv", "d"), ("data",)),
    **dict.fromkeys(("output", "output-dir", "out-dir", "outdir", "save-dir", "o"), ("out", "run-dir")),
    **dict.fromkeys(("log-dir", "logdir", "folder", "dir"), ("run-dir", "out")),
    **dict.fromkeys(("continue", "resume-from", "resume-from-checkpoint"), ("resume",)),
    **dict.fromkeys(("part", "subset", "partition"), ("split",)),
    **dict.fromkeys(("tta", "test-time-augmentation"), ("views",)),
    **dict.fromkeys(("trial", "n-trials", "num-trials"), ("trials",)),
    "save": "`fer-jax configs --config run6 --save my.py` copies a config to edit",
}
"""What other programs call an option -> the names it may have here, or how to get what it stands for."""


def suggest_usual(name: str, known: Collection[str]) -> str:
    """Suggest the option that stands for another program's name; empty if there is none.

    Args:
        name: without dashes in front, such as `lr` or `learning_rate`.
        known: the options that there are, such as `optimizer.peak-rate`.

    >>> suggest_usual("learning_rate", ["optimizer.peak-rate"]), suggest_usual("lr", [])
    ('; did you mean --optimizer.peak-rate?', '')
    """
    meant = USUAL_NAMES.get(name.lower().replace("_", "-"), ())
    if isinstance(meant, str):
        return f"; {meant}"
    there = [f"--{option}" for option in meant if option.replace(".N.", ".0.") in known]
    return f"; did you mean {' or '.join(there)}?" if there else ""


def read_docstrings(settings: type) -> dict[str, str]:
    """Read the docstring under each field of a dataclass and of those it inherits from, on one line."""
    found: dict[str, str] = {}
    for each in reversed(settings.__mro__):
        module = sys.modules[each.__module__]
        # A class that was made by a function has no source.
        if dataclasses.is_dataclass(each) and getattr(module, each.__name__, None) is each:
            found |= _read_module(each.__module__)[each.__name__]
    return found


@functools.cache
def _read_module(name: str) -> dict[str, dict[str, str]]:
    """Read what `read_docstrings` wants of all classes of a module, by class: it is parsed once."""
    classes = [
        node
        for node in ast.parse(inspect.getsource(sys.modules[name])).body
        if isinstance(node, ast.ClassDef)
    ]
    return {each.name: dict(_list_docstrings(each.body)) for each in classes}


def _list_docstrings(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, after in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield field.target.id, " ".join(str(after.value.value).split())
