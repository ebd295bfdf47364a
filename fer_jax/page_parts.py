"""What a run's page shows: the files of its folder, read and put into the order of the story."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fer_jax.config import Config
from fer_jax.config_file import Json, flatten, from_json, to_json
from fer_jax.diagnosis import describe_value
from fer_jax.models.summary import list_layers
from fer_jax.models.table import make_model
from fer_jax.page_charts import curve_charts
from fer_jax.page_measured import evaluate_command, gather_measurements, interval_rows, read_if_there, signed
from fer_jax.run_folder import read_json, read_json_lines
from fer_jax.tables import Table

CONTENTS: Final = {
    "run": "What was run",
    "data": "Data",
    "curves": "Curves",
    "result": "Result",
    "confusion": "Confusion",
    "classes": "By class",
    "calibration": "Calibration",
    "robustness": "Robustness",
    "mistakes": "Mistakes",
    "saliency": "Saliency",
    "neighbours": "Nearest neighbours",
    "diagnosis": "Diagnosis",
    "reproduce": "How to reproduce",
}
"""Id -> heading of each section."""

LOSSES: Final = {
    "zero_one": ("0–1 loss, %", 100, 1),
    "brier": ("Brier score", 1, 3),
    "cross_entropy": ("cross-entropy, nats", 1, 3),
}
"""Loss of a decomposition -> its name on the page, scale and decimals."""


def gather(folder: Path) -> Json:
    """Read a run's folder into what the template of its page shows.

    Args:
        folder: of one run. `run.json` and `config.json` must be there; every other file may be missing.

    Returns:
        The arguments of `page.write_page`.

    Raises:
        RunError: `run.json` or `config.json` is missing, or a file is damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    run = read_json(folder / "run.json")
    config = from_json(read_json(folder / "config.json"), where=str(folder / "config.json"))
    metrics = read_if_there(folder / "metrics.json")
    log = folder / "log.jsonl"
    history = read_json_lines(log) if log.exists() else []
    diagnosis = _diagnosis(folder)
    measured = gather_measurements(folder, metrics or {}, trained_on=run["data"]["sha256"])
    return {
        "title": f"{config.name}, seed {run['seed']}",
        "contents": CONTENTS,
        "is_synthetic": run["data"]["is_synthetic"],
        "run": run,
        "metrics": metrics,
        "gap": _gap(metrics) if metrics else None,
        "epochs": len(history),
        "started": f"{run['started'][:16].replace('T', ' ')} UTC",
        "duration": duration(run["seconds_total"]) if "seconds_total" in run else None,
        "changes": config_changes(to_json(config)),
        "layers": layer_rows(config),
        "classes": class_rows(metrics) if metrics else None,
        "curves": curve_charts(history, run.get("measured_epoch", len(history))) if history else None,
        "measured": measured,
        "intervals": interval_rows(measured),
        "diagnosis": diagnosis,
        "commands": _commands(folder, config.name, run, measured, diagnosis),
    }


def _gap(metrics: Mapping[str, Any]) -> str:
    points = 100 * (metrics["train"]["accuracy"] - metrics["val"]["accuracy"])
    return signed(points)


def _commands(folder: Path, name: str, run: Json, measured: list[Json], diagnosis: Json | None) -> Json:
    """Say what makes each part of the page, and how the whole is made again."""
    commit = (run["git"] or "").removesuffix("-dirty")
    again = [f"git checkout {commit}"] if commit else []
    if commit != (run["git"] or ""):
        again.append("# and the changes that were not committed then")
    again.append(run["command"])
    again += [each["command"] for each in measured if each["is_evaluated"]]
    diagnose = f"python -m fer_jax.diagnose {shlex.quote(str(folder))}"
    study = f"--bias-variance runs/bias_variance-{name}.json"
    if diagnosis is not None:
        again.append(f"{diagnose} {study}" if diagnosis["decomposition"] else diagnose)
    return {
        "train": f"{run['command']} --resume",
        "evaluate": evaluate_command(folder, "val"),
        "diagnose": diagnose,
        "bias_variance": f"python -m fer_jax.bias_variance --config configs/{name}.py && {diagnose} {study}",
        "again": "\n".join(again),
    }


def config_changes(fields: Json) -> Table:
    """List the fields of a run's config that are not at their default; empty where there are none.

    >>> config_changes(to_json(Config(name="a")) | {"train": {"epochs": 3}})[1:]
    [['train.epochs', '3', '10']]
    """
    defaults = flatten(to_json(Config(name=fields["name"])))
    rows = [
        [field, _in_words(value), _in_words(defaults[field]) if field in defaults else "–"]
        for field, value in flatten(fields).items()
        if value != defaults.get(field)
    ]
    return [["field", "this run", "default"], *rows] if rows else []


def _in_words(text: str) -> str:
    """Write the JSON text of a field's value for people; of a block, what it has."""
    value = json.loads(text)
    if not isinstance(value, dict):
        return "none" if value is None else str(value)
    words = [] if value["kind"] == "plain" else [value["kind"]]
    words += [f"{value['features']} features"]
    words += ["batch norm"] if value["batch_norm"] else []
    words += ["pooling"] if value["pool"] else []
    words += ["squeeze-and-excite"] if value["squeeze_excite"] else []
    words += [f"dropout {value['dropout_rate']:g}"] if value["dropout_rate"] else []
    return ", ".join(words)


def layer_rows(config: Config) -> Table:
    """List the layers of a config's network: output shape, parameters, multiply-accumulates; totals below."""
    layers = list_layers(make_model(config.model, config.device))
    rows = [["layer", "output", "parameters", "MACs"]]
    for name, shape, parameters, macs in layers:
        rows.append([name, " × ".join(map(str, shape)), f"{parameters:,}", f"{macs:,}" if macs else "–"])
    totals = [sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)]
    return [*rows, ["total", "", *(f"{total:,}" for total in totals)]]


def class_rows(metrics: Mapping[str, Any]) -> Table:
    """List how many images of each class each part has, and the class's share of train; their sums below."""
    parts = list(metrics)
    rows = [["class", *parts, "share of train"]]
    for index, of_train in enumerate(metrics["train"]["per_class"]):
        counts = [metrics[part]["per_class"][index]["count"] for part in parts]
        share = of_train["count"] / metrics["train"]["total"]
        rows.append([of_train["label"], *(f"{count:,}" for count in counts), f"{100 * share:.1f} %"])
    return [*rows, ["all", *(f"{metrics[part]['total']:,}" for part in parts), "100 %"]]


def duration(seconds: float) -> str:
    """Write seconds in the units that people use.

    >>> duration(16.2), duration(427.8), duration(3725)
    ('16 s', '7 min 8 s', '1 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _diagnosis(folder: Path) -> Json | None:
    diagnosis = read_if_there(folder / "diagnosis.json")
    if diagnosis is None:
        return None
    advice = [
        {**each, "option": option(each["field"], each["to"]), "now": describe_value(each["from"])}
        for each in diagnosis["next"]
    ]
    # What holds is the diagnosis; what does not was looked at too.
    findings = sorted(diagnosis["findings"], key=lambda each: not each["holds"])
    parts = diagnosis["decomposition"]
    rows = decomposition_rows(parts) if parts else []
    return {**diagnosis, "next": advice, "findings": findings, "decomposition_rows": rows}


def decomposition_rows(decomposition: Json) -> Table:
    """Lay out the parts of the error that `bias_variance` measured, each loss a row.

    Args:
        decomposition: the content of its JSON.
    """
    noise = decomposition["noise"]
    rows = [["loss", "mean", "bias", "variance", "variance / mean", *(["noise at most"] if noise else [])]]
    for name, (words, scale, digits) in LOSSES.items():
        parts = decomposition["losses"][name]
        cells = []
        for figure in ("loss", "bias", "variance"):
            cell = f"{scale * parts[figure]:.{digits}f}"
            if parts["spread"] is not None:
                cell += f" ± {scale * parts['spread'][figure]:.{digits}f}"
            cells.append(cell.replace("-", "−"))
        share = f"{parts['variance'] / parts['loss']:.2f}" if parts["loss"] else "–"
        rows.append([words, *cells, share, *([f"{scale * noise[name]:.{digits}f}"] if noise else [])])
    return rows


def option(field: str, value: Any) -> str:
    """Write a config field and its value as an option of `train`.

    Args:
        field: dotted, such as `optimizer.peak_rate` or `model.blocks[0].pool`.
        value: of JSON; blocks, for which there is no option, are written as in a config file.

    >>> option("optimizer.peak_rate", 0.0003), option("model.blocks[0].pool", False)
    ('--optimizer.peak-rate 0.0003', '--model.blocks.0.no-pool')
    """
    if isinstance(value, list):
        blocks = (", ".join(f"{name}={each!r}" for name, each in block.items()) for block in value)
        return "ModelConfig(blocks=(" + "".join(f"ConvBlock({fields}), " for fields in blocks).rstrip() + "))"
    section, _, name = re.sub(r"\[(\d+)\]", r".\1", field).replace("_", "-").rpartition(".")
    prefix = f"--{section}." if section else "--"
    if isinstance(value, bool):
        return prefix + (name if value else f"no-{name}")
    return f"{prefix}{name} {shlex.quote(str(value))}"
