"""What a run's page shows: the files of its folder, read and put into the order of the story."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fer_jax.config.changes import config_changes
from fer_jax.config.files import from_json, to_json
from fer_jax.config.overrides import option
from fer_jax.config.run import Config
from fer_jax.files import Json, read_json, read_json_lines
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import list_layers
from fer_jax.report.charts import curve_charts
from fer_jax.report.html import write_page
from fer_jax.report.measured import evaluate_command, gather_measurements, interval_rows, read_if_there
from fer_jax.text import Table, describe_value, duration, signed

REPORT = "report.html"
"""Name of a run's page in its folder."""

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
        The arguments of `report.html.write_page`.

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


def write(folder: Path) -> Path:
    """Write the page of a run out of the files in its folder: `report.html`, replaced in one step.

    A section whose file is missing says with which command it is made. The same files give the same bytes.

    Args:
        folder: of one run, with `run.json` and `config.json` at least.

    Returns:
        The page.

    Raises:
        RunError: it is not the folder of a run, or a file in it is damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    return write_page("report.html.j2", folder / REPORT, **gather(folder))
