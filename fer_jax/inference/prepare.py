"""From a config to what its network is trained and measured on: examples, rows of each part, targets.

`prepare` does it in one go. A program that trains many networks on the same rows takes the two steps one by
one: `choose_labels` once, then `take_sample` for each network.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax.config.data import HOLDOUT_NOTE
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.load import complete
from fer_jax.data.rows import subsets
from fer_jax.data.rows.drop_list import apply_drop_list
from fer_jax.data.split import Split, describe_parts, split_examples
from fer_jax.data.targets import SoftLabels, describe_kept, keep_rows, limit_classes, load_targets
from fer_jax.errors import ConfigError
from fer_jax.files import Json, expand_home
from fer_jax.images.stored_views import TrainTargets
from fer_jax.inference.classifiers import load_pretrained
from fer_jax.inference.distillation import ask_views, distill
from fer_jax.inference.teachers import Ancestor, Student, describe_teachers, load_ancestor
from fer_jax.models.transfer import Start
from fer_jax.report import terminal
from fer_jax.runs import bank as bank_file
from fer_jax.runs.bank import Bank
from fer_jax.runtime.progress import Steps
from fer_jax.text import counted


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network is trained and measured on.

    Attributes:
        loaded: all of the data, with FER2013's labels.
        examples: the same with the labels that count: FER2013's or those of FER+.
        split: rows of each part. After `take_sample`, `train` is what is trained on.
        own_targets: the training targets without teachers; None: the labels.
        targets: the training targets; None: the labels.
        open_rows: int64 [N], the training rows before any was left out.
        dropped: what the drop list left out, see `apply_drop_list`; None without a list.
        votes: `sha256` of the targets that FER+'s votes make; None: the labels are the data's.
        teachers: who the teachers are, and `images`: how many `teacher_hashes` there are; None without
            teachers.
        teacher_hashes: uint64, of the images that only the teachers were trained on, as far as they are
            known.
        notes: lines for people: a hold-out, what was left out, what the targets are, and what training starts
            from.
        ancestor: the trained network that training starts from; None: new weights.
        decided: int32 [rows of the data], the labels that are measured by, -1 where FER+'s votes decide
            nothing; None: those of `examples`.
    """

    loaded: Examples
    examples: Examples
    split: Split
    own_targets: SoftLabels | None
    targets: TrainTargets | None
    open_rows: np.ndarray
    dropped: Json | None
    votes: Json | None
    teachers: Json | None
    notes: tuple[str, ...]
    ancestor: Ancestor | None = None
    teacher_hashes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    decided: np.ndarray | None = None

    @property
    def start(self) -> Start | None:
        """What training starts from; None: new weights."""
        return None if self.ancestor is None else self.ancestor.start

    @property
    def train_hashes(self) -> np.ndarray:
        """The hashes of the images that the weights learn from, uint64.

        First those that are trained on, then the ancestor's, then those that only the teachers know.
        """
        inherited = [] if self.ancestor is None else [self.ancestor.train_hashes]
        return np.concatenate([self.examples.hashes[self.split.train], *inherited, self.teacher_hashes])


def prepare(
    config: Config, examples: Examples, *, console: Console | None = None, ancestor: Ancestor | None = None
) -> Prepared:
    """Do all that a config asks for between loading its data and training on it.

    Args:
        config: of the run.
        examples: what `load_examples` loads for `config.data`.
        console: shows how far the search for near copies and the teachers are.
        ancestor: of a run that is resumed; None: the one that the config names is loaded.

    Raises:
        FerJaxError: the split, the drop list, the votes, the teachers or the weights to start from cannot be
            used with this data.
    """
    with _showing("searching for near copies", config.split.group_near_copies, console) as steps:
        split = split_examples(examples, config.split, on_step=steps.move)
    return take_sample(config, choose_labels(config, examples, split), console=console, ancestor=ancestor)


def choose_labels(config: Config, examples: Examples, split: Split) -> Prepared:
    """Leave out what the drop list says, and take the labels that count.

    Raises:
        ConfigError: no file of votes is named or found.
        DataError: the list or the votes cannot be read, or are not of this data.
    """
    loaded, open_rows = examples, split.train
    split, dropped = apply_drop_list(config.data, examples, split)
    notes = [HOLDOUT_NOTE] if config.split.protocol == "holdout" else []
    notes += describe_parts(examples, config.split, split)
    if dropped:
        notes.append(
            f"left out of train: {counted(dropped['rows'], 'row')} that {dropped['list']} marks drop"
        )
    targets = load_targets(config.labels, examples, classes=limit_classes(config.model.classes))
    if targets is not None:
        kept = keep_rows(split, targets)
        notes.append(describe_kept(split, kept))
        examples, split = replace(examples, labels=targets.likeliest()), kept
    own_targets = None if targets is None else targets.of_epoch
    return Prepared(
        loaded=loaded,
        examples=examples,
        split=split,
        own_targets=own_targets,
        targets=own_targets,
        open_rows=open_rows,
        dropped=dropped,
        votes=None if targets is None else {"sha256": targets.sha256},
        teachers=None,
        notes=tuple(notes),
        decided=None if targets is None else targets.labels,
    )


def take_sample(
    config: Config, chosen: Prepared, *, console: Console | None = None, ancestor: Ancestor | None = None
) -> Prepared:
    """Take the rows that one network is trained on, ask its teachers, and load the weights to start from.

    `train.max_examples`, `train.resample`, `distill` and `init` count of the config; a console shows how far
    the teachers are; for `ancestor` see `prepare`.

    Raises:
        ConfigError: a teacher or the ancestor has seen images that are measured; a teacher has other classes,
            or learnt other labels; the ancestor is another network.
        RunError: a teacher or the ancestor cannot be used.
    """
    student = _to_student(config, chosen)
    ancestor = ancestor or load_ancestor(student)
    sample = subsets.describe_sample(chosen.split, student.split, config)
    with _showing("asking the teachers", config.distill.is_on, console) as steps:
        taught = distill(student, on_view=steps.move, tell=steps.tell)
    sampled = replace(
        chosen,
        split=student.split,
        targets=chosen.targets if taught is None else taught.targets,
        teachers=None,
        teacher_hashes=np.zeros(0, np.uint64),
        notes=(
            *chosen.notes,
            *([sample] if sample else []),
            *([taught.note] if taught else []),
            *(ancestor.notes if ancestor else []),
        ),
        ancestor=ancestor,
    )
    if taught is None:
        return sampled
    more = np.setdiff1d(taught.seen, sampled.train_hashes)
    return replace(sampled, teachers=taught.facts | {"images": len(more)}, teacher_hashes=more)


def hash_learnt_from(field: str, name: str, chosen: Prepared) -> str:
    """Load what `distill.teachers`, `distill.bank` or `init.weights` names, and return its SHA-256, hex.

    Raises:
        FerJaxError: it is not there, or cannot be used.
    """
    if field == "distill.bank":
        return bank_file.read(expand_home(name))[1]
    found: str = describe_teachers(load_pretrained(name, chosen.loaded, chosen.examples.labels))["sha256"]
    return found


def make_bank(config: Config, examples: Examples, path: Path, *, console: Console | None = None) -> Bank:
    """Ask a config's teachers about stored views of its training images, and write their answers to a file.

    The file is for `distill.bank` of runs with the same augmentation, there or elsewhere. An interrupted call
    has cached the views that are answered.

    Args:
        config: `distill.teachers`, `distill.views`, `augment` and what decides rows and classes count.
        examples: what `load_examples` loads for `config.data`.
        path: of the file; one that is there is replaced.
        console: shows how far the teachers are.

    Raises:
        FerJaxError: as `prepare`; the file cannot be written.
    """
    if not config.distill.teachers or not config.distill.views:
        raise ConfigError(
            "a bank holds what distill.teachers answer to distill.views views of each image; give both, such "
            "as --distill.teachers best --distill.views 32"
        )
    if path.is_dir():
        raise ConfigError(
            f"{path} is a folder; name the file of the bank, such as {path / 'bank.safetensors'}"
        )
    config, examples = complete(config, examples)
    chosen = choose_labels(config, examples, split_examples(examples, config.split))
    with _showing("asking the teachers", config.distill.is_on, console) as steps:
        bank = ask_views(_to_student(config, chosen), on_view=steps.move, tell=steps.tell)
    bank_file.write(path, bank)
    return bank


def _to_student(config: Config, chosen: Prepared) -> Student:
    """Take the rows that one network is trained on."""
    split = subsets.take_sample(chosen.split, config)
    own = chosen.own_targets
    return Student(config, chosen.loaded, chosen.examples, split, chosen.open_rows, own, chosen.decided)


def _showing(words: str, is_shown: bool, console: Console | None) -> AbstractContextManager[Steps]:
    """Show how far a search is, or the teachers are, if they are asked for and there is a console."""
    if console is None or not is_shown:
        console = Console(quiet=True)
    return terminal.show_steps(console, words, None)
