"""Tracks of faces that move, cross, vanish and come back."""

import numpy as np

from fer_jax.faces.tracks import LOST_AFTER_S, Tracks, advance, start


def box(x: float, y: float = 0, side: float = 100) -> list[float]:
    return [x, y, side, side]


def follow(frames: list[tuple[float, list[list[float]]]]) -> list[list[int]]:
    tracks, found = start(), []
    for time_s, boxes in frames:
        tracks, ids = advance(tracks, time_s, np.reshape(np.array(boxes, float), (-1, 4)))
        found.append(ids.tolist())
    return found


def test_faces_keep_their_numbers_whatever_their_order() -> None:
    frames = [
        (0.0, [box(0), box(300)]),
        (0.1, [box(310), box(10)]),
        (0.2, []),
        (0.3, [box(20), box(600), box(320)]),
    ]
    assert follow(frames) == [[1, 2], [2, 1], [], [1, 3, 2]]


def test_the_faces_of_a_frame_are_assigned_together() -> None:
    """A moves on to where B was, B moves on: taken one by one, A would take B's number."""
    # The overlaps: A' with A 0.33, with B 0.54; B' with B 0.33. The best sum keeps both numbers.
    assert follow([(0.0, [box(0), box(80)]), (0.04, [box(50), box(130)])]) == [[1, 2], [1, 2]]


def test_too_little_overlap_is_somebody_new() -> None:
    # IoU 50 / 150 = 0.33 and 40 / 160 = 0.25.
    assert follow([(0.0, [box(0)]), (0.04, [box(50)])]) == [[1], [1]]
    assert follow([(0.0, [box(0)]), (0.04, [box(60)])]) == [[1], [2]]


def test_a_pair_that_overlaps_too_little_takes_nobody_away() -> None:
    # 0.25 + 0.25 would beat 0.43 + 0; the latter is right.
    assert follow([(0.0, [box(0), box(100)]), (0.04, [box(60), box(160)])])[1] == [2, 3]


def test_a_track_ends_after_a_second_in_the_streams_time() -> None:
    assert follow([(5.0, [box(0)]), (5.0 + LOST_AFTER_S, [box(0)])]) == [[1], [1]]
    assert follow([(5.0, [box(0)]), (6.01, [box(0)]), (6.02, [box(0)])]) == [[1], [2], [2]]


def test_the_state_before_is_untouched_and_what_is_lost_is_forgotten() -> None:
    first, _ = advance(start(), 0.0, np.array([box(0)]))
    advance(first, 0.1, np.array([box(300)]))
    assert (first.ids.tolist(), first.next_id) == ([1], 2)
    tracks: Tracks = start()
    for number in range(1000):
        tracks, _ = advance(tracks, 0.5 * number, np.array([box(1000 * number)]))
    assert len(tracks.ids) == 3 and tracks.next_id == 1001
