"""Predicting in batches: all images once, in their order, and a progress that keeps up with the work."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_jax.data.synthetic import draw_examples
from fer_jax.inference import predictor, run_weights
from fer_jax.inference.predictor import predict

BATCHES = 5


def test_what_is_counted_has_arrived_and_little_else_is_under_way(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = run_weights.load(tiny_run, None, None).network
    images = draw_examples(seed=0, examples=4 * BATCHES - 1).images
    begun, counted = 0, list[tuple[float, int]]()
    run_batch = predictor._predict_batch

    def begin(*arguments: Any) -> Any:
        nonlocal begun
        begun += 1
        return run_batch(*arguments)

    whole = predict(network, images)
    monkeypatch.setattr(predictor, "LARGEST_BATCH", 4)
    monkeypatch.setattr(predictor, "BATCHES_AHEAD", 2)
    monkeypatch.setattr(predictor, "_predict_batch", begin)
    parts = predict(network, images, advance=lambda share: counted.append((share, begun)))
    assert counted == [(1 / BATCHES, each) for each in (3, 4, 5, 5, 5)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
