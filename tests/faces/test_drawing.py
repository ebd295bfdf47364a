"""Annotated copies: what is drawn, where, and that the faces themselves stay visible."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import ImageColor

from fer_jax import fer2013
from fer_jax.faces import drawing
from fer_jax.faces.drawing import DrawnFace, draw

LABELS = fer2013.LABELS
HAPPY = LABELS.index("happy")
GRAY = np.full((600, 800, 3), 128, np.uint8)


def face(*box: float, happy: float = 0.88, track: int | None = None) -> DrawnFace:
    probabilities = np.full(len(LABELS), (1 - happy) / (len(LABELS) - 1))
    probabilities[HAPPY] = happy
    return DrawnFace((box[0], box[1], box[2], box[3]), probabilities, track)


def annotate(image: np.ndarray, faces: Sequence[DrawnFace], *, abstain_below: float = 0.4) -> np.ndarray:
    return draw(image, faces, LABELS, abstain_below=abstain_below)


def find(image: np.ndarray, colour: str) -> np.ndarray:
    """Find the pixels of a colour, bool [H, W]."""
    return (image == ImageColor.getrgb(colour)).all(axis=2)


def test_the_box_has_the_colour_of_the_class_and_the_face_stays_as_it_was() -> None:
    drawn = annotate(GRAY, [face(300, 200, 100, 120)])
    assert drawn.shape == GRAY.shape and drawn.dtype == np.uint8
    happy = find(drawn, "#F0E442")
    assert happy[260, 300] and happy[260, 400] and happy[200, 350] and happy[320, 350]
    assert (drawn[204:317, 304:397] == 128).all()
    assert (GRAY == 128).all()
    assert (annotate(GRAY, []) == GRAY).all()


def test_an_unsure_face_is_gray() -> None:
    drawn = annotate(GRAY, [face(300, 200, 100, 120, happy=0.3)])
    assert find(drawn, drawing._UNSURE)[260, 300]
    assert not find(drawn, "#F0E442")[260, 300]
    # At the threshold itself it is sure.
    assert find(annotate(GRAY, [face(300, 200, 100, 120)], abstain_below=0.88), "#F0E442")[260, 300]


def test_bars_are_as_long_as_the_probabilities() -> None:
    def longest(happy: float) -> int:
        beside = find(annotate(GRAY, [face(300, 200, 100, 120, happy=happy)]), "#F0E442")[:, 410:]
        return int(beside.sum(axis=1).max())

    assert longest(0.5) == pytest.approx(0.5 * longest(1.0), abs=1.5)
    assert longest(1.0) > 50


def test_bars_are_left_out_where_there_is_no_room() -> None:
    drawn = annotate(GRAY, [face(0, 0, 800, 600)])
    assert (drawn[60:590, 10:790] == 128).all()


def test_nothing_covers_another_face() -> None:
    boxes = [(160 * column + 20, 150 * row + 40, 90, 100) for row in range(5) for column in range(8)]
    crowd = np.full((770, 1300, 3), 128, np.uint8)
    drawn = annotate(crowd, [face(*box, track=number) for number, box in enumerate(boxes, 1)])
    for left, top, width, height in boxes:
        assert (drawn[top + 4 : top + height - 3, left + 4 : left + width - 3] == 128).all()
        assert find(drawn, "#F0E442")[top - 20 : top - 2, left : left + width].any()


@pytest.mark.parametrize(
    "box",
    [(-40, -30, 120, 130), (740, 540, 120, 140), (-500, -500, 10, 10), (900, 300, 50, 50), (5, 5, 0, 0)],
)
def test_a_face_over_the_border_is_drawn_along_it(box: tuple[float, float, float, float]) -> None:
    drawn = annotate(GRAY, [face(*box)])
    assert drawn.shape == GRAY.shape and find(drawn, "#F0E442").any()


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (100, 30), (1, 700), (479, 20), (481, 2000)])
def test_any_size_of_picture(size: tuple[int, int]) -> None:
    drawn = annotate(np.zeros((*size, 3), np.uint8), [face(0, 0, size[1], size[0])])
    zoom = drawn.shape[0] // size[0]
    assert drawn.shape == (zoom * size[0], zoom * size[1], 3)
    assert (zoom == 1) == (max(size) >= 480) and max(drawn.shape) >= 480


def test_boxes_of_a_small_picture_are_enlarged_with_it() -> None:
    drawn = annotate(np.full((240, 240, 3), 128, np.uint8), [face(100, 80, 50, 60)])
    assert drawn.shape == (480, 480, 3)
    assert find(drawn, "#F0E442")[220, 200] and find(drawn, "#F0E442")[280, 250]


def test_letters_grow_with_the_picture() -> None:
    large = np.full((2400, 3200, 3), 128, np.uint8)
    small = find(annotate(GRAY, [face(300, 200, 100, 120)]), "#F0E442")
    four_times = find(annotate(large, [face(1200, 800, 400, 480)]), "#F0E442")
    assert four_times.sum() == pytest.approx(16 * small.sum(), rel=0.15)


def luminance(colour: str) -> float:
    """Compute the relative luminance as WCAG 2 defines it."""
    shares = np.array(ImageColor.getrgb(colour)) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", [*drawing._COLOURS.values(), drawing._UNSURE])
def test_letters_stand_out_on_every_colour(colour: str) -> None:
    dark, light = sorted([luminance(colour), luminance(drawing._ink(colour))])
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_every_class_has_a_colour_of_its_own() -> None:
    assert set(LABELS) < set(drawing._COLOURS)
    assert len(set(drawing._COLOURS.values()) | {drawing._UNSURE}) == len(drawing._COLOURS) + 1
