"""The trainings of the fine-tuning benchmark: which there are, on which rows, and what one finds.

What needs JAX is imported where it is used.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import DataConfig, LabelsConfig, SplitConfig
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.config.training import AverageConfig, InitConfig, TrainConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.readers import ferplus
from fer_jax.data.split import Split, hold_out, split_examples
from fer_jax.data.targets import make_targets
from fer_jax.errors import ConfigError
from fer_jax.files import Json
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.report.plots import QUIET_COLOUR, TRAIN_COLOUR, VAL_COLOUR
from fer_jax.runtime import machine

CLASSES: Final = 8
HELD_OUT: Final = 0.37
"""Share of Training that the ancestor does not see."""
POOL_SHARE: Final = 0.43
"""Share of these rows that is the pool of own data; the others are the test set."""
VAL_SHARE: Final = 0.2
"""Share of the own rows that chooses the learning rate."""
BATCH_SIZE: Final = 32
WARMUP_SHARE: Final = 0.1
STEPS: Final = {100: 200, 300: 300, 1000: 500, 3000: 1000}
"""By the number of own rows: the steps of each training."""
SEEDS: Final = {100: 5, 300: 5, 1000: 3, 3000: 3}


class Way(NamedTuple):
    """A way to train on the own rows.

    Attributes:
        title: in words.
        rates: the peak learning rates to choose from.
        freeze_blocks, head_share: of `init`, the latter as a share of the epochs; None: from new weights.
        colour: of its line.
    """

    title: str
    rates: tuple[float, ...]
    freeze_blocks: int | None
    head_share: float
    colour: str


WAYS: Final = {
    "new": Way("from new weights", (0.002, 0.006), None, 0.0, QUIET_COLOUR),
    "all": Way("fine-tuned, all layers", (0.0005, 0.002), 0, 0.0, TRAIN_COLOUR),
    "frozen": Way("fine-tuned, two blocks frozen, last layer first", (0.0005, 0.002), 2, 0.2, VAL_COLOUR),
}


class Case(NamedTuple):
    """A training to measure: a way, how many own rows, and the seed of their choice and of the training."""

    way: str
    rows: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.way}-{self.rows}-seed{self.seed}"

    def __str__(self) -> str:
        """Describe it for the console."""
        return f"{WAYS[self.way].title}, {self.rows:,} rows, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Own:
    """Somebody's own data.

    Attributes:
        loaded: all rows of the file, with FER2013's labels.
        examples: the same with FER+'s labels, -1 where there is no majority.
        pool: rows to train on, int64, all with a label.
        test: rows to measure, int64, all with a label.
        ancestor_rows: rows that the ancestor is trained on.
    """

    loaded: Examples
    examples: Examples
    pool: np.ndarray
    test: np.ndarray
    ancestor_rows: np.ndarray


def list_cases(sizes: Sequence[int]) -> list[Case]:
    """List all trainings: the ways take turns, so that a part of the list compares them."""
    return [Case(way, rows, seed) for rows in sizes for seed in range(SEEDS[rows]) for way in WAYS]


def load_own(data: Path, votes: Path | None) -> Own:
    """Part the Training rows of FER2013.

    Args:
        data: train.csv or fer2013.csv.
        votes: FER+'s file; None: fer2013new.csv beside the data.
    """
    loaded = load_examples(DataConfig(path=str(data), source="kaggle"))
    path = ferplus.find(data.parent / "fer2013new.csv" if votes is None else votes)
    where = f"{path} and {loaded.description}"
    matched = ferplus.match(ferplus.read(path), loaded.labels, loaded.usages, where=where)
    labels = make_targets(matched, LabelsConfig(mode="majority"), classes=CLASSES).labels
    return part_rows(loaded, labels)


def part_rows(loaded: Examples, labels: np.ndarray) -> Own:
    """Part the rows in groups of copies: the ancestor's, then the pool and the test set.

    Args:
        loaded: with FER2013's labels, by which each part has the same classes.
        labels: int32 [rows of the data], those of the own data; rows without one are left out of it.
    """
    whole = split_examples(loaded, SplitConfig(protocol="holdout", holdout_fraction=HELD_OUT))
    others = Split(whole.val, whole.val[:0], whole.val[:0])
    parted = hold_out(loaded, others, share=POOL_SHARE, seed=1)
    pool, test = (rows[labels[rows] != fer2013.UNLABELLED] for rows in (parted.val, parted.train))
    return Own(loaded, replace(loaded, labels=labels), pool, test, whole.train)


def draw_own(own: Own, rows: int, seed: int) -> Split:
    """Draw own rows from the pool: four fifths are trained on, one fifth chooses, and the test is all of it.

    Raises:
        ConfigError: the pool is smaller.
    """
    if rows > len(own.pool):
        raise ConfigError(f"--sizes {rows}: the pool has {len(own.pool):,} rows; give smaller ones")
    drawn = numpy_rng(seed, Stream.SUBSET, rows).permutation(own.pool)[:rows]
    parted = hold_out(own.examples, Split(drawn, drawn[:0], drawn[:0]), share=VAL_SHARE, seed=seed)
    return Split(parted.train, parted.val, own.test)


def make_config(base: Config, case: Case, *, rate: float, rows: int, steps: int, ancestor: Path) -> Config:
    """Make the config of a training.

    Args:
        base: the ancestor's.
        case: which training.
        rate: its peak learning rate.
        rows: that it is trained on.
        steps: about so many; they are whole epochs.
        ancestor: the folder of the ancestor's run.
    """
    way, epochs = WAYS[case.way], max(1, round(steps / (rows // BATCH_SIZE)))
    init = InitConfig()
    if way.freeze_blocks is not None:
        head_epochs = way.head_share * epochs
        init = InitConfig(weights=str(ancestor), freeze_blocks=way.freeze_blocks, head_epochs=head_epochs)
    return replace(
        base,
        name=case.way,
        labels=LabelsConfig(source="ferplus", mode="majority"),
        model=replace(base.model, classes=CLASSES),
        optimizer=replace(base.optimizer, peak_rate=rate, warmup_epochs=WARMUP_SHARE * epochs),
        average=AverageConfig(),
        init=init,
        train=TrainConfig(
            epochs=epochs,
            batch_size=BATCH_SIZE,
            select="last",
            measure_epochs=epochs,
            train_eval_examples=0,
            seed=case.seed,
        ),
    )


def train_case(base: Config, case: Case, own: Own, *, steps: int, ancestor: Path) -> Json:
    """Train at each rate, choose by the validation rows, and count what is right on the test rows.

    A better accuracy is chosen, of equal ones the lower loss.

    Returns:
        The counts, in all and by class, each rate's result on the validation rows, and what decided them.
    """
    from fer_jax.engine.loop import Replica, run_unsaved
    from fer_jax.engine.setup import make_job, make_programs
    from fer_jax.inference.teachers import Student, load_ancestor
    from fer_jax.randomness import jax_key

    split, tried = draw_own(own, case.rows, case.seed), []
    configs = [
        make_config(base, case, rate=rate, rows=len(split.train), steps=steps, ancestor=ancestor)
        for rate in WAYS[case.way].rates
    ]
    found = load_ancestor(Student(configs[0], own.loaded, own.examples, split, split.train, None))
    # The learning rate is no part of the programs.
    programs = make_programs(configs[0], own.examples, split, start=None if found is None else found.start)
    for config in configs:
        job = make_job(config, [case.seed], own.examples, split, programs)
        replica = Replica(case.seed, Path(), programs.init(jax_key(case.seed, Stream.INIT)))
        (record,) = run_unsaved(
            job, [replica], on_step=lambda *progress: None, on_selected=lambda replica: None
        )
        tried.append((record, job, replica))
    _, job, replica = max(tried, key=lambda each: (each[0]["val_accuracy"], -each[0]["val_loss"]))
    confusion = job.stepper.evaluate([replica.state], [[split.test]])[0][0].confusion
    right, totals = np.diagonal(confusion), confusion.sum(axis=1)
    return {
        "way": case.way,
        "rows": case.rows,
        "seed": case.seed,
        "steps": int(replica.state.step),
        "epochs": job.config.train.epochs,
        "rate": job.config.optimizer.peak_rate,
        "tried": [
            {
                "rate": job.config.optimizer.peak_rate,
                "val_correct": round(record["val_accuracy"] * len(split.val)),
                "val_loss": record["val_loss"],
                "train_accuracy": record["train_accuracy"],
            }
            for record, job, _ in tried
        ],
        "trained_on": len(split.train),
        "chosen_on": len(split.val),
        "correct": int(right.sum()),
        "total": int(totals.sum()),
        "classes": {
            name: [int(one), int(all_)]
            for name, one, all_ in zip(job.config.model.names, right, totals, strict=True)
        },
        "ancestor_sha256": None if found is None else found.facts["sha256"],
        **_describe_place(own, job.config),
    }


def measure_ancestor(folder: Path, own: Own) -> Json:
    """Count what the ancestor gets right on the test rows, without any own row; contempt it does not know."""
    from fer_jax.inference.predictor import predict
    from fer_jax.inference.run_weights import load_finished

    trained = load_finished(folder, None, None)
    logits, _ = predict(trained.network, own.examples.images[own.test])
    labels = own.examples.labels[own.test]
    return {
        "correct": int((logits.argmax(axis=1) == labels).sum()),
        "total": len(labels),
        "config": to_json(trained.config),
        "seconds": trained.record.seconds_total,
        "train_images": trained.record.split.sizes["train"],
        **_describe_place(own, trained.config),
    }


def _describe_place(own: Own, config: Config) -> Json:
    """Describe what has to be equal for all trainings."""
    return {
        "data_sha256": own.loaded.sha256,
        "trained_git": machine.git_commit(),
        "machine": machine.describe_cpu(),
        "versions": machine.list_versions(),
        "optimizer": asdict(config.optimizer),
    }
