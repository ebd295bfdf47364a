"""A page is verified against its JSON, and the JSON against the history; each changed digit is found."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.tables.claims import Section
from fer_jax.verify import __main__ as verify
from fer_jax.verify import pages
from fer_jax.verify.checks import Check

GOOD = {"command": "measure", "machine": "a machine", "versions": {"jax": "1"}, "correct": 1234}
PAGE = "before\n<!-- counts -->\n1,234 correct\n<!-- /counts -->\nafter\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a repository with one page, one JSON and one commit."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-qm", "all")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    (tmp_path / "counts.json").write_text(json.dumps(GOOD | {"git": commit}))
    (tmp_path / "page.md").write_text(PAGE)

    def write() -> str:
        content = json.loads((tmp_path / "counts.json").read_text())
        note = " counts: uncommitted changes" if str(content["git"]).endswith("-dirty") else ""
        return f"{content['correct']:,} correct{note}"

    sections = {"counts": Section((tmp_path / "counts.json",), write)}
    claims = SimpleNamespace(list_sections=lambda: sections, EXCEPTIONS=tmp_path / "EXCEPTIONS.json")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "load_claims", lambda: claims)
    return tmp_path


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def check(tree: Path) -> dict[str, Check]:
    return {each.what: each for each in pages.check([tree / "page.md"])}


def change(tree: Path, **fields: Any) -> None:
    path = tree / "counts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def except_(tree: Path, what: str) -> None:
    known = [{"file": "counts.json", "what": what, "reason": "the machine is gone"}]
    (tree / "EXCEPTIONS.json").write_text(json.dumps(known))


def test_a_page_its_json_and_its_commit_go_together(tree: Path) -> None:
    found = check(tree)
    assert {what: each.state for what, each in found.items()} == {"counts": "ok", "origin": "ok"}
    assert found["counts"].detail == "1 figure of counts.json"
    assert verify.main([str(tree / "page.md")]) == 0


def test_a_section_may_be_written_from_no_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = {"counts": Section((), lambda: "1,234 correct")}
    claims = SimpleNamespace(list_sections=lambda: sections, EXCEPTIONS=tree / "EXCEPTIONS.json")
    monkeypatch.setattr(pages, "load_claims", lambda: claims)
    assert check(tree)["counts"].detail == "1 figure of no file"


def test_a_page_that_is_no_text_is_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "old.md").write_bytes("Gefühle".encode("latin-1"))
    assert verify.main([str(tree)]) == 3
    assert "old.md is not UTF-8 text; wanted a page in Markdown, saved as UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["page.md", "counts.json"])
def test_a_changed_digit_is_found(tree: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tree / file
    path.write_text(path.read_text().replace("4", "5", 1))
    assert verify.main([str(tree / "page.md")]) == 8
    assert "page.md: counts: counts.json gives another text; line 1 says '1,23" in capsys.readouterr().err


def test_a_section_needs_a_program_and_its_end(tree: Path) -> None:
    (tree / "page.md").write_text("<!-- by-hand -->\n99 %\n<!-- /by-hand -->\n<!-- counts -->\n1,234\n")
    found = check(tree)
    assert found["by-hand"].state == found["counts"].state == "DIFFERS"
    assert "no program writes this section" in found["by-hand"].detail


def test_the_end_of_a_section_needs_its_beginning(tree: Path) -> None:
    (tree / "page.md").write_text(PAGE.replace("<!-- counts -->", "<!--counts -->"))
    found = check(tree)["counts"]
    assert found.state == "DIFFERS" and "no <!-- counts -->" in found.detail


def test_a_json_of_another_type_is_a_difference(tree: Path) -> None:
    change(tree, correct="1234")
    found = check(tree)["counts"]
    assert found.state == "DIFFERS" and "counts.json cannot be read" in found.detail


def test_an_empty_section_claims_nothing(tree: Path) -> None:
    (tree / "page.md").write_text("<!-- later -->\n<!-- /later -->\n")
    assert check(tree)["later"].state == "not checked"
    (tree / "page.md").write_text("99 % by hand\n")
    assert check(tree)["figures"].state == "not checked"


@pytest.mark.parametrize(
    ("fields", "what", "said"),
    [
        ({"git": "0123456789ab"}, "git 0123456789ab", "not in the history"),
        ({"git": "0123456789ab-dirty"}, "git 0123456789ab-dirty", "uncommitted changes"),
        ({"git": None}, "git None", "not measured in a git checkout"),
        ({"git": ""}, "git ", "no commit's hash"),
        ({"command": None}, "command", "does not say its command"),
    ],
)
def test_a_json_of_no_commit_is_refused_but_for_known_exceptions(
    tree: Path, fields: dict[str, Any], what: str, said: str
) -> None:
    change(tree, **fields)
    found = check(tree)[what]
    assert found.state == "DIFFERS" and said in found.detail
    except_(tree, what)
    found = check(tree)[what]
    assert (found.state, found.detail) == ("exception", "the machine is gone")


def test_the_page_has_to_say_that_changes_were_not_committed(tree: Path) -> None:
    change(tree, git="0123456789ab-dirty")
    except_(tree, "git 0123456789ab-dirty")
    assert check(tree)["said on the page"].state == "DIFFERS"
    page = PAGE.replace("correct", "correct counts: uncommitted changes")
    (tree / "page.md").write_text(page)
    assert {each.state for each in check(tree).values()} == {"ok", "exception"}


def test_a_missing_command_is_found(tree: Path) -> None:
    path = tree / "counts.json"
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "command"})
    )
    assert check(tree)["command"].state == "DIFFERS"


def test_an_exception_that_is_not_needed_is_found(tree: Path) -> None:
    except_(tree, "command")
    found = check(tree)["command"]
    assert found.state == "DIFFERS" and "no longer needed" in found.detail


def test_without_history_the_commit_is_said_to_be_unchecked(tree: Path) -> None:
    (tree / ".git").rename(tree / "elsewhere")
    assert check(tree)["commits"].state == "not checked"


def test_a_page_of_another_tree_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tree.with_name("other.md")
    other.write_text("no sections")
    assert verify.main([str(other)]) == 2
    assert "is not of" in capsys.readouterr().err


def test_a_folder_with_nothing_to_check_is_no_success(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(tree)]) == 0
    lost = tree / "run6-seed0"
    lost.mkdir()
    (lost / "report.md").write_text("a run's page, and its run.json is gone")
    assert verify.main([str(tree), str(lost)]) == 3
    assert f"{lost} has nothing to check: it is no run, for it has no run.json" in capsys.readouterr().err


def test_without_a_source_tree_pages_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("no sections")
    assert verify.main([str(tmp_path / "README.md")]) == 2
    assert "this fer_jax was installed without it; run" in capsys.readouterr().err
