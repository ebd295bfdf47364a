import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.throughput import input_pipeline as host
from benchmarks.throughput import input_pipeline_worker as host_worker
from benchmarks.throughput.transforms import OpenCVTransform, PILTransform, Transform
from fer_jax.config.augment import AugmentConfig
from fer_jax.errors import ConfigError
from fer_jax.images import affine, augment
from fer_jax.images import standardise as images_standardise
from fer_jax.images.standardise import PixelStats, standardise

STATS = PixelStats(100.0, 50.0)
CV2 = pytest.param(
    OpenCVTransform,
    marks=pytest.mark.skipif(
        importlib.util.find_spec("cv2") is None, reason="needs OpenCV: pip install 'fer-jax[bench]'"
    ),
)


CHOSEN = ("batch-float", "apply-jax", "pil", "cv2-loader-2")


def smooth_face() -> np.ndarray:
    rows, columns = np.indices((48, 48))
    return np.rint(2 * rows + 3 * columns + 10 * np.sin(rows / 5)).astype(np.uint8)[..., None]


def test_every_chosen_candidate_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "host.json"
    config = tmp_path / "small.py"
    config.write_text(
        "from fer_jax.config.run import Config\n"
        "from fer_jax.config.augment import AugmentConfig\n"
        "augment = AugmentConfig(rotate_probability=0.5, crop_probability=0.5, erase_probability=0.5)\n"
        "config = Config(name='small', augment=augment)\n"
    )
    sizes = ("--batch-size", "4", "--examples", "16", "--rounds", "2", "--iterations", "3")
    chosen = ("--candidates", *CHOSEN)
    assert host.main(["--config", str(config), *sizes, *chosen, "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    there = [name for name in CHOSEN if all(map(importlib.util.find_spec, host_worker.KINDS[name].needs))]
    assert [row["name"] for row in results["results"]] == there
    for row in results["results"]:
        assert np.array(row["samples_s"]).shape == (2, 3)
        assert row["images_per_s"] == pytest.approx(4 / row["spread_s"]["median"])
        assert len(row["baseline_is_faster"]) == 2
    assert results["settings"]["augment"]["erase_probability"] == 0.5


def test_candidates_are_named_once() -> None:
    assert set(host.Name.__args__) == set(host_worker.KINDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in host_worker.KINDS if not name.endswith("loader-2")])
def test_a_candidate_makes_its_batch(name: str) -> None:
    kind = host_worker.KINDS[name]
    for module in kind.needs:
        pytest.importorskip(module, reason=f"needs {module}: pip install 'fer-jax[bench]'")
    job = host_worker.Job(name, {}, 8, 64)
    made = kind.make(job)()
    faces = job.faces()
    stats, images = images_standardise.measure(faces.images), faces.images[job.order()[:8]]
    if name in ("batch-float", "cv2", "pil"):
        found = np.asarray(made if name == "batch-float" else made[0])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.reshape(images.shape), standardise(images, stats), atol=1e-5)
    elif "loader" in name:
        assert made[0].shape == (8, 1, 48, 48)
    elif name != "draw":
        found = np.asarray(made if name.startswith("apply") else made[0])
        assert (found == images).all()


@pytest.mark.parametrize("transform", [CV2, PILTransform])
@pytest.mark.parametrize("is_flipped", [False, True])
def test_a_transform_without_changes_standardises(transform: type[Transform], is_flipped: bool) -> None:
    config = AugmentConfig(flip_probability=float(is_flipped))
    face = smooth_face()
    wanted = standardise(face, STATS)[:, :: -1 if is_flipped else 1, 0]
    np.testing.assert_allclose(transform(config, STATS)(face)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("transform", [CV2, PILTransform])
def test_a_transform_turns_shifts_and_crops_as_ours_does(transform: type[Transform]) -> None:
    steps, face = transform(AugmentConfig(), STATS), smooth_face()
    turned = affine.rotation_map(np.array([10.0])) @ affine.shift_map(np.array([[3.0, -2.0]]))
    cropped = affine.crop_map(np.array([[0.75, -2.0, 4.0]]))  # rows 4..39, columns 10..45
    changes = {
        "turned": (turned, steps.turn_and_shift(steps.open(face), 10.0, 3.0, -2.0)),
        "cropped": (cropped, steps.crop(steps.open(face), 4, 10, 36)),
    }
    for name, (maps, theirs) in changes.items():
        draws = augment.Draws(affine.round_maps(maps), np.zeros((1, 4), np.int32))
        ours = augment.apply(face[None], draws)[0, ..., 0].astype(int)
        inner = (slice(10, -10), slice(10, -10))
        difference = np.abs(ours - np.asarray(theirs).reshape(48, 48))[inner]
        # PIL shifts by whole pixels less a half here and there: 3 grays a pixel.
        assert difference.max() <= 3, name


@pytest.mark.parametrize("change", [{"gamma_probability": 0.5}, {"alternate_flip": True}])
def test_a_transform_refuses_what_it_does_not_have(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ConfigError, match=f"augment.{name} is .*; set it to "):
        PILTransform(AugmentConfig(**change), STATS)


def test_a_transform_erases_to_the_mean() -> None:
    random.seed(0)
    config = AugmentConfig(erase_probability=1.0, max_erase_fraction=0.5)
    changed = PILTransform(config, STATS)(np.full((48, 48, 1), 200, np.uint8))
    assert set(np.unique(changed.round(4))) == {0.0, 2.0}
