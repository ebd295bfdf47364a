"""Which rows train, select and test: 70/15/15 by a seed, official usages, given parts, or a hold-out.

Rows of a group, such as the pictures of a person or the copies of an image, stay in one part.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.config.data import OWN_PARTS, SplitConfig
from fer_jax.data.examples import Examples
from fer_jax.data.groups import near_copies
from fer_jax.data.groups.cut import balance_groups, shuffle_groups
from fer_jax.data.groups.near_copies import join_groups
from fer_jax.errors import DataError
from fer_jax.randomness import Stream
from fer_jax.runtime.progress import OnStep, ignore_step
from fer_jax.text import counted, join

TRAIN_SHARE, VAL_SHARE = 0.70, 0.15

MOST_SEARCHED: Final = 20_000
"""How many rows are searched for near copies unasked."""

_GIVEN, _EXACT, _NEAR = "groups", "groups of exact copies", "groups of near copies"
_CURES: Final = {
    _GIVEN: "give each group one part, or take split.protocol seed, which keeps them whole",
    _NEAR: "move or delete such pictures, or only have them counted: --split.no-group-near-copies",
}


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of each part.

    Attributes:
        train: int64 [Ntrain], sorted rows of the Examples.
        val: int64 [Nval].
        test: int64 [Ntest]; empty where the official protocol finds no PrivateTest rows, where none is given,
            and for a hold-out.
        groups: int64 [N], equal for rows of the Examples that stay together; None: the data names no groups,
            and near copies are not kept together.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    groups: np.ndarray | None = None

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The rows by name of the part."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def sha256(self) -> str:
        """Hash of the rows, hex: two runs with the same hash have the same parts."""
        digest = hashlib.sha256()
        for rows in self.parts.values():
            digest.update(len(rows).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(rows, "<i8").tobytes())
        return digest.hexdigest()


def split_examples(examples: Examples, config: SplitConfig, *, on_step: OnStep = ignore_step) -> Split:
    """Split examples by the protocol of a config.

    Args:
        examples: all of them.
        config: the protocol, its seed, and what is grouped.
        on_step: called while near copies are searched for.

    Raises:
        DataError: some rows have no label, the data has no rows for the protocol, or a given split divides a
            group.
    """
    if (examples.labels == fer2013.UNLABELLED).any():
        raise DataError(
            f"{_name(examples)}: it has no labels, so it cannot train or test a model; "
            "use train.csv or fer2013.csv"
        )
    kinds = _find_kinds(examples, config, on_step)
    groups = join_groups(*kinds.values()) if kinds else None
    rows = _list_training(examples)
    training = Split(rows, rows[:0], rows[:0], groups)
    if config.protocol == "official":
        split = _official(examples, groups)
    elif config.protocol == "given":
        split = _given(examples, config, groups, kinds)
    elif config.protocol == "holdout":
        split = hold_out(examples, training, share=config.holdout_fraction, seed=config.seed)
    else:
        split = _seeded(examples, config, training)
    for name in ("train", "val"):
        if not len(split.parts[name]):
            raise DataError(
                f"{_name(examples)}: the {name} part of the {config.protocol} split is empty; "
                f"{_count_groups(groups)}give more rows, or change split.protocol"
            )
    return split


def _name(examples: Examples) -> str:
    """Name the data in a message: pictures of one's own by their place, since their classes may be many."""
    is_read = examples.is_own and examples.source is not None
    return str(examples.source) if is_read else examples.description


def _find_kinds(examples: Examples, config: SplitConfig, on_step: OnStep) -> dict[str, np.ndarray]:
    """Find what stays together beside FER2013's exact copies: names of groups int [N], by what they are."""
    kinds = {} if examples.groups is None else {_GIVEN: examples.groups}
    if config.group_near_copies:
        kinds[_NEAR] = near_copies.find_groups(examples, on_step=on_step)
    elif kinds and config.group_duplicates:
        kinds[_EXACT] = examples.hashes
    return kinds


def _count_groups(groups: np.ndarray | None) -> str:
    """Say, where groups may leave a part empty, how many there are."""
    if groups is None:
        return ""
    return f"{counted(len(groups), 'row')} in {counted(len(np.unique(groups)), 'group')} that stay whole: "


def _official(examples: Examples, groups: np.ndarray | None) -> Split:
    if examples.is_own:
        raise DataError(
            f"{_name(examples)}: split.protocol official has FER2013's parts, and these are pictures of "
            "your own; take split.protocol given or seed"
        )
    train, val, test = _list_usages(examples)
    if not len(train) or not len(val):
        raise DataError(
            f"{_name(examples)}: the official protocol needs Training and PublicTest rows, and there "
            f"are {len(train)} and {len(val)}; use fer2013.csv or icml_face_data.csv, or split.protocol seed"
        )
    return Split(train, val, test, groups)


def _list_usages(examples: Examples) -> list[np.ndarray]:
    """List the rows of each usage: int64 [n], sorted."""
    return [np.flatnonzero(examples.usages == usage) for usage in range(len(fer2013.USAGES))]


def _given(
    examples: Examples, config: SplitConfig, groups: np.ndarray | None, kinds: Mapping[str, np.ndarray]
) -> Split:
    """Take the parts that rows are given for; where none is given for val, hold out a share of train."""
    train, val, test = _list_usages(examples)
    split = Split(train, val, test, groups)
    without = int((examples.usages == fer2013.UNLABELLED).sum())
    if without or not len(split.train):
        what = f"{counted(without, 'row')} of {len(examples):,} name no part" if without else "train is empty"
        raise DataError(
            f"{_name(examples)}: split.protocol is given, and {what}; give every picture its part (the "
            "column `split` of a manifest, or folders train/, val/ and test/), or take split.protocol seed"
        )
    for what, names in kinds.items():
        if what != _EXACT:  # These are counted, see `count_leaks`.
            _refuse_divided(examples, names, what)
    if len(split.val):
        return split
    if groups is not None and not config.group_duplicates:
        # The option is about given parts; a part of our own never shares copies with train.
        split = replace(split, groups=join_groups(groups, examples.hashes))
    held_out = hold_out(examples, split, share=VAL_SHARE, seed=config.seed)
    return replace(held_out, test=split.test, groups=groups)


def describe_parts(examples: Examples, config: SplitConfig, split: Split) -> list[str]:
    """Say what may surprise in the parts of pictures of one's own, a line each.

    Given parts that the protocol does not take, a val that was not given, and a test part that is empty.
    """
    sizes = [len(rows) for rows in _list_usages(examples)]
    if not examples.is_own:
        return []
    if config.protocol == "given":
        own = (
            f"the data gives no val: {len(split.val):,} of its {sizes[0]:,} train rows are val, by split.seed"
        )
        return [own] if not sizes[1] else []
    notes = []
    if any(sizes[1:]):
        given = ", ".join(f"{size:,} {name}" for name, size in zip(OWN_PARTS, sizes, strict=True))
        notes.append(
            f"the data has parts of its own ({given}), and split.protocol {config.protocol} cuts its train "
            "anew and leaves the others out: --split.protocol given takes them"
        )
    if config.protocol == "seed" and not len(split.test):
        notes.append(f"the test part is empty: {_count_groups(split.groups)}too few for three parts")
    return notes


def _refuse_divided(examples: Examples, groups: np.ndarray, what: str) -> None:
    """Refuse given parts that divide groups, int [N], and name the first of them; `what` they are.

    Raises:
        DataError: they do.
    """
    order = np.lexsort((examples.usages, groups))
    named, part = groups[order], examples.usages[order]
    starts = np.flatnonzero(np.append(True, named[1:] != named[:-1]))
    ends = np.append(starts[1:], len(order)) - 1
    divided = np.flatnonzero(part[starts] != part[ends])
    if not len(divided):
        return
    pairs = [
        " and ".join(f"{order[place]} ({OWN_PARTS[part[place]]})" for place in (starts[each], ends[each]))
        for each in divided[:3]
    ]
    raise DataError(
        f"{_name(examples)}: the given parts divide {len(divided):,} {what}, such as rows "
        f"{'; '.join(pairs)}, counted from 0 among the pictures that are read, in their order; {_CURES[what]}"
    )


def _list_training(examples: Examples) -> np.ndarray:
    """List the Training rows, and those without a usage: int64 [N], sorted."""
    training = fer2013.USAGES.index("Training")
    return np.flatnonzero((examples.usages == training) | (examples.usages == fer2013.UNLABELLED))


def _seeded(examples: Examples, config: SplitConfig, training: Split) -> Split:
    """Split the rows of `_list_training`: class by class, group by group."""
    rows, groups = training.train, training.groups
    if groups is None:
        groups = examples.hashes if config.group_duplicates else np.arange(len(examples))
    groups, labels = groups[rows], examples.labels[rows]
    if _is_balanced(examples, training):
        shares = (TRAIN_SHARE, VAL_SHARE, VAL_SHARE)  # Equal ones: with two groups val comes before test.
        part = balance_groups(groups, labels, shares, seed=config.seed, stream=Stream.SPLIT)
    else:
        middle, total = shuffle_groups(groups, labels, seed=config.seed, stream=Stream.SPLIT)
        part = np.searchsorted([TRAIN_SHARE, TRAIN_SHARE + VAL_SHARE], middle / total, side="right")
    return Split(rows[part == 0], rows[part == 1], rows[part == 2], training.groups)


def _is_balanced(examples: Examples, split: Split) -> bool:
    """Whether groups are cut by `balance_groups`: FER2013's rows keep the parts that they have always had."""
    return split.groups is not None or examples.is_own


def hold_out(examples: Examples, split: Split, *, share: float, seed: int) -> Split:
    """Hold out a share of each class of the training part; groups, and exact copies, stay together.

    Args:
        examples: all of them, labelled.
        split: of these examples.
        share: of the training rows, in (0, 1).
        seed: in [0, 2**32).

    Returns:
        A split whose `train` and `val` together are the given training part, both sorted; its `test` is
        empty. The given validation and test parts are not used.

    Raises:
        DataError: a part would be empty.
    """
    rows = np.sort(split.train)
    groups = (examples.hashes if split.groups is None else split.groups)[rows]
    labels = examples.labels[rows]
    if _is_balanced(examples, split):
        is_val = balance_groups(groups, labels, (1 - share, share), seed=seed, stream=Stream.HOLDOUT) == 1
    else:
        middle, total = shuffle_groups(groups, labels, seed=seed, stream=Stream.HOLDOUT)
        is_val = middle < share * total
    if is_val.all() or not is_val.any():
        raise DataError(
            f"{_name(examples)}: a hold-out of {share:g} leaves {int((~is_val).sum())} training rows "
            f"and holds {int(is_val.sum())} out; wanted some of each: {_count_groups(split.groups)}give more "
            "rows, or another share"
        )
    return Split(rows[~is_val], rows[is_val], rows[:0], split.groups)


def count_leaks(examples: Examples, split: Split) -> dict[str, int]:
    """Count the rows of val and test that are exact copies of rows of train."""
    return _count_shared(examples.hashes, split)


def count_near_leaks(examples: Examples, split: Split) -> dict[str, int] | None:
    """Count the rows of val and test that are near copies, and not exact ones, of rows of train.

    None where this is not searched for: in FER2013, and in more than `MOST_SEARCHED` rows.
    """
    if not examples.is_own or len(examples) > MOST_SEARCHED:
        return None
    both, exact = (
        _count_shared(groups, split) for groups in (near_copies.find_groups(examples), examples.hashes)
    )
    return {name: both[name] - exact[name] for name in both}


def _count_shared(groups: np.ndarray, split: Split) -> dict[str, int]:
    """Count the rows of val and test with a group, of int [N], that train has too."""
    named = {name: groups[rows] for name, rows in split.parts.items()}
    return {name: int(np.isin(named[name], named["train"]).sum()) for name in ("val", "test")}


def find_missing(labels: np.ndarray, split: Split, names: Sequence[str]) -> dict[str, list[str]]:
    """Find the classes of which a part has no row, by part; parts without rows are left out.

    >>> split = Split(np.array([0, 1]), np.array([2]), np.array([], np.int64))
    >>> find_missing(np.array([0, 1, 1]), split, ("calm", "angry"))
    {'val': ['calm']}
    """
    missing = {}
    for part, rows in split.parts.items():
        there = set(labels[rows].tolist())
        absent = [name for label, name in enumerate(names) if label not in there]
        if absent and len(rows):
            missing[part] = absent
    return missing


def describe_missing(examples: Examples, split: Split, names: Sequence[str]) -> list[str]:
    """Say which parts have no row of a class, and how much of it there is: one line for each such class."""
    missing, lines = find_missing(examples.labels, split, names), []
    parts = [part for part, rows in split.parts.items() if len(rows)]
    groups, kind = (examples.hashes, "different image") if split.groups is None else (split.groups, "group")
    for label, name in enumerate(names):
        without = [part for part, absent in missing.items() if name in absent]
        if without:
            rows = np.flatnonzero(examples.labels == label)
            number = len(np.unique(groups[rows]))
            held = f"{counted(len(rows), 'row')}, {counted(number, kind)}"
            few = f", too few for {len(parts)} parts" if number < len(parts) else ""
            lines.append(f"no {name} in {join(without)}: all the data has {held} of it{few}")
    return lines
