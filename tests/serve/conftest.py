"""A server whose network is a function of the test's own, so that no test here waits for JAX."""

import asyncio
import contextlib
import http.client
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image

# The server is imported in the fixtures: the tests that use them are skipped where the extra is missing.
if TYPE_CHECKING:
    from starlette.applications import Starlette

FACE = SimpleNamespace(
    box=(10.0, -2.5, 30.0, 40.0),
    detector_score=0.9,
    probabilities=np.array([0.25, 0.75]),
    crop_px=36.4,
    is_clipped=True,
    roll_deg=None,
)
SETTINGS = {"views": "photo", "detector": "yunet", "min_score": 0.7, "min_face": 12.5, "small_faces": False}


def find_one(image: np.ndarray) -> Any:
    return [FACE]


@pytest.fixture
def build() -> "Callable[..., Starlette]":
    """Make an app: `build(analyze, places=2, demo=folder)`."""
    from fer_jax.serve.answers import Model
    from fer_jax.serve.app import make_app
    from fer_jax.serve.photos import Limits

    def build_app(
        analyze: Callable[[np.ndarray], Any] = find_one,
        *,
        places: int = 16,
        upload_seconds: float = 5.0,
        hosts: tuple[str, ...] = (),
        demo: Path | None = None,
        sha256: str | None = "ab" * 32,
    ) -> "Starlette":
        model = Model(("happy", "sad"), ({"name": "mine", "sha256": sha256},), SETTINGS, 1, analyze)
        limits = Limits(bytes=200_000, pixels=1_000_000, places=places, upload_seconds=upload_seconds)
        return make_app(model, limits, hosts=hosts, demo=demo)

    return build_app


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Encode noise as a picture: `encode("JPEG", size=(64, 48))`."""

    def encode_noise(kind: str, *, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).save(file := io.BytesIO(), format=kind, **options)
        return file.getvalue()

    return encode_noise


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask_of() -> "Callable[[Starlette], Ask]":
    """Ask an app without a socket: `ask_of(app)("GET", "/health")`."""

    def make_ask(app: "Starlette") -> Ask:
        async def ask(*request: Any, **options: Any) -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
                return await client.request(*request, **options)

        return lambda *request, **options: asyncio.run(ask(*request, **options))

    return make_ask


Connect = Callable[[], http.client.HTTPConnection]


@pytest.fixture
def serving() -> "Callable[[Starlette], contextlib.AbstractContextManager[Connect]]":
    """Run an app on a socket, in a thread, where no signals arrive; the block gets what connects to it."""
    from fer_jax.serve import server as process

    @contextlib.contextmanager
    def serve(app: "Starlette") -> Iterator[Connect]:
        with process.listen("127.0.0.1", 0) as listening, pytest.MonkeyPatch.context() as patch:
            server, port = process.make_server(app), listening.getsockname()[1]
            patch.setattr(server, "capture_signals", contextlib.nullcontext)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                yield lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            finally:
                server.should_exit = True
                thread.join()

    return serve
