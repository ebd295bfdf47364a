"""The page of a run: every section is there, nothing is loaded from elsewhere, all text is escaped."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.harness.chromium import PATIENCE_MS
from fer_jax import fer2013
from fer_jax.config.files import to_json
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.errors import RunError
from fer_jax.files import write_json
from fer_jax.report import measured, run_page
from fer_jax.report.charts import Chart, add_corruption, curve_charts, reliability_chart, robustness_charts
from fer_jax.report.plots import QUIET_COLOUR, TRAIN_COLOUR, VAL_COLOUR
from fer_jax.report.story import gather

NBSP = "\N{NO-BREAK SPACE}"
VOID = {"meta", "link", "img", "br", "line", "circle", "rect", "polyline"}


class Page(HTMLParser):
    """What a page is made of; an end tag that closes nothing, or the wrong thing, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.replace(NBSP, " ").split())

    def find(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def make_figures(correct: int) -> dict[str, Any]:
    """Give what `summarise` does where angry is right so often of 10, and else taken for happy."""
    confusion = [[10 if row == column else 0 for column in range(7)] for row in range(7)]
    confusion[0] = [correct, 0, 0, 10 - correct, 0, 0, 0]
    per_class: list[dict[str, Any]] = [
        {"label": label, "precision": 0.75, "recall": 1.0, "f1": 0.8, "count": 10, "predicted": 10}
        for label in fer2013.LABELS
    ]
    per_class[1]["precision"] = None
    total, right = 70, 60 + correct
    return {
        "correct": right,
        "total": total,
        "accuracy": right / total,
        "accuracy_low": 0.5,
        "accuracy_high": 0.99,
        "loss": 1.23456,
        "balanced_accuracy": 0.9,
        "macro_f1": 0.8,
        "per_class": per_class,
        "confusion": confusion,
    }


def make_bins() -> list[dict[str, Any]]:
    bins: list[dict[str, Any]] = [
        {"low": n / 15, "high": (n + 1) / 15, "count": 0, "confidence": None, "accuracy": None}
        for n in range(15)
    ]
    bins[14] |= {"count": 70, "confidence": 0.98, "accuracy": 0.9}
    return bins


def make_abstention(part: str) -> dict[str, Any]:
    ends = {"accuracy_low": 0.8, "accuracy_high": 0.95}
    answers = {"answered": 56, "correct": 53, "accuracy": 53 / 56, **ends}
    nothing = {"answered": 0, "correct": 0} | dict.fromkeys(("accuracy", *ends))
    return {
        "is_chosen_here": part == "val",
        "chosen_on": "val",
        "curve": [
            {"coverage": 1.0, "answered": 70, "correct": 63, "accuracy": 0.9, **ends},
            {"coverage": 0.8, **answers},
        ],
        "thresholds": [
            {"left_out": 0.2, "threshold": 0.625, "images": 70, **answers},
            {"left_out": 0.5, "threshold": 0.9, "images": 70, **nothing},
        ],
    }


def make_evaluation(part: str, correct: int) -> dict[str, Any]:
    return make_figures(correct) | {
        "split": part,
        "views": ["identity", "identity, flipped"],
        "top2_accuracy": 0.95,
        "top2_correct": 66,
        "roc_auc": dict.fromkeys(fer2013.LABELS, 0.9) | {"disgust": None},
        "macro_roc_auc": 0.9,
        "calibration": {"ece": 0.08, "bins": make_bins(), "temperature": 1.5, "fitted_on": "val"}
        | {"scaled": {"ece": 0.02, "loss": 1.1, "bins": make_bins()}},
        "copies_of_training_images": 2 if part == "PublicTest" else 0,
        "copy_free": {"correct": 60, "total": 68, "accuracy": 60 / 68}
        | {"accuracy_low": 0.5, "accuracy_high": 0.99}
        if part == "PublicTest"
        else None,
        "raters": {"total": 69, "votes": 690}
        | {"rater": {"expected_correct": 48.25, "accuracy": 48.25 / 69}}
        | {"network": {"expected_correct": 51.75, "accuracy": 0.75}}
        if part == "test"
        else None,
        "abstention": make_abstention(part),
        "intervals": {"level": 0.95, "resamples": 1000, "seed": 0}
        | {name: [0.5, 0.99] for name in measured.FIGURES}
        | {"roc_auc": {label: [0.8, 0.95] for label in fer2013.LABELS}},
        "robustness": {
            "total": 70,
            "clean_correct": 63,
            "corruptions": [
                {
                    "name": "blur",
                    "what": "px",
                    "levels": [0.5, 1, 1.5, 2, 3],
                    "correct": [63, 56, 49, 42, 35],
                },
                {"name": "noise", "what": "grays", "levels": [5, 10, 20, 30, 40], "correct": [63] * 5},
            ],
        },
        "mistakes": [
            {"row": 17, "true": "angry", "predicted": "happy", "confidence": 0.987}
            | {"neighbours": [{"row": 4, "label": "happy", "distance": 1.25}]}
        ],
        "pictures": {
            name: f"evaluate_{part}_{name}.png"
            for name in ("mistakes", "saliency", "neighbours", "reliability")
        },
    }


def make_faces() -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("L", (48, 48), 7).save(buffer, format="PNG")
    png = base64.b64encode(buffer.getvalue()).decode()
    tile = {"png": png, "alt": "a face", "words": [["angry → <happy>", "wrong"], ["98.7 %", "quiet"]]}
    rows = [{"label": label, "tiles": [tile]} for label in ("angry", "happy")]
    return {name: {"subtitle": name, "rows": rows} for name in ("mistakes", "saliency", "neighbours")}


def make_history() -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "step": 10 * epoch, "rate": 0.001, "objective": 1.9 - 0.1 * epoch}
        | {"train_loss": 1.5, "train_accuracy": 0.4 + 0.1 * epoch, "val_loss": 1.6, "val_accuracy": 0.5}
        | {"is_best": True, "seconds": 2.0, "images_per_second": 500.0}
        for epoch in (1, 2, 3)
    ]


def make_run(*, is_synthetic: bool) -> dict[str, Any]:
    return {
        "command": "python -m fer_jax.train --config configs/run7.py --data 'a&b<script>x</script>.csv'",
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:14:05+00:00",
        "seed": 3,
        "versions": {"jax": "0.10.2"},
        "device": "CPU",
        "resumed": [],
        "tuning": [],
        "xla_flags": "",
        "machine": "a <b>cheap</b> one, 2 cores",
        "data": {"description": "some faces", "sha256": "da7a", "is_synthetic": is_synthetic},
        "split": {
            "sha256": "5p117",
            "sizes": {"train": 70, "val": 70, "test": 70},
            "copies_of_training_images": {"val": 0, "test": 2},
        },
        "git": "0123abc-dirty",
        "parameters": 1234567,
        "macs": 23000000,
        "layers": [["block1/conv", [48, 48, 2], 20, 41472], ["output", [7], 35, 28]],
        "seconds_total": 600.0,
        "seconds_per_epoch": 30.0,
        "measured_epoch": 3,
        "selection": "the last, with no selection",
        "last_state_sha256": "57a7e",
    }


def make_folder(
    folder: Path, *, is_synthetic: bool = False, parts: Sequence[str] = ("val", "test", "PublicTest")
) -> Path:
    """Write a run's folder with the evaluations of some parts, each of which takes a page's time."""
    folder.mkdir(parents=True)
    config = Config(
        name="run7",
        model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=4),
        optimizer=OptimizerConfig(peak_rate=0.01),
    )
    write_json(folder / "config.json", to_json(config))
    write_json(folder / "run.json", make_run(is_synthetic=is_synthetic))
    metrics = {"train": make_figures(10), "val": make_figures(3), "test": make_figures(2)}
    write_json(folder / "metrics.json", metrics)
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in make_history()))
    for part in parts:
        correct = {"val": 3, "test": 2, "PublicTest": 1}[part]
        write_json(folder / f"evaluate_{part}.json", make_evaluation(part, correct))
        write_json(folder / f"evaluate_{part}_faces.json", make_faces())
    diagnosis = {
        "sentence": "train 100, val 90: <variance>.",
        "findings": [
            {
                "rule": "bias",
                "holds": False,
                "says": "little bias",
                "figures": {},
                "threshold": "train < 60 %",
            },
            {"rule": "variance", "holds": True, "says": "a gap of 10", "figures": {"gap": 10.0}}
            | {"threshold": "gap > 5 points"},
        ],
        "next": [
            {"field": "optimizer.peak_rate", "from": 0.01, "to": 0.0003, "why": "it is too high"},
            {"field": "train.epochs", "from": 4, "to": 8, "why": "it was still improving"},
            {"field": "optimizer.l2", "from": 0.1, "to": 0.0, "why": "it is too high"},
        ],
        "decomposition": None,
    }
    write_json(folder / "diagnosis.json", diagnosis)
    return folder


def read(folder: Path) -> Page:
    return Page(run_page.write(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("pages") / "run7-seed3")


@pytest.fixture(scope="module")
def written(full: Path) -> str:
    """Give the page of `full`: to write it takes more than a second."""
    return run_page.write(full).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    browsers = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright, axe-playwright-python and a Chromium"
    )
    with browsers.sync_playwright() as tools:
        program = shutil.which("chromium") or tools.chromium.executable_path
        if not Path(program).exists():
            pytest.skip("no Chromium is installed")
        browser = tools.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_every_section_is_there_and_in_order(written: str) -> None:
    shown = Page(written)
    names = [name for name in run_page.CONTENTS if name != "unmeasured"]
    assert [each["id"] for each in shown.find("section")] == names
    links = [each["href"] for each in shown.find("a")]
    assert links == [*(f"#{name}" for name in names), *["#top"] * (len(names) + 1)]
    assert not [each for each in shown.find("p") if each.get("class") == "missing"][1:]
    assert "python -m fer_jax.bias_variance" in shown.words  # The one thing that is missing.


def test_copies_human_raters_and_abstention_stand_beside_the_accuracy(written: str) -> None:
    words = Page(written).words
    assert "PublicTest 87.1 % (61 of 70) 88.2 % (60 of 68) – –" in words
    assert "test 88.6 % (62 of 70) – 69.9 % (48.2 of 69) 75.0 % (51.8)" in words
    assert "by a threshold of 0.625 chosen on val, it is 94.6 %: 53 of 56 answers are right." in words
    assert "50 % 0.900 70 0 0 – –" in words
    assert words.count("chosen on images that are measured too") == 1


def test_nothing_is_withheld_from_those_who_cannot_see(
    written: str, find_faults: Callable[[str], list[str]]
) -> None:
    assert find_faults(written) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [1280, 390])
def test_axe_finds_nothing(written: str, chromium: Any, tmp_path: Path, scheme: str, width_px: int) -> None:
    """Run the accessibility checks of axe-core in headless Chromium, with everything unfolded."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    path = tmp_path / "report.html"
    path.write_text(written, encoding="utf-8")
    # The page's own policy would stop axe, which is a script.
    size = {"width": width_px, "height": 900}
    with chromium.new_context(viewport=size, color_scheme=scheme, bypass_csp=True) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == width_px
        found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_it_tells_the_figures(written: str) -> None:
    words = Page(written).words
    assert "run7, seed 3" in words
    assert "90.0 % 95 % interval 50.0 – 99.0 % 63 of 70" in words  # 60 + 3 of 70 on val.
    assert "Gap train − val +10.0 points 95 % interval +2.7 to +19.2 train 100.0 %" in words
    assert "optimizer.peak_rate 0.01 0.001" in words
    assert "model.blocks.0.features 2 32 model.blocks.0.pool True False" in words
    assert "block1/conv 48 × 48 × 2 20 41,472 output 7 35 28 total 55 41,500" in words
    assert "angry as happy (70 % of angry)" in words
    assert "Its mean confidence is 98.0 %, its accuracy 90.0 %: it is overconfident by 8.0 points." in words
    assert "temperature of 1.50, fitted on val, it is 2.0 %" in words
    assert "from blur: 40.0 points" in words  # 63 and 35 of 70.
    assert "17 angry happy 98.7 %" in words
    assert "happy (4, 1.250)" in words
    assert "it is too high: --optimizer.peak-rate 0.0003 now 0.01 --optimizer.l2 0.0 now 0.1 it" in words
    assert "gap 10. Threshold: gap > 5 points." in words
    assert "git checkout 0123abc # plus the changes that were not committed python -m" in words
    assert "Exact copies of training images: 0 in val, 2 in test. Such images are not a fair test." in words
    assert "averaged over 2 views of each image: identity; identity, flipped." in words


def test_validation_comes_first_and_the_other_parts_are_folded(written: str) -> None:
    for name in ("confusion", "classes", "calibration", "robustness", "mistakes", "saliency", "neighbours"):
        section = written[written.index(f'<section id="{name}">') :]
        section = section[: section.index("</section>")]
        titles = re.findall(r"<(h3|summary)>(Validation|Test|PublicTest): 70 images<", section)
        assert titles == [("h3", "Validation"), ("summary", "Test"), ("summary", "PublicTest")], name


@pytest.mark.parametrize(
    ("file", "section", "command"),
    [
        ("metrics.json", "result", "fer_jax.train --config configs/run7.py"),
        ("log.jsonl", "curves", "fer_jax.train --config configs/run7.py"),
        ("evaluate_*", "unmeasured", "fer_jax.evaluate {folder} --split val"),
        ("evaluate_*_faces.json", "unmeasured", "fer_jax.evaluate {folder} --split val"),
        ("diagnosis.json", "diagnosis", "fer_jax.diagnose {folder}"),
    ],
)
def test_a_section_without_its_file_names_the_command(
    tmp_path: Path, file: str, section: str, command: str
) -> None:
    parts = ["val"] if file.startswith("evaluate_") else []
    folder = make_folder(tmp_path / "some run", parts=parts)
    for path in folder.glob(file):
        path.unlink()
    text = run_page.write(folder).read_text(encoding="utf-8")
    Page(text)
    text = text[text.index(f'<section id="{section}">') :]
    missing = re.search(r'class="missing">\s*.*?</code>', text[: text.index("</section>")])
    assert missing is not None
    assert command.format(folder=f"&#39;{folder}&#39;") in missing[0]


@pytest.mark.parametrize("is_resumed_since", [True, False])
def test_what_was_measured_before_a_run_was_resumed_is_not_shown(
    tmp_path: Path, is_resumed_since: bool
) -> None:
    folder = make_folder(tmp_path / "run", parts=["val"])
    epochs = 2 if is_resumed_since else 3
    for name, mark in (
        ("evaluate_val.json", {"checkpoint": {"name": "last", "step": 10 * epochs}}),
        ("diagnosis.json", {"epochs": epochs}),
    ):
        write_json(folder / name, json.loads((folder / name).read_text()) | mark)
    found = gather(folder)
    assert (found.evaluations == {}) == (found.diagnosis is None) == is_resumed_since
    assert (found.sheets == {}) == is_resumed_since
    new = make_evaluation("val", 3) | {"checkpoint": {"name": "last", "step": 30}}
    write_json(folder / "evaluate_val_flip.json", new)
    assert gather(folder).stems == {"val": "evaluate_val_flip" if is_resumed_since else "evaluate_val"}


def test_the_parts_of_the_error_are_told(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", parts=())
    parts = {"loss": 0.4, "bias": 0.3, "variance": 0.1}
    diagnosis = json.loads((folder / "diagnosis.json").read_text())
    diagnosis["decomposition"] = {
        "part": "val",
        "images": 70,
        "width": 0.5,
        "train_images": 8000,
        "seeds": [0, 1],
        "resamples": [1, 2, 3],
        "losses": {
            name: parts | {"spread": dict.fromkeys(parts, 0.02)}
            for name in ("zero_one", "brier", "cross_entropy")
        },
        "brier_variance": {"seed": 0.06, "data": 0.04},
        "noise": {"images": 70, "zero_one": 0.15, "brier": 0.2, "cross_entropy": 0.5},
        "command": "python -m fer_jax.bias_variance --config configs/run7.py",
    }
    write_json(folder / "diagnosis.json", diagnosis)
    words = read(folder).words
    assert "Over 2 training seeds on each of 3 resamples of 8,000 training images, the mean" in words
    assert "error on the 70 images of val is 40.0 %: 30.0 % is bias" in words
    assert (
        "10.0 % is variance" in words
        and "annotators disagree with the others in 15.0 % of their votes" in words
    )
    assert "0–1 loss, % 40.0 ± 2.0 30.0 ± 2.0 10.0 ± 2.0 0.25 15.0" in words
    assert "cross-entropy, nats 0.400 ± 0.020 0.300 ± 0.020 0.100 ± 0.020 0.25 0.500" in words
    assert "0.5 times the width" in words
    assert "0.060 from the seed, 0.040 from the data" in words


def test_text_is_escaped(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a&b<i>", parts=["val"])
    (folder / "diagnosis.json").unlink()
    shown = read(folder)
    assert not shown.find("script") and not shown.find("i")
    assert "'a&b<script>x</script>.csv'" in shown.text
    assert "a <b>cheap</b> one, 2 cores" in shown.text
    assert f"fer_jax.diagnose '{folder}'" in shown.text


def test_nothing_is_loaded_from_elsewhere(written: str) -> None:
    shown = Page(written)
    for tag, attributes in shown.tags:
        for name in {"src", "href", "srcset", "action", "data", "xlink:href"} & attributes.keys():
            assert attributes[name].startswith(("data:", "#")), (tag, attributes[name])
        assert not [name for name in attributes if name.startswith("on")]
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in shown.tags}
    assert "@import" not in written and "url(" not in written
    policy = [each["content"] for each in shown.find("meta") if "http-equiv" in each]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_pictures_and_charts_can_be_read_without_seeing_them(written: str) -> None:
    shown = Page(written)
    images = shown.find("img")
    assert len(images) == 18  # Two of mistakes, saliency and neighbours of three parts.
    assert all(each["alt"] and each["src"].startswith("data:image/png;base64,") for each in images)
    assert all((each["width"], each["height"]) == ("48", "48") for each in images)
    assert all(each["role"] == "img" and each["aria-label"] for each in shown.find("svg"))
    assert shown.find("html") == [{"lang": "en"}]
    assert len(shown.find("caption")) == len(shown.find("table"))


def test_synthetic_faces_are_named_and_real_ones_are_not(written: str, tmp_path: Path) -> None:
    drawn = read(make_folder(tmp_path / "drawn", is_synthetic=True, parts=["val"])).words
    real = Page(written).words
    assert "SYNTHETIC FACES: not a FER2013 result." in drawn
    assert "synthetic" not in real.lower()
    warning = "This page holds pictures of the data."
    assert warning in real and warning not in drawn


def test_the_same_folder_gives_the_same_bytes_and_no_other_file(full: Path, written: str) -> None:
    names = {path.name for path in full.iterdir()}
    assert run_page.write(full).read_bytes() == written.encode()
    assert {path.name for path in full.iterdir()} == names


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json is missing: .* is not the folder of a run"):
        run_page.write(tmp_path)


def has_text(chart: Chart, words: str) -> bool:
    return f">{words}</text>" in chart.svg


def test_curves_have_the_colours_of_the_page_and_name_their_ends() -> None:
    accuracy, loss, rate = curve_charts(make_history(), 3)
    assert [(each.title, each.words) for each in (accuracy, loss, rate)] == [
        ("Accuracy", "(%)"),
        ("Cross-entropy", "(nats)"),
        ("Learning rate", "(no unit)"),
    ]
    assert all(has_text(loss, name) for name in ("train", "val", "objective"))
    assert all(f"var({name})" in loss.svg for name in ("--train", "--val", "--objective", "--line"))
    assert "After the last: train 70, val 50." in accuracy.svg
    assert accuracy != curve_charts(make_history(), 2)[0]
    for colour in (TRAIN_COLOUR, VAL_COLOUR, QUIET_COLOUR, "#000000", "#ffffff"):
        assert colour.lower() not in accuracy.svg + loss.svg + rate.svg


def test_charts_share_no_id() -> None:
    ids = [set(re.findall(r' id="([^"]*)"', chart.svg)) for chart in curve_charts(make_history(), 3)]
    assert all(ids) and not ids[0] & ids[1] and not ids[1] & ids[2] and not ids[0] & ids[2]


def test_a_reliability_diagram_shows_the_bins_that_have_images() -> None:
    one = reliability_chart("A", make_bins(), part="val")
    bins = make_bins()
    bins[7] |= {"count": 35, "confidence": 0.5, "accuracy": 0.5}
    two = reliability_chart("A", bins, part="val")
    assert "confidence 50 %, accuracy 50 %" in two.svg and "confidence 50 %" not in one.svg
    # A bar in the diagram, and one in the histogram.
    assert two.svg.count("opacity: 0.38") == one.svg.count("opacity: 0.38") + 1


def test_robustness_charts_begin_with_the_clean_images() -> None:
    blur, noise = robustness_charts(make_evaluation("val", 3)["robustness"], part="val")
    assert "Clean 90.0 %; 0.5: 90.0 %, 1: 80.0 %" in blur.svg
    assert all(has_text(blur, words) for words in ("0.5", "1", "1.5", "2", "3", "px", "accuracy (%)"))
    assert blur.svg != noise.svg


def test_strengths_keep_their_distances_and_grow_to_the_right() -> None:
    jpeg: dict[str, Any] = {
        "name": "jpeg",
        "what": "quality",
        "levels": [60, 40, 20, 10, 5],
        "correct": [60, 50, 40, 30, 20],
    }
    axes = Figure().add_subplot()
    add_corruption(axes, jpeg, {"total": 70, "clean_correct": 63})
    places = axes.transData.transform([(level, 0) for level in jpeg["levels"]])[:, 0]
    steps = np.diff(places)
    assert all(steps > 0)
    assert steps[0] == pytest.approx(4 * steps[-1])


def test_blocks_are_advised_as_a_config_file_writes_them(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", parts=())
    diagnosis = json.loads((folder / "diagnosis.json").read_text())
    block = {"features": 8, "pool": True}
    diagnosis["next"] = [{"field": "model.blocks", "from": [block], "to": [block, block], "why": "more"}]
    write_json(folder / "diagnosis.json", diagnosis)
    advice = "ModelConfig(blocks=(ConvBlock(features=8, pool=True), ConvBlock(features=8, pool=True),))"
    assert f"more: {advice} now 1 block" in read(folder).words


def test_a_run_of_an_older_version_has_no_layers(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", parts=())
    run = json.loads((folder / "run.json").read_text())
    del run["layers"]
    write_json(folder / "run.json", run)
    assert "The layers are not listed: the run was trained by an older fer_jax." in read(folder).words


@pytest.mark.parametrize(
    ("file", "change", "field"),
    [
        ("metrics.json", {"val": {}}, "val.correct"),
        ("evaluate_val.json", {"confusion": [[1]]}, "confusion"),
        ("evaluate_val.json", {"abstention": {}}, "curve"),
        ("diagnosis.json", {"next": [{}]}, "field"),
        ("run.json", {"extensions": [{}]}, "from_epoch"),
        ("run.json", {"measured_epoch": 9}, "measured_epoch is no epoch"),
    ],
)
def test_a_damaged_file_is_named_with_its_field(
    tmp_path: Path, file: str, change: dict[str, Any], field: str
) -> None:
    path = make_folder(tmp_path / "run", is_synthetic=True) / file
    write_json(path, json.loads(path.read_text()) | change)
    with pytest.raises(RunError, match="is damaged") as caught:
        run_page.write(path.parent)
    # What a page shows of a run's other facts is named with the folder.
    where = path.parent if "extensions" in change else path
    assert f"{where} is damaged" in str(caught.value) and field in str(caught.value)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "python -m fer_jax.train --config run7 --data 'a b.csv' --train.epochs 3 --seeds 2 "
            "--drop audit.csv --distributed.count 2 --train.trackers wandb mlflow --run-dir runs/a --resume",
            "run7 --data 'a b.csv' --train.epochs 3 --data.drop audit.csv --train.trackers wandb mlflow",
        ),
        ("fer_jax.train_run(config, run_dir='runs/a')", "configs/run7.py"),
    ],
)
def test_the_study_of_a_run_has_the_settings_of_its_command(command: str, options: str) -> None:
    assert run_page._study(command, "run7") == f"python -m fer_jax.bias_variance --config {options}"
