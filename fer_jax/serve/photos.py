"""A photo as the body of a request: how much of it is read, in which time, and how it is decoded.

The head of the request, the number of bytes, the first bytes and the header of the photo are looked at before
anything is decoded.
"""

import asyncio
import io
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from fer_jax.errors import DataError
from fer_jax.faces import pictures

FORMATS: Final = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a server.

    Attributes:
        bytes: of a body.
        pixels: of a photo.
        places: photos that may be uploading, waiting or in work.
        upload_seconds: for a whole body.
    """

    bytes: int
    pixels: int
    places: int
    upload_seconds: float


def refuse_early(request: Request, limits: Limits) -> None:
    """Refuse a body by what the head of its request says, before any of it is read.

    Raises:
        HTTPException: 413 for its length, 415 for a form.
    """
    # h11 has refused a length that is no number.
    if int(request.headers.get("content-length", "0")) > limits.bytes:
        raise _too_large(limits)
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(
            415, "the body is a form; send the photo itself as the body, as `curl --data-binary @FILE` does"
        )


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read a body, which may say nothing or something wrong about its length.

    Raises:
        HTTPException: 400 there is none, or its sender is gone; 408 it takes too long; 413 it is too large.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.upload_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise HTTPException(
            408, f"the photo did not arrive within {limits.upload_seconds:g} s; send a smaller one"
        ) from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended before the photo did") from None
    if not body:
        raise HTTPException(400, "the body is empty; send a JPEG, PNG or WebP as the body")
    return bytes(body)


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(413, f"the photo has more than {limits.bytes / 1e6:g} MB; send a smaller one")


def read_photo(body: bytes, *, max_pixels: int) -> np.ndarray:
    """Decode a photo; of an animation the first frame.

    The first bytes say what it is: clients guess the content type from a file's name, or send none.

    Returns:
        uint8 [H, W, 3], RGB, upright.

    Raises:
        HTTPException: 400 it is damaged, 413 it has too many pixels, 415 it is something else.
    """
    if not _has_signature(body):
        raise HTTPException(415, "the body is not a JPEG, PNG or WebP; send the photo as one of these")
    width, height = _read_size(body)
    if width * height > max_pixels:
        raise HTTPException(
            413,
            f"the photo has {width} × {height} pixels, and at most {max_pixels / 1e6:g} million are read; "
            "reduce it first",
        )
    try:
        return next(
            pictures.read_frames(body, name="the photo", max_pixels=max_pixels, formats=FORMATS)
        ).image
    except DataError as error:
        raise HTTPException(400, str(error)) from None


def _has_signature(body: bytes) -> bool:
    is_webp = body.startswith(b"RIFF") and body[8:12] == b"WEBP"
    return is_webp or body.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))


def _read_size(body: bytes) -> tuple[int, int]:
    """Read the width and the height in the header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # A size that Pillow warns of is refused by the caller.
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                return image.size
    except Image.DecompressionBombError:
        raise HTTPException(413, "the photo has hundreds of millions of pixels; reduce it first") from None
    except Exception:  # The header of a damaged picture can raise anything.
        raise HTTPException(400, "the photo is damaged: its header cannot be read") from None
