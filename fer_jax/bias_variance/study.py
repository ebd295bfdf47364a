"""The program `bias_variance` behind its command line: train seeds on resamples, take their errors apart.

Of each lane (one seed on one resample) only the predictions on the measured part are kept, in a file of its
own, which is also how a study that was stopped knows what is left to do. On CPU the lanes take turns; on an
accelerator the seeds of a resample are trained together. A lane is the run that `train` makes of the same
seed with `--train.resample`.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from scipy.special import log_softmax

from fer_jax import fer2013
from fer_jax.bias_variance import decomposition, text
from fer_jax.config.fields import FREE, flatten
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.data import drop_list
from fer_jax.data.batches import in_order
from fer_jax.data.examples import Examples
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.readers import ferplus
from fer_jax.data.split import Split, split_examples
from fer_jax.data.subsets import take_sample
from fer_jax.engine.loop import Lane, Record, run_unsaved
from fer_jax.engine.setup import Programs, make_job, make_programs
from fer_jax.errors import DataError, RunError
from fer_jax.files import Json, replacing, write_json
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import list_layers
from fer_jax.randomness import Stream, jax_key
from fer_jax.report import terminal
from fer_jax.runs import folder as runs_folder
from fer_jax.runtime import compile_cache, cpu, machine

FIGURES = ("train_accuracy", "val_accuracy", "seconds")
"""What is kept of a lane beside its predictions: accuracies after the last epoch, and what it took."""


@dataclass(frozen=True)
class Study:
    """What is trained and measured.

    Attributes:
        config: of all lanes, but for seed and resample.
        examples: all of them.
        split: rows of each part, before limit and resample.
        part: name of the measured part.
        seeds: training seeds.
        resamples: numbers of the resamples, from 1 on.
        work_dir: the folder of the lanes' files.
    """

    config: Config
    examples: Examples
    split: Split
    part: str
    seeds: list[int]
    resamples: list[int]
    work_dir: Path

    @property
    def rows(self) -> np.ndarray:
        """The measured rows, int64 [N]."""
        return self.split.parts[self.part]

    def lane_config(self, resample: int, seed: int) -> Config:
        """Make the config of one lane, as `train` would take it."""
        return replace(self.config, train=replace(self.config.train, seed=seed, resample=resample))

    def lane_file(self, resample: int, seed: int) -> Path:
        """Name the file of one lane."""
        return self.work_dir / f"{self.part}-resample{resample}-seed{seed}.npz"

    def lane_key(self, resample: int, seed: int) -> str:
        """Hash what decides a lane's predictions: a file with another key is of another study."""
        fields = flatten(to_json(self.lane_config(resample, seed)))
        decides = {
            "config": {name: value for name, value in fields.items() if name not in FREE},
            "data": self.examples.sha256,
            "split": self.split.sha256,
            "part": self.part,
            "versions": machine.list_versions(),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def measure(
    config: Config,
    *,
    seeds: int,
    resamples: int,
    width: float,
    part: str,
    ferplus_file: Path | None,
    out: Path | None,
    work_dir: Path | None,
    invocation: str,
) -> None:
    """Train what is missing, decompose, show the table and write the JSON.

    Args:
        config: of the first seed, without a resample.
        seeds: how many, >= 2.
        resamples: how many, >= 1.
        width: see `widen`.
        part: "val" or "test".
        ferplus_file: FER+'s votes; None leaves the bound of the noise out.
        out: the JSON; None for runs/bias_variance-NAME.json.
        work_dir: the folder of the lanes' files; None for runs/bias_variance-NAME.
        invocation: the command line, for the record.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    tuning = cpu.tune_cpu()
    if config.device.compile_cache:
        tuning.append(compile_cache.keep_compiled())
    console.print("; ".join([f"runs on    {machine.describe_device()}", machine.describe_cpu(), *tuning]))
    is_synthetic = find_file(config.data) is None
    if is_synthetic:
        terminal.show_notice(console, is_chosen=config.data.source == "synthetic")
    examples = load_examples(config.data)
    terminal.show_data(console, examples)
    study = _plan(config, examples, seeds=seeds, resamples=resamples, width=width, part=part, folder=work_dir)
    noise = _bound_noise(study, ferplus_file)  # Before the hours of training: it may refuse a file.
    layers = list_layers(make_model(study.config.model, study.config.device))
    with runs_folder.locked(study.work_dir):
        _train_missing(console, study)
        logits, lanes = _read_lanes(study)
    log_probs = log_softmax(logits.astype(np.float64), axis=-1)
    result = {
        "name": config.name,
        "part": part,
        "images": len(study.rows),
        "width": width,
        "train_images": len(take_sample(study.split, study.config).train),
        "seeds": study.seeds,
        "resamples": study.resamples,
        "losses": decomposition.decompose(log_probs, examples.labels[study.rows]),
        "brier_variance": decomposition.variance_sources(np.exp(log_probs)) if resamples > 1 else None,
        "noise": noise,
        "lanes": lanes,
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "data": {
            "description": examples.description,
            "sha256": examples.sha256,
            "is_synthetic": is_synthetic,
        },
        "split_sha256": study.split.sha256,
        "config": to_json(study.config),
        "command": invocation,
        "cost": {"seconds": sum(lane["seconds"] for lane in lanes), "finished": machine.now()},
        **machine.describe(),
    }
    path = out or runs_folder.RUNS / f"bias_variance-{config.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    console.print(f"\n{text.describe(result)}\nwritten to {path}")


def widen(config: Config, width: float) -> Config:
    """Multiply the features of every block and of the dense layer; each keeps at least one.

    >>> widen(Config(name="a"), 0.25).model.blocks[0].features
    8
    """
    model = config.model
    blocks = tuple(replace(block, features=max(1, round(width * block.features))) for block in model.blocks)
    dense = max(1, round(width * model.dense_features)) if model.dense_features else 0
    return replace(config, model=replace(model, blocks=blocks, dense_features=dense))


def _plan(
    config: Config,
    examples: Examples,
    *,
    seeds: int,
    resamples: int,
    width: float,
    part: str,
    folder: Path | None,
) -> Study:
    split, _ = drop_list.obey(config.data, examples, split_examples(examples, config.split))
    if not len(split.parts[part]):
        raise DataError(f"{examples.description}: it has no rows of {part}; give another --split")
    return Study(
        config=widen(config, width),
        examples=examples,
        split=split,
        part=part,
        seeds=[config.train.seed + number for number in range(seeds)],
        resamples=list(range(1, resamples + 1)),
        work_dir=folder or runs_folder.RUNS / f"bias_variance-{config.name}",
    )


def _bound_noise(study: Study, path: Path | None) -> Json | None:
    if path is None:
        return None
    examples = study.examples
    where = f"{path} and {examples.description}"
    votes = ferplus.match(ferplus.read(path), examples.labels, examples.usages, where=where)
    return decomposition.noise_of_votes(votes.seven()[study.rows], examples.labels[study.rows])


def _train_missing(console: Console, study: Study) -> None:
    """Train the lanes that have no file yet, behind a progress bar."""
    missing = {
        resample: [seed for seed in study.seeds if _read_lane(study, resample, seed) is None]
        for resample in study.resamples
    }
    left, lanes = sum(map(len, missing.values())), len(study.seeds) * len(study.resamples)
    console.print(f"lanes      {lanes}: seeds {study.seeds} on each of {len(study.resamples)} resamples")
    if left < lanes:
        console.print(f"           {lanes - left} of them are in {study.work_dir} already")
    is_accelerated = jax.devices()[0].platform != "cpu"
    with terminal.make_bar(console) as bar:
        task = bar.add_task("training", total=left, speed="")
        for resample, seeds in missing.items():
            if not seeds:
                continue
            config = study.lane_config(resample, seeds[0])
            split = take_sample(study.split, config)
            programs = make_programs(config, study.examples, split)
            together = len(seeds) if is_accelerated else 1
            for first in range(0, len(seeds), together):
                group = seeds[first : first + together]
                done = bar.tasks[task].completed

                def tell(share: float, words: str, *, done: float = done, lanes: int = len(group)) -> None:
                    bar.update(task, completed=done + share * lanes, description=words)

                tell(0.0, f"resample {resample}")
                for seed, figures in _train_lanes(study, resample, group, split, programs, tell).items():
                    console.print(_lane_line(resample, seed, figures))


def _train_lanes(
    study: Study,
    resample: int,
    seeds: Sequence[int],
    split: Split,
    programs: Programs,
    tell: Callable[[float, str], None],
) -> dict[int, Record]:
    """Train some seeds on a resample together, and write their files."""
    config = study.lane_config(resample, seeds[0])
    job = make_job(config, seeds, study.examples, split, programs)
    lanes = [Lane(seed, study.work_dir, programs.init(jax_key(seed, Stream.INIT))) for seed in seeds]
    epochs, logits = config.train.epochs, {}

    def on_step(epoch: int, position: int, objective: float) -> None:
        share = (epoch + position / job.epoch_steps) / epochs
        names = ", ".join(map(str, seeds))
        tell(
            share,
            f"resample {resample}, seed {names}, epoch {epoch + 1}/{epochs}, objective {objective:.3f}",
        )

    def on_selected(lane: Lane) -> None:
        logits[lane.seed] = predict(
            programs, lane.state, study.examples.images[study.rows], batch_size=config.train.eval_batch_size
        )

    records = run_unsaved(job, lanes, on_step=on_step, on_selected=on_selected)
    kept = {}
    for seed, record in zip(seeds, records, strict=True):
        figures = {name: record[name] for name in FIGURES}
        kept[seed] = figures | {"seconds": record["seconds"] / len(seeds)}
        with replacing(study.lane_file(resample, seed)) as new, new.open("wb") as file:
            np.savez(file, logits=logits[seed], key=np.array(study.lane_key(resample, seed)), **kept[seed])
    return kept


def _lane_line(resample: int, seed: int, figures: Record) -> str:
    return (
        f"resample {resample}, seed {seed}: train {100 * figures['train_accuracy']:.1f} %, "
        f"val {100 * figures['val_accuracy']:.1f} %, {figures['seconds']:.1f} s"
    )


def predict(programs: Programs, state: Any, images: np.ndarray, *, batch_size: int) -> np.ndarray:
    """Run a network over images in evaluation mode.

    Args:
        programs: of its config.
        state: its weights.
        images: uint8 [N, 48, 48, 1].
        batch_size: images a step.

    Returns:
        Logits, float32 [N, 7].
    """
    variables = state.predictor
    batches = [
        np.asarray(_predict_batch(programs.model, programs.pixel_stats, variables, images[rows]))
        for rows, _ in in_order(np.arange(len(images)), batch_size)
    ]
    return np.concatenate([*batches, np.empty((0, fer2013.CLASS_COUNT), np.float32)])[: len(images)]


@partial(jax.jit, static_argnums=(0, 1))
def _predict_batch(model: nn.Module, pixel_stats: PixelStats, variables: Any, images: jax.Array) -> Any:
    return model.apply(variables, standardise(jnp.asarray(images), pixel_stats), is_training=False)


def _read_lane(study: Study, resample: int, seed: int) -> tuple[np.ndarray, Json] | None:
    """Read the logits of a lane, float32 [N, 7], and its figures; None where it is not trained yet."""
    path = study.lane_file(resample, seed)
    if not path.exists():
        return None
    try:
        with np.load(path) as saved:
            key, logits = str(saved["key"]), saved["logits"]
            figures = {name: float(saved[name]) for name in FIGURES}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read: {error}; delete it, and measure again") from None
    if key != study.lane_key(resample, seed):
        raise RunError(
            f"{path} is of another study (config, data, split or versions differ); give another --work-dir, "
            "or delete the old one"
        )
    return logits, {"resample": resample, "seed": seed, **figures}


def _read_lanes(study: Study) -> tuple[np.ndarray, list[Json]]:
    """Read all lanes back: logits float32 [R, S, N, 7], and the figures of each."""
    read = [_read_lane(study, resample, seed) for resample in study.resamples for seed in study.seeds]
    lanes = [lane for lane in read if lane is not None]
    logits = np.stack([logits for logits, _ in lanes])
    shape = (len(study.resamples), len(study.seeds), *logits.shape[1:])
    return logits.reshape(shape), [figures for _, figures in lanes]
