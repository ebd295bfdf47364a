import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_jax.config.augment import AugmentConfig
from fer_jax.data.synthetic import draw_examples
from fer_jax.report import contact_sheet as report_contact_sheet
from fer_jax.report.contact_sheet import draw_rows, lay_out_plain
from fer_jax.show import __main__ as show

CONFIG = """
from fer_jax.config import AugmentConfig, Config, DataConfig

config = Config(
    name="tiny",
    data=DataConfig(source="synthetic", synthetic_examples=70),
    augment=AugmentConfig(rotate_probability=1.0),
)
"""


def test_a_sheet_holds_every_image_at_three_times_its_size() -> None:
    examples = draw_examples(seed=0, examples=70)
    picked = draw_rows(np.random.default_rng(0), examples.labels, examples.names, per_class=2)
    sheet = np.asarray(lay_out_plain(np.random.default_rng(0), examples, per_class=2))
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (144, 144))[:, :, ::3, ::3]
    for rows in picked.values():
        for image in examples.images[rows, :, :, 0]:
            corners = np.argwhere((windows[:, :, 0, :3] == image[0, :3]).all(axis=-1))
            assert any((windows[y, x] == image).all() for y, x in corners)


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return path


def test_show_writes_the_same_sheet_for_the_same_seed(config_path: Path) -> None:
    def sheet(name: str, *options: str) -> bytes:
        out = config_path.with_name(name)
        assert show.main(["--config", str(config_path), "--out", str(out), "--examples", "2", *options]) == 0
        with Image.open(out) as picture:
            assert picture.format == "PNG"
        return out.read_bytes()

    first = sheet("a.png")
    assert sheet("b.png") == first
    assert sheet("c.png", "--seed", "1") != first
    assert sheet("d.png", "--augment.max-rotation-deg", "90") != first
    assert sheet("e.png", "--plain") != first


@pytest.mark.parametrize("name", ["zoom", "stretch", "sharpness", "gamma", "contrast", "brightness"])
def test_the_grid_shows_each_change_and_the_sheet_names_it(name: str) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)
    change: dict[str, Any] = {f"{name}_probability": 1.0}
    config = AugmentConfig(**change)
    grid = report_contact_sheet.draw_augmented_grid(np.random.default_rng(1), faces, config, versions=2)
    assert (grid[0] == faces).all()
    assert (grid[1:] != faces).any(axis=(2, 3, 4)).all()
    assert report_contact_sheet.describe(config).endswith(" (100 %)")


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (["--examples", "0"], 2, "--examples is 0; wanted >= 1"),
        (["--out", "/dev/null/a.png"], 4, "--out: /dev/null cannot be written to"),
        (["--out", "tiny.py"], 4, "tiny.py is a source, and would be replaced"),
        (["--out", "tiny.py", "--overwrite"], 4, "tiny.py is a source, and would be replaced"),
        (["--out", "pipe.png"], 4, "--out is pipe.png, a pipe or a device; name a file"),
        (["--out", "photo.png"], 4, "photo.png exists; give --overwrite to replace it, or another --out"),
    ],
)
def test_show_names_the_slip(
    config_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    exit_code: int,
    words: str,
) -> None:
    monkeypatch.chdir(config_path.parent)
    monkeypatch.setattr("fer_jax.data.load.load_examples", lambda *_, **__: pytest.fail("the work began"))
    Image.new("L", (3, 3)).save("photo.png")
    os.mkfifo("pipe.png")
    assert show.main(["--config", str(config_path), *options]) == exit_code
    assert words in capsys.readouterr().err


def test_a_sheet_is_named_by_what_it_shows_and_replaces_no_other(
    config_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(config_path.parent)
    words = ["--config", str(config_path), "--examples", "1"]
    assert show.main(words) == show.main([*words, "--plain"]) == show.main(words) == 0
    assert {path.name for path in Path().glob("*.png")} == {
        "contact_sheet_tiny_synthetic.png",
        "faces_synthetic.png",
    }
    other = [*words, "--data.synthetic-seed", "1"]
    assert show.main(other) == 4
    assert "contact_sheet_tiny_synthetic.png is a sheet of another data" in capsys.readouterr().err
    assert show.main([*other, "--overwrite"]) == 0


def test_a_folder_with_the_name_of_the_config_is_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--config", "run6", "--examples", "1", "--plain", "--data.source", "synthetic"]
    words += ["--data.synthetic-examples", "70", "--out", "run6/sheet.png"]
    assert show.main(words) == show.main(words) == 0
