"""What all tests share: a program that one of them compiled is not compiled again by the next."""

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled programs in a fresh folder for as long as the tests run.

    Many tests start the same small training, in this process or in one of its own, and XLA takes most of its
    time. Each of pytest's workers has a folder of its own: JAX writes there without a lock.
    """
    folder = tempfile.mkdtemp(prefix="fer_jax-compiled-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
