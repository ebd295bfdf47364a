"""What the tests of compiled programs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_jax.runtime import compile_cache


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Name the folder of compiled programs in an empty cache, for a user who has told JAX of none."""
    # JAX reads the environment when it is imported, and the tests set theirs after this file is read.
    import jax

    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path.resolve()))
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    yield compile_cache.compiled_folder()
    jax.config.update("jax_compilation_cache_dir", before)
