"""What the demo is built of: the cards' figures, all files in the service worker, one line for a problem."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fer_jax.errors import FerJaxError, RunError
from fer_jax.files import read_json
from web import __main__ as program
from web import build, runtime
from web.catalogue import choose_measurement, describe_network
from web.server import make_server

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "fer_jax" / "weights"
TYPED = {".css", ".html", ".jpg", ".js", ".json", ".svg", ".wasm"}
"""What every web server knows the type of."""


@pytest.fixture
def without_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of one byte stand for ONNX Runtime Web."""

    def write(folder: Path) -> None:
        folder.mkdir()
        for name in runtime.FILES.values():
            (folder / name).write_bytes(b"x")

    monkeypatch.setattr(build, "fetch_runtime", write)


def export(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    path.write_bytes(b"four")
    return path


@pytest.mark.parametrize("name", ["tiny", "tiny80", "mid", "best", "ferplus"])
def test_figures_are_those_of_the_card(name: str, tmp_path: Path) -> None:
    card = read_json(WEIGHTS / f"{name}.json")
    told = describe_network(name, export(name, tmp_path))
    figure = told["figures"]
    assert (told["parameters"], told["bytes"]) == (card["parameters"], 4)
    assert (told["limits"], told["misuse"]) == (card["limits"], card["misuse"])
    assert figure["part"] in ("PublicTest", "PrivateTest")
    assert figure["labels"] == ("FER+ majority" if name == "ferplus" else "FER2013")
    assert all(faces for _, faces in figure["classes"].values())
    assert figure["accuracy"] == figure["correct"] / figure["total"]
    assert sum(right for right, _ in figure["classes"].values()) == figure["correct"]
    assert any(each["correct"] == figure["correct"] and each["views"] == "flip" for each in card["figures"])


def test_what_was_never_seen_is_shown_before_what_was_watched() -> None:
    figure = {"labels": "FER2013", "views": "flip", "copies_of_training_images": 3, "classes": {}}
    training = {"labels": "FER2013"}
    figure |= {"correct": 1, "total": 2, "accuracy": 0.5, "low": 0.1, "high": 0.9}
    parts: list[dict[str, Any]] = [figure | {"part": part} for part in ("train", "PublicTest", "PrivateTest")]
    assert choose_measurement({"name": "a", "training": training, "figures": parts})["part"] == "PrivateTest"
    assert (
        choose_measurement({"name": "a", "training": training, "figures": parts[:2]})["part"] == "PublicTest"
    )
    with pytest.raises(RunError, match="the card of a has no accuracy"):
        choose_measurement({"name": "a", "training": training, "figures": parts[:1]})


def read_worker(folder: Path) -> tuple[list[str], str]:
    text = (folder / build.SERVICE_WORKER).read_text(encoding="utf-8")
    files = re.search(r"^const FILES = (\[.*\]);$", text, re.MULTILINE)
    version = re.search(r'^const VERSION = "([0-9a-f]{16})";$', text, re.MULTILINE)
    assert files and version
    return json.loads(files[1]), version[1]


@pytest.mark.usefixtures("without_npm")
def test_the_service_worker_knows_every_file_and_its_version_changes_with_each(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    build.build(folder, ("tiny",), export)
    files, version = read_worker(folder)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    # Hosts send files of an unknown type so that no browser runs them as modules.
    assert {Path(each).suffix for each in there} <= {*TYPED, ".onnx", ".txt", ".webmanifest"}
    assert set(files) == there - {build.SERVICE_WORKER} | {"./"}
    build.build(folder, ("tiny",), export)
    assert read_worker(folder) == (files, version)

    def export_other(name: str, folder: Path) -> Path:
        path = export(name, folder)
        path.write_bytes(b"five!")
        return path

    build.build(folder, ("tiny",), export_other)
    assert read_worker(folder)[1] != version
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.usefixtures("without_npm")
def test_a_failed_build_leaves_the_old_demo_and_no_other_folder_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    build.build(folder, ("tiny",), export)

    def fail(name: str, folder: Path) -> Path:
        raise RunError("no")

    with pytest.raises(RunError, match="no"):
        build.build(folder, ("tiny",), fail)
    assert (folder / "models" / "tiny.onnx").read_bytes() == b"four"
    (tmp_path / "photos").mkdir()
    with pytest.raises(RunError, match=r"photos exists and is no demo; name another folder with --out"):
        build.build(tmp_path / "photos", ("tiny",), export)


def test_the_page_names_nothing_outside_and_has_a_policy() -> None:
    text = (ROOT / "web" / "page" / "index.html").read_text(encoding="utf-8")
    assert [url for url in re.findall(r'(?:src|href)="([^"]*)"', text) if re.match(r"/|\w+:", url)] == []
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy and policy[1].startswith("default-src 'none'; ")
    sources = {word for rule in policy[1].split("; ") for word in rule.split()[1:]}
    assert sources == {"'none'", "'self'", "'wasm-unsafe-eval'", "blob:"}


def test_npm_that_is_missing_or_cannot_install_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="npm is not installed"):
        runtime.fetch_runtime(tmp_path / "runtime")
    npm = tmp_path / "npm"
    said = ("npm error code ENOTFOUND", "npm error request to https://it.org failed.", "npm error more")
    npm.write_text("#!/bin/sh\n" + "".join(f"echo '{line}' >&2\n" for line in said) + "exit 1\n")
    npm.chmod(0o755)
    words = ["--out", str(tmp_path / "demo"), "--no-serve"]
    assert program.main(words) == RunError.exit_code
    told = capsys.readouterr().err
    assert told.startswith("error: npm could not install onnxruntime-web: request to https://it.org failed; ")
    assert told.count("\n") == 1 and not (tmp_path / "demo").exists()


def test_a_network_is_exported_as_it_was_released(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx", reason="needs fer-jax[export]")
    path = build.export_network("tiny", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name] == ["tiny.onnx"]
    kinds = {each.data_type for each in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    # The kernels are most of it, so it is about as large as the released file.
    assert path.stat().st_size < 1.1 * (WEIGHTS / "tiny.safetensors").stat().st_size
    assert capsys.readouterr().out == ""


def test_a_wrong_command_and_a_taken_port_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--port", "70000"]) == 2
    assert "--port is 70000; wanted 0 to 65535" in capsys.readouterr().err
    with make_server(tmp_path, 0) as server, pytest.raises(FerJaxError, match="give another --port"):
        make_server(tmp_path, server.server_port)


def test_nothing_foreign_is_committed() -> None:
    """The version and the hash of each npm package are; ONNX Runtime Web itself and the detector are not."""
    lock = read_json(ROOT / "web" / "package-lock.json")["packages"]
    named = read_json(ROOT / "web" / "package.json")["dependencies"]
    assert named == {"onnxruntime-web": lock["node_modules/onnxruntime-web"]["version"]}
    assert all(each["integrity"].startswith("sha512-") for name, each in lock.items() if name)
    listed = subprocess.run(["git", "ls-files", "web"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    kinds = {Path(name).suffix for name in listed.stdout.splitlines()}
    assert kinds <= {".py", ".js", ".json", ".html", ".css", ".svg", ".txt", ".webmanifest"}


def test_serve_allows_what_the_page_needs() -> None:
    guards = pytest.importorskip("fer_jax.serve.guards", reason="needs fer-jax[server]")
    text = (ROOT / "web" / "page" / "index.html").read_text(encoding="utf-8")
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert found
    page, server = (
        {rule.split()[0]: set(rule.split()[1:]) for rule in policy.split("; ")}
        for policy in (found[1], guards.CSP)
    )
    assert {name: sources - server[name] for name, sources in page.items()} == {name: set() for name in page}
