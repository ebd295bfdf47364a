"""Which pieces have no result in the repository yet, for the page of the benchmarks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.gpu.pieces import list_pieces
from benchmarks.gpu.session import PREFIX
from benchmarks.harness.sections import write_section
from fer_jax.errors import RunError
from fer_jax.files import read_json

SECTION: Final = "unmeasured"


def write(pages: Sequence[Path], results: Path) -> Path:
    """Write the list into its section, and return the page."""
    return write_section(pages, SECTION, describe(results))


def describe(results: Path) -> str:
    """List the pieces that have no JSON in a folder, as Markdown.

    Raises:
        RunError: one of the JSONs was made at tiny size.
    """
    left = []
    for piece in list_pieces():
        path = results / f"{PREFIX}{piece.name}.json"
        if not path.exists():
            left.append(f"- `{piece.name}`: {piece.question}")
        elif read_json(path)["is_tiny"]:
            raise RunError(f"{path} was made with --tiny, and is no result; delete it")
    if not left:
        return "Every piece of `benchmarks.gpu` is measured."
    return "\n".join(["Pieces of `benchmarks.gpu` that are not measured yet:", "", *left])
