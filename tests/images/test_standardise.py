import jax.numpy as jnp
import numpy as np

from fer_jax.images.standardise import PixelStats, measure, standardise


def test_training_images_become_mean_0_and_deviation_1_on_host_and_device_alike() -> None:
    images = np.random.default_rng(0).integers(0, 200, (20, 48, 48, 1), dtype=np.uint8)
    stats = measure(images)
    np.testing.assert_allclose(stats, (images.mean(), images.std()), rtol=1e-12)
    host, device = standardise(images, stats), standardise(jnp.asarray(images), stats)
    assert host.dtype == device.dtype == np.float32
    assert host.shape == images.shape
    np.testing.assert_allclose((host.mean(), host.std()), (0, 1), atol=1e-4)
    np.testing.assert_allclose(device, host, atol=1e-6)


def test_flat_images_do_not_divide_by_zero() -> None:
    images = np.full((2, 48, 48, 1), 77, np.uint8)
    assert measure(images) == PixelStats(77.0, 1.0)
    assert (standardise(images, measure(images)) == 0).all()
