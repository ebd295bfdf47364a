"""The OpenAPI document of the server, written by hand: the routes are few, and their words matter."""

from collections.abc import Sequence
from typing import Final

import fer_jax
from fer_jax.files import Json
from fer_jax.serve.photos import Limits

_NUMBER: Final = {"type": "number"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}
_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}


def describe(labels: Sequence[str], limits: Limits) -> Json:
    """Write the document, as OpenAPI 3.1.

    Args:
        labels: names of the classes, in the order of the probabilities.
        limits: of a request.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fer_jax",
            "version": fer_jax.__version__,
            "summary": "Faces in a photo, and their expressions",
            "description": (
                "Photos are analysed one at a time, in memory; they are neither written nor logged. "
                "A probability is a network's, not a person's feeling."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/v1/predict": {"post": _describe_predict(limits)},
            "/v1/models": {
                "get": _get("listModels", "The networks that this server predicts with", "Models")
            },
            "/health": {"get": _get("getHealth", "Whether the server answers", "Health")},
        },
        "components": {"schemas": _describe_schemas(labels)},
    }


def _describe_predict(limits: Limits) -> Json:
    size = f"at most {limits.bytes / 1e6:g} MB and {limits.pixels / 1e6:g} megapixels"
    refusals = {
        400: "The body is empty or the photo is damaged, or the server is not known by this Host",
        403: "The request comes from a page of another origin",
        408: f"The photo did not arrive within {limits.upload_seconds:g} s",
        413: f"The photo is too large; {size}",
        415: "The body is not a JPEG, PNG or WebP",
        500: "A mistake of the server; its log says which",
        503: "The server is busy or stopping; the header Retry-After says how many seconds to wait",
    }
    return {
        "operationId": "predict",
        "summary": "Find the faces in a photo and predict their expressions",
        "description": (
            "EXIF's orientation is applied, and boxes are in pixels of the upright photo. Of an animation "
            "the first frame is read. No face is an empty list, not an error."
        ),
        "requestBody": {
            "description": f"The photo itself, {size}; its kind is read from its first bytes",
            "required": True,
            "content": {f"image/{kind}": {} for kind in ("jpeg", "png", "webp")},
        },
        "responses": {
            "200": _answer("The faces", "Prediction"),
            **{str(status): _answer(words, "Error") for status, words in refusals.items()},
        },
    }


def _get(operation: str, summary: str, schema: str) -> Json:
    responses = {
        "200": _answer(summary, schema),
        "400": _answer("The server is not known by this Host", "Error"),
        "403": _answer("The request comes from a page of another origin", "Error"),
    }
    return {"operationId": operation, "summary": summary, "responses": responses}


def _answer(words: str, schema: str) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": words, "content": content}


def _describe_schemas(labels: Sequence[str]) -> Json:
    digest = {"type": ["string", "null"], "description": "Of the tensors' file; null for a run"}
    weights = _object({"name": _TEXT, "sha256": digest})
    many_weights = {
        "type": "array",
        "items": weights,
        "minItems": 1,
        "description": "The networks; the logits of several are averaged",
    }
    contract = {**_COUNT, "description": "Version of the rule by which faces are cut out"}
    return {
        "Prediction": _object(
            {
                "width": {**_COUNT, "description": "Of the upright photo, in pixels"},
                "height": {**_COUNT, "description": "Of the upright photo, in pixels"},
                "faces": {"type": "array", "items": {"$ref": "#/components/schemas/Face"}},
                "weights": many_weights,
                "crop_contract": contract,
                "seconds": {**_NUMBER, "minimum": 0, "description": "From the head of the request on"},
            }
        ),
        "Face": _describe_face(labels),
        "Models": _object({"models": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}),
        "Model": _object(
            {
                "weights": many_weights,
                "labels": {"type": "array", "items": _TEXT},
                "crop_contract": contract,
                "views": {**_TEXT, "description": "How each face is looked at"},
                "detector": _TEXT,
                "min_score": {**_SHARE, "description": "Least score of a face"},
                "min_face": {**_NUMBER, "minimum": 0, "description": "Least size of a face, in pixels"},
                "small_faces": {"type": "boolean", "description": "Whether there is a pass for small faces"},
            }
        ),
        "Health": _object({"status": {"type": "string", "const": "ok"}}),
        "Error": _object({"error": {**_TEXT, "description": "One sentence: what is wrong, and what to do"}}),
    }


def _describe_face(labels: Sequence[str]) -> Json:
    fields: Json = {
        "x": {**_NUMBER, "description": "Left side of the detector's box, in pixels; may be outside"},
        "y": {**_NUMBER, "description": "Upper side of the detector's box, in pixels; may be outside"},
        "width": {**_NUMBER, "description": "Of the box, in pixels"},
        "height": {**_NUMBER, "description": "Of the box, in pixels"},
        "detector_score": {**_SHARE, "description": "How certain the detector is that this is a face"},
        "label": {"type": "string", "enum": list(labels), "description": "The class with most probability"},
        "probability": {**_SHARE, "description": "Of the label"},
        **{f"p_{label}": {**_SHARE, "description": f"Probability of {label}"} for label in labels},
        "crop_px": {**_NUMBER, "description": "Side of the square that the network saw, in pixels"},
        "is_clipped": {"type": "boolean", "description": "Whether the square leaves the photo"},
        "roll_deg": {
            "type": ["number", "null"],
            "description": "Angle of the line between the eyes, in degrees",
        },
    }
    return _object(fields)


def _object(fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
