"""The scenes: what is pasted where, and that a layout is all that a scene depends on."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.photos import scenes
from benchmarks.photos.crop_rules import cut_known
from benchmarks.photos.scenes import Layout, Pasted
from fer_jax.data.synthetic import draw_examples

FACES = draw_examples(seed=0, examples=12).images


def test_each_face_stands_once_inside_its_scene_and_off_the_others() -> None:
    layouts = scenes.draw_layouts(3, faces=200)
    assert sorted(face.row for layout in layouts for face in layout.faces) == list(range(200))
    assert {len(layout.faces) for layout in layouts} == {1, 2, 3}
    for layout in layouts:
        for number, face in enumerate(layout.faces):
            assert 72 <= face.side <= 240 and abs(face.roll_deg) <= 20
            room = face.side / math.sqrt(2)
            assert room <= face.x <= layout.width - room and room <= face.y <= layout.height - room
            for other in layout.faces[:number]:
                assert math.hypot(face.x - other.x, face.y - other.y) > room + other.side / math.sqrt(2)
    rolls = [face.roll_deg for layout in layouts for face in layout.faces]
    assert 0.4 < np.mean(np.equal(rolls, 0)) < 0.6


def test_the_same_layout_gives_the_same_bytes() -> None:
    first, second = (scenes.draw_layouts(0, faces=6) for _ in range(2))
    assert first == second and first != scenes.draw_layouts(1, faces=6)
    for layout in first[:2]:
        photos = [scenes.encode(scenes.make_scene(layout, FACES), layout.quality) for _ in range(2)]
        assert photos[0] == photos[1]
        assert scenes.decode(photos[0]).shape == (layout.height, layout.width, 3)


@pytest.mark.parametrize("background", ["noise", "gradient", "texture"])
@pytest.mark.parametrize("side", [48.0, 100.0])
def test_an_upright_face_is_there_where_the_layout_says(background: scenes.Background, side: float) -> None:
    face = Pasted(0, 150.5, 120.25, side, 0.0)
    layout = Layout((0,), 320, 240, background, (face,), 95)
    cut = cut_known(scenes.make_scene(layout, FACES), face.x, face.y, face.side)
    assert np.abs(cut.astype(float) - FACES[0]).mean() < 4
    moved = cut_known(scenes.make_scene(layout, FACES), face.x + side / 12, face.y, face.side)
    assert np.abs(moved.astype(float) - FACES[0]).mean() > 8


def test_a_quarter_turn_is_clockwise() -> None:
    face = Pasted(0, 120, 120, 96, 90.0)
    scene = scenes.make_scene(Layout((0,), 240, 240, "noise", (face,), 95), FACES)
    cut = cut_known(scene, 120, 120, 96).astype(float)
    assert np.abs(cut - np.rot90(FACES[0], -1)).mean() < 4


def test_blur_takes_detail_away() -> None:
    layout = scenes.lay_out_grid((0,), range(4), size=(320, 240), columns=2, side=90, roll_deg=0.0, blur=0.0)
    assert [(face.x, face.y) for face in layout.faces] == [(80, 60), (240, 60), (80, 180), (240, 180)]
    sharp, soft = (
        np.diff(scenes.make_scene(each, FACES).astype(float), axis=1).std()
        for each in (layout, replace(layout, blur=0.03))
    )
    assert soft < 0.7 * sharp
