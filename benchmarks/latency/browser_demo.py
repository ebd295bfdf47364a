"""Measure how large the browser demo is, and how fast in headless Chromium.

    python -m web --no-serve
    python -m benchmarks.latency.browser_demo measure
    python -m benchmarks.latency.browser_demo write      # -> docs/guides/browser_demo.md
    python -m benchmarks.latency.browser_demo draw       # -> docs/images/demo-*.png

The bytes of its files, the time until the page is ready (first visit and later ones), the parts of one photo,
and the frames a second of a camera that shows a moving face, on one thread of WebAssembly. `measure` writes
benchmarks/results/browser-demo.json; the load average in it says how much else was running.
"""

import gzip
import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import tyro
from PIL import Image

from benchmarks.harness import bench
from benchmarks.harness.chromium import DRAWN_FACES, make_sheet, open_chromium, wait_for
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json
from fer_jax.text import Table, to_markdown
from web.build import MARK

PROGRAM: Final = "python -m benchmarks.latency.browser_demo"
QUESTION: Final = "How large is the browser demo, and how fast is it?"
SECTION: Final = "browser-demo"

VIEWS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": {"width": 1280, "height": 1040}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 1040}, "color_scheme": "dark"},
    "phone-light": {"viewport": {"width": 390, "height": 1220}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 390, "height": 1220}, "color_scheme": "dark"},
}
"""Pictures of the page: how wide, and in which colours."""
WIDEST_PX: Final = 760
COLOURS: Final = 224
SETTLED_MS: Final = 500
"""How long bars move."""

WATCH: Final = """async ([network, frames]) => {
  const { startEngine } = await import(new URL("js/engine.js", location.href));
  const { startCamera } = await import(new URL("js/camera.js", location.href));
  const engine = startEngine();
  await engine.load(network);
  const [times, counts] = [[], []];
  await new Promise((resolve, reject) => {
    const stop = startCamera(async (frame) => {
      counts.push((await engine.analyse(frame, "camera", network)).faces.length);
      times.push(performance.now());
      if (counts.length === frames) (await stop)(), resolve();
    }, reject);
  });
  return { times, counts };
}"""
"""Analyses frames of the camera; gives when each was done, in milliseconds, and how many faces it has."""

ANALYSE: Final = """async ([network, rounds]) => {
  const { startEngine } = await import(new URL("js/engine.js", location.href));
  const { readPicture } = await import(new URL("js/pictures.js", location.href));
  const engine = startEngine();
  await engine.load(network);
  const photo = await (await fetch("example.jpg")).blob();
  const all = [];
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    const picture = await readPicture(photo, "the example");
    const decode = performance.now() - started;
    all.push({ decode, ...(await engine.analyse(picture, "photo", network)).times });
  }
  return all;
}"""
"""Analyses the example again and again; gives the milliseconds of each part."""


@dataclass(frozen=True)
class BrowserDemo:
    """Measure the browser demo in headless Chromium, or write the docs' tables or pictures of it."""

    verb: Annotated[Literal["measure", "write", "draw"], tyro.conf.Positional]
    """measure: run Chromium and write the JSON; write: the tables; draw: the pictures of the page."""
    demo: Path = Path("dist/demo")
    """Folder that `python -m web` has built."""
    rounds: int = 20
    """Visits, and analyses of the photo."""
    frames: int = 200
    """Frames of the camera."""
    out: Path = bench.RESULTS / "browser-demo.json"
    """The JSON to write, or to write the tables from."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""
    pictures: Path = bench.ROOT / "docs" / "images"
    """Folder to draw into."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or write, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(BrowserDemo, argv, prog=PROGRAM), argv))


def _run(options: BrowserDemo, argv: list[str] | None) -> int:
    if options.verb == "write":
        content = read_json(options.out)
        with bench.reading(options.out):
            print(f"written to {write_section(options.pages, SECTION, to_text(content))}")
        return 0
    if min(options.rounds, options.frames) < 2:
        raise ConfigError("--rounds and --frames have to be at least 2")
    if not (options.demo / MARK).is_file():
        raise RunError(f"{options.demo} is no demo; build it with `python -m web --no-serve`")
    if options.verb == "measure":
        return _measure(options, argv)
    with open_chromium(options.demo) as (browser, address):
        for name, view in VIEWS.items():
            path = options.pictures / f"demo-{name}.png"
            draw(browser, address, view, path)
            print(f"written to {path}")
    return 0


def _measure(options: BrowserDemo, argv: list[str] | None) -> int:
    load = os.getloadavg()[0]
    with open_chromium(options.demo) as (browser, address):
        rows = measure_visits(browser, address, options.rounds)
        page = browser.new_page()
        page.goto(address)
        for network in read_json(options.demo / MARK)["models"]:
            rows += measure_photo(page, network, options.rounds)
            rows.append(measure_camera(page, network, options.frames))
        chromium = browser.version
    console = bench.make_console()
    for row in rows:
        console.print(
            f"{row['name']}: {row['median']:.1f} {row['unit']} ({row['least']:.1f}..{row['most']:.1f})"
        )
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"rounds": options.rounds, "frames": options.frames, "chromium": chromium, "threads": 1},
        results=rows,
        extra={"files": weigh(options.demo), "load_average": {"before": load, "after": os.getloadavg()[0]}},
    )
    console.print(f"written to {options.out}")
    return 0


def to_text(content: Mapping[str, Any]) -> str:
    """Write what was measured in Markdown: sizes, then times."""
    files: Table = [["file", "MB", "MB, compressed"]]
    everything = {
        key: sum(each[key] for each in content["files"].values()) for key in ("bytes", "gzip_bytes")
    }
    for name, sizes in {**content["files"], "in all": everything}.items():
        title = f"`{name}`" if "." in name else name
        files.append([title, *(f"{sizes[key] / 1e6:.2f}" for key in ("bytes", "gzip_bytes"))])
    times: Table = [["what", "unit", "median (range)"]]
    for row in content["results"]:
        digits = 2 if row["unit"] == "s" else 0
        spread = f"{row['least']:.{digits}f} to {row['most']:.{digits}f}"
        times.append([row["name"], row["unit"], f"{row['median']:.{digits}f} ({spread})"])
    settings, load = content["settings"], content["load_average"]
    cameras = [row for row in content["results"] if "frames_with_a_face" in row]
    seen = " and ".join(f"{row['frames_with_a_face']:,}" for row in cameras)
    return (
        f"{to_markdown(files, left_columns=1)}\n\n{to_markdown(times, left_columns=2)}\n\n"
        f"Headless Chromium {settings['chromium']}, one thread, {settings['rounds']} rounds, "
        f"{settings['frames']:,} frames of the camera with each network, of which {seen} had a face. "
        f"{content['machine']}; {content['date'][:10]}. Load average, the processes that wanted a core: "
        f"{load['before']:.1f} before and {load['after']:.1f} after; the more, the slower."
    )


def measure_visits(browser: Any, address: str, rounds: int) -> list[dict[str, Any]]:
    """Time the page until it is ready, at first visits and at later ones."""
    visits = [measure_visit(browser, address) for _ in range(rounds)]
    first, later = zip(*visits, strict=True)
    return [
        {"name": "first visit, until ready", "unit": "s", **summarise(first)},
        {"name": "later visit, until ready", "unit": "s", **summarise(later)},
    ]


def measure_photo(page: Any, network: str, rounds: int) -> list[dict[str, Any]]:
    """Time the parts of one photo."""
    parts = page.evaluate(ANALYSE, [network, rounds])
    return [
        {"name": f"photo, `{network}`: {part}", "unit": "ms", **summarise([each[part] for each in parts])}
        for part in parts[0]
    ]


def measure_camera(page: Any, network: str, frames: int) -> dict[str, Any]:
    """Count the frames a second of the camera, and those with a face."""
    watched = page.evaluate(WATCH, [network, frames])
    rates = 1000 / np.diff(watched["times"])
    seen = sum(count > 0 for count in watched["counts"])
    name = f"camera of 640 × 480, `{network}`"
    return {"name": name, "unit": "frames/s", **summarise(rates), "frames_with_a_face": seen}


def draw(browser: Any, address: str, view: Mapping[str, Any], path: Path) -> None:
    """Draw the page with synthetic faces, in few colours, since each picture stays in the repository."""
    context = browser.new_context(**view)
    page = context.new_page()
    page.goto(address)
    wait_for(page, "status", "Ready")
    sheet = io.BytesIO()
    make_sheet().save(sheet, "PNG")
    page.set_input_files("#file", {"name": "faces.png", "mimeType": "image/png", "buffer": sheet.getvalue()})
    wait_for(page, "status", f"{len(DRAWN_FACES)} faces")
    page.wait_for_timeout(SETTLED_MS)
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        picture = shot.convert("RGB")
    context.close()
    picture.thumbnail((WIDEST_PX, picture.height), Image.Resampling.LANCZOS)
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def summarise(samples: Sequence[float]) -> dict[str, Any]:
    """Give the median and the range, with the samples."""
    kept = [round(float(each), 3) for each in samples]
    return {"median": float(np.median(kept)), "least": min(kept), "most": max(kept), "samples": kept}


def weigh(folder: Path) -> dict[str, dict[str, int]]:
    """Weigh the files of the demo, as they are and compressed as a host sends them, in bytes."""
    kinds: dict[str, dict[str, int]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            kind = name if path.suffix in (".wasm", ".onnx", ".jpg") else "the page and its programs"
            content = path.read_bytes()
            sizes = kinds.setdefault(kind, {"bytes": 0, "gzip_bytes": 0})
            sizes["bytes"] += len(content)
            sizes["gzip_bytes"] += len(gzip.compress(content, 6))
    return kinds


def measure_visit(browser: Any, address: str) -> tuple[float, float]:
    """Open the page in a new profile, and again once it is kept: the seconds until it is ready."""
    context = browser.new_context()
    page = context.new_page()
    times = []
    for _ in range(2):
        started = time.perf_counter()
        page.goto(address)
        wait_for(page, "status", "Ready")
        times.append(time.perf_counter() - started)
        wait_for(page, "offline", "now works")
    context.close()
    return times[0], times[1]


if __name__ == "__main__":
    sys.exit(main())
