"""Links between pages lead to pages: those of the site in docs/ alone; pages of docs/api are generated."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#:\s]+\.md)(?:#[^)\s]*)?\)")


def list_links(pages: list[Path]) -> list[tuple[str, Path]]:
    """List the pages that pages link to, each with where the link is."""
    return [
        (page.name, (page.parent / target).resolve())
        for page in pages
        for target in LINK.findall(page.read_text(encoding="utf-8"))
    ]


def test_links_of_the_site_stay_in_it() -> None:
    links = list_links([page for page in DOCS.rglob("*.md") if "_build" not in page.parts])
    assert len(links) > 100
    assert not [
        (page, to)
        for page, to in links
        if not to.is_relative_to(DOCS) or not (to.is_file() or to.parent == DOCS / "api")
    ]


def test_links_of_the_front_pages_lead_to_files() -> None:
    links = list_links([ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")])
    assert links and not [(page, to) for page, to in links if not to.is_file()]
