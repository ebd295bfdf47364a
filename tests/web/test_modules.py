"""The page's modules, run by node, against what they repeat: Pillow's resize, fer_jax's crops and faces."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_jax.faces import yunet
from fer_jax.faces.crop import CONTRACT, cut_out, place_square
from web.catalogue import describe_detector

MODULES = Path(__file__).parents[2] / "web" / "page" / "js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")


def run(code: str, given: Any) -> Any:
    """Run JavaScript with the page's modules: `given` is what it gets, and what it returns comes back."""
    script = (
        'import fs from "node:fs";\n'
        + "".join(
            f'import * as {name} from "{(MODULES / f"{name}.js").as_uri()}";\n'
            for name in ("camera", "classify", "crop", "detect", "resize", "tracks", "verdicts")
        )
        + 'const given = JSON.parse(fs.readFileSync(0, "utf8"));\n'
        + 'const unpack = ({ rgba, width, height }) => ({ data: Buffer.from(rgba, "hex"), width, height });\n'
        + 'const pack = (bytes) => Buffer.from(bytes).toString("hex");\n'
        + "void [camera, classify, crop, detect, resize, tracks, verdicts, unpack, pack];\n"
        + f"const answer = await (async () => {{ {code} }})();\n"
        + "process.stdout.write(JSON.stringify(answer));\n"
    )
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def make_picture(height: int, width: int) -> np.ndarray:
    """Draw smooth colours with noise on them, uint8 [H, W, 3]."""
    rng = np.random.default_rng([height, width])
    waves = np.sin(np.arange(height)[:, None, None] / 9 + np.arange(width)[None, :, None] / 14 + np.arange(3))
    return np.clip(128 + 90 * waves + rng.normal(0, 40, (height, width, 3)), 0, 255).astype(np.uint8)


def pack(image: np.ndarray) -> dict[str, Any]:
    """Give a picture as a canvas does, with an alpha that nothing may read."""
    rgba = np.dstack([image, np.full(image.shape[:2], 7, np.uint8)])
    return {"rgba": rgba.tobytes().hex(), "width": image.shape[1], "height": image.shape[0]}


def unpack(text: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(shape)


@pytest.mark.parametrize(
    ("size", "new"),
    [
        ((131, 257), (50, 98)),
        ((300, 200), (299, 199)),
        ((3, 900), (1, 640)),
        ((64, 48), (64, 20)),
        ((5, 5), (5, 5)),
    ],
)
def test_resize_is_pillows_to_the_bit(size: tuple[int, int], new: tuple[int, int]) -> None:
    image = make_picture(*size)
    wanted = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BOX))
    code = "return pack(resize.resize(unpack(given.picture), given.new[1], given.new[0]).data);"
    got = unpack(run(code, {"picture": pack(image), "new": new}), (*new, 4))
    np.testing.assert_array_equal(got[..., :3], wanted)


def test_crops_are_pythons() -> None:
    image = make_picture(240, 320)
    boxes = [
        [100.25, 60.5, 120.0, 150.0],  # Reduced.
        [40.1, 30.2, 22.3, 27.4],  # Enlarged.
        [-20.0, 150.0, 90.0, 110.0],  # Over two borders.
        [400.0, 300.0, 50.0, 50.0],  # Outside: all of it is the border.
        [10.0, 10.0, 45.7142857, 45.7142857],  # 48 pixels for 48.
    ]
    scales = [0.95 / 1.05, 1.0, 1.15 / 1.05]
    code = """
      const picture = unpack(given.picture);
      return given.boxes.map((box) => given.scales.map((scale) => ({
        cut: pack(crop.crop(picture, box, given.contract, scale)),
        isClipped: crop.isClipped(crop.findSquare(box, given.contract, scale), picture),
      })));"""
    given = {
        "picture": pack(image),
        "boxes": boxes,
        "scales": scales,
        "contract": dataclasses.asdict(CONTRACT),
    }
    for box, row in zip(boxes, run(code, given), strict=True):
        for scale, got in zip(scales, row, strict=True):
            square = place_square(np.array(box), CONTRACT, scale=scale)
            wanted = cut_out(image, square, CONTRACT)
            np.testing.assert_array_equal(unpack(got["cut"], wanted.shape), wanted, err_msg=f"{box} {scale}")
            assert got["isClipped"] is not square.is_inside(*image.shape[:2])


def make_session(width: int, height: int) -> Any:
    """Make a stand-in for the detector: outputs at random, as the network has them, and what it was shown."""
    rng = np.random.default_rng(3)
    outputs: dict[str, np.ndarray] = {}
    for stride in yunet.STRIDES:
        cells = (width // stride) * (height // stride)
        for name, values in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            spread = (
                rng.uniform(-0.1, 1.1, (1, cells, 1)) if values == 1 else rng.normal(0, 1, (1, cells, values))
            )
            outputs[f"{name}_{stride}"] = spread.astype(np.float32)
    shown: list[np.ndarray] = []

    def forward(names: Any, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        shown.append(inputs["input"])
        return list(outputs.values())

    names = [SimpleNamespace(name=name) for name in outputs]
    return SimpleNamespace(get_outputs=lambda: names, run=forward, outputs=outputs, shown=shown)


@pytest.mark.parametrize("size", [(900, 1411), (333, 517), (1000, 460)])
def test_the_detector_is_shown_and_read_as_in_python(size: tuple[int, int]) -> None:
    image = make_picture(*size)
    long_side = 640
    small, _ = yunet.reduce(image, long_side)
    height, width = (-(-side // 32) * 32 for side in small.shape[:2])
    session = make_session(width, height)
    settings = describe_detector("yunet.onnx") | {"long_side_px": long_side, "min_face_px": 0}
    found = yunet.detect(session, image, long_side_px=long_side, min_score=settings["min_score"])
    code = """
      const prepared = detect.prepare(unpack(given.picture), given.settings);
      const faces = detect.findFaces(given.outputs, prepared, given.settings);
      return { input: pack(prepared.input), faces };"""
    outputs = {name: each.ravel().tolist() for name, each in session.outputs.items()}
    got = run(code, {"picture": pack(image), "settings": settings, "outputs": outputs})
    assert len(found) == len(got["faces"]) > 20
    np.testing.assert_array_equal(unpack(got["input"], (1, 3, height, width)), session.shown[0])
    np.testing.assert_allclose([face["box"] for face in got["faces"]], found.xywh, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose([face["score"] for face in got["faces"]], found.scores, rtol=1e-12)
    np.testing.assert_allclose(
        [face["landmarks"] for face in got["faces"]], found.landmarks, rtol=1e-9, atol=1e-7
    )


def test_small_faces_are_left_out_and_halves_are_rounded_as_in_python() -> None:
    session = make_session(64, 64)
    outputs = {name: each.ravel().tolist() for name, each in session.outputs.items()}
    prepared = {"width": 64, "factor": 0.5}
    settings = describe_detector("yunet.onnx") | {"min_score": 0.1, "min_face_px": 30}
    code = """
      return {
        faces: detect.findFaces(given.outputs, given.prepared, given.settings),
        rounded: given.halves.map(detect.round),
      };"""
    halves = [0.5, 1.5, 2.5, 2.4999, 3.5001, 7.0]
    got = run(code, {"outputs": outputs, "prepared": prepared, "settings": settings, "halves": halves})
    assert got["rounded"] == [round(each) for each in halves]
    assert got["faces"]
    assert all(min(face["box"][2:]) >= 30 for face in got["faces"])


def test_logits_are_averaged_over_views_and_normalised() -> None:
    logits = np.random.default_rng(1).normal(0, 9, (2, 6, 7))
    means = logits.mean(axis=1)
    wanted = means - np.log(np.exp(means).sum(axis=1, keepdims=True))
    code = "return classify.toLogProbabilities(given, 2, 7);"
    np.testing.assert_allclose(run(code, logits.ravel().tolist()), wanted, rtol=1e-12)


def test_views_are_scales_and_their_mirror_images() -> None:
    image = make_picture(90, 120)
    box = [30.0, 20.0, 40.0, 50.0]
    views = {"scales": [0.9, 1.0], "is_mirrored": True}
    code = (
        "return classify.cutViews(unpack(given.picture), given.box, given.contract, given.views).map(pack);"
    )
    got = run(
        code, {"picture": pack(image), "box": box, "contract": dataclasses.asdict(CONTRACT), "views": views}
    )
    wanted = [
        cut_out(image, place_square(np.array(box), CONTRACT, scale=scale), CONTRACT) for scale in (0.9, 1.0)
    ]
    both = [view for cut in wanted for view in (cut, cut[:, ::-1])]
    np.testing.assert_array_equal([unpack(each, (48, 48, 1)) for each in got], both)


def test_a_face_keeps_its_number_and_changes_smoothly() -> None:
    """One of two faces is away for a moment, then its expression flips: half of that arrives after 0.2 s."""
    sure, other = np.log([0.9, 0.1]).tolist(), np.log([0.1, 0.9]).tolist()
    left, right = [10.0, 10.0, 50.0, 60.0], [200.0, 10.0, 50.0, 60.0]

    def face(box: list[float], logs: list[float]) -> dict[str, Any]:
        return {"box": box, "logProbabilities": logs}

    frames = [
        [0.0, [face(left, sure), face(right, sure)]],
        [0.1, [face(right, sure)]],
        [0.2, [face([205.0, 12.0, 50.0, 60.0], sure), face([13.0, 10.0, 50.0, 60.0], sure)]],
        [0.2 + 0.3 * np.log(2), [face(left, other), face([400.0, 10.0, 50.0, 60.0], sure)]],
        [9.0, [face(left, sure)]],
    ]
    code = "const follow = tracks.makeTracker(); return given.map(([time, faces]) => follow(faces, time));"
    got = run(code, frames)
    assert [[face["number"] for face in faces] for faces in got] == [[1, 2], [2], [1, 2], [1, 3], [4]]
    np.testing.assert_allclose(np.exp(got[3][0]["logProbabilities"]), [0.5, 0.5], atol=1e-9)


def test_a_verdict_below_the_threshold_is_unsure_and_all_faces_are_told() -> None:
    logs = np.log([[0.3, 0.45, 0.25], [0.05, 0.05, 0.9]]).tolist()
    code = """
      const all = given.map((each) => verdicts.judge(each, ["sad", "happy", "fear"], 0.5));
      const many = verdicts.summarise(Array(40).fill(all[1]));
      const judged = all.map(({ label, isUnsure }) => [label, isUnsure]);
      const followed = verdicts.summarise(all, [2, 5]);
      return [judged, verdicts.summarise(all), verdicts.summarise([]), many, followed];"""
    judged, words, nobody, many, followed = run(code, logs)
    assert judged == [["happy", True], ["fear", False]]
    assert (
        words.replace("\N{NO-BREAK SPACE}", " ")
        == "2 faces. 1: unsure, perhaps happy (45 %); 2: fear (90 %)."
    )
    assert nobody.startswith("No face found.")
    assert many.startswith("40 faces.") and many.endswith("and 30 more.")
    assert followed == words.replace("1:", "2:").replace("; 2:", "; 5:")


def test_no_network_is_certain() -> None:
    words = run("return given.map(verdicts.percent);", [0.0, 0.874, 0.9949, 0.995, 1.0])
    assert [each.replace("\N{NO-BREAK SPACE}", " ") for each in words] == [
        "0 %",
        "87 %",
        "99 %",
        "> 99 %",
        "> 99 %",
    ]


def test_a_camera_whose_video_does_not_start_is_switched_off() -> None:
    code = """
      const track = { isOn: true, stop() { this.isOn = false; }, addEventListener() {} };
      const mediaDevices = { getUserMedia: async () => ({ getTracks: () => [track] }) };
      Object.defineProperty(globalThis, "navigator", { value: { mediaDevices } });
      const play = async () => { throw new Error("it does not play"); };
      globalThis.document = { createElement: () => ({ play }) };
      const words = await camera.startCamera(() => {}, () => {}).catch((error) => error.message);
      return [words, track.isOn];"""
    assert run(code, None) == ["it does not play", False]
