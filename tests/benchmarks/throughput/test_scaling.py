"""The scaling benchmark at tiny size."""

import json
from pathlib import Path

import pytest

from benchmarks.throughput import scaling, step_worker
from fer_jax.config.files import load_config

pytestmark = pytest.mark.usefixtures("quick_compile")

RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, ModelConfig, TrainConfig

config = Config(
    name="tiny",
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True), ConvBlock(features=3)), dense_features=4),
    train=TrainConfig(batch_size=16),
)
'''


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(RECORD)
    return path


def test_every_kind_of_growth_is_measured_written_and_drawn(config_file: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "out.json", tmp_path / "docs" / "out.png"
    words = f"--config {config_file} --what batch width seeds devices --batch 4 --width 2 --seeds 2"
    words += f" --examples 70 --rounds 2 --iterations 3 --epoch-rounds 1 --out {out} --plot {picture}"
    assert scaling.main(words.split()) == 0
    content = json.loads(out.read_text())
    rows = {(row["what"], row["value"]): row for row in content["results"]}
    steps = [("batch", 4), ("width", 2)]
    assert list(rows)[:-1] == [*steps, ("seeds", 2)]
    for key in steps:
        assert [len(samples) for samples in rows[key]["samples_s"]] == [3, 3]
    assert [len(samples) for samples in rows["seeds", 2]["samples_s"]] == [scaling.EPOCHS - 1]
    *_, devices = content["results"]
    assert devices["what"] == "devices" and devices["value"] >= 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    assert scaling.main(["--redraw", str(out), "--plot", str(picture)]) == 0
    assert picture.exists()


def test_wider_is_every_block(config_file: Path) -> None:
    config = load_config(config_file)
    assert [block.features for block in scaling.widen(config, 4).model.blocks] == [8, 12]
    assert [block.features for block in scaling.widen(config, 0.1).model.blocks] == [1, 1]
    # Pooled first block, then a flattened second one into the dense layers.
    assert step_worker.count_macs(config) == 48**2 * 9 * 2 + 24**2 * (9 * 2 * 3 + 3 * 4) + 4 * 7
    assert config.model.blocks[0].pool and scaling.widen(config, 4).model.blocks[0].pool


def test_a_picture_needs_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert scaling.main(["--redraw", "no.json"]) == 2
    assert "--plot" in capsys.readouterr().err
