"""The OpenAPI document is whole, and says what the server does."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("starlette", reason="needs fer-jax[server]")
pytest.importorskip("uvicorn", reason="needs fer-jax[server]")

from starlette.applications import Starlette
from starlette.routing import Route

Build = Callable[..., Starlette]
AskOf = Callable[[Starlette], Callable[..., httpx.Response]]


def references(content: Any) -> Iterator[str]:
    """Find everything that a document refers to."""
    if isinstance(content, dict):
        yield from ([content["$ref"]] if "$ref" in content else [])
        content = list(content.values())
    for each in content if isinstance(content, list) else []:
        yield from references(each)


def test_the_document_is_whole(build: Build, ask_of: AskOf) -> None:
    app = build()
    document = ask_of(app)("GET", "/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= document["info"].keys()
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    # Model stands in Models, Face in Prediction: none is left over, and none is missing.
    assert set(references(document)) == schemas
    routes = {route.path: route.methods for route in app.routes if isinstance(route, Route)}
    for path, operations in document["paths"].items():
        assert {method.upper() for method in operations} == (routes.pop(path) or set()) - {"HEAD"}
        for operation in operations.values():
            assert {"operationId", "summary", "responses"} <= operation.keys()
            assert all(answer["description"] for answer in operation["responses"].values())
    assert set(routes) == {"/", "/openapi.json"}


@pytest.mark.parametrize("sha256", ["ab" * 32, None], ids=["weights", "run"])
def test_answers_have_the_documented_form(
    build: Build, ask_of: AskOf, encode: Callable[..., bytes], sha256: str | None
) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
    ask = ask_of(build(sha256=sha256))
    document = ask("GET", "/openapi.json").json()
    for method, path, body in (
        ("POST", "/v1/predict", encode("PNG")),
        ("POST", "/v1/predict", b""),
        ("POST", "/v1/predict", b"text"),
        ("POST", "/v1/predict", bytes(200_001)),
        ("GET", "/v1/models", None),
        ("GET", "/health", None),
    ):
        answer = ask(method, path, content=body)
        documented = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        schema = documented["content"]["application/json"]["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())
