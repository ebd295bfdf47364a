"""Copies: planted ones are found, whatever was done to them, and other faces are not called copies."""

import functools
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from fer_jax.data.groups import near_copies
from fer_jax.data.groups.near_copies import (
    find_copies,
    find_groups,
    find_pairs,
    join_groups,
    join_pairs,
    perceptual_hashes,
)
from fer_jax.data.synthetic import draw_examples

SOURCES = np.arange(0, 1400, 28)


@functools.cache
def draw_faces() -> np.ndarray:
    return draw_examples(seed=5, examples=1400).images


def ignore(done: int, total: int) -> None:
    pass


def brighten(face: np.ndarray) -> np.ndarray:
    return np.clip(face * 1.15 + 18.0, 0, 255).astype(np.uint8)


def shift(face: np.ndarray) -> np.ndarray:
    return np.pad(face, ((1, 0), (1, 0), (0, 0)), mode="edge")[:48, :48]


def compress(face: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(face[:, :, 0])).save(buffer, format="JPEG", quality=50)
    return np.asarray(Image.open(buffer))[:, :, None]


def mirror(face: np.ndarray) -> np.ndarray:
    return face[:, ::-1]


def mirror_and_compress(face: np.ndarray) -> np.ndarray:
    return compress(mirror(face))


@pytest.mark.parametrize("change", [brighten, shift, compress, mirror, mirror_and_compress])
def test_planted_copies_are_found_and_nothing_else(change: Callable[[np.ndarray], np.ndarray]) -> None:
    faces = draw_faces()
    changed = np.stack([change(faces[row]) for row in SOURCES])
    copies = find_copies(np.concatenate([faces, changed]), on_step=ignore)
    found = copies.near[len(faces) :] == SOURCES
    assert found.mean() >= 0.95
    # At most one drawn face in a hundred is called a copy: one pair in 100,000. All have one painter.
    others = copies.near[: len(faces)] != np.arange(len(faces))
    assert others.mean() <= 0.01
    assert (copies.exact == np.arange(len(copies.exact))).all()
    is_planted = copies.pairs.second >= len(faces)
    is_mirrored = change in (mirror, mirror_and_compress)
    assert (copies.pairs.is_mirrored[is_planted] == is_mirrored).mean() >= 0.95


def correlated(correlation: float) -> np.ndarray:
    """Draw two images with middle 44 × 44 pixels that have this correlation, up to rounding.

    The first is smooth; the second is the first plus fine noise that is orthogonal to it.
    """
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.normal(size=(6, 6)), np.ones((8, 8)))
    smooth = np.sum([np.roll(coarse, (y, x), (0, 1)) for y in range(-3, 4) for x in range(-3, 4)], axis=0)
    noise = rng.normal(size=(48, 48))
    noise -= np.kron(noise.reshape(24, 2, 24, 2).mean(axis=(1, 3)), np.ones((2, 2)))

    def standardise(pixels: np.ndarray) -> np.ndarray:
        return (pixels - pixels[2:-2, 2:-2].mean()) / pixels[2:-2, 2:-2].std()

    smooth = standardise(smooth)
    noise = standardise(noise)
    noise = standardise(noise - (noise * smooth)[2:-2, 2:-2].mean() * smooth)
    mixed = correlation * smooth + (1 - correlation**2) ** 0.5 * noise
    return (128 + 35 * np.stack([smooth, mixed])).round().clip(0, 255).astype(np.uint8)[..., None]


@pytest.mark.parametrize(("correlation", "is_pair"), [(0.922, True), (0.918, False)])
def test_images_with_a_correlation_of_092_are_copies(correlation: float, is_pair: bool) -> None:
    images = correlated(correlation)
    middles = images[:, 2:-2, 2:-2].reshape(2, -1)
    assert np.corrcoef(middles)[0, 1] == pytest.approx(correlation, abs=1e-3)
    pairs = find_pairs(images, on_step=ignore)
    assert len(pairs.first) == is_pair
    plain, _ = perceptual_hashes(images)
    # Their hashes are similar enough, so the correlation alone decides.
    assert np.bitwise_count(plain[0] ^ plain[1]) <= near_copies.MAX_DISTANCE_BITS


def test_exact_copies_are_groups_and_join_their_near_ones() -> None:
    faces = draw_faces()
    images = np.concatenate([faces[:10], faces[[3, 3, 7]], brighten(faces[7])[None]])
    copies = find_copies(images, on_step=ignore)
    assert copies.exact.tolist() == [*range(10), 3, 3, 7, 13]
    assert copies.near.tolist() == [*range(10), 3, 3, 7, 7]
    assert copies.pairs.first.tolist() == [7] and copies.pairs.second.tolist() == [13]


def test_pairs_are_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = draw_faces()
    images = np.concatenate([faces[:60], [brighten(face) for face in faces[:20]], faces[20:30, :, ::-1]])
    # Blocks that do not divide the rows, so that their borders are seen.
    monkeypatch.setattr(near_copies, "_BLOCK", (7, 31))
    pairs = find_pairs(images, on_step=ignore)
    plain, mirrored = (hashes.tolist() for hashes in perceptual_hashes(images))
    proposed = {
        (i, j)
        for i in range(len(images))
        for j in range(i + 1, len(images))
        if min((plain[i] ^ other).bit_count() for other in (plain[j], mirrored[j]))
        <= near_copies.MAX_DISTANCE_BITS
    }
    found = [*zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)]
    assert found == sorted(set(found)) and len(found) >= 28
    assert set(found) <= proposed
    for i, j in proposed - set(found):
        both = [images[j], images[j][:, ::-1]]
        best = max(np.corrcoef(images[i].ravel(), other.ravel())[0, 1] for other in both)
        assert best < near_copies.MIN_CORRELATION + 0.02


def test_the_hash_of_a_mirror_image_needs_no_mirroring() -> None:
    faces = draw_faces()[:200]
    hashes, mirrored = perceptual_hashes(faces)
    again, back = perceptual_hashes(faces[:, :, ::-1])
    assert np.bitwise_count(mirrored ^ again).max() <= 2  # rounding at the median
    assert np.bitwise_count(hashes ^ back).max() <= 2
    assert np.bitwise_count(hashes ^ mirrored).mean() > 10


def test_flat_images_are_exact_copies_or_none() -> None:
    flat = np.zeros((3, 48, 48, 1), np.uint8)
    flat[1], flat[2, 0, 0] = 9, 1
    copies = find_copies(np.concatenate([flat, flat[:1]]), on_step=ignore)
    assert copies.near.tolist() == [0, 1, 2, 0]


def test_pairs_join_to_groups_named_by_their_smallest_member() -> None:
    first, second = np.array([5, 2, 0]), np.array([6, 5, 1])
    assert join_pairs(8, first, second).tolist() == [0, 0, 2, 3, 4, 2, 2, 7]


def test_groups_join_where_they_share_a_row() -> None:
    rng = np.random.default_rng(0)
    kinds = [rng.integers(0, 60, 100) for _ in range(2)]
    joint = join_groups(*kinds)
    reached = np.eye(100, dtype=bool) | (kinds[0][:, None] == kinds[0]) | (kinds[1][:, None] == kinds[1])
    for _ in range(7):
        reached = reached @ reached
    assert joint.tolist() == reached.argmax(axis=1).tolist()


def test_groups_are_kept_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = draw_examples(seed=9, examples=30)
    groups = find_groups(examples)
    monkeypatch.setattr(near_copies, "find_copies", None)
    assert (find_groups(examples) == groups).all()
