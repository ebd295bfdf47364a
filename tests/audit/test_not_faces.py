"""Images without a face: planted ones stand out of drawn faces."""

import numpy as np

from fer_jax.audit.not_faces import find_not_faces
from fer_jax.data.synthetic import draw_examples


def test_flat_and_strange_images_stand_out_of_faces() -> None:
    rng = np.random.default_rng(0)
    stripes = np.tile(np.array([[0, 0, 255, 255]], np.uint8), (48, 12))[None, :, :, None]
    noise = rng.integers(0, 256, (1, 48, 48, 1), np.uint8)
    flat = np.full((1, 48, 48, 1), 7, np.uint8)
    found = find_not_faces(np.concatenate([draw_examples(seed=5, examples=700).images, flat, stripes, noise]))
    assert found.is_flat.tolist() == [False] * 700 + [True, False, False]
    assert found.is_strange[700:].tolist() == [False, True, True]
    assert found.is_strange[:700].mean() <= 0.01
    assert not find_not_faces(draw_examples(seed=5, examples=30).images).is_strange.any()
    assert (found.distance >= 0).all() and (found.distance <= 1.001).all()
