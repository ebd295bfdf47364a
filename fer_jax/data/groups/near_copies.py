"""Copies of images: exact ones are found by a hash of their bytes, near ones by a perceptual hash.

Near copies are what comes of saving a photograph again: another brightness, compression, a shift by a pixel
or two, a mirror image. The 64-bit hash is the DCT hash of pHash (Zauner, *Implementation and Benchmarking of
Perceptual Image Hash Functions*, 2010). It only proposes pairs; a pair counts if the pixels correlate too,
since faces that were cropped in the same way have similar hashes.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from fer_jax.data.examples import Examples, hash_images
from fer_jax.files import keep_array, read_array
from fer_jax.runtime.progress import OnStep, ignore_step

MAX_DISTANCE_BITS: Final = 14
"""Pairs with hashes that differ in more of the 64 bits are not proposed."""
MAX_SHIFT_PX: Final = 2
"""Correlation is the maximum over all shifts up to this, along both axes."""
MIN_CORRELATION: Final = 0.92
"""Minimum correlation of the pixels of two near copies. In a sample of FER2013's pairs above it, both images
were always the same photograph; at 0.90 pairs of different faces appear."""

# At half the resolution, a copy shifted by two pixels still correlates this much; most other pairs do not.
_MIN_UNSHIFTED: Final = 0.7
_SIDE: Final = 8
# Mirroring flips the sign of every odd horizontal frequency; the block begins with frequency 1.
_MIRROR: Final = np.array([-1, 1] * (_SIDE // 2), np.float32)
_CHUNK_IMAGES: Final = 2048
# The arrays of a chunk fit in the processor's cache.
_CHUNK_PAIRS: Final = 128
# A block of hash distances fits in the processor's cache.
_BLOCK: Final = (64, 4096)

# Part of every name in the cache: raise it when the same images would give other groups.
_FORMAT: Final = 1


class Pairs(NamedTuple):
    """P pairs of near copies.

    Attributes:
        first: int64 [P], the smaller row of each.
        second: int64 [P], the larger row.
        distance_bits: int64 [P], number of bits in which their hashes differ.
        correlation: float32 [P], Pearson correlation of their pixels at the best shift.
        is_mirrored: bool [P], whether one is the mirror image of the other.
    """

    first: np.ndarray
    second: np.ndarray
    distance_bits: np.ndarray
    correlation: np.ndarray
    is_mirrored: np.ndarray


@dataclass(frozen=True, eq=False)
class Copies:
    """Which rows show the same image. The name of a group is its smallest row, which may be its only one.

    Attributes:
        exact: int64 [N], the group of exact copies of each row.
        near: int64 [N], the group of exact and near copies; pairs with an image in common are one group.
        pairs: of near copies, between the smallest rows of their exact groups.
    """

    exact: np.ndarray
    near: np.ndarray
    pairs: Pairs


def find_copies(images: np.ndarray, *, on_step: OnStep) -> Copies:
    """Group the rows of uint8 [N, 48, 48, 1] that show the same image; `on_step` is called on the way."""
    _, first, inverse = np.unique(hash_images(images), return_index=True, return_inverse=True)
    exact = first[inverse]
    rows = np.unique(exact)
    found = find_pairs(images[rows], on_step=on_step)
    near = rows[join_pairs(len(rows), found.first, found.second)]
    pairs = found._replace(first=rows[found.first], second=rows[found.second])
    return Copies(exact, near[np.searchsorted(rows, exact)], pairs)


def find_groups(examples: Examples, *, on_step: OnStep = ignore_step) -> np.ndarray:
    """Find the groups of exact and near copies, see `Copies.near`, in the cache where they are known.

    Returns:
        int64 [N], the smallest row of each row's group.
    """
    key = hashlib.sha256(f"{_FORMAT} {examples.sha256}".encode()).hexdigest()
    name = f"near_copies/{key[:32]}"
    groups = read_array(name)
    if groups is None or groups.shape != examples.labels.shape or groups.dtype != np.int64:
        groups = find_copies(examples.images, on_step=on_step).near
        keep_array(name, groups)
    return groups


def find_pairs(images: np.ndarray, *, on_step: OnStep) -> Pairs:
    """Find the pairs of near copies, including mirror images.

    Args:
        images: uint8 [N, 48, 48, 1], no two of them equal.
        on_step: called as the search proceeds.

    Returns:
        Pairs sorted by first and second row, each pair once: mirrored or not, whichever correlates more.
    """
    plain, mirrored = perceptual_hashes(images)
    kinds = [_propose(plain, other, on_step) for other in (plain, mirrored)]
    first, second, distance = (np.concatenate(parts) for parts in zip(*kinds, strict=True))
    is_mirrored = np.repeat([False, True], [len(kind[0]) for kind in kinds])
    correlation = _correlate(images, first, second, is_mirrored)
    # Of a pair's two entries the better one comes first, and `np.unique` takes the first.
    order = np.lexsort((-correlation, second, first))
    order = order[correlation[order] >= MIN_CORRELATION]
    names = first[order] * len(images) + second[order]
    order = order[np.unique(names, return_index=True)[1]]
    return Pairs(first[order], second[order], distance[order], correlation[order], is_mirrored[order])


def perceptual_hashes(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash the appearance of images: 64 low frequencies of the DCT, each above their median or not.

    Args:
        images: uint8 [N, 48, 48, 1].

    Returns:
        Two arrays uint64 [N]: of the images, and of their mirror images. Brightness and contrast change no
        bit, a changed detail changes few.
    """
    from scipy.fft import dctn  # Slow to import.

    plain, mirrored = [], []
    for start in range(0, len(images), _CHUNK_IMAGES):
        faces = images[start : start + _CHUNK_IMAGES, :, :, 0].astype(np.float32)
        low = dctn(faces, axes=(1, 2))[:, 1 : 1 + _SIDE, 1 : 1 + _SIDE]
        plain.append(_pack(low))
        mirrored.append(_pack(low * _MIRROR))
    return np.concatenate(plain), np.concatenate(mirrored)


def _pack(low: np.ndarray) -> np.ndarray:
    """Pack frequencies float32 [n, 8, 8] into hashes uint64 [n]."""
    flat = low.reshape(len(low), -1)
    return np.packbits(flat > np.median(flat, axis=1, keepdims=True), axis=1).view(np.uint64)[:, 0]


def _propose(
    left: np.ndarray, right: np.ndarray, on_step: OnStep
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Propose the pairs i < j with left[i] close to right[j]: i, j and the distance, int64 [P]."""
    height, width = _BLOCK
    found = [np.empty((3, 0), np.int64)]
    for top in range(0, len(left), height):
        for start in range(top, len(right), width):
            distance = np.bitwise_count(left[top : top + height, None] ^ right[None, start : start + width])
            i, j = np.nonzero(distance <= MAX_DISTANCE_BITS)
            block = np.stack([i + top, j + start, distance[i, j].astype(np.int64)])
            found.append(block[:, block[0] < block[1]])
        on_step(min(top + height, len(left)), len(left))
    first, second, bits = np.concatenate(found, axis=1)
    return first, second, bits


def _correlate(
    images: np.ndarray, first: np.ndarray, second: np.ndarray, is_mirrored: np.ndarray
) -> np.ndarray:
    """Correlate pairs at their best shift: float32 [P]; 0 for pairs that are too far apart unshifted."""
    small = _standardise(halve(images)), _standardise(halve(images[:, :, ::-1]))
    margin = MAX_SHIFT_PX

    def correlate(start: int) -> np.ndarray:
        pairs = slice(start, start + _CHUNK_PAIRS)
        i, j, is_turned = first[pairs], second[pairs], is_mirrored[pairs]
        others = np.where(is_turned[:, None], small[1][j], small[0][j])
        near = np.flatnonzero(np.einsum("ij,ij->i", small[0][i], others) >= _MIN_UNSHIFTED)
        left, right = images[i[near], :, :, 0], images[j[near], :, :, 0]
        right = np.where(is_turned[near, None, None], right[:, :, ::-1], right)
        found = np.zeros(len(i), np.float32)
        found[near] = _best_shift(_standardise(left[:, margin:-margin, margin:-margin]), right)
        return found

    # Threads help: NumPy releases the GIL inside its loops.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(
            [np.empty(0, np.float32), *pool.map(correlate, range(0, len(first), _CHUNK_PAIRS))]
        )


def halve(images: np.ndarray) -> np.ndarray:
    """Halve the resolution: uint8 [N, 48, 48, 1] -> float32 [N, 24, 24], means of 2 × 2 pixels."""
    corners = [images[:, y::2, x::2, 0].astype(np.float32) for y in (0, 1) for x in (0, 1)]
    return sum(corners[1:], start=corners[0]) / 4


def _best_shift(middle: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Correlate standardised middles float32 [p, D] with images uint8 [p, 48, 48] at their best shift.

    The mean of a middle is 0, so that of a window need not be taken from it.
    """
    side = images.shape[1] - 2 * MAX_SHIFT_PX
    middle, pixels, exact = (
        middle.reshape(len(middle), side, side),
        images.astype(np.float32),
        images.astype(np.int32),
    )
    sums, squares = _sum_windows(exact, side), _sum_windows(exact * exact, side)
    lengths = np.sqrt(np.maximum(squares - sums.astype(np.float64) ** 2 / side**2, 1.0))
    best = np.zeros(len(images), np.float32)
    for y, x in np.ndindex(lengths.shape[1:]):
        products = np.einsum("phw,phw->p", middle, pixels[:, y : y + side, x : x + side])
        best = np.maximum(best, products / lengths[:, y, x])
    return best.astype(np.float32)


def _sum_windows(values: np.ndarray, side: int) -> np.ndarray:
    """Sum the windows of so many pixels a side of int32 [p, h, w]: int32 [p, h - side + 1, w - side + 1]."""
    total = np.zeros((len(values), values.shape[1] + 1, values.shape[2] + 1), values.dtype)
    np.cumsum(np.cumsum(values, axis=1, dtype=values.dtype), axis=2, out=total[:, 1:, 1:])
    down = total[:, side:] - total[:, :-side]
    return down[:, :, side:] - down[:, :, :-side]


def _standardise(faces: np.ndarray) -> np.ndarray:
    """Turn images [p, h, w] into float32 [p, h * w] of mean 0 and norm 1; a constant image into zeros."""
    flat = faces.reshape(len(faces), faces.shape[1] * faces.shape[2]).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("ij,ij->i", flat, flat))[:, None]
    return flat / np.maximum(length, 1.0)


def join_pairs(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Join pairs with a member in common into groups.

    Args:
        count: N members.
        first: int [P], one member of each pair.
        second: int [P], the other.

    Returns:
        int64 [N], the smallest member of each member's group.

    >>> join_pairs(5, np.array([3, 1]), np.array([4, 3])).tolist()
    [0, 1, 2, 1, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    _, smallest = np.unique(group, return_index=True)
    return smallest[group].astype(np.int64)


def join_groups(*groups: np.ndarray) -> np.ndarray:
    """Join groups that have a row in common, such as the copies of an image and the pictures of a person.

    Args:
        *groups: each int [N], equal for rows that belong together.

    Returns:
        int64 [N], the smallest row of each row's joint group.

    >>> join_groups(np.array([7, 8, 9, 9]), np.array([1, 2, 3, 1])).tolist()
    [0, 1, 0, 0]
    """
    rows, firsts = np.arange(len(groups[0])), []
    for each in groups:
        _, first, inverse = np.unique(each, return_index=True, return_inverse=True)
        firsts.append(first[inverse])
    return join_pairs(len(rows), np.tile(rows, len(groups)), np.concatenate(firsts))
