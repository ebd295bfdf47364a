"""The split: each row once, class by class, copies together, and the same for ever from one seed."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.config.data import SplitConfig
from fer_jax.data.examples import Examples, hash_images
from fer_jax.data.groups.cut import balance_groups, shuffle_groups
from fer_jax.data.split import (
    Split,
    count_leaks,
    count_near_leaks,
    describe_missing,
    describe_parts,
    find_missing,
    hold_out,
    split_examples,
)
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError, DataError
from fer_jax.randomness import Stream

CLASS_SIZES = (37, 11, 200, 2, 53, 5, 101)


def make_examples(labels: np.ndarray, faces: np.ndarray, *, usage: int = fer2013.UNLABELLED) -> Examples:
    """Make examples whose images are numbered: equal numbers are exact copies."""
    images = np.zeros((len(labels), *fer2013.IMAGE_SHAPE), np.uint8)
    images.reshape(len(labels), -1)[:, -4:] = faces.astype(">u4").view(np.uint8).reshape(-1, 4)
    usages = np.full(len(labels), usage, np.int32)
    return Examples(images, labels.astype(np.int32), usages, "faces.csv", "0" * 64)


def shuffled_labels() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(7), CLASS_SIZES))


def distinct() -> Examples:
    labels = shuffled_labels()
    return make_examples(labels, np.arange(len(labels)))


def with_copies() -> tuple[Examples, np.ndarray]:
    """Make three rows a face on average, so that many copies carry another label."""
    labels = shuffled_labels()
    faces = np.random.default_rng(1).integers(0, len(labels) // 3, len(labels))
    return make_examples(labels, faces), faces


def assert_every_row_once(split: Split, rows: np.ndarray) -> None:
    for part in split.parts.values():
        np.testing.assert_array_equal(part, np.sort(part))
    np.testing.assert_array_equal(np.sort(np.concatenate(list(split.parts.values()))), rows)


@pytest.mark.parametrize("group_duplicates", [True, False])
def test_the_seed_protocol_gives_70_15_15_within_a_row_of_each_class(group_duplicates: bool) -> None:
    examples = distinct()
    split = split_examples(examples, SplitConfig(group_duplicates=group_duplicates))
    assert_every_row_once(split, np.arange(len(examples)))
    for label, size in enumerate(CLASS_SIZES):
        for rows, share in zip(split.parts.values(), (0.70, 0.15, 0.15), strict=True):
            assert abs((examples.labels[rows] == label).sum() - share * size) <= 1


def test_copies_stay_together_whatever_their_labels() -> None:
    examples, faces = with_copies()
    assert len(np.unique(faces[examples.labels == 2])) + len(np.unique(faces[examples.labels != 2])) > len(
        np.unique(faces)
    ), "some copies must carry two labels, or this tests little"
    split = split_examples(examples, SplitConfig())
    assert_every_row_once(split, np.arange(len(examples)))
    parts = [set(faces[rows]) for rows in split.parts.values()]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert count_leaks(examples, split) == {"val": 0, "test": 0}
    sizes = [len(rows) / len(examples) for rows in split.parts.values()]
    np.testing.assert_allclose(sizes, (0.70, 0.15, 0.15), atol=0.03)


def test_the_plain_split_leaks_and_the_leaks_are_counted() -> None:
    examples, faces = with_copies()
    split = split_examples(examples, SplitConfig(group_duplicates=False))
    seen = set(faces[split.train])
    by_hand = {name: sum(face in seen for face in faces[split.parts[name]]) for name in ("val", "test")}
    assert by_hand["val"] > 10
    assert count_leaks(examples, split) == by_hand


def test_a_big_group_does_not_take_a_class_out_of_a_part() -> None:
    faces = np.concatenate([np.zeros(30, int), np.arange(1, 71)])
    labels = np.full(100, 3)
    for seed in range(5):
        split = split_examples(make_examples(labels, faces), SplitConfig(seed=seed))
        assert len(split.train) >= 50
        assert len(split.val) + len(split.test) >= 15


def test_the_split_hangs_on_its_seed_alone_and_never_changes() -> None:
    examples = distinct()
    split = split_examples(examples, SplitConfig())
    assert split.sha256 == split_examples(examples, SplitConfig()).sha256
    assert split.sha256 == "02bd4b4dce4704000b38fcb447df15490e6ba945564ec1dfd0c3e3ee9b4e3de0"
    assert split.sha256 != split_examples(examples, SplitConfig(seed=1)).sha256
    assert split.sha256 != Split(split.train, split.test, split.val).sha256
    moved = Split(np.append(split.train, split.val[0]), split.val[1:], split.test)
    assert split.sha256 != moved.sha256


def test_the_seed_protocol_uses_the_training_rows_alone() -> None:
    examples = distinct()
    usages = np.random.default_rng(2).integers(-1, 3, len(examples)).astype(np.int32)
    split = split_examples(dataclasses.replace(examples, usages=usages), SplitConfig())
    assert_every_row_once(split, np.flatnonzero(usages <= 0))


def test_the_official_protocol_follows_the_usages() -> None:
    examples = distinct()
    usages = np.random.default_rng(2).integers(-1, 3, len(examples)).astype(np.int32)
    config = SplitConfig(protocol="official")
    split = split_examples(dataclasses.replace(examples, usages=usages), config)
    for usage, rows in enumerate(split.parts.values()):
        np.testing.assert_array_equal(rows, np.flatnonzero(usages == usage))
    no_private = dataclasses.replace(examples, usages=np.where(usages == 2, 1, usages))
    assert len(split_examples(no_private, config).test) == 0
    with pytest.raises(DataError, match=r"^faces\.csv: .* needs Training and PublicTest rows"):
        split_examples(make_examples(examples.labels, examples.labels, usage=0), config)


def test_data_that_cannot_serve_is_refused() -> None:
    labels = shuffled_labels()
    labels[5] = fer2013.UNLABELLED
    with pytest.raises(DataError, match=r"^faces\.csv: it has no labels"):
        split_examples(make_examples(labels, labels), SplitConfig())
    with pytest.raises(DataError, match=r"^faces\.csv: the val part .* is empty"):
        split_examples(make_examples(np.arange(7), np.arange(7)), SplitConfig())
    with pytest.raises(DataError, match=r"^faces\.csv: the train part .* is empty"):
        split_examples(make_examples(np.arange(7), np.arange(7), usage=2), SplitConfig())


def test_the_orders_of_the_groups_never_change() -> None:
    groups, labels = np.array([5, 9, 5, 7, 9, 1, 2]), np.array([0, 3, 4, 0, 3, 0, 3])
    middle, total = shuffle_groups(groups, labels, seed=1, stream=Stream.SPLIT, indices=(5,))
    # The third row goes with its copy, the first one, although its label is another.
    assert total.tolist() == [4, 3, 4, 4, 3, 4, 3]
    assert middle.tolist() == [2, 2, 2, 3.5, 2, 0.5, 0.5]


def test_images_that_differ_in_one_pixel_differ_in_hash() -> None:
    images = np.zeros((3, *fer2013.IMAGE_SHAPE), np.uint8)
    images[1, 47, 47, 0] = 1
    first, other, copy = hash_images(images).tolist()
    assert first == copy != other


def test_a_hold_out_is_a_share_of_each_class_and_keeps_copies_together() -> None:
    examples, faces = with_copies()
    rows = np.flatnonzero(np.arange(len(faces)) % 5 > 0)
    held = hold_out(examples, Split(rows, rows[:0], rows[:0]), share=0.25, seed=0)
    assert_every_row_once(held, rows)
    assert not np.isin(faces[held.val], faces[held.train]).any()
    plain = distinct()
    every = np.arange(len(plain))
    held, other = (hold_out(plain, Split(every, every[:0], every[:0]), share=0.25, seed=s) for s in (0, 1))
    for label, size in enumerate(CLASS_SIZES):
        assert abs((plain.labels[held.val] == label).sum() - 0.25 * size) <= 1
    assert held.sha256 != other.sha256
    with pytest.raises(DataError, match=r"a hold-out of 0\.001 leaves"):
        hold_out(plain, Split(every[:9], every[:0], every[:0]), share=0.001, seed=0)


def test_the_holdout_protocol_divides_training_alone_and_no_copy_crosses() -> None:
    examples, faces = with_copies()
    usages = np.random.default_rng(2).integers(-1, 3, len(examples)).astype(np.int32)
    config = SplitConfig(protocol="holdout", holdout_fraction=0.4, seed=7)
    split = split_examples(dataclasses.replace(examples, usages=usages), config)
    assert_every_row_once(split, np.flatnonzero(usages <= 0))
    assert len(split.test) == 0
    assert not set(faces[split.train]) & set(faces[split.val])
    plain = dataclasses.replace(distinct(), usages=usages)
    for seed in (7, 8):
        split = split_examples(plain, dataclasses.replace(config, seed=seed))
        for label in range(7):
            in_training = (plain.labels[usages <= 0] == label).sum()
            assert abs((plain.labels[split.val] == label).sum() - 0.4 * in_training) <= 1
    assert split.sha256 != split_examples(plain, config).sha256
    with pytest.raises(DataError, match=r"^faces\.csv: a hold-out of 0\.4 leaves 0 training rows"):
        split_examples(dataclasses.replace(plain, usages=np.full_like(usages, 1)), config)


NAMES = ("calm", "cheerful", "gloomy", "startled", "cross")


def make_own(labels: np.ndarray, **fields: Any) -> Examples:
    """Make different pictures with classes of their own."""
    names = tuple(NAMES[: int(labels.max()) + 1])
    return dataclasses.replace(
        make_examples(labels, np.arange(len(labels))), class_names=names, is_own=True, **fields
    )


def counts_of(examples: Examples, split: Split) -> list[list[int]]:
    """Count the rows of each class, by part."""
    classes = len(examples.class_names)
    return [np.bincount(examples.labels[rows], minlength=classes).tolist() for rows in split.parts.values()]


def test_twelve_pictures_of_each_of_five_classes_are_in_all_parts() -> None:
    examples = make_own(np.repeat(np.arange(5), 12))
    for seed in range(5):
        split = split_examples(examples, SplitConfig(seed=seed))
        assert_every_row_once(split, np.arange(60))
        assert counts_of(examples, split) == [[8] * 5, [2] * 5, [2] * 5]
        assert describe_missing(examples, split, NAMES) == []


@pytest.mark.parametrize(("size", "counts"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_a_class_with_few_pictures_is_in_as_many_parts_as_it_can(
    size: int, counts: tuple[int, int, int]
) -> None:
    examples = make_own(np.repeat([0, 1], [size, 40]))
    for seed in range(5):
        split = split_examples(examples, SplitConfig(seed=seed))
        assert tuple(each[0] for each in counts_of(examples, split)) == counts


def test_a_missing_class_is_said_with_the_reason() -> None:
    examples = make_own(np.repeat([0, 1], [1, 40]))
    split = split_examples(examples, SplitConfig())
    assert find_missing(examples.labels, split, examples.class_names) == {"val": ["calm"], "test": ["calm"]}
    assert describe_missing(examples, split, examples.class_names) == [
        "no calm in val and test: all the data has 1 row, 1 different image of it, too few for 3 parts"
    ]
    held = Split(split.train, split.val, split.test[:0])
    assert find_missing(examples.labels, held, examples.class_names) == {"val": ["calm"]}


def test_people_and_copies_are_never_divided_and_each_part_has_some() -> None:
    rng = np.random.default_rng(3)
    for people in (4, 20):
        labels, person = rng.integers(0, 5, 120), rng.integers(0, people, 120)
        faces = np.where(np.arange(120) == 0, 1, np.arange(120))  # A copy brings two together.
        examples = dataclasses.replace(make_examples(labels, faces), groups=person)
        together = np.where(person == person[0], person[1], person)
        for config in (SplitConfig(), SplitConfig(protocol="holdout"), SplitConfig(seed=4)):
            split = split_examples(examples, config)
            assert_every_row_once(split, np.arange(120))
            parts = [set(together[rows]) for rows in split.parts.values()]
            assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
            assert all(parts[:2]) and (parts[2] or config.protocol == "holdout")
            if people == 20:
                assert 0.55 < len(split.train) / 120 < 0.85
    alone = dataclasses.replace(examples, groups=np.zeros(120, np.int64))
    with pytest.raises(DataError, match=r"val part .* is empty; 120 rows in 1 group that stay whole: give"):
        split_examples(alone, SplitConfig())


def test_groups_are_balanced_as_a_plain_loop_does_it() -> None:
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 30, 400), rng.integers(0, 4, 400)
    shares = (0.7, 0.15, 0.15)
    part = balance_groups(groups, labels, shares, seed=0, stream=Stream.SPLIT)
    for group in range(30):
        assert len(set(part[groups == group].tolist())) == 1
    for label in range(4):
        found = np.bincount(part[labels == label], minlength=3) / (labels == label).sum()
        np.testing.assert_allclose(found, shares, atol=0.05)
    again = balance_groups(groups, labels, shares, seed=0, stream=Stream.SPLIT)
    other = balance_groups(groups, labels, shares, seed=1, stream=Stream.SPLIT)
    assert (part == again).all() and (part != other).any()


def test_given_parts_are_taken_and_a_missing_val_is_cut_out_of_train() -> None:
    labels = np.tile(np.arange(5), 40)
    usages = np.repeat([0, 1, 2], [100, 60, 40]).astype(np.int32)
    examples, config = make_own(labels, usages=usages), SplitConfig(protocol="given")
    split = split_examples(examples, config)
    assert [len(rows) for rows in split.parts.values()] == [100, 60, 40]
    person = np.repeat(np.arange(40), 5)
    no_val = make_own(labels, usages=np.where(usages == 1, 0, usages), groups=person)
    split = split_examples(no_val, config)
    assert len(split.val) == 25 and len(split.train) == 135  # 27 groups of five and, of 32, 15 %: five.
    assert not set(person[split.train]) & set(person[split.val])
    assert split.test.tolist() == np.flatnonzero(usages == 2).tolist()
    assert split_examples(dataclasses.replace(examples, usages=usages % 2), config).test.size == 0
    # A val of our own shares no copies with train, whether there are groups or not.
    images = np.repeat(no_val.images[::5], 5, axis=0)
    for groups in (None, np.arange(200)):
        copies = dataclasses.replace(no_val, images=images, groups=groups)
        split = split_examples(copies, dataclasses.replace(config, group_duplicates=False))
        assert count_leaks(copies, split)["val"] == 0 < len(split.val)


@pytest.mark.parametrize(
    ("usages", "fields", "message"),
    [
        ([0, 0, 1, -1], {}, "1 row of 4 name no part"),
        ([1, 1, 2, 2], {}, "train is empty"),
        (
            [0, 0, 1, 2],
            {"groups": np.array([5, 8, 8, 9])},
            r"divide 1 groups, such as rows 1 \(train\) and 2 \(val\)",
        ),
    ],
)
def test_given_parts_that_cannot_be_are_refused(
    usages: list[int], fields: dict[str, Any], message: str
) -> None:
    examples = make_own(np.array([0, 1, 0, 1]), usages=np.array(usages, np.int32), **fields)
    with pytest.raises(DataError, match=message):
        split_examples(examples, SplitConfig(protocol="given"))


def test_near_copies_stay_together_or_are_counted_or_refused() -> None:
    faces = draw_examples(seed=5, examples=60)
    brighter = np.clip(faces.images * 1.15 + 18.0, 0, 255).astype(np.uint8)
    labels = np.tile(faces.labels % 5, 2)
    usages = np.repeat([0, 1], 60).astype(np.int32)
    examples = Examples(
        np.concatenate([faces.images, brighter]),
        labels,
        usages,
        "faces",
        "near" * 16,
        class_names=NAMES,
        is_own=True,
    )
    given = SplitConfig(protocol="given")
    split = split_examples(examples, given)
    near = count_near_leaks(examples, split)
    assert near is not None and near["val"] >= 57 and near["test"] == 0
    assert count_leaks(examples, split) == {"val": 0, "test": 0}
    with pytest.raises(
        DataError, match=r"divide \d+ groups of near copies, such as rows 0 \(train\) and \d+ \(val\);"
    ):
        split_examples(examples, dataclasses.replace(given, group_near_copies=True))
    seeded = dataclasses.replace(examples, usages=np.full(120, -1, np.int32))
    split = split_examples(seeded, SplitConfig(group_near_copies=True))
    assert count_near_leaks(seeded, split) == {"val": 0, "test": 0}
    assert all(min(counts) > 0 for counts in counts_of(seeded, split))
    assert count_near_leaks(dataclasses.replace(examples, is_own=False), split) is None
    with pytest.raises(ConfigError, match=r"split\.group_near_copies is True; wanted False for .* official"):
        SplitConfig(protocol="official", group_near_copies=True)


def test_parts_of_the_data_that_a_protocol_leaves_out_are_said() -> None:
    examples = make_own(np.tile(np.arange(5), 8), usages=np.repeat([0, 2], 20).astype(np.int32))
    split = split_examples(examples, SplitConfig())
    (note,) = describe_parts(examples, SplitConfig(), split)
    assert note.startswith(
        "the data has parts of its own (20 train, 0 val, 20 test), and split.protocol seed"
    )
    given = SplitConfig(protocol="given")
    assert describe_parts(examples, given, split_examples(examples, given)) == [
        "the data gives no val: 5 of its 20 train rows are val, by split.seed"
    ]
    assert describe_parts(dataclasses.replace(examples, is_own=False), SplitConfig(), split) == []
    two = make_own(np.tile(np.arange(5), 8), groups=np.repeat([0, 1], 20))
    assert describe_parts(two, SplitConfig(), split_examples(two, SplitConfig())) == [
        "the test part is empty: 40 rows in 2 groups that stay whole: too few for three parts"
    ]
    with pytest.raises(DataError, match="official has FER2013's parts"):
        split_examples(examples, SplitConfig(protocol="official"))
