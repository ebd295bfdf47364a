"""Pages: self-contained HTML files, with pictures and style inside."""

import base64
import importlib.metadata
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from fer_jax.files import write_text
from fer_jax.text import counted, decimal, number, percent, thousands


def write_page(
    template: str, out: Path, *, title: str, contents: Mapping[str, str], is_synthetic: bool, **content: Any
) -> Path:
    """Write a page in the common style: readable on a phone, light and dark, no network, no scripts.

    A template is a file in `fer_jax/report/templates`:

        {% extends "base.html.j2" %}
        {% import "parts.html.j2" as parts %}
        {% import "charts.html.j2" as charts %}
        {% block lead %}<p class="lead">One sentence under the title.</p>{% endblock %}
        {% block main %}
        <section id="ladder">
        {{ parts.heading(contents.ladder) }}
        <p>A paragraph.</p>
        {{ parts.table(rows, caption="Accuracy by run", left_columns=2) }}
        {{ charts.row(many) }}
        {{ parts.command("python -m fer_jax.compare runs") }}
        </section>
        {% endblock %}

    `rows` is a `text.Table`, `many` are `charts.Chart`. The other macros are in `parts.html.j2` and
    `charts.html.j2`. All text is escaped. `percent`, `decimal`, `thousands`, `counted` and `number` of
    `fer_jax.text` are filters. A name that the template uses but is not given is an error.

    Args:
        template: its file name.
        out: the page to write, replaced atomically.
        title: of the page, its `h1`.
        contents: id -> heading of each section, in order; the table of contents.
        is_synthetic: whether the faces are synthetic, which the page then says on top.
        content: the names that the template uses.

    Returns:
        `out`.

    Raises:
        ValueError: the content lacks a name or a field that the template shows.
    """
    fixed = {"title": title, "contents": contents, "is_synthetic": is_synthetic}
    version = importlib.metadata.version("fer-jax")
    try:
        text = _environment().get_template(template).render(fixed, fer_jax_version=version, **content)
    except jinja2.UndefinedError as error:
        raise ValueError(error.message) from error
    write_text(out, text)
    return out


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fer_jax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "percent": _percent,
        "decimal": decimal,
        "thousands": thousands,
        "number": number,
        "counted": counted,
        "data_uri": data_uri,
        "log": math.log,
    }
    environment.filters.update(filters)
    return environment


def _percent(ratio: float | None, *, digits: int = 1) -> str:
    # In running text no line may break before the percent sign.
    return percent(ratio, digits=digits).replace(" ", "\N{NO-BREAK SPACE}")


def data_uri(picture: bytes) -> str:
    """Encode the bytes of a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
