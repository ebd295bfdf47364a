"""Serves the demo's folder on this machine; any other server of files does as well."""

import functools
import http.server
from pathlib import Path
from typing import Final

from fer_jax.errors import RunError

HOST: Final = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Answers with files, and does not log every one of them."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }
    """What a browser insists on, whatever the machine's own table says."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def make_server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """Make a server of a folder, on this machine only.

    Args:
        folder: what to serve.
        port: 0 for any that is free.

    Raises:
        RunError: the port is taken.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise RunError(f"cannot listen on {HOST}:{port}: {error.strerror}; give another --port") from None
