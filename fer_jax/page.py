"""Pages: HTML files with pictures and style inside. `report.html` of a run, and the frame of others."""

import base64
import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from fer_jax import __version__, page_parts
from fer_jax.run_folder import write_text

REPORT = "report.html"
"""Name of a run's page in its folder."""


def write(folder: Path) -> Path:
    """Write the page of a run out of the files in its folder: `report.html`, replaced in one step.

    A section whose file is missing says with which command it is made. The same files give the same bytes.

    Args:
        folder: of one run, with `run.json` and `config.json` at least.

    Returns:
        The page.

    Raises:
        RunError: it is not the folder of a run, or a file in it is damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    return write_page("report.html.j2", folder / REPORT, **page_parts.gather(folder))


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

    `rows` is a `tables.Table`, its first row the head; `path` is a PNG file or its bytes, put into the page.
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


def percent(value: float | None, digits: int = 1) -> str:
    """Write a ratio (0..1) as percent; None, a ratio without a denominator, as a dash.

    >>> percent(0.6147).split()
    ['61.5', '%']
    """
    return "–" if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def ratio(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed count of decimals; None as a dash.

    >>> ratio(-0.5)
    '−0.500'
    """
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def thousands(value: int) -> str:
    """Write a whole number with a comma at every third digit.

    >>> thousands(28709)
    '28,709'
    """
    return f"{value:,}"


def figure(value: Any) -> str:
    """Write a value of JSON: a number with four digits at most, any other as it is.

    >>> figure(0.123456), figure(28709), figure(None), figure(True)
    ('0.1235', '28,709', '–', 'True')
    """
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return thousands(value)
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else json.dumps(value)


def data_uri(picture: Path | bytes) -> str:
    """Put a PNG file, or its bytes, into an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(_bytes_of(picture)).decode()}"


def pixel_size(picture: Path | bytes) -> tuple[int, int]:
    """Read width and height of a picture, so that a browser keeps its place before it is decoded."""
    with Image.open(io.BytesIO(_bytes_of(picture))) as image:
        return image.size


def _bytes_of(picture: Path | bytes) -> bytes:
    return picture if isinstance(picture, bytes) else picture.read_bytes()
