"""The process of the server: its socket, the time-outs of connections, and a graceful end."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_jax.errors import ConfigError
from fer_jax.runtime.signals import acknowledge_signals, handled_by
from fer_jax.runtime.verbosity import Verbosity, get_verbosity
from fer_jax.serve.guards import LOG

HEAD_SECONDS: Final = 10.0
"""A connection that has not sent the whole head of a request for so long is closed."""
KEEP_ALIVE_SECONDS: Final = 5
HEAD_BYTES: Final = 16 * 1024
CONNECTIONS: Final = 512
DRAIN_SECONDS: Final = 8
"""What is in work when a signal comes may take so long; Docker kills after ten seconds."""

EVERY_ADDRESS: Final = ("0.0.0.0", "::")
"""What stands for every address of this machine."""

DRAINING: Final = "finishing what is in work; press again to stop now"


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which has a time-out for silence between requests, with one for slow heads too.

    It also ends a connection whose refused body does not come to its end.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Start to wait for the next request."""
        self._stop_waiting()
        self._wait()
        super().on_response_complete()
        # The next one may have been there already.
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; where an answer has begun, as after a broken chunk, end the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn's server, which ends after the requests in work; `stopped_by` is the signal that ended it."""

    stopped_by: int | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Note a signal; a second one ends the process at once."""

        def note(signum: int, frame: FrameType | None) -> None:
            self.stopped_by = self.stopped_by or signum
            self.should_exit = True

        with handled_by(note), acknowledge_signals(DRAINING, grace_s=None):
            yield


def run_server(app: ASGIApp, listening: socket.socket) -> int:
    """Serve an app until a signal comes, answer what is in work, and return that signal's exit status."""
    server = make_server(app)
    _log_to_stderr()
    server.run(sockets=[listening])
    return 0 if server.stopped_by is None else 128 + server.stopped_by


def _log_to_stderr() -> None:
    """Log requests, unless the command is quiet, and what goes wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    requests = logging.WARNING if get_verbosity() == Verbosity.QUIET else logging.INFO
    for logger, level in ((LOG, requests), (logging.getLogger("uvicorn.error"), logging.WARNING)):
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


def make_server(app: ASGIApp) -> Server:
    """Make the server of an app; `server.run(sockets=[listening])` serves until a signal comes."""
    return Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=TimedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        ConfigError: the address is not of this machine, or the port is in use or reserved.
    """
    listening = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio turns Nagle's algorithm off (40 ms an answer) only where it reads that this is TCP.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(CONNECTIONS)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have.
        if listening is not None:
            listening.close()
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(
            f"cannot listen on --host {host} --port {port}: {said}; give another --port "
            "(0: any that is free), or an address of this machine"
        ) from None
    return listening


def name_address(listening: socket.socket) -> str:
    """Return the URL at which this machine reaches a listening socket."""
    host, port, *_ = listening.getsockname()
    host = "localhost" if host in EVERY_ADDRESS else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
