"""Pages that are made at build time: one per package of fer_jax, and a copy of each notebook of examples/.

Both are written into the source folder, where git ignores them, because Sphinx reads its sources from there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import fer_jax

PACKAGE = Path(fer_jax.__file__).parent


def find_modules() -> dict[str, list[str]]:
    """Find the modules of fer_jax by package, private ones left out.

    Returns:
        Package name, such as `fer_jax.data` -> dotted names of its modules. The package itself comes first
        where it has an `__init__.py`.
    """
    packages: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        *folders, name = path.relative_to(PACKAGE.parent).with_suffix("").parts
        package = ".".join(folders)
        if name == "__init__":
            packages.setdefault(package, []).insert(0, package)
        elif not name.startswith("_") or name == "__main__":
            packages.setdefault(package, []).append(f"{package}.{name}")
    return dict(sorted(packages.items()))


def write_package(name: str, modules: list[str]) -> str:
    """Write the page of a package in Markdown."""
    # What a door re-exports is documented where it is defined.
    parts = [f"# {name}"]
    for module in modules:
        title = [] if module == name else [f"## {module.removeprefix(f'{name}.')}"]
        options = "   :members:\n   :ignore-module-all:"
        parts += [*title, f"```{{eval-rst}}\n.. automodule:: {module}\n{options}\n```"]
    return "\n\n".join(parts) + "\n"


def make_pages(root: Path) -> Iterator[tuple[str, str]]:
    """Make the text of every generated page.

    Args:
        root: of the repository.

    Yields:
        The page's path under docs/, and its text.
    """
    for name, modules in find_modules().items():
        yield f"api/{name}.md", write_package(name, modules)
    for path in sorted((root / "examples").glob("*.ipynb")):
        yield f"examples/{path.name}", path.read_text(encoding="utf-8")


def write_pages(app: Sphinx) -> None:
    """Write the generated pages, and remove those of modules and notebooks that are gone."""
    docs = Path(app.srcdir)
    pages = dict(make_pages(docs.parent))
    for pattern in ("api/fer_jax*.md", "examples/*.ipynb"):
        for path in docs.glob(pattern):
            if path.relative_to(docs).as_posix() not in pages:
                path.unlink()
    for name, text in pages.items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        # An unchanged page keeps its time, so that a second build need not read it again.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"version": fer_jax.__version__, "parallel_read_safe": True, "parallel_write_safe": True}
