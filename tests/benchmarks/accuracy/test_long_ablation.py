"""The long ablation: its changes are options, gains by hand, its table by hand, and one tiny run of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy.long_ablation import __main__ as long_ablation
from benchmarks.accuracy.long_ablation.ingredients import INGREDIENTS
from benchmarks.accuracy.long_ablation.paired import from_text, measure_gain, to_text
from fer_jax import cli
from fer_jax.data.synthetic import draw_examples
from fer_jax.files import read_json, read_json_lines, write_json
from fer_jax.train.__main__ import TrainCommand

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = """
from fer_jax.config import Config, ConvBlock, ModelConfig, SplitConfig, TrainConfig

config = Config(
    name="small",
    split=SplitConfig(protocol="official"),
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), head="mean", dense_features=0),
    train=TrainConfig(batch_size=16, select="last"),
)
"""


def test_every_ingredient_changes_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    configs = {}
    for name, (_, words) in INGREDIENTS.items():
        argv = ["--config", "configs/tiny.py", *words.split()]
        configs[name] = cli.parse(TrainCommand, argv, prog="train").settings
    assert len(set(configs.values())) == len(configs)


def test_gains_are_paired_by_seed_and_image() -> None:
    before = np.array([[True, False, False, True], [True, False, True, True]])
    after = np.array([[True, True, True, False], [True, True, False, False]])
    for one in (before, after):
        assert np.array_equal(from_text(to_text(one), 4), one)
    # By image: both seeds stay right; both become right; one does, one no longer; both no longer.
    mean, error = measure_gain(before, after)
    assert mean == 0
    assert error == pytest.approx(100 * (2 / 4) ** 0.5 / 4**0.5)
    # Of four images the second gains both seeds, the third one of two.
    assert measure_gain(before, before | [False, True, True, False])[0] == pytest.approx(37.5)


def row(name: str, flip: list[int], seconds: list[float], machine: str = "a machine") -> dict[str, Any]:
    """Make a row whose seeds get the first images right, so many each; 500 in other views."""

    def count(correct: list[int]) -> list[str]:
        return to_text(np.arange(1000) < np.array(correct)[:, None])

    return {
        "name": name,
        "change": f"the change of {name}",
        "machine": machine,
        "versions": {"jax": "1"},
        "seeds": [0, 1],
        "epochs": 60,
        "seconds_per_epoch": seconds,
        "train": {"correct": [500, 700], "total": 1000},
        "right": {"single": count([400, 420]), "flip": count(flip), "flip-zooms": count([500, 500])},
    }


def test_the_table_by_hand(tmp_path: Path) -> None:
    page, results = tmp_path / "ablation.md", tmp_path / "out.json"
    page.write_text("<!-- long-ablation -->\n<!-- /long-ablation -->\n")
    rows = [
        row("base", [420, 420], [2, 2]),
        row("better", [440, 460], [3, 5]),
        row("elsewhere", [460, 460], [1, 1], "another"),
    ]
    # The first 400 images are copies of training images.
    images = {"total": 1000, "copies": to_text(np.arange(1000)[None] < 400)[0]}
    write_json(results, {"images": images, "settings": {"part": "PublicTest"}, "results": rows})
    assert long_ablation.main(["write", "--results", str(results), "--pages", str(page)]) == 0
    lines = page.read_text().splitlines()
    assert lines[4].startswith("| the change of elsewhere |") and lines[4].endswith("| – |")
    # 20 images gain both seeds and 20 one: 3 points of all; their deviation is that of gains 1 and 0.5.
    spread = np.std([1] * 20 + [0.5] * 20 + [0] * 960) * 100 / 1000**0.5
    new = np.std([1] * 20 + [0.5] * 20 + [0] * 560) * 100 / 600**0.5
    views = np.std([1] * 40 + [0.5] * 20 + [0] * 540) * 100 / 600**0.5
    assert lines[5] == (
        f"| the change of better | 60.0 ± 14.1 | 41.0 ± 1.4 | 45.0 ± 1.4 | 50.0 ± 0.0 | +3.00 ± {spread:.2f} "
        f"| 8.3 ± 2.4 | +5.00 ± {new:.2f} | +8.33 ± {views:.2f} | 2.00 × |"
    )
    assert "on the 600 of the 1,000 images that are no exact copies" in lines[7]
    assert lines[7].endswith("once. a machine; another.")


def settings_with(content: Any, **changes: Any) -> Any:
    """Return the settings of a JSON with other fields of the base's optimizer."""
    base = content["settings"]["base"]
    return content["settings"] | {"base": base | {"optimizer": base["optimizer"] | changes}}


@pytest.mark.usefixtures("trainings_in_process")
def test_tiny_ones_are_trained_and_measured_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(INGREDIENTS, "same", ("no change", ""))
    base, data, runs, out = (tmp_path / name for name in ("small.py", "fer2013.csv", "runs", "out.json"))
    base.write_text(SMALL)
    faces = draw_examples(seed=0, examples=70)
    usages = ["PublicTest" if place % 4 == 0 else "Training" for place in range(len(faces))]
    # One image of PublicTest is a copy of a training image.
    faces.images[0] = faces.images[1]
    pixels = [" ".join(map(str, image.ravel())) for image in faces.images]
    lines = (",".join(map(str, each)) for each in zip(faces.labels, pixels, usages, strict=True))
    data.write_text("\n".join(["emotion,pixels,Usage", *lines]))
    shared = ["--config", str(base), "--data", str(data), "--runs", str(runs), "--results", str(out)]
    two = [*shared, "--epochs", "2", "--ingredients", "same"]
    assert long_ablation.main(["train", *two, "--minutes", "0"]) == 6
    assert "base-seed0, same-seed0, base-seed1, same-seed1; call again" in capsys.readouterr().out
    assert long_ablation.main(["collect", *two]) == 4
    assert "no ingredient has all seeds finished" in capsys.readouterr().err
    assert long_ablation.main(["train", *two[:-1], "base", "--lanes", "2"]) == 0
    assert long_ablation.main(["collect", *two]) == 0
    assert "same: left out; not finished: same-seed0, same-seed1" in capsys.readouterr().out
    # The base's runs are gone when the others are measured.
    for seed in (0, 1):
        (runs / f"base-seed{seed}").rename(runs / f"same-seed{seed}")
    (measured,) = read_json(out)["results"]
    assert long_ablation.main(["collect", *two, "--no-base"]) == 0
    content = read_json(out)
    kept, same = content["results"]
    assert {name: kept[name] for name in measured} == measured and "git" in kept["origin"]
    assert [kept["name"], same["name"]] == ["base", "same"] and same["right"] == kept["right"]
    total = content["images"]["total"]
    assert total == 18 and from_text([content["images"]["copies"]], total).sum() == 1
    log = read_json_lines(runs / "same-seed1" / "log.jsonl")
    right = from_text(same["right"]["single"], total)
    assert right[1].sum() == round(total * log[-1]["val_accuracy"])
    assert long_ablation.main(["keep", *two, "--no-base", "--kept", str(tmp_path / "kept")]) == 0
    names = [f"long-same-seed{seed}.{suffix}" for seed in (0, 1) for suffix in ("json", "safetensors")]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == names
    capsys.readouterr()
    assert long_ablation.main(["collect", *two, "--no-base", "--epochs", "3"]) == 4
    assert "was trained with train.epochs 2" in capsys.readouterr().err
    for change, wanted in (
        ({"settings": settings_with(content, peak_rate=1.0)}, "optimizer.peak_rate is 1, not 0.001"),
        ({"images": content["images"] | {"sha256": ""}}, "was measured on other images than those of"),
        ({"results": [kept | {"seeds": [0]}]}, "same: its seeds is [0, 1], the base's is [0]"),
        ({"results": []}, "the base is neither finished nor in the JSON"),
    ):
        write_json(out, content | change)
        assert long_ablation.main(["collect", *two, "--no-base"]) == 4
        assert wanted in capsys.readouterr().err


def test_what_cannot_be_compared_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in (
        (["--ingredients", "magic"], "--ingredients magic: unknown; the ingredients are base, "),
        (["--seeds", "1"], "--seeds is 1; it must be at least 2"),
        ([], "--data is missing"),
    ):
        assert long_ablation.main(["train", *words]) == 2
        assert wanted in capsys.readouterr().err
