"""From a config to what its network is trained and measured on: examples, rows of each part, targets.

`prepare` does it in one go. A program that trains many networks on the same rows takes the two steps one by
one: `choose_labels` once, then `take_sample` for each network.
"""

from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console

from fer_jax.config.run import Config
from fer_jax.data import subsets
from fer_jax.data.drop_list import apply_drop_list
from fer_jax.data.examples import Examples
from fer_jax.data.split import Split, split_examples
from fer_jax.data.targets import SoftLabels, describe_kept, keep_rows, load_targets
from fer_jax.files import Json
from fer_jax.inference.teachers import distill
from fer_jax.report import terminal
from fer_jax.text import counted


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network is trained and measured on.

    Attributes:
        loaded: all of the data, with FER2013's labels.
        examples: the same with the labels that count: FER2013's or those of FER+.
        split: rows of each part. After `take_sample`, `train` is what is trained on.
        targets: the training targets; None: the labels.
        open_rows: int64 [N], the training rows before any was left out.
        dropped: what the drop list left out, see `apply_drop_list`; None without a list.
        teachers: who the teachers are; None without teachers.
        notes: lines for people: what was left out, and what the targets are.
    """

    loaded: Examples
    examples: Examples
    split: Split
    targets: SoftLabels | None
    open_rows: np.ndarray
    dropped: Json | None
    teachers: Json | None
    notes: tuple[str, ...]


def prepare(config: Config, examples: Examples, *, console: Console | None = None) -> Prepared:
    """Do all that a config asks for between loading its data and training on it.

    `examples` are what `load_examples` loads for `config.data`; a console shows how far the teachers are.

    Raises:
        FerJaxError: the split, the drop list, the votes or the teachers cannot be used with this data.
    """
    chosen = choose_labels(config, examples, split_examples(examples, config.split))
    return take_sample(config, chosen, console=console)


def choose_labels(config: Config, examples: Examples, split: Split) -> Prepared:
    """Leave out what the drop list says, and take the labels that count.

    Raises:
        ConfigError: no file of votes is named or found.
        DataError: the list or the votes cannot be read, or are not of this data.
    """
    loaded, open_rows = examples, split.train
    split, dropped = apply_drop_list(config.data, examples, split)
    notes = []
    if dropped:
        notes.append(
            f"left out of train: {counted(dropped['rows'], 'row')} that {dropped['list']} marks drop"
        )
    targets = load_targets(config.labels, examples, classes=config.model.classes)
    if targets is not None:
        kept = keep_rows(split, targets)
        notes.append(describe_kept(split, kept))
        examples, split = replace(examples, labels=targets.likeliest()), kept
    return Prepared(
        loaded=loaded,
        examples=examples,
        split=split,
        targets=None if targets is None else targets.of_epoch,
        open_rows=open_rows,
        dropped=dropped,
        teachers=None,
        notes=tuple(notes),
    )


def take_sample(config: Config, chosen: Prepared, *, console: Console | None = None) -> Prepared:
    """Take the rows that one network is trained on, and ask its teachers about them.

    `train.max_examples`, `train.resample` and `distill` count of the config; a console shows how far the
    teachers are.

    Raises:
        ConfigError: a teacher has seen images that are measured, has other classes, or learnt other labels.
        RunError: a teacher cannot be used.
    """
    split = subsets.take_sample(chosen.split, config)
    sample = subsets.describe_sample(chosen.split, split, config)
    if console is None or not config.distill.teachers:
        console = Console(quiet=True)
    with terminal.show_steps(console, "asking the teachers", None) as steps:
        taught = distill(
            config,
            chosen.loaded,
            chosen.examples,
            split,
            chosen.targets,
            open_rows=chosen.open_rows,
            on_view=steps.move,
        )
    return replace(
        chosen,
        split=split,
        targets=chosen.targets if taught is None else taught.targets,
        teachers=None if taught is None else taught.facts,
        notes=(*chosen.notes, *([sample] if sample else []), *([taught.note] if taught else [])),
    )
