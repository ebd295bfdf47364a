"""What every request and every answer passes: who may ask, what a browser is told, and what is logged."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG: Final = logging.getLogger("fer_jax.serve")

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")

CSP: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The demo runs its own scripts and WebAssembly, and reaches this server alone."""

SECURITY: Final = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}
"""Headers of every answer that does not have its own."""

STOPPED: Final = "the server stopped before the answer was ready; send the request again in a moment"

FAILED: Final = "the server failed; its log says how"

_SHOWN_LETTERS: Final = 200


class Guard:
    """Middleware that refuses foreign requests, adds the headers of `SECURITY`, and logs a line a request.

    A line has the time, method, path, status and milliseconds: no query, no header, nothing of a body.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str]) -> None:
        """Guard an app that answers to some hosts; see `is_known`."""
        self._app = app
        self._hosts = tuple(host.lower().strip("[]") for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        clock, status = asyncio.get_running_loop().time, 0
        began = clock()

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refused = refuse(scope["method"], Headers(scope=scope), self._hosts)
            app = JSONResponse({"error": refused[1]}, refused[0]) if refused else self._app
            await app(scope, receive, send_guarded)
        except asyncio.CancelledError:
            # The server stops, and its time to finish is over; uvicorn closes a response that has begun.
            if not status:
                stopped = JSONResponse({"error": STOPPED}, 503, {"Retry-After": "1"})
                await stopped(scope, receive, send_guarded)
        except Exception:
            if not status:
                failed = JSONResponse({"error": FAILED}, 500, {"Cache-Control": "no-store"})
                await failed(scope, receive, send_guarded)
            raise  # For the log.
        finally:
            # Quoted: what a client writes into a path cannot look like another line of the log.
            path, ms = quote(scope["path"])[:_SHOWN_LETTERS], 1000 * (clock() - began)
            LOG.info("%s %s %s %.0f ms", scope["method"], path, status or "-", ms)


def refuse(method: str, headers: Mapping[str, str], hosts: Sequence[str]) -> tuple[int, str] | None:
    """Refuse a request for a name that this server does not have, or from the page of another one.

    The first stops DNS rebinding, where a foreign name leads to this machine; the second keeps the pages of
    other servers, which a browser here may show, from sending photos. Programs send no `Origin` and no
    `Sec-Fetch-Site`.

    Returns:
        Status and sentence; None: the request may pass.
    """
    host = headers.get("host", "")
    if not is_known(_name_of(f"//{host}"), hosts):
        return (
            400,
            f"this server is not known as {host[:_SHOWN_LETTERS]!r}; start it with --allowed-hosts NAME",
        )
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return 403, "a page of another origin may not use this server"
    # A link on another page may lead here: then the whole page changes, and the other one sees nothing.
    is_followed_link = method in ("GET", "HEAD") and (
        (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    )
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not is_followed_link:
        return 403, "a page of another site may not use this server"
    return None


def is_known(name: str | None, hosts: Sequence[str]) -> bool:
    """Whether a name, in lower case, is among hosts such as `a.org`, `*.a.org` or `*`.

    >>> is_known("x.a.org", ["*.a.org"]), is_known("a.org", ["*.a.org"]), is_known(None, ["*"])
    (True, False, False)
    """
    return name is not None and any(
        host in ("*", name) or (host.startswith("*.") and name.endswith(host[1:])) for host in hosts
    )


def _name_of(url: str) -> str | None:
    """Read the name in a URL, in lower case, without port and brackets; None where there is none."""
    try:
        parts = urlsplit(url)
        has_more = parts.path or parts.query or parts.fragment or "@" in parts.netloc or parts.port == -1
        return None if has_more else parts.hostname
    except ValueError:
        return None
