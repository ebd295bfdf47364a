"""Every figure of the README and the docs comes from its JSON, and the JSON from a commit of the history."""

from pathlib import Path

from fer_jax.verify import pages

ROOT = Path(__file__).parents[2]


def test_the_figures_of_the_docs_are_those_of_their_json() -> None:
    checks = list(pages.check([ROOT / "README.md", ROOT / "docs"]))
    wrong = [f"{each.subject}: {each.what}: {each.detail}" for each in checks if each.state == "DIFFERS"]
    assert not wrong, "\n" + "\n".join(wrong)
    good = {each.subject for each in checks if each.state == "ok"}
    assert {"README.md", "docs/results/accuracy.md", "fer_jax/weights/mid.json"} <= good
