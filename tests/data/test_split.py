"""The split: each row once, class by class, copies together, and the same for ever from one seed."""

import dataclasses

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.config.data import SplitConfig
from fer_jax.data.examples import Examples, hash_images
from fer_jax.data.split import Split, count_leaks, hold_out, shuffle_groups, split_examples
from fer_jax.errors import DataError
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
