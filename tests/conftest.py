"""What all tests share: JAX's strict settings, a cache, a store of programs, and a compiler in a hurry."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Final

import filelock
import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image

from fer_jax.runtime.door import SIGNALS

STRICT: Final = {
    # An array is broadcast along new axes where the code says so, and nowhere else.
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    # A key is used once.
    "JAX_DEBUG_KEY_REUSE": "1",
}
COMPILED_BYTES: Final = 256 * 2**20
LONGEST: Final = (
    "release/test_run.py",
    "docs/test_code.py",
    "web/test_page.py",
    "train/test_seeds.py",
    "train/test_run.py",
    "benchmarks/throughput/test_tricks.py",
    "benchmarks/latency/test_latency.py",
    "check/test_run.py",
    "benchmarks/gpu/test_gpu.py",
    "benchmarks/reliability/test_crash.py",
)
TINY_RUN: Final = (
    *("--config", str(Path(__file__).parent.parent / "configs" / "run1.py")),
    *("--data.source", "synthetic", "--data.synthetic-examples", "140"),
    *("--model.blocks.0.features", "2", "--model.blocks.0.pool", "--model.dense-features", "4"),
    *("--train.batch-size", "16", "--train.epochs", "1"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Set JAX up, before anything imports it, in this process and in those that the tests start.

    XLA takes most of the time of many tests, so what one of them has compiled is kept for all workers, and
    for the next run of the tests. With a limit to the store's size JAX takes a file lock when it reads or
    writes, as workers that share it need. What fer_jax itself keeps is not the user's, and is deleted at the
    end: what was kept by other code may hide a fault.
    """
    # A shell has what it starts in the background ignore SIGINT, and nohup SIGHUP; our programs would, too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in SIGNALS:
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    folder = config.rootpath / ".pytest_cache" / "compiled"
    folder.mkdir(parents=True, exist_ok=True)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        remove_unfinished(folder)
        cache = tempfile.mkdtemp(prefix="fer-jax-tests-")
        config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))
        os.environ["FER_JAX_CACHE"] = cache  # For the workers too, which start later.
    os.environ |= STRICT | {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(COMPILED_BYTES),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that take longest first; all others keep their order."""
    longest = [config.rootpath / "tests" / name for name in LONGEST]
    items.sort(key=lambda item: longest.index(item.path) if item.path in longest else len(longest))


def remove_unfinished(folder: Path) -> None:
    """Remove programs that a killed process was about to write: JAX writes the time of use last."""
    for program in folder.glob("*-cache"):
        if not program.with_name(program.name.removesuffix("-cache") + "-atime").exists():
            program.unlink()


@contextlib.contextmanager
def without_optimisations() -> Iterator[None]:
    """Let XLA leave out its optimisations, in this process and in those that it starts.

    Inside another such block nothing changes, and what was compiled is kept.
    """
    import jax

    name = "jax_disable_most_optimizations"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name.upper(), "1")
        if jax.config.values[name]:
            yield
            return
        jax.clear_caches()
        jax.config.update(name, True)
        try:
            yield
        finally:
            jax.config.update(name, False)
            jax.clear_caches()


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """Read a photo that comes with matplotlib, of Grace Hopper: uint8 [600, 512, 3], one face."""
    path = str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def quick_compile() -> Iterator[None]:
    """Let XLA leave out its optimisations for the tests of a module.

    For tests of programs from end to end on tiny networks: there XLA takes longer to compile than to compute.
    What is computed, and that its bits are the same, is tested with the compiler as users have it.
    """
    with without_optimisations():
        yield


@pytest.fixture(scope="session")
def leave_out_pictures() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Give the block in which `evaluate` writes the figures alone.

    The pictures and the page take most of its time.
    """

    @contextlib.contextmanager
    def leave_out() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fer_jax.evaluate.run.plots.draw", lambda *_, **__: {})
            patch.setattr("fer_jax.evaluate.run.mistakes.write_pictures", lambda *_, **__: ([], {}))
            patch.setattr("fer_jax.evaluate.run.run_page.write", lambda folder: folder)
            yield

    return leave_out


@pytest.fixture
def without_pictures(
    leave_out_pictures: Callable[[], contextlib.AbstractContextManager[None]],
) -> Iterator[None]:
    """Let `evaluate` write the figures alone in a test that looks at nothing else."""
    with leave_out_pictures():
        yield


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a network once for all tests, and all workers, that need some finished run; copy it to change it.

    It is run 1 with two feature maps, after an epoch on 140 synthetic faces: the splits are the defaults.
    """
    from fer_jax.train import __main__ as train

    home = tmp_path_factory.getbasetemp()
    home = home.parent if "PYTEST_XDIST_WORKER" in os.environ else home
    folder, mark = home / "tiny-run", home / "tiny-run-finished"
    with filelock.FileLock(home / "tiny-run.lock"):
        if not mark.exists():
            with without_optimisations():
                assert train.main([*TINY_RUN, "--run-dir", str(folder)]) == 0
            mark.touch()
    return folder


class Outline(HTMLParser):
    """The start tags of a page, in order, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def find(self, *names: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="session")
def find_faults() -> Callable[[str], list[str]]:
    """Give the function that lists what a page withholds from those who cannot see it, or use no mouse."""

    def find(text: str) -> list[str]:
        page = Outline(text)
        levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4", "h5", "h6")]
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        regions = [each.get("aria-label", "") for _, each in page.tags if each.get("role") == "region"]
        links = [each["href"][1:] for each in page.find("a") if each["href"].startswith("#")]
        checks = {
            "the language": page.find("html") == [{"lang": "en"}],
            "one title and one main": len(page.find("title")) == len(page.find("main")) == 1,
            "one h1, the first heading": levels[0] == 1 and 1 not in levels[1:],
            "no heading skips a level": all(later <= before + 1 for before, later in pairwise(levels)),
            "pictures have a text": all(each.get("alt") for each in page.find("img")),
            "charts have a text": all(
                each.get("aria-label") and each["role"] == "img" for each in page.find("svg")
            ),
            "tables have captions": len(page.find("caption")) == len(page.find("table")),
            "heads of tables have a scope": all(each.get("scope") for each in page.find("th")),
            "regions have a name of their own": all(regions)
            and max(Counter(regions).values(), default=1) == 1,
            "ids are unique": len(ids) == len(set(ids)),
            "links lead somewhere": set(links) <= set(ids),
            "what scrolls takes the focus": all(
                each.get("tabindex") == "0" for _, each in page.tags if each.get("class") == "scroll"
            ),
        }
        return [name for name, holds in checks.items() if not holds]

    return find
