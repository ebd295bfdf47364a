"""What the server answers: to photos, to what is none, to browsers of other pages, and about itself."""

import io
import logging
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs fer-jax[server]")
pytest.importorskip("uvicorn", reason="needs fer-jax[server]")

from starlette.applications import Starlette

Build = Callable[..., Starlette]
Encode = Callable[..., bytes]
Ask = Callable[..., httpx.Response]
AskOf = Callable[[Starlette], Ask]


@pytest.fixture
def ask(build: Build, ask_of: AskOf) -> Ask:
    return ask_of(build())


def make_png(width: int, height: int) -> bytes:
    """Write a black PNG of one bit a pixel, a row at a time."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return len(data).to_bytes(4, "big") + kind + data + checksum.to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    packer, row = zlib.compressobj(9), bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_answered_with_its_faces(ask: Ask, encode: Encode, kind: str) -> None:
    answer = ask("POST", "/v1/predict", content=encode(kind)).raise_for_status().json()
    assert 0 <= answer.pop("seconds") < 5
    assert answer == {
        "width": 64,
        "height": 48,
        "faces": [
            {
                "x": 10.0,
                "y": -2.5,
                "width": 30.0,
                "height": 40.0,
                "detector_score": 0.9,
                "label": "sad",
                "probability": 0.75,
                "p_happy": 0.25,
                "p_sad": 0.75,
                "crop_px": 36.4,
                "is_clipped": True,
                "roll_deg": None,
            }
        ],
        "weights": [{"name": "mine", "sha256": "ab" * 32}],
        "crop_contract": 1,
    }


def test_the_network_gets_upright_rgb(build: Build, ask_of: AskOf, encode: Encode) -> None:
    seen: list[np.ndarray] = []

    def find_none(image: np.ndarray) -> list[None]:
        seen.append(image)
        return []

    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    ask = ask_of(build(find_none))
    answer = ask("POST", "/v1/predict", content=encode("JPEG", exif=turned)).json()
    assert [(image.shape, str(image.dtype)) for image in seen] == [((64, 48, 3), "uint8")]
    assert (answer["width"], answer["height"], answer["faces"]) == (48, 64, [])


def zip_with(content: bytes) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("index.html", content)
    return file.getvalue()


HTML = b"<!doctype html><script>alert(1)</script>"
NOT_PHOTOS: dict[str, tuple[Callable[[Encode], bytes], int, str]] = {
    "empty": (lambda encode: b"", 400, "the body is empty"),
    "truncated": (lambda encode: encode("JPEG")[:700], 400, "damaged or cut off"),
    "header alone": (lambda encode: encode("PNG")[:33], 400, "its header cannot be read"),
    "signature alone": (lambda encode: b"\xff\xd8\xff", 400, "its header cannot be read"),
    "text": (lambda encode: b"not a photo", 415, "not a JPEG, PNG or WebP"),
    "page": (lambda encode: HTML, 415, "not a JPEG, PNG or WebP"),
    "other format": (lambda encode: encode("GIF"), 415, "not a JPEG, PNG or WebP"),
    "zip before a photo": (lambda encode: zip_with(HTML) + encode("PNG"), 415, "not a JPEG, PNG or WebP"),
    "too many bytes": (lambda encode: bytes(200_001), 413, "more than 0.2 MB"),
    "too many pixels": (
        lambda encode: make_png(1001, 1000),
        413,
        "1001 × 1000 pixels, and at most 1 million",
    ),
    "144 megapixels": (lambda encode: make_png(12_000, 12_000), 413, "12000 × 12000 pixels"),
    "900 megapixels": (lambda encode: make_png(30_000, 30_000), 413, "hundreds of millions of pixels"),
}


@pytest.mark.parametrize("name", NOT_PHOTOS)
def test_what_is_no_photo_is_refused(ask: Ask, encode: Encode, name: str) -> None:
    make, status, words = NOT_PHOTOS[name]
    answer = ask("POST", "/v1/predict", content=make(encode), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize("tail", [HTML, zip_with(HTML)], ids=["page", "zip"])
def test_a_polyglot_is_a_photo_and_nothing_of_it_comes_back(ask: Ask, encode: Encode, tail: bytes) -> None:
    answer = ask("POST", "/v1/predict", content=encode("JPEG", comment=HTML) + tail)
    assert answer.status_code == 200
    assert b"script" not in answer.content
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_form_is_refused_with_what_to_do(ask: Ask, encode: Encode) -> None:
    answer = ask("POST", "/v1/predict", files={"image": encode("JPEG")})
    assert (answer.status_code, "--data-binary @FILE" in answer.json()["error"]) == (415, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "evil.example"}, 400),
        ({"Host": "localhost.evil.example"}, 400),
        ({"Host": "localhost@evil.example"}, 400),
        ({"Host": "localhost:port"}, 400),
        ({"Host": "[::1"}, 400),
        ({"Host": ""}, 400),
        ({"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
    ],
)
def test_other_names_and_other_pages_are_refused(ask: Ask, headers: dict[str, str], status: int) -> None:
    answer = ask("GET", "/health", headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_a_form_on_another_page_cannot_post(ask: Ask, encode: Encode) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask("POST", "/v1/predict", content=encode("JPEG"), headers=followed).status_code == 403


def test_further_names_are_allowed(build: Build, ask_of: AskOf) -> None:
    ask = ask_of(build(hosts=("faces.example.org", "*.inner.org")))
    names = ("faces.example.org", "a.inner.org:81", "inner.org", "example.org")
    statuses = [ask("GET", "/health", headers={"Host": name}).status_code for name in names]
    assert statuses == [200, 200, 400, 400]


def test_the_page_at_the_root_may_use_its_own_style(ask: Ask) -> None:
    answer = ask("GET", "/")
    assert "make demo" in answer.text
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_demo_is_at_the_root_and_nothing_beside_it(build: Build, ask_of: AskOf, tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    demo.mkdir()
    for name in ("index.html", "app.js", "mid.onnx", "ort.wasm"):
        (demo / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    ask = ask_of(build(demo=demo))
    answers = {path: ask("GET", path) for path in ("/", "/app.js", "/mid.onnx", "/ort.wasm")}
    types = [answer.headers["content-type"].partition(";")[0] for answer in answers.values()]
    assert types == ["text/html", "text/javascript", "application/octet-stream", "application/wasm"]
    assert all("connect-src 'self'" in each.headers["content-security-policy"] for each in answers.values())
    for path in ("/../secret", "/%2e%2e/secret", "/..%2fsecret", "/a%00b", "/" + "a" * 5000, "/none"):
        answer = ask("GET", path)
        assert (answer.status_code, list(answer.json())) == (404, ["error"]), path
    assert ask("GET", "/health").json() == {"status": "ok"}
    other_path = ask("POST", "/predict")
    other_methods = [ask("GET", "/v1/predict"), ask("PUT", "/")]
    assert other_path.status_code == 404 and "POST a photo to /v1/predict" in other_path.json()["error"]
    assert [each.status_code for each in other_methods] == [405, 405]
    assert other_methods[0].headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/predict", 405),
        ("DELETE", "/health", 405),
        ("OPTIONS", "/v1/predict", 405),
        ("GET", "/admin", 404),
        ("GET", "/health/", 404),
        ("HEAD", "/health", 200),
    ],
)
def test_paths_and_methods(ask: Ask, method: str, path: str, status: int) -> None:
    assert ask(method, path).status_code == status


def test_the_log_has_nothing_of_a_photo_or_a_query(
    ask: Ask, encode: Encode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = encode("JPEG", comment=b"MARK in the photo")
    ask("POST", "/v1/predict?q=MARK", content=body, headers={"X-Mark": "MARK"}).raise_for_status()
    ask("POST", "/v1/predict", content=b"MARK of what is no photo")
    ask("GET", "/two%0Alines")
    lines = [record.getMessage() for record in caplog.records if record.name == "fer_jax.serve"]
    assert [line.rsplit(" ", 2)[0] for line in lines] == [
        "POST /v1/predict 200",
        "POST /v1/predict 415",
        "GET /two%0Alines 404",
    ]
    assert all(line.endswith(" ms") for line in lines)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert not any("MARK" in message for message in ours)


def test_a_mistake_of_the_server_is_said_without_details(
    build: Build, ask_of: AskOf, encode: Encode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fer_jax.serve")

    def fail(image: np.ndarray) -> list[None]:
        raise ValueError("an inner detail")

    ask = ask_of(build(fail))
    answer = ask("POST", "/v1/predict", content=encode("PNG"))
    assert (answer.status_code, answer.json()) == (500, {"error": "the server failed; its log says how"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    lines = [record.getMessage() for record in caplog.records if record.name == "fer_jax.serve"]
    assert [line.rsplit(" ", 2)[0] for line in lines] == ["POST /v1/predict 500"]
