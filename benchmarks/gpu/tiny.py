"""Tiny data and tiny configs: every piece on a CPU in seconds. What it measures is worth nothing."""

from dataclasses import replace
from pathlib import Path

from fer_jax.config.model import ConvBlock
from fer_jax.config.run import Config
from fer_jax.data.readers.ferplus import CHOICE_OF_LABEL, CHOICES, HEADER
from fer_jax.data.synthetic import draw_examples
from fer_jax.files import write_text

EXAMPLES = 96
BATCH_SIZE = 8
EPOCHS = 2
RECORD = '''"""Tiny."""

from fer_jax.config import Config, ConvBlock, DeviceConfig, ModelConfig, SplitConfig, TrainConfig

config = Config(
    name="tiny",
    split=SplitConfig(protocol="official"),
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0),
    train=TrainConfig(epochs=2, batch_size=8, train_eval_examples=8, select="last", trackers=()),
    device=DeviceConfig(compile_cache=True),
)
'''


def write_data(folder: Path) -> tuple[Path, Path]:
    """Write synthetic faces as FER2013's CSV with usages, and votes for them, and return both files.

    A third is PublicTest; each face has ten votes for what it shows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    faces = draw_examples(seed=0, examples=EXAMPLES)
    usages = ["PublicTest" if row % 3 == 0 else "Training" for row in range(EXAMPLES)]
    data, votes = folder / "fer2013.csv", folder / "fer2013new.csv"
    lines = ["emotion,pixels,Usage"]
    voted = [",".join(HEADER)]
    for label, image, usage in zip(faces.labels, faces.images, usages, strict=True):
        lines.append(f"{label},{' '.join(map(str, image.ravel()))},{usage}")
        counts = dict.fromkeys(CHOICES, 0) | {CHOICE_OF_LABEL[label]: 10}
        voted.append(",".join([usage, "", *map(str, counts.values())]))
    write_text(data, "\n".join(lines) + "\n")
    write_text(votes, "\n".join(voted) + "\n")
    return data, votes


def write_config(folder: Path) -> Path:
    """Write a tiny config, for programs that are started with a config's file, and return the file."""
    path = folder / "tiny.py"
    write_text(path, RECORD)
    return path


def shrink(config: Config) -> Config:
    """Make a config's network, batches and length tiny, and leave what kind of recipe it is."""
    optimizer, train = config.optimizer, config.train
    return replace(
        config,
        model=replace(
            config.model,
            # Plain blocks: the same few programs serve all recipes.
            blocks=(ConvBlock(features=2, pool=True), ConvBlock(features=2, pool=True)),
            head="mean",
            dense_features=0,
            skip_rate=0.0,
        ),
        optimizer=replace(optimizer, warmup_epochs=0, cooldown_epochs=1),
        average=replace(config.average, stats_examples=8),
        train=replace(
            train,
            epochs=EPOCHS,
            batch_size=BATCH_SIZE,
            eval_batch_size=32,
            train_eval_examples=8,
            small_epochs=0,
            save_epochs=1,
        ),
        device=replace(config.device, compute_dtype="float32"),
    )
