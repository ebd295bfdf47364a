"""Drawn copies on a disk that is full: whole or not there."""

from pathlib import Path

import numpy as np
import pytest

from fer_jax.errors import RunError
from fer_jax.predict.drawn import save_picture


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_picture_that_does_not_fit_is_not_there(tmp_path: Path, name: str) -> None:
    """Pillow itself leaves half a JPEG, and says nothing."""
    image = np.random.default_rng(0).integers(256, size=(60, 60, 3), dtype=np.uint8)
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(RunError, match=f"{name} cannot be written: File too large .*ulimit -f"):
            save_picture(image, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    save_picture(image, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000
