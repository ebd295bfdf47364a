"""The work of `bias_variance`: train several seeds on several resamples, and decompose their errors.

A replica is one seed on one resample, the run that `train` makes with the same seed and `--train.resample`.
Only its predictions on the measured part are saved, in a file of its own, so a study that was stopped knows
what is left to do. On a CPU the replicas are trained one by one; on an accelerator the seeds of a resample
are trained together.

Errors are measured against the labels that the config trains on: FER2013's, or the majority of FER+. With
soft labels or teachers the decomposition is therefore of the error on hard labels.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
from rich.console import Console
from scipy.special import log_softmax

from fer_jax.bias_variance import decomposition, text
from fer_jax.config.changes import list_own_settings
from fer_jax.config.fields import FREE, field_of, flatten
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.readers import ferplus
from fer_jax.data.split import split_examples
from fer_jax.data.targets import refuse_votes_on_others
from fer_jax.engine.loop import Clock, Record, Replica, run_unsaved
from fer_jax.engine.setup import Programs, make_job, make_programs, without_selection
from fer_jax.errors import DataError, RunError
from fer_jax.files import Json, read_arrays, write_arrays, write_json
from fer_jax.inference.predictor import Network, make_predicting_model, predict
from fer_jax.inference.prepare import Prepared, choose_labels, take_sample
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import list_layers
from fer_jax.randomness import Stream, jax_key
from fer_jax.report import terminal
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import outputs
from fer_jax.runs.results import read_old, refuse_other
from fer_jax.runtime import machine
from fer_jax.text import counted

if TYPE_CHECKING:
    from fer_jax.bias_variance.__main__ import BiasVarianceCommand

FIGURES = ("train_accuracy", "val_accuracy", "seconds")
"""What is saved of a replica beside its predictions: accuracies after the last epoch, and training time."""


@dataclass(frozen=True, eq=False)
class Study:
    """What is trained and measured.

    Attributes:
        config: of all replicas, except seed and resample.
        chosen: labels and rows of each part, before limit and resample.
        train_images: rows that a replica is trained on.
        part: name of the measured part.
        seeds: training seeds.
        resamples: numbers of the resamples, from 1 on.
        work_dir: the folder of the replicas' files.
    """

    config: Config
    chosen: Prepared
    train_images: int
    part: str
    seeds: list[int]
    resamples: list[int]
    work_dir: Path

    @property
    def rows(self) -> np.ndarray:
        """The measured rows, int64 [N]."""
        return self.chosen.split.parts[self.part]

    def replica_config(self, resample: int, seed: int) -> Config:
        """Make the config of one replica, as for `train`."""
        return replace(self.config, train=replace(self.config.train, seed=seed, resample=resample))

    def replica_file(self, resample: int, seed: int) -> Path:
        """Name the file of one replica."""
        return self.work_dir / f"{self.part}-resample{resample}-seed{seed}.npz"

    def replica_key(self, resample: int, seed: int) -> str:
        """Hash what determines a replica's predictions: a file with another key belongs to another study."""
        fields = flatten(to_json(self.replica_config(resample, seed)))
        decides = {
            "config": {name: value for name, value in fields.items() if field_of(name) not in FREE},
            "data": self.chosen.examples.sha256,
            "split": self.chosen.split.sha256,
            "part": self.part,
            "versions": machine.list_versions(),
        }
        if self.chosen.votes is not None:
            decides["votes"] = self.chosen.votes["sha256"]
        if self.chosen.teachers is not None:
            decides["teachers"] = self.chosen.teachers["sha256"]
        if self.chosen.ancestor is not None:
            decides["ancestor"] = self.chosen.ancestor.facts["sha256"]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def measure(options: "BiasVarianceCommand", *, invocation: str, clock: Clock) -> None:
    """Train the missing replicas, decompose their errors, show the table and write the JSON.

    Raises:
        FerJaxError: a user error in the config, the data or the folder.
    """
    config, part = options.to_config(), options.split
    console = terminal.begin(f"fer_jax bias_variance of {config.name}, on {part}", config)
    config, examples = terminal.load_training_data(console, config)
    study = _plan(console, options, config, examples)
    path = options.out or runs_folder.RUNS / f"bias_variance-{config.name}.json"
    settings = list_own_settings(config)
    inputs = {"name": config.name, "part": part, "width": options.width, "data.sha256": examples.sha256}
    refuse_other(path, inputs | {"settings": settings}, may_replace=options.overwrite)
    old = read_old(path)
    is_study = isinstance(old, dict) and {"losses", "lanes"} <= old.keys()
    sources = [each for each in (examples.source, options.ferplus) if each is not None]
    outputs.check_file("--out", path, inputs=sources, may_replace=options.overwrite or is_study)
    # Before the hours of training, since it may refuse the file.
    noise = _bound_noise(study, examples, options.ferplus)
    layers = list_layers(make_model(study.config.model, study.config.device))
    with runs_folder.locked(study.work_dir, option="--work-dir"):
        _train_missing(console, study, clock)
        logits, replicas = _read_replicas(study)
    log_probs = log_softmax(logits.astype(np.float64), axis=-1)
    result = {
        "name": config.name,
        "settings": settings,
        "part": part,
        "images": len(study.rows),
        "width": options.width,
        "train_images": study.train_images,
        "seeds": study.seeds,
        "resamples": study.resamples,
        "losses": decomposition.decompose(log_probs, study.chosen.examples.labels[study.rows]),
        "brier_variance": decomposition.variance_sources(np.exp(log_probs))
        if options.resamples > 1
        else None,
        "noise": noise,
        "lanes": replicas,
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "data": examples.facts,
        "split_sha256": study.chosen.split.sha256,
        "config": to_json(study.config),
        "command": invocation,
        "cost": {"seconds": sum(replica["seconds"] for replica in replicas), "finished": machine.now()},
        **machine.describe(),
    }
    write_json(path, result)
    console.print(f"\n{text.describe(result)}\nwritten to {path}")


def widen(config: Config, width: float) -> Config:
    """Multiply the features of every block and of the dense layer; at least one is left.

    >>> widen(Config(name="a"), 0.25).model.blocks[0].features
    8
    """
    model = config.model
    blocks = tuple(replace(block, features=max(1, round(width * block.features))) for block in model.blocks)
    dense = max(1, round(width * model.dense_features)) if model.dense_features else 0
    return replace(config, model=replace(model, blocks=blocks, dense_features=dense))


def _plan(console: Console, options: "BiasVarianceCommand", config: Config, examples: Examples) -> Study:
    chosen = choose_labels(config, examples, split_examples(examples, config.split))
    config = without_selection(widen(config, options.width))
    # Teachers that cannot be used are refused before any training; their answers are cached.
    sampled = take_sample(config, chosen, console=console)
    terminal.show_notes(console, sampled.notes)
    if options.ferplus is not None:
        refuse_votes_on_others(examples, config.model.names)
    if not len(chosen.split.parts[options.split]):
        raise DataError(f"{examples.description}: it has no rows of {options.split}; give another --split")
    return Study(
        config=config,
        chosen=replace(chosen, teachers=sampled.teachers, ancestor=sampled.ancestor),
        train_images=len(sampled.split.train),
        part=options.split,
        seeds=[config.train.seed + number for number in range(options.seeds)],
        resamples=list(range(1, options.resamples + 1)),
        work_dir=options.work_dir or runs_folder.RUNS / f"bias_variance-{config.name}",
    )


def _bound_noise(study: Study, examples: Examples, path: Path | None) -> Json | None:
    """Bound the noise of the labels by the votes of the measured rows, if there is a file of votes.

    The votes are matched with FER2013's labels, which `examples` has, and compared with those of the study,
    which may be the majority of the votes.
    """
    if path is None:
        return None
    where = f"{path} and {examples.description}"
    votes = ferplus.match(ferplus.read(path), examples.labels, examples.usages, where=where)
    of_class = votes.of_classes(len(study.config.model.names))
    return decomposition.noise_of_votes(of_class[study.rows], study.chosen.examples.labels[study.rows])


def _train_missing(console: Console, study: Study, clock: Clock) -> None:
    """Train the replicas without a file, behind a progress bar."""
    missing = {
        resample: [seed for seed in study.seeds if _read_replica(study, resample, seed) is None]
        for resample in study.resamples
    }
    left, replicas = sum(map(len, missing.values())), len(study.seeds) * len(study.resamples)
    console.print(
        f"replicas   {replicas}: seeds {study.seeds} on each of {counted(len(study.resamples), 'resample')}"
    )
    if left < replicas:
        console.print(f"           {replicas - left} of them are already in {study.work_dir}")
    is_accelerated = jax.devices()[0].platform != "cpu"
    with terminal.show_steps(console, "training", left) as steps:
        for resample, seeds in missing.items():
            if not seeds:
                continue
            config = study.replica_config(resample, seeds[0])
            data = take_sample(config, study.chosen)
            programs = make_programs(
                config, data.examples, data.split, targets=data.targets, start=data.start
            )
            together = len(seeds) if is_accelerated else 1
            for first in range(0, len(seeds), together):
                group = seeds[first : first + together]
                done = steps.meter.done

                def tell(share: float, words: str, *, done: float = done, replicas: int = len(group)) -> None:
                    steps.move(done + share * replicas, words=words)

                tell(0.0, f"resample {resample}")
                trained = _train_replicas(study, resample, group, data, programs, tell, clock)
                for seed, figures in trained.items():
                    console.print(_replica_line(resample, seed, figures))


def _train_replicas(
    study: Study,
    resample: int,
    seeds: Sequence[int],
    data: Prepared,
    programs: Programs,
    tell: Callable[[float, str], None],
    clock: Clock,
) -> dict[int, Record]:
    """Train some seeds together on a resample, and write their files."""
    config = study.replica_config(resample, seeds[0])
    job = make_job(config, seeds, data.examples, data.split, programs)
    replicas = [Replica(seed, study.work_dir, programs.init(jax_key(seed, Stream.INIT))) for seed in seeds]
    epochs, logits, model = config.train.total_epochs, {}, make_predicting_model(config.model)

    def on_step(epoch: int, position: int, objective: float) -> None:
        share = (epoch + position / job.epoch_steps) / epochs
        names = ", ".join(map(str, seeds))
        tell(
            share,
            f"resample {resample}, seed {names}, epoch {epoch + 1}/{epochs}, objective {objective:.3f}",
        )

    def on_selected(replica: Replica) -> None:
        network = Network(model, config.model.names, replica.state.predictor, programs.pixel_stats)
        logits[replica.seed], _ = predict(network, data.examples.images[study.rows])

    started = clock()
    records = run_unsaved(job, replicas, on_step=on_step, on_selected=on_selected)
    kept, seconds = {}, (clock() - started) / len(seeds)
    for seed, record in zip(seeds, records, strict=True):
        figures = record | {"seconds": seconds}
        kept[seed] = {name: figures[name] for name in FIGURES}
        key = study.replica_key(resample, seed)
        write_arrays(study.replica_file(resample, seed), logits=logits[seed], key=key, **kept[seed])
    return kept


def _replica_line(resample: int, seed: int, figures: Record) -> str:
    return (
        f"resample {resample}, seed {seed}: train {100 * figures['train_accuracy']:.1f} %, "
        f"val {100 * figures['val_accuracy']:.1f} %, {figures['seconds']:.1f} s"
    )


def _read_replica(study: Study, resample: int, seed: int) -> tuple[np.ndarray, Json] | None:
    """Read the logits of a replica, float32 [N, C], and its figures; None if it has no readable file.

    Raises:
        RunError: the file belongs to another study.
    """
    path = study.replica_file(resample, seed)
    saved = read_arrays(path)
    if saved is None:
        return None
    if str(saved.get("key")) != study.replica_key(resample, seed):
        raise RunError(
            f"{path} belongs to another study (config, data, split, votes or versions differ); give another "
            "--work-dir, or delete the old one"
        )
    figures = {name: float(saved[name]) for name in FIGURES}
    return saved["logits"], {"resample": resample, "seed": seed, **figures}


def _read_replicas(study: Study) -> tuple[np.ndarray, list[Json]]:
    """Read all replicas back: logits float32 [R, S, N, C], and the figures of each."""
    read = [_read_replica(study, resample, seed) for resample in study.resamples for seed in study.seeds]
    replicas = [replica for replica in read if replica is not None]
    logits = np.stack([logits for logits, _ in replicas])
    shape = (len(study.resamples), len(study.seeds), *logits.shape[1:])
    return logits.reshape(shape), [figures for _, figures in replicas]
