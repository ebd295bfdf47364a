"""Rows from frames: what is smoothed without lag, what is left alone, and what is known about each source."""

import numpy as np
import pytest

from fer_jax.faces.crop import CONTRACT
from fer_jax.inference.analyzer import Face
from fer_jax.predict.collect import Collector
from fer_jax.predict.frames import FollowedFace, Frame, Opened, Problem
from fer_jax.predict.rows import Faces, Settings

IMAGE = np.zeros((20, 30, 3), np.uint8)
SETTINGS = Settings(
    weights=({"name": "tiny", "sha256": None},),
    labels=("angry", "happy"),
    contract=CONTRACT,
    search=None,
    views="single",
    video_views="single",
    abstain_below=0.6,
    every=1,
    smooth_s=1.0,
)


def make_frame(source: str, number: int, time_s: float | None, *faces: tuple[float, int | None]) -> Frame:
    """Make a frame with faces, each the probability of "happy" and a track."""
    followed = []
    for happy, track in faces:
        values = np.log(np.array([1 - happy, happy]))
        face = Face((1.0, 2.0, 3.0, 4.0), None, None, np.zeros((48, 48, 1), np.uint8), 3.5, False, values)
        followed.append(FollowedFace(face, track, None if track is None else values))
    return Frame(source, number, time_s, IMAGE, tuple(followed), SETTINGS.labels)


def collect(*events: Opened | Frame | Problem) -> Faces:
    collector = Collector(SETTINGS)
    for event in events:
        collector.add(event)
    return collector.to_faces()


def test_a_step_stays_where_it_is() -> None:
    times = np.arange(21) / 10
    happy = np.where(times > 1, 0.9, np.where(times < 1, 0.1, 0.5))
    frames = [make_frame("v", n, float(t), (p, 1)) for n, (t, p) in enumerate(zip(times, happy, strict=True))]
    faces = collect(Opened("v", is_video=True), *frames)
    smooth = np.array([row.probabilities[1] for row in faces])
    np.testing.assert_allclose(smooth + smooth[::-1], 1, atol=1e-9)
    assert smooth[10] == pytest.approx(0.5)
    assert (np.diff(smooth) > 0).all()


def test_tracks_and_sources_are_smoothed_apart() -> None:
    faces = collect(
        Opened("a", is_video=True),
        make_frame("a", 0, 0.0, (0.9, 1), (0.2, 2)),
        make_frame("a", 1, 0.1, (0.2, 2), (0.9, 1)),
        Opened("b", is_video=True),
        make_frame("b", 0, 0.0, (0.3, 1)),
        Opened("c", is_video=False),
        make_frame("c", 0, None, (0.7, None)),
    )
    happy = [row.probabilities[1] for row in faces]
    assert happy == pytest.approx([0.9, 0.2, 0.2, 0.9, 0.3, 0.7])
    assert [row.smooth is None for row in faces] == [False] * 5 + [True]


def test_what_is_known_of_each_source() -> None:
    faces = collect(
        Opened("a", is_video=True),
        make_frame("a", 0, 0.0, (0.9, 1)),
        make_frame("a", 1, 0.1),
        Problem("a", "the rest is damaged"),
        Problem("b", "not a picture"),
        Opened("c", is_video=False),
        make_frame("c", 0, None),
    )
    facts = [
        (one.source, one.frames, one.frames_without_face, one.faces, one.problem) for one in faces.sources
    ]
    assert facts == [
        ("a", 2, 1, 1, "the rest is damaged"),
        ("b", 0, 0, 0, "not a picture"),
        ("c", 1, 1, 0, None),
    ]
    assert (faces.sources[0].width, faces.sources[0].height, faces.sources[1].width) == (30, 20, 0)
    assert faces.to_dict()["sources_without_face"] == ["c"]
    assert faces.problems == ["the rest is damaged", "not a picture"]


def test_a_source_that_cannot_be_opened_takes_nothing_from_the_one_before() -> None:
    faces = collect(
        Opened("a", is_video=True), make_frame("a", 0, 0.0, (0.9, 1)), Problem("b", "there is no b")
    )
    assert [(one.source, one.frames, one.faces, one.problem) for one in faces.sources] == [
        ("a", 1, 1, None),
        ("b", 0, 0, "there is no b"),
    ]


def test_a_table_without_rows_has_its_columns() -> None:
    table = collect(Opened("c", is_video=False), make_frame("c", 0, None)).to_frame()
    assert len(table) == 0
    assert list(table.columns[-3:]) == ["crop_px", "is_clipped", "roll_deg"]


def test_unsure_below_the_threshold() -> None:
    faces = collect(
        Opened("c", is_video=False), make_frame("c", 0, None, (0.59, None), (0.61, None), (0.2, None))
    )
    assert [row["label"] for row in faces.to_records()] == ["unsure", "happy", "angry"]
