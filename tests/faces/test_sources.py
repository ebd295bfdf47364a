"""What names on a command line stand for."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fer_jax.errors import ConfigError, DataError
from fer_jax.faces import sources
from fer_jax.faces.sources import find_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a bit of everything, and go there."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo10.jpg", "photo9.JPG", "clip.mp4", "notes.txt", ".hidden.jpg", "sub/顔.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "in" / "sub" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "dangling.jpg").symlink_to("nowhere")
    return tmp_path


def names(*named: str | Path) -> list[tuple[str, str]]:
    return [(each.name, each.kind) for each in find_sources(named).sources]


def test_a_folder_is_all_that_is_in_it(folder: Path) -> None:
    found = find_sources(["in"])
    assert [(each.name, each.kind) for each in found.sources] == [
        ("in/clip.mp4", "video"),
        ("in/photo9.JPG", "picture"),
        ("in/photo10.jpg", "picture"),
        ("in/sub/顔.png", "picture"),
    ]
    assert (found.problems, found.passed_over) == ((), 1)


def test_patterns(folder: Path) -> None:
    assert names("in/photo*") == [("in/photo9.JPG", "picture"), ("in/photo10.jpg", "picture")]
    assert names("in/**/*.png") == [("in/sub/顔.png", "picture")]
    assert len(names("in/*")) == 4
    assert find_sources(["in/photo9.JPG", "*.gif"]).problems == (
        "nothing matches *.gif; look at the pattern, and quote it",
    )
    # A name that exists is no pattern.
    (folder / "a[1].png").touch()
    assert names("a[1].png") == [("a[1].png", "picture")]


def test_what_is_named_twice_is_done_once(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("in/photo9.JPG")
    assert names("in/photo9.JPG", "./in/photo9.JPG", "link.jpg", folder / "in" / "photo9.JPG") == [
        ("in/photo9.JPG", "picture")
    ]


def test_the_content_decides_where_the_suffix_does_not(folder: Path) -> None:
    Image.new("RGB", (1, 1)).save("picture", "PNG")
    Path("film").write_bytes(b"\0\0\0\x20ftypisom")
    assert names("picture", "film") == [("picture", "picture"), ("film", "video")]


def test_cameras_and_standard_input() -> None:
    found = find_sources(["camera:0", "camera:/dev/video2", "-"])
    assert [(each.name, each.kind, each.path) for each in found.sources] == [
        ("camera:0", "camera", None),
        ("camera:/dev/video2", "camera", Path("/dev/video2")),
        ("-", "stdin", None),
    ]


@pytest.mark.parametrize(
    "url", ["https://example.org/a.jpg", "file:///a.jpg", "rtsp://cam", "data:image/png;base64,AA"]
)
def test_a_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="download it"):
        find_sources([url])


def test_what_is_missing_stops_nothing_else(folder: Path) -> None:
    found = find_sources(["in/photo8.jpg", "in/photo10.jpg", "in/sub/../none.jpg"])
    assert [each.name for each in found.sources] == ["in/photo10.jpg"]
    assert found.problems[0].startswith("there is no in/photo8.jpg; did you mean 'in/photo")
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (["gone.jpg"], "there is no gone.jpg"),
        (["empty"], "empty: found no picture and no video"),
        (["texts"], "texts: found no picture and no video among its 1 file"),
        (["texts/*"], r"no picture and no video matches texts/\*"),
        (["pipe"], "pipe is no file"),
        (["a\0b"], "cannot be read"),
        (["x" * 300], "cannot be read"),
    ],
)
def test_nothing_found_is_an_error(folder: Path, named: list[str], message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").touch()
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match=message):
        find_sources(named)


def test_the_files_of_a_folder_are_counted_for_it_alone(folder: Path) -> None:
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").touch()
    found = find_sources(["in", "texts"])
    assert found.problems == ("texts: found no picture and no video among its 1 file",)
    assert found.passed_over == 2
    assert find_sources(["in", "in/*", "in/notes.txt", "texts", "*/*"]).passed_over == 2


@pytest.mark.parametrize("named", ["in", "in/*/*"])
def test_a_folder_that_may_not_be_entered_is_a_problem_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    closed, access, stat_of = folder / "in" / "sub", os.access, Path.stat

    def may(path: str | Path, mode: int) -> bool:
        return Path(path).absolute() != closed and access(path, mode)

    def refuse(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.absolute().parent == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat_of(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "access", may)
    monkeypatch.setattr(Path, "stat", refuse)
    found = find_sources([named, "in/photo9.JPG"])
    assert ("in/photo9.JPG", "picture") in [(each.name, each.kind) for each in found.sources]
    assert found.problems == ("in/sub cannot be read: no permission to enter the folder",)


def test_a_name_that_is_no_utf8_can_be_written_down(folder: Path) -> None:
    path = Path(os.fsdecode(b"caf\xe9.jpg"))
    path.touch()
    (found,) = find_sources([path]).sources
    assert (found.name, found.path) == ("caf�.jpg", path)


def test_nothing_named_and_no_camera_are_refused() -> None:
    for named in ([], ["camera:"]):
        with pytest.raises(ConfigError, match="camera:0"):
            find_sources(named)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"content")))
    assert sources.read_standard_input() == b"content"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"content")))
    with pytest.raises(DataError, match="more than 3 bytes"):
        sources.read_standard_input(max_bytes=3)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a notebook's"))
    with pytest.raises(DataError, match="nothing is sent"):
        sources.read_standard_input()


def test_nothing_slow_is_imported() -> None:
    program = (
        "import sys, fer_jax.faces.sources; print(*({'jax', 'av', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
