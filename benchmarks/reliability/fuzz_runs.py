"""Readers of runs and weights under fuzzing: configs, cards, safetensors, checkpoints, run folders."""

import ast
import dataclasses
import hashlib
import io
import json
import math
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from flax.traverse_util import flatten_dict
from hypothesis import strategies as st

from benchmarks.reliability import fuzz_oracles as oracles
from benchmarks.reliability.fuzz_edits import Edit, Files, Input, Reader, apply, edits
from benchmarks.reliability.fuzz_oracles import RefusedError, require
from fer_jax import fer2013
from fer_jax.config.data import BadRow
from fer_jax.config.files import load_config, to_json
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.inference import weights
from fer_jax.inference.predictor import describe_variables, make_predicting_model
from fer_jax.runs import checkpoint, record, tables

_MODEL: Final = ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0)
_SHA256: Final = "0123456789abcdef" * 4


@cache
def _template() -> Any:
    return describe_variables(make_predicting_model(_MODEL))


@cache
def _arrays() -> dict[str, np.ndarray]:
    """Draw the leaves of a tiny network, float32, by their names."""
    rng = np.random.default_rng(0)
    shapes = {name: leaf.shape for name, leaf in flatten_dict(_template(), sep="/").items()}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in sorted(shapes.items())}


@cache
def _tensors(dtype: str) -> bytes:
    """Write the leaves as safetensors, by hand."""
    header: dict[str, Any] = {}
    data, letter = b"", {"F16": "<f2", "F32": "<f4"}[dtype]
    for name, leaf in _arrays().items():
        content = leaf.astype(letter).tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(leaf.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data


def good_card(tensors: bytes) -> bytes:
    """Write a card for the tiny network."""
    card = {
        "format": 1,
        "name": "net",
        "labels": list(fer2013.LABELS),
        "preprocessing": {"mean": 129.5, "std": 65.0},
        "model": json.loads(json.dumps(dataclasses.asdict(_MODEL))),
        "parameters": 1000,
        "tensors": {"sha256": hashlib.sha256(tensors).hexdigest()},
        "figures": [],
        "training": {
            "data_sha256": _SHA256,
            "labels": "FER2013",
            "finished": "2026-01-01T00:00:00+00:00",
            "seeds": {"train": 0},
            "selection": {"checkpoint": {"name": "last", "step": 10}},
        },
    }
    return json.dumps(card).encode()


def _card_inputs() -> st.SearchStrategy[Input]:
    def make(dtype: str, made: list[Edit]) -> Input:
        tensors = _tensors(dtype)
        files = apply({"net.json": good_card(tensors)}, made) | {"net.safetensors": tensors}
        return Input(files, "stop", is_edited=bool(made))

    return st.builds(make, st.sampled_from(("F16", "F32")), edits(weights={"json": 12}, several_files=False))


@st.composite
def _tensor_inputs(draw: st.DrawFn) -> Input:
    """Draw edited tensors, three in four with a card that has their hash."""
    tensors = good = _tensors(draw(st.sampled_from(("F16", "F32"))))
    made = draw(edits(weights={"number": 2, "text": 2, "overwrite": 2}, several_files=False))
    (length,) = struct.unpack_from("<Q", good)
    if draw(st.booleans()):
        tensors = apply({"": good}, made)[""]
    else:  # Edit the header as JSON, under a right length.
        head = apply({"": good[8 : 8 + length]}, made)[""]
        tensors = struct.pack("<Q", len(head)) + head + good[8 + length :]
    card = good_card(tensors if draw(st.integers(0, 3)) else good)
    return Input({"net.json": card, "net.safetensors": tensors}, "stop", is_edited=bool(made))


def _read_tensors(folder: Path) -> dict[str, tuple[tuple[int, ...], list[float]]]:
    _, variables = weights.read_variables(folder, "net", _template())
    leaves = {name: np.asarray(leaf) for name, leaf in flatten_dict(variables, sep="/").items()}
    return {name: (leaf.shape, leaf.ravel().tolist()) for name, leaf in leaves.items()}


def _check_tensors(folder: Path, came: Any) -> None:
    content = (folder / "net.safetensors").read_bytes()
    _check_hash(oracles.parse_json((folder / "net.json").read_bytes()), content)
    wanted = oracles.read_tensors(content)
    shapes = {name: shape for name, (shape, _) in wanted.items()}
    require(shapes == {name: leaf.shape for name, leaf in _arrays().items()}, "other tensors")
    require(came is None or came == wanted, "other numbers")


def _check_hash(card: Any, tensors: bytes) -> None:
    require(card["tensors"]["sha256"] == hashlib.sha256(tensors).hexdigest(), "the hash of the tensors")


def _read_card(folder: Path) -> dict[str, Any]:
    classifier = weights.read(folder, "net")
    stats = classifier.network.pixel_stats
    return {
        "name": classifier.name,
        "labels": list(classifier.labels),
        "mean": stats.mean,
        "std": stats.std,
        "own_labels": classifier.own_labels.source,
        "card": classifier.card,
    }


def _check_card(folder: Path, came: dict[str, Any]) -> None:
    card = oracles.parse_json((folder / "net.json").read_bytes())
    _check_hash(card, (folder / "net.safetensors").read_bytes())
    pixels, training = card["preprocessing"], card["training"]
    require(type(card["format"]) is int and card["format"] == 1, "format")
    require(card["labels"] == list(fer2013.LABELS), "labels")
    for value in (card["name"], training["labels"], training["finished"], training["data_sha256"]):
        require(type(value) is str, "a text")
    require(type(training["seeds"]["train"]) is int, "seed")
    require(type(training["selection"]["checkpoint"]) is dict, "checkpoint")
    for name in ("mean", "std"):
        require(type(pixels[name]) in (int, float) and math.isfinite(pixels[name]), name)
        require(came[name] == pixels[name], name)
    require(pixels["std"] > 0, "std")
    _agree(card["model"], _plain(_MODEL), _plain(ModelConfig()), "model", is_equal=False)
    is_ferplus = training["labels"].startswith("FER+")
    require(came["own_labels"] == ("ferplus" if is_ferplus else "fer2013"), "own labels")
    require((came["name"], came["labels"], came["card"]) == (card["name"], card["labels"], card), "a field")


def _plain(config: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(config)))


def _agree(raw: Any, result: Any, default: Any, where: str, *, is_equal: bool) -> None:
    """Check that a config has what was written, of the same type, and defaults for what was not."""
    if isinstance(result, dict):
        require(isinstance(raw, dict) and raw.keys() <= result.keys(), f"{where}: fields")
        for name, value in result.items():
            inner = default[name] if default else None
            if name in raw:
                _agree(raw[name], value, inner, f"{where}.{name}", is_equal=is_equal)
            else:
                require(default is None or not is_equal or value == inner, f"{where}.{name}: default")
    elif isinstance(result, list):
        require(isinstance(raw, list) and (len(raw) == len(result) or not is_equal), f"{where}: list")
        block = _plain(ConvBlock())
        for one, other in zip(raw, result, strict=False):
            _agree(one, other, block if isinstance(other, dict) else None, where, is_equal=is_equal)
    else:
        same_type = type(raw) is type(result) or (type(raw) is int and type(result) is float)
        require(same_type or (not is_equal and result is None), f"{where}: {raw!r:.80} is {result!r:.80}")
        require(raw == result or not is_equal, f"{where}: {raw!r:.80} is {result!r:.80}")


@cache
def _configs() -> list[bytes]:
    return [json.dumps(to_json(load_config(name))).encode() for name in ("run1", "run7", "best", "ferplus")]


def _config_inputs() -> st.SearchStrategy[Input]:
    def make(which: int, made: list[Edit]) -> Input:
        return Input(apply({"config.json": _configs()[which]}, made), "stop", is_edited=bool(made))

    return st.builds(make, st.integers(0, 3), edits(weights={"json": 12}, several_files=False))


def _check_config(folder: Path, came: Config) -> None:
    raw = oracles.parse_json((folder / "config.json").read_bytes())
    _agree(raw, to_json(came), to_json(Config(name="x")), "config", is_equal=True)


@cache
def good_run() -> Files:
    """Write the files of a finished run."""
    epoch = {"step": 8, "rate": 0.001, "train_accuracy": 0.5, "is_best": True, "seconds": 1.5}
    log = "".join(json.dumps({"epoch": number, **epoch}) + "\n" for number in (1, 2))
    score = {
        "correct": 1,
        "total": 2,
        "accuracy": 0.5,
        "loss": 1.0,
        "per_class": [{"label": "sad", "recall": 0.5}],
    }
    facts = {
        "command": "python -m fer_jax.train --config run6",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
        "resumed": [],
        "extensions": [],
        "data": {"description": "data", "sha256": _SHA256, "is_synthetic": True},
        "split": {
            "sha256": _SHA256,
            "sizes": {"train": 3, "val": 2, "test": 1},
            "copies_of_training_images": {"val": 0, "test": 0},
        },
        **{"machine": "2 cores", "device": "cpu", "tuning": [], "xla_flags": "", "versions": {"jax": "0.10"}},
        **{"git": None, "seed": 0, "parameters": 10, "seconds_total": 2, "seconds_per_epoch": 1.5},
        **{"selection": "last", "measured_epoch": 2, "last_state_sha256": _SHA256},
    }
    file = io.BytesIO()
    rows = {name: np.arange(3, dtype=np.int64) for name in ("train", "val", "test")}
    np.savez(file, **rows, train_hashes=np.arange(3, dtype=np.uint64))  # type: ignore[arg-type]
    return {
        "config.json": _configs()[0],
        "log.jsonl": log.encode(),
        "metrics.json": json.dumps({"train": score, "val": score}).encode(),
        "run.json": json.dumps(facts).encode(),
        "split.npz": file.getvalue(),
    }


def _run_inputs() -> st.SearchStrategy[Input]:
    def make(made: list[Edit]) -> Input:
        return Input(apply(good_run(), made), "stop", is_edited=bool(made))

    return st.builds(make, edits(weights={"json": 10, "overwrite": 3}, several_files=True))


def _read_run(folder: Path) -> dict[str, Any]:
    found = record.read_record(folder)
    split = {name: (str(rows.dtype), rows.tolist()) for name, rows in record.read_split(folder).items()}
    log, metrics = tables.read_log(folder), tables.read_metrics(folder)
    return {"record": found, "split": split, "epochs": len(log), "parts": len(metrics)}


def _check_run(folder: Path, came: dict[str, Any]) -> None:
    raw = oracles.parse_json((folder / "run.json").read_bytes())
    result = dataclasses.asdict(came["record"])
    known = {name: value for name, value in raw.items() if name in result}
    for name in ("data", "split"):
        known[name] = {inner: value for inner, value in raw[name].items() if inner in result[name]}
    _agree_freely(known, result, "run.json")
    lines = (folder / "log.jsonl").read_bytes().split(b"\n")
    epochs = [oracles.parse_json(line) for line in lines if line.strip()]
    require(all(type(epoch) is dict for epoch in epochs) and len(epochs) == came["epochs"], "log.jsonl")
    require(len(oracles.parse_json((folder / "metrics.json").read_bytes())) == came["parts"], "metrics.json")
    members = oracles.unzip((folder / "split.npz").read_bytes())
    for name, (dtype, rows) in came["split"].items():
        wanted = {"train_hashes": "uint64"}.get(name, "int64")
        require(
            dtype == wanted and rows == _read_npy(oracles.take(members, f"{name}.npy"), wanted),
            f"split.npz: {name}",
        )


def _agree_freely(raw: Any, result: Any, where: str) -> None:
    """Check that a record has what was written, of the same type."""
    if isinstance(raw, dict):
        require(isinstance(result, dict), where)
        for name, value in raw.items():
            require(name in result, f"{where}.{name}")
            _agree_freely(value, result[name], f"{where}.{name}")
    else:
        same_type = type(raw) is type(result) or (type(raw) is int and type(result) is float)
        require(same_type and raw == result, f"{where}: {raw!r:.80} is {result!r:.80}")


def _read_npy(content: bytes, dtype: str) -> list[int]:
    """Read an array of one axis by hand."""
    require(content[:6] == b"\x93NUMPY" and content[6] in (1, 2), "no array")
    size = 2 if content[6] == 1 else 4
    length = int.from_bytes(content[8 : 8 + size], "little")
    header = ast.literal_eval(content[8 + size : 8 + size + length].decode("latin-1"))
    require(header["descr"] == {"int64": "<i8", "uint64": "<u8"}[dtype], "the type of an array")
    (count,) = header["shape"]
    return list(struct.unpack_from(f"<{count}{'q' if dtype == 'int64' else 'Q'}", content, 8 + size + length))


@cache
def _state() -> dict[str, Any]:
    return {"params": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "step": np.int32(7)}


@cache
def _checkpoint() -> Files:
    with tempfile.TemporaryDirectory() as home:
        checkpoint.save(_state(), {"step": 7}, Path(home), is_best=False)
        paths = [path for path in sorted(Path(home).rglob("*")) if path.is_file()]
        return {path.relative_to(home).as_posix(): path.read_bytes() for path in paths}


@st.composite
def _checkpoint_inputs(draw: st.DrawFn) -> Input:
    """Draw an edited checkpoint; of eight one has a manifest that proves it intact."""
    # What nobody edited is read in full, which takes Orbax most of the time.
    least = min(1, draw(st.integers(0, 7)))
    made = draw(edits(weights={"json": 4, "remove": 2}, several_files=True, least=least))
    files = apply(_checkpoint(), made)
    if made and draw(st.integers(0, 7)) == 7:
        inner = {name.removeprefix("last/"): content for name, content in files.items() if "last/" in name}
        inner.pop("manifest.json", None)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(inner.items())}
        files |= {"last/manifest.json": (json.dumps(hashes, indent=2) + "\n").encode()}
    return Input(files, "stop", is_edited=bool(made))


def _read_checkpoint(folder: Path) -> dict[str, np.ndarray]:
    good, _ = checkpoint.find_good(folder, (checkpoint.LAST, checkpoint.PREVIOUS))
    step = checkpoint.read_meta(good)["step"]
    leaves = checkpoint.flatten(checkpoint.restore(_state(), good))
    return {"meta": np.asarray(step), **{name: np.asarray(leaf) for name, leaf in leaves.items()}}


def _check_checkpoint(folder: Path, came: dict[str, np.ndarray]) -> None:
    """Without its maker's help nobody changes a number; with it only numbers, no form."""
    files = _checkpoint()
    is_resealed = (folder / "last/manifest.json").read_bytes() != files["last/manifest.json"]
    wanted = checkpoint.flatten(_state())
    require(came.keys() == {"meta", *wanted}, "leaves")
    for name, leaf in wanted.items():
        require((came[name].shape, came[name].dtype) == (np.shape(leaf), leaf.dtype), f"the form of {name}")
        require(is_resealed or bool((came[name] == leaf).all()), f"the numbers of {name}")
    oracles.parse_json((folder / "last/meta.json").read_bytes())


def _unless_missing(check: Any) -> Any:
    """Make a check that refuses what lacks a file or a field, or has another type, as damaged input does."""

    def checked(folder: Path, on_bad_row: BadRow, came: Any) -> None:
        try:
            check(folder, came)
        except (OSError, KeyError, TypeError, ValueError, AttributeError, IndexError, struct.error) as error:
            raise RefusedError(repr(error)) from error

    return checked


READERS: Final = (
    Reader(
        "config",
        _config_inputs,
        lambda folder, on_bad_row: record.read_config(folder),
        _unless_missing(_check_config),
        is_exact=False,
    ),
    Reader(
        "card",
        _card_inputs,
        lambda folder, on_bad_row: _read_card(folder),
        _unless_missing(_check_card),
        is_exact=False,
    ),
    Reader(
        "safetensors",
        _tensor_inputs,
        lambda folder, on_bad_row: _read_tensors(folder),
        _unless_missing(_check_tensors),
        is_exact=False,
    ),
    Reader(
        "checkpoint",
        _checkpoint_inputs,
        lambda folder, on_bad_row: _read_checkpoint(folder),
        _unless_missing(_check_checkpoint),
        is_exact=False,
    ),
    Reader(
        "run",
        _run_inputs,
        lambda folder, on_bad_row: _read_run(folder),
        _unless_missing(_check_run),
        is_exact=False,
    ),
)
