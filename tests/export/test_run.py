"""`export` from end to end: files, what is written beside them, what is refused."""

import functools
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fer_jax
from fer_jax import fer2013
from fer_jax.data.examples import Examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import DataError
from fer_jax.export import __main__ as export
from fer_jax.export import comparison, int8, stablehlo
from fer_jax.export.onnx_file import INPUT
from fer_jax.export.options import ExportOptions, find_data
from fer_jax.files import read_json
from fer_jax.runs.sources import WEIGHTS

pytestmark = pytest.mark.usefixtures("quick_compile")
runtime = pytest.importorskip("onnxruntime", reason="needs fer-jax[export]")
onnx = pytest.importorskip("onnx", reason="needs fer-jax[export]")


@functools.cache
def draw_faces() -> Examples:
    return draw_examples(seed=0, examples=840)


def choose(part: str) -> np.ndarray:
    """Give the images of a part."""
    faces = draw_faces()
    return faces.images[faces.usages == fer2013.USAGES.index(part)]


def write_csv(path: Path) -> Path:
    """Write the faces as fer2013.csv."""
    faces = draw_faces()
    rows = (
        f"{label},{' '.join(map(str, image.ravel()))},{fer2013.USAGES[usage]}"
        for label, image, usage in zip(faces.labels, faces.images, faces.usages, strict=True)
    )
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, quick_compile: None) -> Path:
    """Export `tiny` in every form; fer2013.csv is beside the files."""
    folder = tmp_path_factory.mktemp("exported")
    data = write_csv(folder / "fer2013.csv")
    words = ["tiny", "--data", str(data), "--out", str(folder), "--calibration-faces", "128"]
    assert export.main([*words, "--to", "onnx", "int8", "stablehlo"]) == 0
    assert export.main([*words, "--dtype", "float16"]) == 0
    return folder


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny-float16.onnx", "tiny.stablehlo"])
def test_each_file_predicts_what_the_network_predicts(exported: Path, name: str) -> None:
    content, beside = (exported / name).read_bytes(), read_json(exported / f"{name}.json")
    assert (beside["sha256"], beside["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert beside["card_sha256"] == hashlib.sha256((WEIGHTS / "tiny.json").read_bytes()).hexdigest()
    assert beside["tensors_sha256"] == read_json(WEIGHTS / "tiny.json")["tensors"]["sha256"]
    faces = len(choose("PublicTest"))
    assert (beside["data"]["part"], beside["data"]["faces"]) == ("PublicTest", faces)
    compared = beside["compared"]
    assert compared["changed"] == 0 and 0 < compared["largest_difference"] < 1e-4
    assert compared["correct"]["network"] == compared["correct"]["export"] > faces / 4
    assert compared["total"] == compared["faces"] == faces


def test_a_model_says_what_it_is(exported: Path) -> None:
    for name in ("tiny.onnx", "tiny-float16.onnx", "tiny-int8.onnx"):
        model = onnx.load(str(exported / name))
        props = {each.key.removeprefix("fer_jax."): each.value for each in model.metadata_props}
        card = read_json(WEIGHTS / "tiny.json")
        assert (props["name"], props["version"]) == ("tiny", fer_jax.__version__)
        assert json.loads(props["labels"]) == card["labels"]
        assert json.loads(props["contract"]) == card["preprocessing"]["contract"]
        assert props["tensors_sha256"] == card["tensors"]["sha256"]
        said = [(each.name, each.doc_string) for each in model.graph.input]
        assert said == [(INPUT, "gray levels of N >= 1 cropped faces")]
        assert [each.name for each in model.graph.output] == ["logits", "probabilities"]
    sizes = [
        (exported / name).stat().st_size for name in ("tiny.onnx", "tiny-float16.onnx", "tiny-int8.onnx")
    ]
    assert sizes[1] < 0.6 * sizes[0] and sizes[2] < 0.5 * sizes[0]


def test_a_stablehlo_program_is_read_again_for_every_platform_and_any_number_of_faces(exported: Path) -> None:
    import jax

    program = jax.export.deserialize(bytearray((exported / "tiny.stablehlo").read_bytes()))
    assert program.platforms == stablehlo.PLATFORMS
    for count in (1, 5):
        faces = choose("PublicTest")[:count]
        logits, probabilities = program.call(faces)
        wanted = fer_jax.load("tiny").predict(faces)
        assert logits.shape == (count, 7)
        np.testing.assert_allclose(probabilities, wanted, atol=1e-5)


def list_weights(model: Any) -> list[np.ndarray]:
    """List the int8 kernels of a model."""
    arrays = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer]
    return [array for array in arrays if array.dtype == np.int8 and array.ndim > 1]


def count_changed(model: Any, reference: np.ndarray) -> int:
    logits = comparison.open_onnx(model.SerializeToString())(choose("PublicTest"))
    return int((logits.argmax(axis=1) != reference.argmax(axis=1)).sum())


def test_int8_is_close_and_no_pair_of_its_products_overflows_16_bits(exported: Path) -> None:
    compared = read_json(exported / "tiny-int8.onnx.json")["compared"]
    assert compared["changed"] <= 0.1 * len(choose("PublicTest"))
    weights = list_weights(onnx.load(str(exported / "tiny-int8.onnx")))
    assert len(weights) == 15
    assert max(int(np.abs(each.astype(int)).max()) for each in weights) == int8.LARGEST_WEIGHT
    assert 2 * 255 * int8.LARGEST_WEIGHT < 2**15


@pytest.fixture(scope="module")
def by_default(exported: Path) -> Any:
    """Quantise the same model on the same faces with the quantiser's default settings."""
    model = onnx.load(str(exported / "tiny.onnx"))
    return int8.quantise_with(model, choose("Training")[:128], {}, advance=lambda count: None)


def test_the_default_settings_of_the_quantiser_overflow_16_bits(by_default: Any) -> None:
    pairs = [np.abs(each.astype(int)).reshape(len(each), -1) for each in list_weights(by_default)]
    assert (
        max(int((each[:, ::2][:, : each.shape[1] // 2] + each[:, 1::2]).max()) * 255 for each in pairs)
        >= 2**15
    )


def has_vnni() -> bool:
    cpu = Path("/proc/cpuinfo")
    return not cpu.exists() or "vnni" in cpu.read_text()


@pytest.mark.skipif(
    has_vnni(), reason="with VNNI products are added in 32 bits, and the defaults lose nothing"
)
def test_without_vnni_the_default_settings_of_the_quantiser_lose_many_predictions(
    exported: Path, by_default: Any
) -> None:
    faces = choose("PublicTest")
    reference = comparison.open_onnx((exported / "tiny.onnx").read_bytes())(faces)
    ours = count_changed(onnx.load(str(exported / "tiny-int8.onnx")), reference)
    assert count_changed(by_default, reference) > ours + 0.1 * len(faces)


def test_a_run_is_exported_with_the_data_of_its_training(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main([str(tiny_run), "--out", str(tmp_path / "new")]) == 0
    beside = read_json(tmp_path / "new" / f"{tiny_run.name}.onnx.json")
    assert beside["data"]["contents"].startswith("140 synthetic faces")
    assert beside["card_sha256"] == hashlib.sha256((tiny_run / "run.json").read_bytes()).hexdigest()
    assert "SYNTHETIC FACES" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["tinny"], 4, "did you mean 'tiny'?"),
        (
            ["tiny"],
            4,
            "tiny.onnx and {out}/tiny.onnx.json would be replaced; give another --out, or --overwrite",
        ),
        (
            ["tiny", "--to", "int8", "--dtype", "float16"],
            2,
            "--dtype float16 is for --to onnx, and --to is int8",
        ),
        (["tiny", "--calibration-faces", "0"], 2, "--calibration-faces is 0; wanted >= 1"),
        (["tiny", "--labels", "fer2013", "--ferplus", "a.csv"], 2, "leave one of them out"),
        (["mid", "--data", "nowhere.csv"], 3, "data.path (--data) is nowhere.csv, and nothing is there"),
        (["mid", "--out", "{out}/fer2013.csv"], 4, "fer2013.csv, which is a file; give a folder"),
    ],
)
def test_what_is_wrong_is_refused_in_one_message(
    exported: Path, words: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(out=exported) for word in words]
    assert export.main([*words[:1], "--out", str(exported), *words[1:]]) == status
    assert message.format(out=exported) in capsys.readouterr().err


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    assert export.main(["tiny"]) == 2
    assert (
        "--to onnx needs onnx, not installed here; `pip install 'fer-jax[export]'`" in capsys.readouterr().err
    )


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_file_that_differs_is_not_written(
    dtype: str,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The kernels of released weights are those of a file in float16, so that one is allowed no more.
    monkeypatch.setattr(comparison, "MOST_ROUNDING", 0.0)
    words = ["tiny", "--data", str(exported / "fer2013.csv"), "--out", str(tmp_path / "new")]
    words += ["--dtype", dtype]
    assert export.main(words) == 1
    assert "wanted at most 0; nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("result", "limit", "words"),
    [
        ({"largest_difference": None, "changed": 0}, None, "is not finite; nothing was written"),
        ({"largest_difference": 0.5, "changed": 0}, 0.1, "differs from the network's by 0.5"),
        ({"largest_difference": 5.0, "changed": 11}, None, "11 of 100 predictions changed"),
    ],
)
def test_a_difference_is_refused(result: dict, limit: float | None, words: str) -> None:
    full = {"faces": 100, "largest_logit": 2.0} | result
    with pytest.raises(fer_jax.errors.FerJaxError, match=words) as raised:
        comparison.refuse_other(full, name="a.onnx", limit=limit)
    assert raised.value.exit_code == 1
    comparison.refuse_other(full | {"largest_difference": 0.15, "changed": 9}, name="a.onnx", limit=limit)


def test_what_else_lies_in_the_data_folder_does_not_stop_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FER_JAX_DATA", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photos.rar").touch()
    assert find_data(ExportOptions(network="tiny", on_bad_row="skip")).source == "synthetic"
    with pytest.raises(DataError, match=r"photos.rar is not read"):
        find_data(ExportOptions(network="tiny", data=tmp_path / "data"))
    monkeypatch.setenv("FER_JAX_DATA", "none.csv")
    with pytest.raises(DataError, match=r"FER_JAX_DATA is none.csv, and nothing is there"):
        find_data(ExportOptions(network="tiny"))
