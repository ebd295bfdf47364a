"""The end of a run: measure the selected weights on every part, and write the reports and plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax.config.run import Config
from fer_jax.engine.loop import Job, Replica
from fer_jax.engine.schedule import is_out_of_patience
from fer_jax.files import Json, write_json, write_text
from fer_jax.metrics.history import best_epoch_note
from fer_jax.metrics.scores import list_names, summarise
from fer_jax.report import markdown, run_page, seeds, terminal
from fer_jax.report import plots as report_plots
from fer_jax.report.story import early_stop_note
from fer_jax.runs import checkpoint
from fer_jax.runs.location import Place
from fer_jax.runtime import machine
from fer_jax.runtime.door import INTERRUPTED
from fer_jax.runtime.signals import GRACE_S, acknowledge_signals
from fer_jax.text import join
from fer_jax.train.together import follow_state

SELECTIONS = {
    "best": "the best by validation accuracy, which flatters val a little",
    "last": "the last, with no selection",
}


def finish(
    console: Console, place: Place, job: Job, replicas: Sequence[Replica], facts: Mapping[Path, Json]
) -> None:
    """Measure the selected weights of each seed on every part; write the results, and show them.

    The replicas are after their last epoch; `facts` maps a folder to the content of its `run.json` so far.
    """
    words = (
        f"{INTERRUPTED} All epochs are saved in {place.home}, the last measurements are not. "
        "Continue with --resume"
    )
    with acknowledge_signals(words, grace_s=GRACE_S):
        _finish(console, place, job, replicas, facts)


def _finish(
    console: Console, place: Place, job: Job, replicas: Sequence[Replica], facts: Mapping[Path, Json]
) -> None:
    select = job.config.train.select
    states = [replica.state for replica in replicas]
    chosen: list[Path] = []
    if job.peers.is_leader:  # It alone reads and writes the run folders.
        chosen = [checkpoint.find_good(replica.checkpoints, (select,))[0] for replica in replicas]
        states = [checkpoint.restore(state, folder) for state, folder in zip(states, chosen, strict=True)]
    states = [
        follow_state(job.peers, f"selected of seed {replica.seed}", state)
        for replica, state in zip(replicas, states, strict=True)
    ]
    parts = {name: rows for name, rows in job.split.parts.items() if len(rows)}
    with terminal.show_steps(console, f"measuring {join(list(parts))}", None):
        part_counts = job.stepper.evaluate(states, [list(parts.values())] * len(replicas))
    if not job.peers.is_leader:
        return
    names = job.config.model.names
    metrics = [
        {part: summarise(each, names) for part, each in zip(parts, counts, strict=True)}
        for counts in part_counts
    ]
    seconds = [record["seconds"] for record in replicas[0].progress.history]
    ends = {
        "finished": machine.now(),
        "seconds_total": sum(seconds),
        "seconds_per_epoch": float(np.median(seconds)),
        "selection": SELECTIONS[select],
        "stopped_early": _find_early_stop(job, replicas),
    }
    for config, replica, folder, figures in zip(place.configs, replicas, chosen, metrics, strict=True):
        measured = len(checkpoint.read_meta(folder)["progress"]["history"])
        own = {"measured_epoch": measured, "last_state_sha256": checkpoint.state_hash(replica.state)}
        _write_run(config, replica, facts[replica.folder] | ends | own, figures)
    if ends["stopped_early"] is not None:
        console.print(f"\n{early_stop_note(job.config, ends['stopped_early'])}")
    if len(replicas) == 1:
        run = {"measured_epoch": measured, "selection": SELECTIONS[select]}
        best_epoch = best_epoch_note(
            replicas[0].progress.history, measured_epoch=measured, is_selected=select == "best"
        )
        _show_run(console, place.home, metrics[0], run, best_epoch)
    else:
        histories = [replica.progress.history for replica in replicas]
        best_epochs = seeds.best_epoch_note(histories, is_selected=select == "best")
        _write_seeds(console, place, facts[place.home] | ends, metrics, best_epochs)


def _find_early_stop(job: Job, replicas: Sequence[Replica]) -> int | None:
    """Return the epoch, from 1, after which early stopping ends the run, be it the last; None: none."""
    histories = [replica.progress.history for replica in replicas]
    return len(histories[0]) if is_out_of_patience(job.config.train, histories) else None


def _write_run(config: Config, replica: Replica, run: Json, metrics: Json) -> None:
    name, history = f"{config.name}, seed {replica.seed}", replica.progress.history
    write_json(replica.folder / "metrics.json", metrics)
    measured = run["measured_epoch"]
    curves = report_plots.plot_curves(history, title=name, measured_epoch=measured)
    report_plots.write_png(curves, replica.folder / "curves.png")
    confusion = report_plots.plot_confusion(
        np.array(metrics["val"]["confusion"]), list_names(metrics["val"]), title=f"{name}: validation"
    )
    report_plots.write_png(confusion, replica.folder / "confusion_val.png")
    write_json(replica.folder / "run.json", run)
    markdown.write(replica.folder)
    run_page.write(replica.folder)


def _show_run(console: Console, folder: Path, metrics: Json, run: Json, best_epoch: str) -> None:
    shown = "test" if "test" in metrics else "val"
    console.print(f"\nepoch {run['measured_epoch']}, {run['selection']}; on the {shown} part:")
    console.print(markdown.metrics_table(metrics[shown]))
    console.print(markdown.confusion_table(metrics[shown]))
    console.print(best_epoch)
    console.print(
        f"written to {folder}: report.html, report.md, curves.png, confusion_val.png, metrics.json, "
        "checkpoints/"
    )


def _write_seeds(
    console: Console, place: Place, run: Json, metrics: Sequence[Json], best_epochs: str
) -> None:
    each = [
        {"seed": seed, "folder": str(folder), **figures}
        for seed, folder, figures in zip(place.seeds, place.folders, metrics, strict=True)
    ]
    summary = {"seeds": each, "summary": seeds.summarise_seeds(metrics)}
    write_json(place.home / "metrics.json", summary)
    text = seeds.markdown_report(
        title=place.title, run=run, seeds=place.seeds, metrics=metrics, best_epochs=best_epochs
    )
    write_text(place.home / "report.md", text)
    write_json(place.home / "run.json", run)
    console.print(f"\nthe weights of each seed: {run['selection']}")
    console.print(seeds.seeds_table(place.seeds, metrics))
    console.print(best_epochs)
    console.print(f"written to {place.home}: report.md, metrics.json; and a folder for each seed")
