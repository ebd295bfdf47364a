"""Cut rows into parts of given shares without dividing a group: by class, or by balance for mixed groups."""

from collections.abc import Sequence

import numpy as np

from fer_jax.randomness import Stream, numpy_rng


def shuffle_groups(
    groups: np.ndarray, labels: np.ndarray, *, seed: int, stream: Stream, indices: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Put the groups of each class in a random order, and measure where each stands in it, counted in rows.

    Cutting these orders at given shares gives parts with the same class balance in which no group is divided.
    A group has the class of its first row, so copies with other labels stay with it.

    Args:
        groups: int [N], equal for rows that stay together.
        labels: int [N], >= 0.
        seed: in [0, 2**32).
        stream: of the random orders.
        indices: what an order depends on beside its label.

    Returns:
        For each row float64 [N], the middle of its group in its class's order, and int64 [N], the rows in
        that order. The middle decides, so that a large group at a border is not always pulled to one side.
    """
    _, first_row, group_of_row = np.unique(groups, return_index=True, return_inverse=True)
    group_label, group_size = labels[first_row], np.bincount(group_of_row)
    middle, total = np.empty(len(first_row)), np.empty(len(first_row), np.int64)
    for label in np.unique(group_label).tolist():
        members = numpy_rng(seed, stream, label, *indices).permutation(np.flatnonzero(group_label == label))
        ends = np.cumsum(group_size[members])
        middle[members], total[members] = ends - group_size[members] / 2, ends[-1]
    return middle[group_of_row], total[group_of_row]


def balance_groups(
    groups: np.ndarray,
    labels: np.ndarray,
    shares: Sequence[float],
    *,
    seed: int,
    stream: Stream,
    indices: tuple[int, ...] = (),
) -> np.ndarray:
    """Put groups of mixed classes into parts, each of which gets about its share of every class.

    Groups are taken in a random order, larger ones first. Each goes where the sum over parts and classes of
    (rows - wanted rows)² / wanted rows rises least. With equal shares this is close to scikit-learn's
    StratifiedGroupKFold. Then every part gets a group of each class that another part can spare.

    Args:
        groups: int [N], equal for rows that stay together.
        labels: int [N], >= 0.
        shares: of the P parts; their sum is 1.
        seed: in [0, 2**32).
        stream: of the random order.
        indices: what the order depends on beside the seed.

    Returns:
        int64 [N], the part of each row, 0..P-1.
    """
    _, group_of_row = np.unique(groups, return_inverse=True)
    _, class_of_row = np.unique(labels, return_inverse=True)
    counts = np.zeros((group_of_row.max(initial=-1) + 1, class_of_row.max(initial=-1) + 1))
    np.add.at(counts, (group_of_row, class_of_row), 1)
    wanted = np.outer(shares, counts.sum(axis=0))
    order = numpy_rng(seed, stream, *indices).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    part, rows = np.zeros(len(counts), np.int64), np.zeros_like(wanted)
    for group in order.tolist():
        part[group] = _measure_rise(counts[group], rows, wanted).argmin()
        rows[part[group]] += counts[group]
    _fill_gaps(part, counts, wanted)
    return part[group_of_row]


def _measure_rise(added: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Measure how much the imbalance of each part rises if it gets more rows.

    Args:
        added: float64 [..., C], more rows of each class.
        rows: float64 [P, C], those of each part.
        wanted: float64 [P, C].

    Returns:
        float64 [..., P].
    """
    added = added[..., None, :]
    return np.asarray((added * (2 * (rows - wanted) + added) / wanted).sum(axis=-1))


def _fill_gaps(part: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> None:
    """Move groups into parts that lack a class, from parts that keep every class without them; in place.

    Args:
        part: int64 [G], of each group.
        counts: float64 [G, C], rows of each group by class.
        wanted: float64 [P, C], rows of each part by class.
    """
    has, parts = counts > 0, range(len(wanted))
    holders, rows = (
        np.stack([each[part == number].sum(axis=0) for number in parts]) for each in (has, counts)
    )
    for label in np.argsort(has.sum(axis=0), kind="stable"):
        for empty in parts:
            can_go = has[:, label] & ((holders[part] > 1) | ~has).all(axis=1)
            if holders[empty, label] or not can_go.any():
                continue
            groups = np.flatnonzero(can_go)
            fall = _measure_rise(-counts[groups], rows, wanted)[np.arange(len(groups)), part[groups]]
            moved = groups[(_measure_rise(counts[groups], rows, wanted)[:, empty] + fall).argmin()]
            for sums, each in ((holders, has), (rows, counts)):
                sums[part[moved]] -= each[moved]
                sums[empty] += each[moved]
            part[moved] = empty
