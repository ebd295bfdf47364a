"""The demo in headless Chromium: Python's results, no request to the outside, no network after a visit."""

import base64
import functools
import http.server
import io
import operator
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness.chromium import (
    CAMERA_FLAGS,
    PATIENCE_MS,
    make_background,
    read_portrait,
    wait_for,
    write_camera,
)
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.files import read_json
from fer_jax.inference.analyzer import Face, make_analyzer
from web.build import build
from web.server import make_server

browsers = pytest.importorskip("playwright.sync_api", reason="needs playwright and a Chromium")
pytest.importorskip("onnx", reason="needs fer-jax[export]")
pytest.importorskip("onnxruntime", reason="needs fer-jax[use]")

ROOT = Path(__file__).parents[2]
FRAMES = 60
CAMERA = (
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream --use-file-for-fake-video-capture="
)


def export_unchecked(name: str, folder: Path) -> Path:
    """Export a network as the build does, without measuring it again, which takes most of the time."""
    from fer_jax import load
    from fer_jax.export import onnx_file
    from fer_jax.export.graph import translation

    graph = translation.translate(load(name).network)
    model = onnx_file.build(graph, dtype="float16", metadata={}, version="0")
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the demo, below a folder that is served: it has to work in any place of a host."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    out = tmp_path_factory.mktemp("host") / "some" / "demo"
    try:
        build(out, ("tiny", "mid"), export_unchecked)
    except Exception as error:
        if "npm could not" in str(error):
            pytest.skip(str(error))
        raise
    return out


@contextmanager
def serve(server: http.server.HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serve(make_server(folder.parents[1], 0)) as host:
        yield f"{host}some/demo/"


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    write_camera(path)
    return path


@pytest.fixture(scope="module")
def chromium(camera: Path) -> Iterator[Any]:
    with browsers.sync_playwright() as tools:
        program = shutil.which("chromium") or tools.chromium.executable_path
        if not Path(program).exists():
            pytest.skip("no Chromium is installed")
        flags = ["--no-sandbox", *CAMERA_FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = tools.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


Open = Callable[..., Any]


@pytest.fixture
def open_page(chromium: Any, address: str) -> Iterator[Open]:
    """Give the function that opens the page and waits until it is ready; an error in its console fails."""
    contexts, complaints = [], list[str]()

    def open_(*, is_ready: bool = True, **options: Any) -> Any:
        context = chromium.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(address)
        if is_ready:
            wait_for_words(page, "Ready")
        return page

    open_.complaints = complaints  # type: ignore[attr-defined]
    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def wait_for_words(page: Any, words: str) -> None:
    wait_for(page, "status", words)


def paste(picture: Image.Image, part: Image.Image, place: tuple[int, int]) -> Image.Image:
    picture.paste(part, place)
    return picture


def make_group() -> Image.Image:
    """Make a large picture with a large face, one at the border, a mirrored and a small one."""
    picture = make_background(1000, 1600)
    paste(picture, read_portrait(512), (60, 200))
    paste(picture, read_portrait(400), (1340, 40))
    paste(picture, read_portrait(300).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (750, 80))
    return paste(picture, read_portrait(170), (1000, 640))


def make_blank(side: int) -> bytes:
    """Make a square PNG, all black, of a few bytes for each thousand pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side * (1 + side // 8)), level=1)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    packed = [struct.pack(">I", len(body)) + kind + body for kind, body in chunks]
    sums = [struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(operator.add, packed, sums))


def make_crowd() -> Image.Image:
    """Make a picture of forty faces."""
    picture = make_background(5 * 140, 8 * 120)
    for number in range(40):
        paste(picture, read_portrait(110), (5 + number % 8 * 120, 5 + number // 8 * 140))
    return picture


def to_bytes(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def find_in_python(network: str) -> Callable[[Image.Image], list[Face]]:
    analyzer = make_analyzer(
        [network],
        views="photo",
        detector="yunet",
        min_score=MIN_SCORE,
        min_face_px=MIN_FACE_PX,
        has_small_faces=False,
    )
    return lambda picture: analyzer.analyze([np.asarray(picture.convert("RGB"))])[0]


def find_in_page(page: Any, content: bytes, network: str) -> list[dict[str, Any]]:
    """Analyse a picture with the modules of the page, whose cards show whole per cents only."""
    return page.evaluate(
        """async ([content, network]) => {
          const { startEngine } = await import(new URL("js/engine.js", location.href));
          const { readPicture } = await import(new URL("js/pictures.js", location.href));
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const engine = startEngine();
          await engine.load(network);
          await engine.load("tiny");
          const picture = await readPicture(new Blob([bytes]), "a picture");
          const { faces } = await engine.analyse(picture, "photo", network);
          return faces.map((face) => ({ ...face, cut: [...face.cut] }));
        }""",
        [base64.b64encode(content).decode(), network],
    )


@pytest.mark.parametrize("network", ["tiny", "mid"])
def test_a_picture_gives_the_result_of_python(open_page: Open, network: str) -> None:
    picture = make_group()
    wanted = find_in_python(network)(picture)
    got = find_in_page(open_page(), to_bytes(picture, "PNG"), network)
    assert len(wanted) == len(got) == 4
    for here, there in zip(wanted, got, strict=True):
        np.testing.assert_allclose(there["box"], here.box, atol=1e-3)
        np.testing.assert_allclose(np.exp(there["logProbabilities"]), here.probabilities, atol=1e-3)
        assert np.abs(np.array(there["cut"]) - here.crop.ravel()).max() <= 1
        assert there["isClipped"] is here.is_clipped
    assert [face["isClipped"] for face in got].count(True) == 1


def test_a_photo_lies_upright_and_transparent_parts_are_white(open_page: Open) -> None:
    page = open_page()
    portrait = read_portrait(512)
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was held so that the picture has to be turned right.
    turned = to_bytes(portrait.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    (face,) = find_in_page(page, turned, "tiny")
    (wanted,) = find_in_python("tiny")(Image.open(io.BytesIO(to_bytes(portrait, "JPEG", quality=95))))
    np.testing.assert_allclose(face["box"], wanted.box, atol=2)
    np.testing.assert_allclose(np.exp(face["logProbabilities"]), wanted.probabilities, atol=0.05)
    alpha = np.full((*portrait.size[::-1], 1), 255, np.uint8)
    alpha[:, :200] = 0
    clear = Image.fromarray(np.concatenate([np.asarray(portrait), alpha], axis=-1))
    white = np.where(alpha > 0, np.asarray(portrait), 255).astype(np.uint8)
    (wanted,) = find_in_python("tiny")(Image.fromarray(white))
    (face,) = find_in_page(page, to_bytes(clear, "PNG"), "tiny")
    np.testing.assert_allclose(np.exp(face["logProbabilities"]), wanted.probabilities, atol=1e-3)


def give(page: Any, name: str, content: bytes) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": content})


def read_cards(page: Any) -> list[list[str]]:
    """Read the cards: of each the heading, the line below it, and the labels with their per cents."""
    return [
        [*card.locator("h3, p").all_inner_texts(), *card.locator("tr").all_inner_texts()]
        for card in page.locator(".face").all()
    ]


def test_a_chosen_photo_is_shown_with_its_bars_and_told(open_page: Open) -> None:
    page = open_page()
    picture = read_portrait(512)
    give(page, "portrait.png", to_bytes(picture, "PNG"))
    wait_for_words(page, "One face")
    (face,) = find_in_python("tiny")(picture)
    labels = list(find_labels())
    shares = [f"{100 * share:.0f} %" if share < 0.995 else "> 99 %" for share in face.probabilities]
    best = int(face.probabilities.argmax())
    ((heading, line, *bars),) = read_cards(page)
    assert (heading.lower(), line.replace("\N{NO-BREAK SPACE}", " ")) == (labels[best], shares[best])
    rows = [bar.replace("\N{NO-BREAK SPACE}", " ").split(maxsplit=1) for bar in bars]
    assert rows == [list(row) for row in zip(labels, shares, strict=True)]
    status = page.inner_text("#status").replace("\N{NO-BREAK SPACE}", " ")
    assert status == f"One face: {labels[best]} ({shares[best]})."
    assert page.get_attribute("#status", "role") == "status"
    assert page.get_attribute("#canvas", "aria-label") == page.inner_text("#status")
    # With the keyboard: the slider goes up until the network is not sure enough.
    page.focus("#threshold")
    page.keyboard.press("End")
    wait_for_words(page, f"One face: unsure, perhaps {labels[best]}")
    assert read_cards(page)[0][0].lower() == "unsure"
    page.focus("input[value=tiny]")
    page.keyboard.press("ArrowDown")
    wait_for_words(page, "One face")
    wait_for(page, "accuracy", "mid gives")


def find_labels() -> tuple[str, ...]:
    from fer_jax import load

    return load("tiny").labels


def test_the_network_chosen_last_is_used_though_another_is_loaded_later(open_page: Open) -> None:
    page = open_page()
    # What asks the worker for mid is held back until `release`, which waits for the worker's answer.
    page.evaluate(
        """() => {
          const post = Worker.prototype.postMessage;
          Worker.prototype.postMessage = function (message, transfer) {
            if (message.load !== "mid") return post.call(this, message, transfer);
            window.release = () => new Promise((resolve) => {
              this.addEventListener("message", ({ data }) => data.id === message.id && setTimeout(resolve));
              post.call(this, message, transfer);
            });
          };
        }"""
    )
    page.check("input[value=mid]")
    wait_for_words(page, "Loading mid")
    page.check("input[value=tiny]")
    wait_for_words(page, "Ready, with tiny")
    page.evaluate("() => window.release()")
    assert page.is_checked("input[value=tiny]")
    assert "tiny gives" in page.inner_text("#accuracy")
    assert page.inner_text("#status").startswith("Ready, with tiny")


def test_a_photo_that_comes_before_the_network_is_analysed_with_it(open_page: Open) -> None:
    page = open_page(is_ready=False)
    # The worker does not get to load a network until `release`.
    page.add_init_script(
        """(() => {
          const post = Worker.prototype.postMessage;
          const held = [];
          window.release = () => held.splice(0).forEach((send) => send());
          Worker.prototype.postMessage = function (message, transfer) {
            if (message.load) held.push(() => post.call(this, message, transfer));
            else post.call(this, message, transfer);
          };
        })()"""
    )
    page.reload()
    wait_for_words(page, "Loading tiny")
    give(page, "portrait.jpg", to_bytes(read_portrait(300), "JPEG"))
    page.click("#camera")
    page.wait_for_timeout(300)
    assert page.inner_text("#status").startswith("Loading tiny")
    page.evaluate("() => window.release()")
    page.wait_for_function("() => /[1-9] frames a second/.test(document.getElementById('speed').textContent)")
    page.click("#camera")
    give(page, "portrait.jpg", to_bytes(read_portrait(300), "JPEG"))
    wait_for_words(page, "One face")


def test_a_camera_that_is_allowed_late_does_not_push_a_photo_aside(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """() => {
          const devices = navigator.mediaDevices;
          const get = devices.getUserMedia.bind(devices);
          devices.getUserMedia = async (wanted) => {
            await new Promise((resolve) => (window.allow = resolve));
            return (window.stream = await get(wanted));
          };
        }"""
    )
    page.click("#camera")
    wait_for_words(page, "Waiting for the camera")
    assert page.evaluate("() => document.activeElement.id") == "camera"
    give(page, "portrait.jpg", to_bytes(read_portrait(300), "JPEG"))
    wait_for_words(page, "One face")
    page.evaluate("() => window.allow()")
    page.wait_for_function(
        "() => window.stream?.getTracks().every(({ readyState }) => readyState === 'ended')"
    )
    assert page.inner_text("#camera") == "Use the camera"
    assert page.inner_text("#status").startswith("One face")
    assert page.inner_text("#speed").startswith("300 × ")


def test_letters_have_one_size_on_the_screen_whatever_the_picture(open_page: Open) -> None:
    page = open_page(viewport={"width": 1280, "height": 720})
    sizes = page.evaluate(
        """async () => {
          const { draw } = await import(new URL("js/stage.js", location.href));
          const canvas = document.getElementById("canvas");
          document.getElementById("invitation").hidden = true;
          canvas.hidden = false;
          return [[900, 300], [300, 900]].map(([width, height]) => {
            const source = new OffscreenCanvas(width, height);
            source.getContext("2d");
            const mark = { box: [10, 50, 100, 100], text: "sad", short: "", isUnsure: false };
            draw(canvas, source, width, height, [mark], false);
            const letters = parseFloat(canvas.getContext("2d").font.match(/([0-9.]+)px/)[1]);
            return letters * Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
          });
        }"""
    )
    assert sizes == pytest.approx([14, 14], abs=0.2)


def test_cards_have_the_bars_of_the_labels(open_page: Open) -> None:
    bars = open_page(is_ready=False).evaluate(
        """async () => {
          const { showFaces } = await import(new URL("js/results.js", location.href));
          const { judge } = await import(new URL("js/verdicts.js", location.href));
          const list = document.createElement("ol");
          return [["happy", "sad"], ["happy", "sad", "contempt"]].map((labels) => {
            const logProbabilities = labels.map(() => -Math.log(labels.length));
            const face = { logProbabilities, cut: new Uint8Array(4), isClipped: false };
            showFaces(list, [face], [judge(logProbabilities, labels, 0)], labels);
            return [...list.querySelectorAll("th")].map((each) => each.textContent);
          });
        }"""
    )
    assert bars == [["happy", "sad"], ["happy", "sad", "contempt"]]


def test_pictures_that_are_no_longer_shown_are_given_back(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """() => {
          const make = window.createImageBitmap;
          window.bitmaps = [];
          window.createImageBitmap = async (...given) => {
            const bitmap = await make(...given);
            window.bitmaps.push(bitmap);
            return bitmap;
          };
        }"""
    )
    for size in (300, 400):
        give(page, "portrait.jpg", to_bytes(read_portrait(size), "JPEG"))
        wait_for(page, "speed", f"{size} × ")
    page.click("#camera")
    page.wait_for_function("() => window.bitmaps.length > 7")
    page.click("#camera")
    wait_for_words(page, "The camera is off.")
    # A closed bitmap has no size. The one on the screen is open: it is drawn again when the threshold moves.
    page.wait_for_function("() => window.bitmaps.filter(({ width }) => width > 0).length === 1")
    page.focus("#threshold")
    page.keyboard.press("End")
    wait_for_words(page, "One face: unsure")


def test_a_picture_is_dropped_or_pasted(open_page: Open) -> None:
    page = open_page()
    content = base64.b64encode(to_bytes(read_portrait(300), "JPEG")).decode()
    for event, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """([event, field, content]) => {
              const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
              const transfer = new DataTransfer();
              transfer.items.add(new File([bytes], `${event}.jpg`, { type: "image/jpeg" }));
              const init = { bubbles: true, cancelable: true, [field]: transfer };
              const kind = event === "drop" ? DragEvent : ClipboardEvent;
              document.getElementById("status").textContent = "";
              document.body.dispatchEvent(new kind(event, init));
            }""",
            [event, field, content],
        )
        wait_for_words(page, "One face")


def test_the_stage_is_busy_until_the_photo_that_was_given_last_is_shown(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """(content) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const stage = document.getElementById("stage");
          window.ends = [];
          new MutationObserver(() => {
            const words = document.getElementById("status").textContent;
            if (!stage.hasAttribute("aria-busy")) window.ends.push(words);
          }).observe(stage, { attributeFilter: ["aria-busy"] });
          // The first one becomes old at once.
          for (const name of ["old.jpg", "new.jpg"]) {
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: transfer }));
          }
        }""",
        base64.b64encode(to_bytes(read_portrait(300), "JPEG")).decode(),
    )
    wait_for_words(page, "One face")
    page.wait_for_function("() => !document.getElementById('stage').hasAttribute('aria-busy')")
    ends = page.evaluate("() => window.ends")
    assert ends and all(words.startswith("One face") for words in ends)


def test_forty_faces_and_none(open_page: Open) -> None:
    page = open_page()
    give(page, "crowd.png", to_bytes(make_crowd(), "PNG"))
    wait_for_words(page, "40 faces.")
    assert len(read_cards(page)) == 40
    give(page, "sky.png", to_bytes(make_background(300, 400), "PNG"))
    wait_for_words(page, "No face found.")
    assert read_cards(page) == [] and page.inner_text("#nothing") == "No face was found."
    give(page, "dot.png", to_bytes(Image.new("L", (1, 1)), "PNG"))
    wait_for_words(page, "No face found.")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        (
            "notes.jpg",
            lambda: b"These are no pixels.",
            "notes.jpg is not a picture that this browser can read",
        ),
        ("empty.png", lambda: b"", "empty.png is not a picture that this browser can read"),
        ("cut.png", lambda: to_bytes(make_group(), "PNG")[:30000], "cut.png cannot be decoded"),
        ("huge.png", lambda: make_blank(12000), "huge.png has 144 megapixels; at most 100 can be read"),
        ("bomb.png", lambda: make_blank(30000), "bomb.png is not a picture that this browser can read"),
    ],
)
def test_what_is_no_picture_is_refused_in_words_and_the_page_goes_on(
    open_page: Open, name: str, make: Callable[[], bytes], words: str
) -> None:
    page = open_page()
    give(page, name, make())
    wait_for_words(page, words)
    give(page, "portrait.jpg", to_bytes(read_portrait(300), "JPEG"))
    wait_for_words(page, "One face")


def test_the_camera_gives_faces_in_nearly_all_frames_and_can_be_stopped(open_page: Open) -> None:
    page = open_page()
    seen = page.evaluate(
        """async (frames) => {
          const { startEngine } = await import(new URL("js/engine.js", location.href));
          const { startCamera } = await import(new URL("js/camera.js", location.href));
          const engine = startEngine();
          await engine.load("tiny");
          const counts = [];
          await new Promise((resolve, reject) => {
            const stop = startCamera(async (frame) => {
              if (counts.length === frames) return (await stop)(), resolve();
              counts.push((await engine.analyse(frame, "camera", "tiny")).faces.length);
            }, reject);
          });
          return counts;
        }""",
        FRAMES,
    )
    assert sum(count == 1 for count in seen) >= 0.95 * FRAMES
    page.click("#camera")
    wait_for_words(page, "One face")
    assert page.inner_text("#camera") == "Stop the camera"
    page.wait_for_function("() => /[1-9] frames a second/.test(document.getElementById('speed').textContent)")
    page.click("#camera")
    wait_for_words(page, "The camera is off.")


def test_it_works_offline_after_the_first_visit(chromium: Any, folder: Path) -> None:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    with serve(make_server(folder.parents[1], 0)) as host:
        page.goto(f"{host}some/demo/")
        wait_for(page, "offline", "now works")
    context.set_offline(True)
    page.reload()
    wait_for_words(page, "Ready")
    page.check("input[value=mid]")
    wait_for_words(page, "Ready, with mid")
    page.click("#example")
    wait_for_words(page, "One face")
    page.click("#camera")
    wait_for_words(page, "One face")
    context.close()


class _Counting(http.server.BaseHTTPRequestHandler):
    """Answers everybody, and keeps what was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


TRY_ALL = """async (url) => {
  const attempt = async (send) => { try { await send(); return "sent"; } catch { return "refused"; } };
  const load = (tag) => () => new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement(tag), { onload: resolve, onerror: reject });
    document.body.append(element);
    element.src = `${url}${tag}`;
  });
  const inWorker = () => new Promise((resolve, reject) => {
    const code = `fetch("${url}worker").then(() => postMessage(1), () => postMessage(0))`;
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = ({ data }) => data ? resolve() : reject();
    worker.onerror = reject;
  });
  return Promise.all([
    attempt(() => fetch(`${url}fetch`)),
    attempt(() => fetch(`${url}post`, { method: "POST", body: "x", mode: "no-cors" })),
    attempt(load("img")),
    attempt(load("script")),
    attempt(inWorker),
  ]);
}"""


def test_nothing_can_be_sent_to_the_outside(chromium: Any, address: str) -> None:
    """Neither does the page ask anybody else for anything, nor could a program in it, or in its worker."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    requests: list[str] = []
    context.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    wait_for_words(page, "Ready")
    page.click("#example")
    wait_for_words(page, "One face")
    page.click("#camera")
    page.wait_for_function("() => /[1-9] frames a second/.test(document.getElementById('speed').textContent)")
    handler = type("Handler", (_Counting,), {"asked": []})
    asked = list(requests)
    with serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as outside:
        tried = page.evaluate(TRY_ALL, outside)
    context.close()
    assert tried == ["refused"] * 5
    assert handler.asked == []  # type: ignore[attr-defined]
    own = (address, f"blob:{address.removesuffix('some/demo/')}")
    assert len(asked) > 20 and [url for url in asked if not url.startswith(own)] == []


def test_what_the_browser_lacks_is_told(chromium: Any, address: str) -> None:
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.add_init_script("delete window.WebAssembly")
    page.goto(address)
    wait_for_words(page, "This browser runs no WebAssembly")
    context.close()
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }"
    )
    page.goto(address)
    wait_for_words(page, "Ready")
    page.click("#camera")
    wait_for_words(page, "There is no camera.")
    context.close()
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address)
    assert "JavaScript is off" in page.inner_text("#status")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [1280, 390])
def test_axe_finds_nothing(open_page: Open, scheme: str, width_px: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    size = {"width": width_px, "height": 900}
    # The page's own policy would stop axe, which is a script.
    page = open_page(viewport=size, color_scheme=scheme, bypass_csp=True)
    for name, picture in (("", None), ("group.png", make_group())):
        if picture is not None:
            give(page, name, to_bytes(picture, "PNG"))
            wait_for_words(page, "4 faces")
        assert page.evaluate("() => document.documentElement.scrollWidth") == width_px
        found = axe.Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.usefixtures("chromium")
def test_the_benchmark_measures_the_page(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "browser-demo.json"
    words = ["measure", "--demo", str(folder), "--rounds", "2", "--frames", "3", "--out", str(out)]
    program = [sys.executable, "-m", "benchmarks.latency.browser_demo"]
    done = subprocess.run([*program, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = read_json(out)
    rows = {row["name"]: row for row in content["results"]}
    for network in ("tiny", "mid"):
        assert rows[f"camera of 640 × 480, `{network}`"]["frames_with_a_face"] == 3
        assert rows[f"photo, `{network}`: detect"]["median"] > 0
    assert rows["later visit, until ready"]["most"] > 0
    there = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(each["bytes"] for each in content["files"].values()) == sum(there)
