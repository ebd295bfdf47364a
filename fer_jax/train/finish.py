"""The end of a run: the selected weights are measured on every part and written up, in words and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.engine.loop import Job, Lane
from fer_jax.files import Json, write_json, write_text
from fer_jax.metrics.scores import summarise
from fer_jax.report import markdown, run_page, seeds
from fer_jax.report import plots as report_plots
from fer_jax.runs import checkpoint
from fer_jax.runs.location import Place
from fer_jax.runtime import machine

SELECTIONS = {
    "best": "the best by validation accuracy, which flatters val a little",
    "last": "the last, with no selection",
}


def finish(
    console: Console, place: Place, job: Job, lanes: Sequence[Lane], facts: Mapping[Path, Json]
) -> None:
    """Measure the selected weights of each seed on every part; write what came out, and show it.

    Args:
        console: where to show it.
        place: the folders.
        job: the run.
        lanes: after their last epoch.
        facts: folder -> the content of its `run.json` so far.
    """
    select = job.config.train.select
    chosen = [checkpoint.find_good(lane.checkpoints, (select,))[0] for lane in lanes]
    states = [checkpoint.restore(lane.state, folder) for lane, folder in zip(lanes, chosen, strict=True)]
    parts = {name: rows for name, rows in job.split.parts.items() if len(rows)}
    counted = job.stepper.evaluate(states, [list(parts.values())] * len(lanes))
    metrics = [dict(zip(parts, map(summarise, counts), strict=True)) for counts in counted]
    seconds = [record["seconds"] for record in lanes[0].progress.history]
    ends = {
        "finished": machine.now(),
        "seconds_total": sum(seconds),
        "seconds_per_epoch": float(np.median(seconds)),
        "selection": SELECTIONS[select],
    }
    for config, lane, folder, figures in zip(place.configs, lanes, chosen, metrics, strict=True):
        measured = len(checkpoint.read_meta(folder)["progress"]["history"])
        own = {"measured_epoch": measured, "last_state_sha256": checkpoint.state_hash(lane.state)}
        _write_run(config, lane, facts[lane.folder] | ends | own, figures)
    if len(lanes) == 1:
        run = {"measured_epoch": measured, "selection": SELECTIONS[select]}
        _show_run(console, place.home, metrics[0], run, markdown.oracle_line(run, lanes[0].progress.history))
    else:
        histories = [lane.progress.history for lane in lanes]
        oracle = seeds.oracle_line(histories, is_selected=select == "best")
        _write_seeds(console, place, facts[place.home] | ends, metrics, oracle)


def _write_run(config: Config, lane: Lane, run: Json, metrics: Json) -> None:
    name, history = f"{config.name}, seed {lane.seed}", lane.progress.history
    write_json(lane.folder / "metrics.json", metrics)
    measured = run["measured_epoch"]
    report_plots.plot_curves(history, lane.folder / "curves.png", title=name, measured_epoch=measured)
    confusion = np.array(metrics["val"]["confusion"])
    report_plots.plot_confusion(confusion, lane.folder / "confusion_val.png", title=f"{name}: validation")
    text = markdown.markdown_report(
        name=config.name, run=run, config=to_json(config), history=history, metrics=metrics
    )
    write_text(lane.folder / "report.md", text)
    write_json(lane.folder / "run.json", run)
    run_page.write(lane.folder)


def _show_run(console: Console, folder: Path, metrics: Json, run: Json, oracle: str) -> None:
    shown = "test" if "test" in metrics else "val"
    console.print(f"\nepoch {run['measured_epoch']}, {run['selection']}; on the {shown} part:")
    console.print(markdown.metrics_table(metrics[shown]))
    console.print(markdown.confusion_table(metrics[shown]["confusion"]))
    console.print(oracle)
    console.print(
        f"written to {folder}: report.html, report.md, curves.png, confusion_val.png, metrics.json, "
        "checkpoints/"
    )


def _write_seeds(console: Console, place: Place, run: Json, metrics: Sequence[Json], oracle: str) -> None:
    each = [
        {"seed": seed, "folder": str(folder), **figures}
        for seed, folder, figures in zip(place.seeds, place.folders, metrics, strict=True)
    ]
    summary = {"seeds": each, "summary": seeds.summarise_seeds(metrics)}
    write_json(place.home / "metrics.json", summary)
    text = seeds.markdown_report(
        title=place.title, run=run, seeds=place.seeds, metrics=metrics, oracle=oracle
    )
    write_text(place.home / "report.md", text)
    write_json(place.home / "run.json", run)
    console.print(f"\nthe weights of each seed: {run['selection']}")
    console.print(seeds.seeds_table(place.seeds, metrics))
    console.print(oracle)
    console.print(f"written to {place.home}: report.md, metrics.json; and a folder for each seed")
