"""The routes of the server, as a Starlette app that knows a network only by what it has to answer."""

import asyncio
import base64
import hashlib
import html
import mimetypes
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from fer_jax.serve import openapi
from fer_jax.serve.answers import Model, answer_photo
from fer_jax.serve.guards import CSP, LOCAL_NAMES, Guard
from fer_jax.serve.line import Line
from fer_jax.serve.photos import Limits, read_body, refuse_early

_HOME: Final = Path(__file__).with_name("home.html")
_UNSTORED: Final = {"Cache-Control": "no-store"}


def make_app(model: Model, limits: Limits, *, hosts: Sequence[str], demo: Path | None) -> Starlette:
    """Make the app.

    Args:
        model: what predicts.
        limits: of a request.
        hosts: names of this server besides the local ones; see `guards.is_known`.
        demo: folder of the built demo; None: a page about the API is at `/`.
    """
    line = Line(places=limits.places)
    document = openapi.describe(model.labels, limits)

    async def predict(request: Request) -> Response:
        clock = asyncio.get_running_loop().time
        began = clock()
        refuse_early(request, limits)
        with line.place():
            body = await read_body(request, limits)
            answer = await line.work(request, partial(answer_photo, model, body, limits))
        return JSONResponse({**answer, "seconds": round(clock() - began, 4)}, headers=_UNSTORED)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_UNSTORED)

    async def models(request: Request) -> Response:
        return JSONResponse({"models": [model.describe()]}, headers=_UNSTORED)

    async def describe_api(request: Request) -> Response:
        return JSONResponse(document)

    routes: list[BaseRoute] = [
        Route("/v1/predict", predict, methods=["POST"]),
        Route("/v1/models", models),
        Route("/health", health),
        Route("/openapi.json", describe_api),
    ]
    if demo is None:
        page = _HOME.read_text(encoding="utf-8")
        routes.append(Route("/", partial(_show_home, page)))
    else:
        # Otherwise it would be text, which a browser shows.
        mimetypes.add_type("application/octet-stream", ".onnx")
        routes.append(_Pages(demo, {route.path for route in routes if isinstance(route, Route)}))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=(*LOCAL_NAMES, *hosts))],
        exception_handlers={HTTPException: _answer_refusal},
    )
    app.router.redirect_slashes = False
    return app


class _Pages(Mount):
    """The demo's files, served at every path that is not one of the API's.

    A plain mount would also answer a wrong method of the API, before its route could name the right ones.
    """

    def __init__(self, demo: Path, reserved: Collection[str]) -> None:
        """Take the folder of the demo, and the paths of the API."""
        super().__init__("/", StaticFiles(directory=demo, html=True))
        self._reserved = reserved

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for one of the files."""
        if scope["type"] != "http" or scope["path"] in self._reserved:
            return Match.NONE, {}
        is_page = scope["method"] in ("GET", "HEAD") or scope["path"] == "/"
        return super().matches(scope) if is_page else (Match.NONE, {})


async def _show_home(page: str, request: Request) -> Response:
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = CSP.replace("style-src 'self'", f"style-src 'sha256-{digest}'")
    here = html.escape(str(request.base_url).rstrip("/"))
    page = page.replace("http://localhost:8000", here)
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


async def _answer_refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    words = {404: f"there is nothing at this path; {_WAYS}", 405: "this path has other methods; see Allow"}
    detail = words.get(error.status_code, error.detail)
    return JSONResponse({"error": detail}, error.status_code, {**_UNSTORED, **(error.headers or {})})


_WAYS: Final = "POST a photo to /v1/predict, or see /openapi.json"
