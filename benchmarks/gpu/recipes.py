"""The large recipe: decided on a hold-out, trained on all of Training, and taught by its own ensemble."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.accuracy import decision
from benchmarks.gpu.scores import VIEWS
from benchmarks.gpu.session import Content, Session
from benchmarks.gpu.trainings import describe, find_weights, make_config, train, train_and_keep
from fer_jax.config.files import to_json
from fer_jax.data.load import load_examples
from fer_jax.data.split import split_examples
from fer_jax.errors import DivergedError
from fer_jax.inference import run_weights
from fer_jax.inference.predictor import predict_choices
from fer_jax.inference.prepare import make_bank
from fer_jax.text import counted

OLD: Final = "holdout-old"
NEW: Final = "holdout-new"
SEEDS: Final = ("best-seed0", "best-seed1", "best-seed2", "best-seed3")
SECOND: Final = ("second-seed0", "second-seed1")
PLAIN: Final = ("plain-seed0", "plain-seed1")
FERPLUS: Final = ("ferplus-seed0", "ferplus-seed1")
BANK: Final = "bank/best.safetensors"
BANK_VIEWS: Final = 32
TINY_VIEWS: Final = 2
TAUGHT: Final = {"distill.weight": 0.6, "distill.temperature": 1.0, "loss.label_smoothing": 0.0}
"""Changes of the second generation; no label smoothing, since the answers are soft already."""


class Length(NamedTuple):
    """A recipe on the hold-out: a config, and for how many epochs."""

    config: str
    epochs: int


ARMS: Final = {OLD: Length("best", 40), NEW: Length("best100", 80)}
"""The old augmentation with the length that suits it, and the new one for longer."""
HOLDOUT: Final = 0.25
"""Share of Training that is held out."""


def at_length(epochs: int) -> dict[str, Any]:
    """Return the changes for a training of some epochs that is measured and saved once, at its end."""
    return {"train.epochs": epochs, "train.measure_epochs": epochs, "train.save_epochs": epochs}


def measure_arm(session: Session, name: str) -> Content:
    """Train a recipe on three quarters of Training, and measure it on the rest, in each choice of views.

    One whose loss does not stay finite has lost, so that the rules can decide all the same.
    """
    length = ARMS[name]
    split = {"split.protocol": "holdout", "split.holdout_fraction": HOLDOUT}
    config = make_config(session, length.config, at_length(length.epochs) | split)
    settings = {"config": to_json(config)}
    try:
        folder = train(session, session.runs / name, config)
    except DivergedError as error:
        total = len(split_examples(load_examples(config.data), config.split).val)
        lost = decision.lose(config.name, total, VIEWS)
        return Content([{"name": name, "diverged": str(error), "arm": asdict(lost)}], settings)
    trained = run_weights.load_finished(folder, None, None)
    examples = load_examples(trained.config.data)
    rows = trained.saved["val"]
    logits = predict_choices(trained.network, examples.images[rows], VIEWS)
    arm = decision.measure_arm(config.name, logits, examples.labels[rows])
    return Content([describe(trained.folder) | {"arm": asdict(arm)}], settings)


def measure_decision(session: Session) -> Content:
    """Decide by the rules, from both recipes' counts on the hold-out and the winner's seconds an epoch."""
    rows = {name: session.read(name)["results"][0] for name in ARMS}
    old, new = (decision.Arm(**rows[name]["arm"]) for name in (OLD, NEW))
    winner = rows[NEW] if decision.judge_augmentation(old, new).holds else rows[OLD]
    # The time of a tiny epoch decides nothing.
    seconds = 0.0 if session.is_tiny else winner["seconds_per_epoch"] / (1 - HOLDOUT)
    decided = decision.decide(old, new, seconds_per_epoch=seconds)
    return Content([rows[name]["arm"] for name in ARMS], extra={"decision": asdict(decided)})


def find_ruling(session: Session, name: str) -> str | None:
    """Say why the rules want no training of this name; None: they do, or have not decided yet."""
    content = session.find("decision")
    if content is None:
        return None
    decided = content["decision"]
    if name in SEEDS and SEEDS.index(name) >= decided["seeds"]:
        return f"the rules say {counted(decided['seeds'], 'seed')}"
    if name in SECOND and not decided["has_second_generation"]:
        return "the rules say no second generation"
    return None


def find_epochs(session: Session, name: str) -> int | None:
    """Return the epochs that were decided for a training; None: for others, or before the decision."""
    content = session.find("decision")
    if content is None or "decision" not in content or name not in (*SEEDS, *SECOND):
        return None
    return int(content["decision"]["epochs"])


def measure_seed(session: Session, name: str) -> Content:
    """Train a seed of the recipe that the hold-out chose, on all of Training."""
    chosen = session.read("decision")["decision"]
    changes = at_length(chosen["epochs"]) | {"train.seed": int(name[-1])}
    return train_and_keep(session, name, make_config(session, chosen["recipe"], changes))


def measure_bank(session: Session) -> Content:
    """Ask the ensemble of the seeds about augmented views of every training image, once."""
    files = [path for path in find_weights(session) if path.stem in SEEDS]
    # Weights teach only on the official rows, by which they know their training images; runs on any.
    teachers = [str(session.runs / path.stem if session.is_tiny else path) for path in files]
    path = session.out / BANK
    path.parent.mkdir(parents=True, exist_ok=True)
    views = TINY_VIEWS if session.is_tiny else BANK_VIEWS
    config = make_config(
        session,
        session.read("decision")["decision"]["recipe"],
        {**TAUGHT, "distill.teachers": teachers, "distill.views": views},
    )
    make_bank(config, load_examples(config.data), path, console=session.console)
    row = {"name": BANK, "bytes": path.stat().st_size, "views": views}
    return Content([row | {"teachers": [Path(each).stem for each in teachers]}], files=[BANK])


def measure_second(session: Session, name: str) -> Content:
    """Train a seed of the second generation: the same recipe, taught by the bank."""
    chosen = session.read("decision")["decision"]
    views = TINY_VIEWS if session.is_tiny else BANK_VIEWS
    taught = {**TAUGHT, "distill.bank": str(session.out.resolve() / BANK), "distill.views": views}
    changes = at_length(chosen["epochs"]) | taught | {"train.seed": int(name[-1])}
    return train_and_keep(session, name, make_config(session, chosen["recipe"], changes))


def measure_other(session: Session, name: str) -> Content:
    """Train a seed of the second architecture, or of the large network on FER+'s votes."""
    config = {"plain": "best100_plain", "ferplus": "ferplus100"}[name.partition("-")[0]]
    return train_and_keep(session, name, make_config(session, config, {"train.seed": int(name[-1])}))


def lacks_votes(session: Session) -> str | None:
    """Say that FER+'s votes are not at hand; None: they are."""
    if session.ferplus is not None and session.ferplus.exists():
        return None
    return "FER+'s fer2013new.csv is not at hand; give it with --ferplus"
