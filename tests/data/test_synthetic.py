"""The synthetic faces: the same for a seed, balanced, and neither too easy nor too hard."""

import functools
import itertools

import numpy as np
import pytest

from fer_jax import fer2013
from fer_jax.data import face_painter, synthetic
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.synthetic import CHUNK_EXAMPLES, draw_examples, draw_faces
from fer_jax.randomness import Stream, numpy_rng


@functools.cache
def faces() -> Examples:
    return draw_examples(seed=0, examples=2100)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    once, again, other = (draw_examples(seed=seed, examples=350) for seed in (0, 0, 1))
    assert once.sha256 == again.sha256 != other.sha256
    np.testing.assert_array_equal(once.images, again.images)
    both = np.concatenate([once.images, other.images]).reshape(700, -1)
    assert len(np.unique(both, axis=0)) == 700


@pytest.mark.parametrize("examples", [1, CHUNK_EXAMPLES - 1, CHUNK_EXAMPLES, 3 * CHUNK_EXAMPLES + 5])
def test_fewer_faces_are_the_first_of_more(examples: int) -> None:
    few = draw_examples(seed=0, examples=examples)
    for field in ("images", "labels", "usages"):
        np.testing.assert_array_equal(getattr(few, field), getattr(faces(), field)[:examples], err_msg=field)


def test_a_face_depends_on_its_own_numbers_alone() -> None:
    """Painting a face among others or by itself gives the same bits: nothing mixes along the first axis."""
    rng = numpy_rng(0, Stream.SYNTHETIC, 0)
    unit, who = synthetic._draw_action_units(rng, np.arange(7)), synthetic._draw_traits(rng, 7)
    coarse, grain = rng.random((7, 6, 6), np.float32), rng.random((2, 7, 48, 48), np.float32)
    paint = face_painter.paint_faces
    together = paint(unit=unit, who=who, coarse=coarse, grain=grain)
    for i in range(7):
        one_unit, one_who = (type(n)(**{k: v[i : i + 1] for k, v in vars(n).items()}) for n in (unit, who))
        alone = paint(unit=one_unit, who=one_who, coarse=coarse[i : i + 1], grain=grain[:, i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])


def test_arrays_have_the_promised_form() -> None:
    examples = faces()
    assert examples.images.shape == (2100, 48, 48, 1)
    assert examples.images.dtype == np.uint8
    assert examples.labels.shape == (2100,)
    assert examples.labels.dtype == np.int32
    assert examples.usages.shape == (2100,)
    assert examples.usages.dtype == np.int32
    assert examples.description == "2,100 synthetic faces, seed 0 (not FER2013)"
    # Gray levels are used from end to end, and no face is flat.
    assert (examples.images.min(), examples.images.max()) == (0, 255)
    assert examples.images.std(axis=(1, 2, 3)).min() > 5


@pytest.mark.parametrize("examples", [70, 100, 697, 2100])
def test_classes_and_usages_are_balanced(examples: int) -> None:
    few = draw_examples(seed=3, examples=examples)
    counts = class_counts(few.labels)
    assert max(counts) - min(counts) <= 1
    for usage, share in enumerate((0.8, 0.1, 0.1)):
        in_usage = class_counts(few.labels[few.usages == usage])
        assert max(in_usage) - min(in_usage) <= 1
        assert abs(sum(in_usage) - share * examples) <= 14


def test_every_action_unit_and_class_is_known_and_used() -> None:
    assert tuple(synthetic.EXPRESSIONS) == fer2013.LABELS
    used = {number for sets in synthetic.EXPRESSIONS.values() for units in sets for number in units}
    assert used == set(synthetic.ACTION_UNITS)


def test_a_linear_classifier_is_above_chance_and_far_from_perfect() -> None:
    """Ridge regression on 1,400 faces: a leak of the label into the pixels would pass the ceiling."""
    pixels = faces().images.reshape(2100, -1).astype(np.float32)
    train, test = slice(0, 1400), slice(1400, 2100)
    x = (pixels - pixels[train].mean(axis=0)) / pixels[train].std(axis=0)
    targets = np.eye(7, dtype=np.float32)[faces().labels]
    gram = x[train] @ x[train].T + 3000 * np.eye(1400, dtype=np.float32)
    scores = x[test] @ (x[train].T @ np.linalg.solve(gram, targets[train]))
    accuracy = (scores.argmax(axis=1) == faces().labels[test]).mean()
    assert 0.25 < accuracy < 0.55


def test_the_label_changes_the_face_and_nothing_around_it() -> None:
    """Drawn from the same numbers, two classes differ only by expression: in the face, and on average too."""
    by_class = [draw_faces(numpy_rng(5, Stream.SHOW), np.full(200, label))[..., 0] for label in range(7)]
    for a, b in itertools.combinations(by_class, 2):
        difference = a.astype(np.float64) - b
        assert np.abs(difference).max(axis=(1, 2)).min() > 5
        np.testing.assert_array_equal(difference[:, :3, :3], 0)
        mean, error = difference.mean(axis=0), difference.std(axis=0) / 200**0.5 + 0.1
        row, column = np.unravel_index(np.abs(mean / error).argmax(), mean.shape)
        assert abs(mean[row, column]) > 6 * error[row, column]
        assert 10 < row < 46
        assert 6 < column < 42
