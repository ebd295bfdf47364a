"""A run checked again: its hashes, its log, and its recorded results measured anew."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from rich.console import Console

from fer_jax.data.examples import Examples
from fer_jax.data.rows import subsets
from fer_jax.data.split import Split, count_leaks, split_examples
from fer_jax.engine.setup import Programs, make_job, make_programs
from fer_jax.errors import FerJaxError
from fer_jax.files import Json, read_json, read_json_lines
from fer_jax.inference import run_weights
from fer_jax.inference.prepare import choose_labels
from fer_jax.inference.run_weights import Trained
from fer_jax.inference.teachers import restore_ancestor
from fer_jax.metrics.counts import Counts, accuracy, mean_loss
from fer_jax.metrics.scores import summarise
from fer_jax.models.summary import list_layers
from fer_jax.randomness import Stream, jax_key
from fer_jax.report import terminal
from fer_jax.report.seeds import summarise_seeds
from fer_jax.runs import checkpoint, record
from fer_jax.runs import folder as runs_folder
from fer_jax.runs.location import find_folders
from fer_jax.runs.record import RunRecord
from fer_jax.runtime import machine
from fer_jax.text import join
from fer_jax.verify import evaluations
from fer_jax.verify.checks import Check, compare, compare_hash, judge
from fer_jax.verify.options import VerifyOptions

_CHECKPOINTS: Final = (checkpoint.LAST, checkpoint.PREVIOUS, checkpoint.BEST)


def check(console: Console, folder: Path, options: VerifyOptions) -> Iterator[Check]:
    """Check a run's folder.

    Raises:
        DataError: the data that was given cannot be read.
    """
    name = str(folder)
    yield from _check_config(name, folder)
    yield from _check_split(name, folder)
    yield from _check_checkpoints(name, folder)
    try:
        trained = run_weights.load(folder, options.data, options.on_bad_row)
    except FerJaxError as error:
        yield Check(name, "weights", "DIFFERS", str(error))
        return
    yield from _check_network(name, trained)
    data, reason = _load_data(console, trained, is_other_file=options.data is not None)
    own = data.get(trained.record.data.sha256)
    if own is None:
        yield Check(name, "data", "not checked", reason)
        yield Check(name, "results", "not checked", "the data that the run was trained on is not at hand")
    else:
        yield from _check_results(console, name, trained, own, options.ferplus)
    yield from evaluations.check(console, name, trained, data, options.ferplus)


def check_seeds(home: Path) -> Iterator[Check]:
    """Check what the common folder of several seeds says against the folder of each."""
    named = record.read_record(home).folders
    if named is None:
        return
    recorded: Json = read_json(home / "metrics.json")
    folders = find_folders([home])
    found = [read_json(folder / "metrics.json") for folder in folders]
    seeds = [record.read_record(folder).seed for folder in folders]
    each = [{"seed": seed, **figures} for seed, figures in zip(seeds, found, strict=True)]
    again = {"seeds": each, "summary": summarise_seeds(found)}
    detail = f"{len(folders)} seeds, their mean and spread"
    yield compare(str(home), "metrics.json", recorded, again, detail=detail)


def _check_config(name: str, folder: Path) -> Iterator[Check]:
    run, config = record.read_record(folder), record.read_config(folder)
    if run.config_sha256 is None:
        why = "run.json does not say its hash: it was written by an older fer_jax"
        yield Check(name, "config", "not checked", why)
    else:
        found = record.hash_config(read_json(folder / "config.json"))
        yield compare_hash(name, "config", run.config_sha256, found)
    yield compare(name, "seed", run.seed, config.train.seed, detail=f"seed {run.seed}")


def _check_split(name: str, folder: Path) -> Iterator[Check]:
    run, saved = record.read_record(folder), record.read_split(folder)
    split = Split(saved["train"], saved["val"], saved["test"])
    yield compare_hash(name, "split", run.split.sha256, split.sha256)
    sizes = {part: len(rows) for part, rows in split.parts.items()}
    detail = ", ".join(f"{size:,} {part}" for part, size in sizes.items())
    yield compare(name, "sizes of the parts", run.split.sizes, sizes, detail=detail)


def _check_checkpoints(name: str, folder: Path) -> Iterator[Check]:
    """Check the files of each checkpoint, and that `last` is the state that the run ended with."""
    run, checkpoints = record.read_record(folder), folder / "checkpoints"
    if runs_folder.is_weights_only(folder):
        yield Check(name, "checkpoints", "not checked", "the run holds released weights in their place")
        return
    for each in _CHECKPOINTS:
        if each != checkpoint.LAST and not (checkpoints / each).exists():
            continue
        damage = checkpoint.find_damage(checkpoints / each)
        detail = damage or "each file has the hash of its manifest"
        yield judge(name, f"checkpoint {each}", is_same=damage is None, detail=detail)
    last = checkpoints / checkpoint.LAST
    if checkpoint.find_damage(last) is not None:
        return
    meta = checkpoint.read_meta(last)
    yield _check_log(name, folder, meta["progress"]["history"])
    if run.last_state_sha256 is None:
        yield Check(name, "last state", "not checked", "the run is not finished")
        return
    forms = {leaf: jax.ShapeDtypeStruct(shape, dtype) for leaf, (shape, dtype) in meta["leaves"].items()}
    found = checkpoint.state_hash(checkpoint.restore(forms, last))
    yield compare_hash(name, "last state", run.last_state_sha256, found)


def _check_log(name: str, folder: Path, history: list[Json]) -> Check:
    """Compare each line of the log with the history that the last checkpoint holds."""
    try:
        log = read_json_lines(folder / "log.jsonl")
    except FerJaxError as error:
        return Check(name, "log", "DIFFERS", str(error))
    wrong = [number for number, pair in enumerate(zip(log, history, strict=False), 1) if pair[0] != pair[1]]
    if wrong:
        detail = f"epoch {wrong[0]} is not what the last checkpoint says"
    elif len(log) != len(history):
        detail = f"it has {len(log)} epochs, and the last checkpoint {len(history)}"
    else:
        detail = f"{len(log)} epochs, as in the last checkpoint"
    return judge(name, "log", is_same=log == history, detail=detail)


def _check_network(name: str, trained: Trained) -> Iterator[Check]:
    run, layers = trained.record, list_layers(trained.network.model)
    found = {
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
    }
    recorded = {"parameters": run.parameters, "macs": run.macs}
    yield compare(name, "network", recorded, found, detail=f"{found['parameters']:,} parameters")
    if run.measured_epoch is not None and not runs_folder.is_weights_only(trained.folder):
        meta = checkpoint.read_meta(trained.folder / "checkpoints" / trained.checkpoint["name"])
        epoch = len(meta["progress"]["history"])
        yield compare(name, "measured epoch", run.measured_epoch, epoch, detail=str(epoch))
    if run.git is None:
        yield Check(name, "commit", "not checked", "run.json names none: fer_jax was no git checkout")
    elif run.git.endswith("-dirty"):
        why = f"{run.git}: trained with uncommitted changes, which no commit holds"
        yield Check(name, "commit", "not checked", why)


def _load_data(console: Console, trained: Trained, *, is_other_file: bool) -> tuple[dict[str, Examples], str]:
    """Load the file that was given and the data that a run was trained on.

    Returns:
        What is there, by its SHA-256, and why the run's own data is not.

    Raises:
        DataError: the file that was given cannot be read.
    """
    found, own = {}, trained.record.data.sha256
    with terminal.show_steps(console, terminal.READING, None) as steps:
        if is_other_file:
            given = run_weights.load_data(trained, is_other_file=True, listener=steps)
            found[given.sha256] = given
        if own not in found:
            try:
                found[own] = run_weights.load_own_data(trained)
            except FerJaxError as error:
                return found, str(error)
    return found, ""


def _check_results(
    console: Console, name: str, trained: Trained, examples: Examples, votes: Path | None
) -> Iterator[Check]:
    """Split the data again, and measure what training recorded: `metrics.json` and the log's last line.

    `votes` is FER+'s file; None for the one that the run was trained with.
    """
    run, config = trained.record, record.read_config(trained.folder)
    if votes is not None and config.labels.source == "ferplus":
        config = replace(config, labels=replace(config.labels, ferplus=str(votes)))
    yield compare_hash(name, "data", run.data.sha256, examples.sha256)
    try:
        chosen = choose_labels(config, examples, split_examples(examples, config.split))
    except FerJaxError as error:
        yield Check(name, "results", "not checked", f"the rows or labels of the run are not at hand: {error}")
        return
    split = subsets.take_sample(chosen.split, config)
    yield compare_hash(name, "split of the data", run.split.sha256, split.sha256)
    copies = count_leaks(chosen.examples, split)
    detail = ", ".join(f"{number:,} of {part}" for part, number in copies.items())
    yield compare(
        name, "copies of training images", run.split.copies_of_training_images, copies, detail=detail
    )
    own, *others = record.divide_hashes(trained.saved, run.ancestor)
    inherited = sum(map(len, others))
    known = sum((each or {}).get("images", 0) for each in (run.ancestor, run.teachers))
    is_same = np.array_equal(np.sort(own), np.sort(examples.hashes[split.train])) and inherited == known
    more = f", {inherited:,} of others where {known:,} are recorded" if inherited or known else ""
    yield judge(
        name, "hashes of training images", is_same=is_same, detail=f"{len(split.train):,} images{more}"
    )
    if split.sha256 != run.split.sha256:
        yield Check(name, "results", "not checked", "the parts of the run are not known")
    elif runs_folder.is_weights_only(trained.folder):
        why = "the run's own weights are gone, and released ones are rounded"
        yield Check(name, "results", "not checked", why)
    elif run.finished is None:
        yield Check(name, "results", "not checked", "the run is not finished")
    else:
        yield from _measure_again(console, name, trained, chosen.examples, split)


def _measure_again(
    console: Console, name: str, trained: Trained, examples: Examples, split: Split
) -> Iterator[Check]:
    run, config, folder = trained.record, record.read_config(trained.folder), trained.folder
    start = None
    if run.ancestor is not None:
        _, hashes, _ = record.divide_hashes(trained.saved, run.ancestor)
        start = restore_ancestor(run.ancestor, hashes, config.model.names).start
    programs = make_programs(config, examples, split, start=start)
    # This machine may have fewer devices; one measures the same up to rounding.
    config = replace(config, device=replace(config.device, count=1))
    job = make_job(config, [run.seed], examples, split, programs)
    parts = {part: rows for part, rows in split.parts.items() if len(rows)}
    train_rows = subsets.eval_rows(split.train, config.train, seed=run.seed)

    def measure(chosen: str, rows: list[np.ndarray]) -> list[Counts]:
        state = _restore(programs, folder / "checkpoints" / chosen)
        return job.stepper.evaluate([state], [rows])[0]

    with terminal.show_steps(console, "measuring again", None):
        selected = dict(zip(parts, measure(config.train.select, list(parts.values())), strict=True))
        ends = dict(zip(("train", "val"), measure(checkpoint.LAST, [train_rows, split.val]), strict=True))
    metrics: Json = read_json(folder / "metrics.json")
    missing = metrics.keys() ^ parts.keys()
    if missing:
        detail = f"its parts are not the run's: {join(sorted(missing))}"
        yield Check(name, "metrics.json", "DIFFERS", detail)
    for part in [each for each in metrics if each in selected]:
        found = summarise(selected[part], config.model.names)
        detail = f"{found['correct']:,} of {found['total']:,} correct, loss {found['loss']:.4f}"
        checked = compare(name, f"metrics.json, {part}", metrics[part], found, detail=detail)
        yield _say_place(checked, run)
    last = read_json_lines(folder / "log.jsonl")[-1]
    found = {}
    for part, counts in ends.items():
        found |= {f"{part}_accuracy": accuracy(counts), f"{part}_loss": mean_loss(counts)}
    detail = f"accuracy {100 * found['train_accuracy']:.2f} and {100 * found['val_accuracy']:.2f} %"
    yield _say_place(compare(name, "log, last epoch", last, found, detail=detail), run)


def _restore(programs: Programs, folder: Path) -> Any:
    """Restore what evaluation needs of a checkpoint; the optimizer may be that of an older fer_jax."""
    template = jax.eval_shape(programs.init, jax_key(0, Stream.INIT)).replace(opt_state={})
    return checkpoint.restore(template, folder, parts=("step", "params", "batch_stats", "average"))


def _say_place(checked: Check, run: RunRecord) -> Check:
    """Add where a run was measured to what differs: another device, or other code, may round otherwise."""
    if checked.state != "DIFFERS":
        return checked
    here = (
        machine.describe_cpu(),
        machine.describe_device(),
        machine.list_versions(),
        machine.git_commit(),
    )
    if (run.machine, run.device, run.versions, run.git) == here:
        return checked
    place = f"{run.device}, {run.machine}, jax {run.versions.get('jax', '?')}, fer_jax at {run.git or '?'}"
    words = f"; measured on {place}, which may round otherwise than here"
    return replace(checked, detail=checked.detail + words)
