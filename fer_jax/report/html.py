"""Pages: HTML files with pictures and style inside. `report.html` of a run, and the frame of others."""

import base64
import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from fer_jax import __version__
from fer_jax.files import write_text
from fer_jax.text import figure, percent, ratio, thousands


def write_page(
    template: str, out: Path, *, title: str, contents: Mapping[str, str], is_synthetic: bool, **content: Any
) -> Path:
    """Write a page in the look of all pages: readable on a phone, light and dark, without network or scripts.

    A template is a file in `fer_jax/templates`:

        {% extends "base.html.j2" %}
        {% import "parts.html.j2" as parts %}
        {% block lead %}<p class="lead">One sentence under the title.</p>{% endblock %}
        {% block main %}
        <section id="ladder">
        <h2>{{ contents.ladder }}</h2>
        <p>A paragraph.</p>
        {{ parts.table(rows, caption="Accuracy by run", left_columns=2) }}
        {{ parts.picture(path, alt="What the picture shows", caption="Its unit and how to read it") }}
        {{ parts.command("python -m fer_jax.compare runs") }}
        </section>
        {% endblock %}

    `rows` is a `text.Table`, its first row the head; `path` is a PNG file or its bytes, put into the page.
    `parts.html.j2` and `charts.html.j2` say what else there is. All text is escaped. The filters `percent`,
    `ratio`, `thousands` and `figure` are there too. A name that the template uses and nobody gave is an
    error.

    Args:
        template: its file name.
        out: the page to write, replaced in one step.
        title: of the page, its `h1`.
        contents: id of each section -> its heading, in their order; the list of contents on top.
        is_synthetic: the faces are drawn ones: a notice that nobody can miss says so.
        content: what the template shows.

    Returns:
        `out`.
    """
    text = (
        _environment()
        .get_template(template)
        .render(
            title=title, contents=contents, is_synthetic=is_synthetic, fer_jax_version=__version__, **content
        )
    )
    write_text(out, text)
    return out


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_jax"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent,
        "ratio": ratio,
        "thousands": thousands,
        "figure": figure,
        "data_uri": data_uri,
        "pixel_size": pixel_size,
    }
    environment.filters.update(filters)
    return environment


def data_uri(picture: Path | bytes) -> str:
    """Put a PNG file, or its bytes, into an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(_bytes_of(picture)).decode()}"


def pixel_size(picture: Path | bytes) -> tuple[int, int]:
    """Read width and height of a picture, so that a browser keeps its place before it is decoded."""
    with Image.open(io.BytesIO(_bytes_of(picture))) as image:
        return image.size


def _bytes_of(picture: Path | bytes) -> bytes:
    return picture if isinstance(picture, bytes) else picture.read_bytes()
