"""A bank of answers: what the teachers see, whom it may teach, and files that are no bank."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from fer_jax.config.augment import AugmentConfig, MixConfig
from fer_jax.config.data import DataConfig, SplitConfig
from fer_jax.config.model import DeviceConfig
from fer_jax.config.run import Config
from fer_jax.config.training import DistillConfig
from fer_jax.data.batches import epoch_order
from fer_jax.data.load import load_examples
from fer_jax.data.split import Split, split_examples
from fer_jax.engine.input_pipeline import draw_recipe, follow
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, read_json_lines
from fer_jax.images.stored_views import EpochViews
from fer_jax.inference import distillation
from fer_jax.inference.distillation import Distilled, ask_views, distill
from fer_jax.inference.predictor import Network
from fer_jax.inference.prepare import make_bank
from fer_jax.inference.teachers import Student, load_teachers
from fer_jax.runs import bank as bank_file
from fer_jax.runs.bank import Bank
from fer_jax.train import __main__ as train

pytestmark = pytest.mark.usefixtures("quick_compile")

DATA = DataConfig(source="synthetic", synthetic_examples=140)
EXAMPLES = load_examples(DATA)
SPLIT = split_examples(EXAMPLES, SplitConfig())
AUGMENT = AugmentConfig(
    shift_probability=1,
    rotate_probability=0.5,
    flip_probability=0.5,
    contrast_probability=1,
    erase_probability=1,
)
VIEWS, BATCH_SIZE = 3, 16


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no answer of an earlier fer_jax be found."""
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))


def taught_by(**others: Any) -> Config:
    distill = DistillConfig(**({"views": VIEWS, "weight": 0.25, "temperature": 1.5} | others))
    return Config(name="student", data=DATA, augment=AUGMENT, distill=distill)


def student_of(config: Config, split: Split = SPLIT) -> Student:
    return Student(config, EXAMPLES, EXAMPLES, split, SPLIT.train, None)


def taught(config: Config, asked: list[float] | None = None) -> Distilled:
    found = distill(
        student_of(config), on_view=lambda done, total: None if asked is None else asked.append(done)
    )
    assert found is not None
    return found


class Recorder:
    """Stands in for `predict`: keeps what a teacher sees, and answers with numbers of its own."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []
        self.devices: list[DeviceConfig] = []
        self.logits: list[np.ndarray] = []

    def __call__(self, network: Network, images: np.ndarray, *, advance: Callable[[float], None]) -> Any:
        self.seen.append(images)
        self.devices.append(network.model.device)
        self.logits.append(np.random.default_rng(len(self.seen)).normal(0, 3, (len(images), 7)))
        advance(1)
        return self.logits[-1], None


def test_the_student_sees_the_very_pixels_that_its_teachers_answered_to(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = Recorder()
    monkeypatch.setattr(distillation, "predict", teacher)
    config = taught_by(teachers=(str(tiny_run),))
    both = 2 * load_teachers(student_of(config))
    monkeypatch.setattr(distillation, "load_teachers", lambda student: both)
    targets, rows, seed = taught(config).targets, SPLIT.train, 5
    assert len(teacher.seen) == 2 * VIEWS
    steps = len(rows) // BATCH_SIZE
    views_of: dict[int, list[int]] = {}
    for step in range(VIEWS * steps):
        epoch, position = divmod(step, steps)
        recipe = draw_recipe(
            epoch_order(seed, epoch, rows),
            AUGMENT,
            batch_size=BATCH_SIZE,
            position=position,
            seed=seed,
            step=step,
            targets=targets(seed, epoch),
        )
        batch = follow(recipe, EXAMPLES.images, EXAMPLES.labels)
        for row, image, target in zip(recipe.rows, batch.images, batch.labels, strict=True):
            place = np.searchsorted(rows, row)
            (view,) = {
                view
                for view in range(VIEWS)
                if np.array_equal(teacher.seen[2 * view][place], image)
                and np.array_equal(teacher.seen[2 * view + 1][place], image)
            }
            views_of.setdefault(row, []).append(view)
            logits = (teacher.logits[2 * view][place] + teacher.logits[2 * view + 1][place]) / 2 / 1.5
            soft = np.exp(logits) / np.exp(logits).sum()
            wanted = 0.75 * (np.arange(7) == EXAMPLES.labels[row]) + 0.25 * soft
            # float16: 11 bits of logits that are up to 20 below the largest.
            np.testing.assert_allclose(target, wanted, rtol=1e-2, atol=1e-6)
    assert all(len(set(views)) == len(views) for views in views_of.values())


def test_a_batch_with_views_depends_on_data_seed_and_step_alone(tiny_run: Path) -> None:
    config = taught_by(teachers=(str(tiny_run),))
    asked: list[float] = []
    recipes = []
    for _ in range(2):
        shown = taught(config, asked).targets(1, 4)
        assert isinstance(shown, EpochViews)
        recipes.append(
            draw_recipe(
                SPLIT.train,
                replace(AUGMENT, alternate_flip=True),
                batch_size=BATCH_SIZE,
                position=1,
                seed=1,
                step=25,
                mixing=MixConfig(mixup_alpha=0.3),
                targets=shown,
            )
        )
    for first, second in zip(recipes[0], recipes[1], strict=True):
        for a, b in zip(first, second, strict=True) if isinstance(first, tuple) else [(first, second)]:
            np.testing.assert_array_equal(a, b)
    # Asked once: the second time every view was in the cache, and counts as done.
    assert asked == [0, 1, 2, 3, 0, 1, 2, 3]


def test_teachers_compute_as_the_run_does(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = Recorder()
    monkeypatch.setattr(distillation, "predict", teacher)
    devices = [DeviceConfig(), DeviceConfig(kernels="plain"), DeviceConfig(compute_dtype="bfloat16")]
    for device in devices:
        taught(replace(taught_by(teachers=(str(tiny_run),)), device=replace(device, mode="host")))
    # Other kernels and dtypes have answers of their own; what else there is to choose changes none.
    assert teacher.devices == [device for device in devices for _ in range(VIEWS)]
    taught(replace(taught_by(teachers=(str(tiny_run),)), device=DeviceConfig(mode="resident")))
    assert len(teacher.seen) == len(devices) * VIEWS


def test_answers_that_are_interrupted_go_on_with_the_next_view(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = taught_by(teachers=(str(tiny_run),))
    other_seed = replace(config, train=replace(config.train, seed=1))

    class Stopping(Recorder):
        def __call__(self, network: Network, images: np.ndarray, *, advance: Callable[[float], None]) -> Any:
            if len(self.seen) == 2:
                raise KeyboardInterrupt
            return super().__call__(network, images, advance=advance)

    stopping = Stopping()
    monkeypatch.setattr(distillation, "predict", stopping)
    with pytest.raises(KeyboardInterrupt):
        taught(config)
    rest = Recorder()
    monkeypatch.setattr(distillation, "predict", rest)
    taught(other_seed)
    assert len(rest.seen) == 1
    # It began with another view than the first seed; each view has its own answers.
    answers = ask_views(student_of(other_seed), on_view=lambda done, total: None).answers
    for view, logits in enumerate((*stopping.logits, *rest.logits)):
        np.testing.assert_array_equal(answers[view], bank_file.to_answers(logits))


@pytest.fixture(scope="module")
def bank(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bank") / "small.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_JAX_CACHE", str(path.parent / "cache"))
        made = make_bank(taught_by(teachers=(str(tiny_run),)), EXAMPLES, path)
    read, _ = bank_file.read(path)
    for name in ("answers", "images", "seen"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    assert (read.augment, read.labels, read.teachers) == (AUGMENT, "fer2013", made.teachers)
    assert read.answers.dtype == np.float16 and read.answers.shape == (VIEWS, len(SPLIT.train), 7)
    return path


def test_a_bank_teaches_as_its_teachers_do(bank: Path, tiny_run: Path) -> None:
    rows = SPLIT.train[::-1]
    ours, its = taught(taught_by(teachers=(str(tiny_run),))), taught(taught_by(bank=str(bank)))
    for epoch in range(4):
        a, b = (each.targets(9, epoch) for each in (ours, its))
        assert isinstance(a, EpochViews) and isinstance(b, EpochViews)
        np.testing.assert_array_equal(a[rows], b[rows])
        np.testing.assert_array_equal(a.find_draws(rows).matrix, b.find_draws(rows).matrix)
    assert its.facts["runs"] == ours.facts["runs"] and its.facts["bank"] == "small.safetensors"
    assert ours.note.endswith("temperature 1.5, for 3 stored views of each image")
    # Fewer views, and a part of the images, are in it too.
    few = student_of(taught_by(bank=str(bank), views=2), replace(SPLIT, train=SPLIT.train[5:40]))
    found = distill(few, on_view=lambda done, total: None)
    assert found is not None
    shown, whole = found.targets(0, 0), its.targets(0, 0)
    assert isinstance(shown, EpochViews) and isinstance(whole, EpochViews) and len(shown.order) == 2
    np.testing.assert_array_equal(
        replace(whole, order=shown.order)[SPLIT.train[5:40]], shown[SPLIT.train[5:40]]
    )


def unseen(found: Bank) -> Bank:
    return replace(found, images=found.images[:-2], answers=found.answers[:, :-2])


@pytest.mark.parametrize(
    ("edit", "config", "message"),
    [
        (unseen, {}, r"it has no answers for 2 of the \d+ images that this run is trained on"),
        (
            lambda found: replace(found, answers=found.answers[:2]),
            {},
            "has 2 views of an image, and distill.v",
        ),
        (
            lambda found: replace(found, names=found.names[::-1]),
            {},
            "a teacher of .* has the classes neutral, .* and this run angry, .*in the same order",
        ),
        (lambda found: replace(found, labels="ferplus"), {}, "was trained on FER.'s votes"),
        (
            lambda found: replace(found, seen=np.append(found.seen, EXAMPLES.hashes[SPLIT.val[:3]])),
            {},
            "a teacher of .* was trained on 3 of the images that this run is measured on",
        ),
        (
            lambda found: found,
            {"augment": replace(AUGMENT, max_shift_px=4.0)},
            r"drawn with augment.max_shift_px 6.0 \(the config says 4.0\)",
        ),
    ],
)
def test_a_bank_that_does_not_fit_is_refused_and_the_message_says_why(
    bank: Path, tmp_path: Path, edit: Callable[[Bank], Bank], config: dict[str, Any], message: str
) -> None:
    path = tmp_path / "other.safetensors"
    bank_file.write(path, edit(bank_file.read(bank)[0]))
    with pytest.raises(ConfigError, match=message):
        taught(replace(taught_by(bank=str(path)), **config))


def edit_header(content: bytes, edit: Callable[[dict[str, Any]], None]) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    about = json.loads(header["__metadata__"]["fer_jax_bank"])
    edit(about)
    header["__metadata__"]["fer_jax_bank"] = json.dumps(about)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def with_tensor(content: bytes, name: str, array: np.ndarray) -> bytes:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return safetensors.numpy.save(safetensors.numpy.load(content) | {name: array}, header["__metadata__"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "its header has 0 bytes"),
        (lambda content: content[:-5], "damaged"),
        (
            lambda content: (2**40).to_bytes(8, "little") + content[8:],
            "its header has 1,099,511,627,776 bytes",
        ),
        (lambda content: safetensors.numpy.save({"a": np.zeros(1)}), "does not say that it is a bank"),
        (
            lambda content: edit_header(content, lambda about: about.update(format=2)),
            "its format is 2, wanted 1",
        ),
        (lambda content: edit_header(content, lambda about: about.pop("teachers")), "'teachers'"),
        (
            lambda content: edit_header(content, lambda about: about["teachers"].update(runs=3)),
            "damaged, or no bank",
        ),
        (
            lambda content: edit_header(
                content, lambda about: about["teachers"]["runs"][0].update(run="\x1b[2J")
            ),
            "does not say who the teachers are",
        ),
        (
            lambda content: edit_header(content, lambda about: about["augment"].update(max_zoom=9)),
            "augment.max_zoom is 9",
        ),
        (lambda content: with_tensor(content, "answers", np.zeros((1, 2, 7))), "answers is float64"),
        (
            lambda content: with_tensor(content, "answers", np.zeros((1, 2, 7), np.float16)),
            "not finite, or not of",
        ),
        (
            lambda content: with_tensor(
                content, "answers", np.full_like(safetensors.numpy.load(content)["answers"], np.nan)
            ),
            "not finite, or not of",
        ),
    ],
)
def test_a_file_that_is_no_bank_is_refused(
    bank: Path, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damage(bank.read_bytes()))
    with pytest.raises(RunError, match=message) as error:
        bank_file.read(path)
    assert str(path) in str(error.value) and "make it again" in str(error.value)


def test_a_run_learns_from_a_bank_and_resumes_with_it_from_anywhere(
    bank: Path, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs by the teachers are one by their bank, and one more after it has moved."""
    settings = [
        f"--augment.{name.replace('_', '-')}={value}" for name, value in vars(AUGMENT).items() if value
    ]
    words = [
        *("--config", str(Path(__file__).parents[2] / "configs" / "run1.py"), "--data.source", "synthetic"),
        *("--data.synthetic-examples", "140", "--model.blocks.0.features", "2", "--model.blocks.0.pool"),
        *("--model.dense-features", "4", "--train.batch-size", "16", "--distill.views", str(VIEWS)),
        *(each for each in settings if "alternate" not in each),
    ]
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    by_teachers = ["--distill.teachers", str(tiny_run), "--train.epochs", "2", "--run-dir", str(whole)]
    assert train.main([*words, *by_teachers]) == 0
    first = tmp_path / "first.safetensors"
    shutil.copy(bank, first)
    words += ["--train.epochs", "1", "--run-dir", str(parted)]
    assert train.main([*words, "--distill.bank", str(first)]) == 0
    moved = first.rename(tmp_path / "moved.safetensors")
    more = [*words, "--resume", "--extend-epochs", "1"]
    assert train.main([*more, "--distill.bank", str(first)]) == 4
    assert f"distill.bank: there is no file {first}" in capsys.readouterr().err
    assert train.main([*more, "--distill.bank", str(moved)]) == 0
    losses = [
        [(each["objective"], each["val_loss"]) for each in read_json_lines(folder / "log.jsonl")]
        for folder in (whole, parted)
    ]
    assert len(losses[0]) == 2 and losses[0] == losses[1]
    facts = read_json(parted / "run.json")["teachers"]
    assert facts["views"] == VIEWS and facts["bank"] == "first.safetensors"


def test_a_bank_needs_teachers_views_and_a_file(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a bank holds what distill"):
        make_bank(taught_by(views=0), EXAMPLES, tmp_path / "bank.safetensors")
    with pytest.raises(ConfigError, match="is a folder; name the file of the bank"):
        make_bank(taught_by(teachers=(str(tiny_run),)), EXAMPLES, tmp_path)
