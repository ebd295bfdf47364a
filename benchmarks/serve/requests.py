"""Requests that mean no good, drawn from a seed: mutated photos, odd heads, lies about sizes, slow bodies."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

Rng = np.random.Generator

LARGE_BYTES: Final = 10_000_001
"""One more than the server takes by default."""
_NUMBERS: Final = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_METHODS: Final = (
    "GET",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "HEAD",
    "CONNECT",
    "FOO",
    "post",
    "P" * 300,
)
_PATHS: Final = (
    "/",
    "/v1/predict/",
    "/v1//predict",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%5c..%5cwindows",
    "/a%00b",
    "/%ff%fe",
    "/%0d%0aSet-Cookie:%20a=b",
    "//evil.example/v1/predict",
    "http://evil.example/",
    "*",
    "/v1/models?" + "q=1&" * 500,
    "/" + "a" * 9000,
    "/" + "a/" * 2000,
    "/openapi.json",
    "/health;x=y",
    "/{label}${7*7}<script>",
)
_LINES: Final = (
    "Host: evil.example",
    "Host: localhost, evil.example",
    "Host: [::1",
    "Host: localhost:99999999999",
    "Host: \tlocalhost",
    "Origin: https://evil.example",
    "Origin: null",
    "Origin: http://localhost:http://localhost",
    "Sec-Fetch-Site: cross-site",
    "Content-Type: multipart/form-data; boundary=" + "b" * 3000,
    "Content-Type: application/json",
    "Content-Encoding: gzip",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: gzip, chunked",
    "Upgrade: websocket\r\nConnection: Upgrade",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
    "Expect: 100-continue",
    "Expect: the unexpected",
    "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil.example",
    "Range: bytes=0-,0-,0-",
    "Cookie: " + "c=d; " * 1000,
    "X: " + "x" * 40_000,
    "Bad Name: x",
    "X: a\x00b",
    "X: \xff\xfe",
    " folded: x",
    "\r\n".join(f"X-{number}: y" for number in range(300)),
)


@dataclass(frozen=True)
class Hostile:
    """A request as it is sent.

    Attributes:
        kind: a key of `DRAW`.
        parts: bytes that are sent one after another.
        pause_s: seconds between them.
        hangs_up: whether the client leaves without reading.
    """

    kind: str
    parts: tuple[bytes, ...]
    pause_s: float = 0.0
    hangs_up: bool = False


def post(body: bytes, *lines: str, length: int | None = None) -> bytes:
    """Write a POST of a body to the API; the length may be a lie."""
    said = len(body) if length is None else length
    host = () if any(line.lower().startswith("host:") for line in lines) else ("Host: localhost",)
    head = ("POST /v1/predict HTTP/1.1", *host, "Connection: close", f"Content-Length: {said}", *lines)
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


def draw(rng: Rng, photos: Sequence[bytes]) -> Hostile:
    """Draw one request, made of photos that are good."""
    kinds = list(DRAW)
    shares = np.array([SHARES[kind] for kind in kinds])
    kind = kinds[rng.choice(len(kinds), p=shares / shares.sum())]
    made = DRAW[kind](rng, photos[int(rng.integers(len(photos)))])
    return made if isinstance(made, Hostile) else Hostile(kind, (made,))


def _draw_flipped(rng: Rng, photo: bytes) -> bytes:
    body = np.frombuffer(photo, np.uint8).copy()
    # Headers decide more than pixels do.
    reach = len(body) if rng.random() < 0.5 else min(len(body), 400)
    where = rng.integers(reach, size=rng.integers(1, 65))
    body[where] = rng.integers(256, size=len(where))
    return post(body.tobytes())


def _draw_cut_off(rng: Rng, photo: bytes) -> bytes:
    return post(photo[: rng.integers(len(photo))])


def _draw_spliced(rng: Rng, photo: bytes) -> bytes:
    start, end, to = np.sort(rng.integers(len(photo), size=3))[[0, 1, 2]]
    block = photo[start:end] if rng.random() < 0.5 else rng.bytes(int(rng.integers(1, 5000)))
    return post(photo[:to] + block * int(rng.integers(1, 4)) + photo[to if rng.random() < 0.5 else end :])


def _draw_number(rng: Rng, photo: bytes) -> bytes:
    size = (2, 4)[rng.integers(2)]
    number = _NUMBERS[rng.integers(len(_NUMBERS))] & (256**size - 1)
    order = ("big", "little")[rng.integers(2)]
    at = int(rng.integers(min(len(photo), 600)))
    return post(photo[:at] + number.to_bytes(size, order) + photo[at + size :])


def _draw_signature(rng: Rng, photo: bytes) -> bytes:
    return post(photo[: rng.integers(2, 40)] + rng.bytes(int(rng.integers(3000))))


def _draw_header_size(rng: Rng, photo: bytes) -> bytes:
    """Write another width and height into a PNG's header, with the right checksum, or anywhere else."""
    sides = rng.integers(1, 2 ** rng.integers(1, 32), size=2, dtype=np.int64)
    numbers = b"".join(int(side).to_bytes(4, "big") for side in sides)
    if photo[12:16] != b"IHDR":
        at = int(rng.integers(min(len(photo), 200)))
        return post(photo[:at] + numbers[2:4] + numbers[6:8] + photo[at + 4 :])
    header = b"IHDR" + numbers + photo[24:29]
    return post(photo[:12] + header + zlib.crc32(header).to_bytes(4, "big") + photo[33:])


def _draw_line(rng: Rng, photo: bytes) -> bytes:
    return post(photo, *(_LINES[each] for each in rng.integers(len(_LINES), size=rng.integers(1, 4))))


def _draw_path(rng: Rng, photo: bytes) -> bytes:
    method, path = (words[rng.integers(len(words))] for words in (_METHODS, _PATHS))
    version = ("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9")[rng.choice(4, p=(0.7, 0.2, 0.05, 0.05))]
    return f"{method} {path} {version}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def _draw_noise(rng: Rng, photo: bytes) -> bytes:
    return rng.bytes(int(rng.integers(1, 3000))) + b"\r\n\r\n"


def _draw_length(rng: Rng, photo: bytes) -> Hostile:
    said = (0, 1, len(photo) - 1, len(photo) + 1, LARGE_BYTES, 2**63, 10**30)[rng.integers(7)]
    return Hostile("length", (post(photo, length=said),), hangs_up=bool(rng.random() < 0.5))


def _draw_chunks(rng: Rng, photo: bytes) -> bytes:
    size = len(photo)
    said = (f"{size:x}", "-1", "g", f"{size:x};x=y", "F" * 30, f"{size - 1:x}")[rng.integers(6)]
    return _post_chunk(said, photo)


def _post_chunk(size: str, body: bytes) -> bytes:
    """Write a POST of a body as one chunk, whose size may be a lie."""
    lines = (
        "POST /v1/predict HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        "Transfer-Encoding: chunked",
    )
    return "\r\n".join((*lines, "", size, "")).encode() + body + b"\r\n0\r\n\r\n"


def _draw_large(rng: Rng, photo: bytes) -> bytes:
    if rng.random() < 0.5:
        return post(photo + bytes(LARGE_BYTES - len(photo)))
    return _post_chunk(f"{2 * LARGE_BYTES:x}", bytes(2 * LARGE_BYTES))


def _draw_slow(rng: Rng, photo: bytes) -> Hostile:
    whole = post(photo)
    steps = [*range(int(rng.integers(20, 120)), len(whole), max(1, len(whole) // 30)), len(whole)]
    parts = tuple(whole[start:end] for start, end in zip([0, *steps[:-1]], steps, strict=True))
    return Hostile("slow", parts, pause_s=0.1, hangs_up=bool(rng.random() < 0.3))


DRAW: Final[dict[str, Callable[[Rng, bytes], bytes | Hostile]]] = {
    "good": lambda rng, photo: post(photo),
    "bytes changed": _draw_flipped,
    "cut off": _draw_cut_off,
    "spliced": _draw_spliced,
    "number changed": _draw_number,
    "noise behind a signature": _draw_signature,
    "size changed": _draw_header_size,
    "odd lines in the head": _draw_line,
    "odd method or path": _draw_path,
    "not HTTP": _draw_noise,
    "length": _draw_length,
    "chunks": _draw_chunks,
    "too large": _draw_large,
    "slow": _draw_slow,
}
"""What draws each kind of request from a good photo."""

SHARES: Final = {
    **{"good": 0.1, "bytes changed": 0.22, "cut off": 0.1, "spliced": 0.12, "number changed": 0.08},
    **{"noise behind a signature": 0.06, "size changed": 0.06, "odd lines in the head": 0.1},
    **{"odd method or path": 0.08, "not HTTP": 0.03, "length": 0.025, "chunks": 0.02},
    **{"too large": 0.003, "slow": 0.002},
}
"""How often each kind is drawn; their sum need not be 1."""
