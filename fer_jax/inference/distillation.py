"""Distillation: the answers of trained networks become a part of the training targets.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network": the student learns the softened
answers of the teachers beside the labels. Theirs is a sum of two losses, with the student's logits softened
too and that loss scaled by the temperature squared; here the two targets are blended and the student's logits
stay as they are, so that one loss does. The teachers see each image and its mirror image once, without
augmentation, or each of its stored views (see `images.stored_views`). Teachers of the student's own
architecture make it a born-again network (Furlanello et al. 2018, "Born-again neural networks").
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

import jax
import numpy as np

from fer_jax.config.model import DeviceConfig
from fer_jax.config.run import Config
from fer_jax.data.batches import in_order
from fer_jax.files import Json, cache_folder, expand_home, keep_array, read_array
from fer_jax.images import augment
from fer_jax.images.augment import Draws
from fer_jax.images.stored_views import EpochViews, StoredViews, TrainTargets, count_before, redraw
from fer_jax.inference.classifiers import Pretrained
from fer_jax.inference.predictor import (
    LARGEST_BATCH,
    Advance,
    average,
    predict,
)
from fer_jax.inference.teachers import (
    Student,
    check_bank,
    describe_teachers,
    list_seen,
    list_unknown,
    load_teachers,
)
from fer_jax.runs import bank as bank_file
from fer_jax.runs.bank import Bank, describe_drawing, to_answers
from fer_jax.runtime import machine
from fer_jax.runtime.disk import lock
from fer_jax.text import counted

OnView = Callable[[float, int], None]
"""Called with how many views the teachers have seen, and how many there are."""

Tell = Callable[[str], None]
"""Called with a line for people."""

_CLEAN: Final[Json] = {"views": "the image and its mirror image"}
_SIDES: Final[tuple[Literal["left"], Literal["right"]]] = ("left", "right")

_apply = jax.jit(augment.apply)


@dataclass(frozen=True, eq=False)
class Distilled:
    """What teachers make of a run's training.

    Attributes:
        targets: of the training, with their answers in them.
        seen: uint64, of their training images as far as they are known.
        facts: who they are, for JSON.
        note: the same in a line.
    """

    targets: TrainTargets
    seen: np.ndarray
    facts: Json
    note: str


def distill(student: Student, *, on_view: OnView, tell: Tell = lambda line: None) -> Distilled | None:
    """Blend the answers of a config's teachers into the training targets; None where it names no teacher.

    Args:
        student: the run; `distill`, `labels` and `model` of its config count, with stored views also
            `augment` and `device`.
        on_view: called as the teachers answer.
        tell: called with a line where another process is waited for, and where it is not known what the
            ancestor of a teacher has seen.

    Raises:
        ConfigError: a teacher has seen images that this run is measured on, or may have; has other classes;
            or learnt other labels; a bank is of other views or images.
        RunError: a teacher or a bank cannot be found or used.
    """
    distill = student.config.distill
    if distill.bank is not None:
        path = expand_home(distill.bank)
        bank, sha256 = bank_file.read(path)
        check_bank(path, bank, student)
        return _teach_by_views(
            student, bank, {"sha256": sha256, "runs": bank.teachers["runs"], "bank": path.name}
        )
    if not distill.teachers:
        return None
    if distill.views:
        bank = ask_views(student, on_view=on_view, tell=tell)
        return _teach_by_views(student, bank, bank.teachers)
    teachers = _load_teachers(student, tell)
    facts, images = describe_teachers(teachers), student.examples.images[student.rows]
    both = (images, images[:, :, ::-1])
    sides, _ = _ask(
        student.config,
        teachers,
        images,
        both.__getitem__,
        views=len(both),
        sha256=facts["sha256"],
        kind=_CLEAN,
        on_view=on_view,
        tell=tell,
    )
    answers = np.zeros((len(student.examples), student.config.model.classes), np.float32)
    from scipy.special import softmax  # A training without teachers need not wait for it.

    logits = sides.astype(np.float32).mean(axis=0)
    answers[student.rows] = softmax(logits / np.float32(distill.temperature), axis=1)
    weight, own = np.float32(distill.weight), student.make_own()

    def blend(seed: int, epoch: int) -> np.ndarray:
        return (1 - weight) * own(seed, epoch) + weight * answers

    return Distilled(blend, list_seen(teachers), facts, _describe(student, facts))


def _load_teachers(student: Student, tell: Tell) -> list[Pretrained]:
    teachers = load_teachers(student)
    for line in list_unknown(teachers):
        tell(line)
    return teachers


def _count(on_view: OnView, total: int) -> Advance:
    """Count shares of views, and tell how many are done of how many, from the start."""
    done = 0.0
    on_view(done, total)

    def advance(share: float) -> None:
        nonlocal done
        done += share
        on_view(done, total)

    return advance


def ask_views(student: Student, *, on_view: OnView, tell: Tell = lambda line: None) -> Bank:
    """Ask a run's teachers about stored views of its training images: they see the very pixels that it sees.

    Raises:
        ConfigError, RunError: as `distill`.
    """
    config, examples, teachers = student.config, student.examples, _load_teachers(student, tell)
    facts, images = describe_teachers(teachers), examples.images[student.rows]
    answers, made = _ask(
        config,
        teachers,
        images,
        lambda view: _show(images, redraw(view, config.augment, len(images))),
        views=config.distill.views,
        sha256=facts["sha256"],
        kind=describe_drawing(config.augment),
        on_view=on_view,
        tell=tell,
    )
    is_ferplus = any(teacher.labels == "ferplus" for teacher in teachers)
    return Bank(
        answers=answers,
        images=examples.hashes[student.rows],
        seen=list_seen(teachers),
        augment=config.augment,
        names=config.model.names,  # `load_teachers` refuses teachers of other classes.
        labels="ferplus" if is_ferplus else "fer2013",
        teachers=facts,
        made=made,
    )


def _ask(
    config: Config,
    teachers: Sequence[Pretrained],
    images: np.ndarray,
    show: Callable[[int], np.ndarray],
    *,
    views: int,
    sha256: str,
    kind: Json,
    on_view: OnView,
    tell: Tell,
) -> tuple[np.ndarray, Json]:
    """Ask teachers about views of the training images, and average their logits.

    The answers to a view are cached as soon as they are there, so that this can be interrupted, for resuming,
    and for other seeds. The teachers compute in `device.compute_dtype` and with `device.kernels`: an answer
    that is stored in float16 needs no more.

    Args:
        config: of the student.
        teachers: who is asked.
        images: uint8 [n, 48, 48, 1], of the training.
        show: makes a view of them, by its number.
        views: how many.
        sha256: of the teachers' weights.
        kind: what tells these views from others.
        on_view: called as the teachers answer.
        tell: called with a line where another process is waited for.

    Returns:
        Answers, float16 [V, n, C], see `to_answers`; and how they were made.
    """
    device = DeviceConfig(kernels=config.device.kernels, compute_dtype=config.device.compute_dtype)
    # On another machine, or with other cores, the same network gives other bits.
    made = {
        "kernels": device.kernels,
        "compute_dtype": device.compute_dtype,
        **machine.describe_place(),
    }
    key = hashlib.sha256(json.dumps([sha256, made, kind]).encode())
    key.update(np.ascontiguousarray(images))
    advance = _count(on_view, len(teachers) * views)
    networks = [
        replace(teacher.network, model=teacher.network.model.clone(device=device)) for teacher in teachers
    ]
    answers, is_told = dict[int, np.ndarray](), False

    def tell_owner(owner: lock.Owner | None) -> None:
        nonlocal is_told
        if not is_told:
            tell(f"waiting for {owner or 'another process'}: it is asking the teachers about the same images")
        is_told = True

    # An even and an odd seed that begin together begin with other views, and find each other's answers.
    for view in np.roll(range(views), config.train.seed % 2 * (views // 2)).tolist():
        name = f"answers/{key.hexdigest()[:32]}-view{view}"
        with _in_turn(name, tell_owner):
            cached = read_array(name)
            if cached is None:
                faces = show(view)
                each = [predict(one, faces, advance=advance)[0].astype(np.float64) for one in networks]
                cached = to_answers(average(each, [teacher.title for teacher in teachers]))
                keep_array(name, cached)
            else:
                advance(len(teachers))
        answers[view] = cached
    return np.stack([answers[view] for view in range(views)]), made


@contextmanager
def _in_turn(name: str, tell_owner: Callable[[lock.Owner | None], None]) -> Iterator[None]:
    """Let one process at a time make what is cached under a name; without a cache each makes it."""
    with ExitStack() as held:
        with suppress(OSError):  # There is no home.
            held.enter_context(lock.hold_in_turn(cache_folder() / f"{name}.making", tell_owner))
        yield


def _show(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Apply the draws of n images uint8 [n, 48, 48, 1], on the device: the same bits as anywhere."""
    parts = [
        _apply(images[rows], Draws(*(None if each is None else each[rows] for each in draws)))
        for rows, _ in in_order(np.arange(len(images)), LARGEST_BATCH)
    ]
    return np.concatenate([np.asarray(part) for part in parts])[: len(images)]


def _teach_by_views(student: Student, bank: Bank, facts: Json) -> Distilled:
    """Make the targets of stored views."""
    config, rows = student.config, student.rows
    places = np.full(len(student.examples), -1)
    places[rows] = _find_places(bank.images, student.examples.hashes[rows])
    logits = bank.answers[: config.distill.views].astype(np.float32)
    from scipy.special import softmax  # A training without teachers need not wait for it.

    answers = softmax(logits / np.float32(config.distill.temperature), axis=2)
    stored = StoredViews(bank.augment, answers, places, config.distill.weight)
    own, facts = student.make_own(), facts | {"views": config.distill.views}

    def choose_views(seed: int, epoch: int) -> EpochViews:
        return stored.of_epoch(seed, epoch, own(seed, epoch))

    return Distilled(choose_views, bank.seen, facts, _describe(student, facts))


def _find_places(known: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Find the places of hashes among known ones, int64; equal ones take a place each while there are any.

    >>> _find_places(np.array([5, 9, 5]), np.array([9, 5, 5, 5])).tolist()
    [1, 0, 2, 2]
    """
    order = np.argsort(known, kind="stable")
    first, end = (np.searchsorted(known[order], hashes, side=side) for side in _SIDES)
    places: np.ndarray = order[np.minimum(first + count_before(hashes), end - 1)]
    return places


def _describe(student: Student, facts: Json) -> str:
    """Describe in a line who teaches."""
    config = student.config.distill
    names = ", ".join(run["run"] for run in facts["runs"])
    views = f", for {counted(config.views, 'stored view')} of each image" if config.views else ""
    return f"{100 * config.weight:g} % of the targets from {names}, temperature {config.temperature:g}{views}"
