"""The pieces of a session, the most valuable first, and how long each is expected to take."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.gpu import bits, clock, device, epochs, kernels, programs, recipes, scores, steps
from benchmarks.gpu.session import Piece, Session
from fer_jax.files import Json

EPOCH_S: Final = 0.7
"""Estimated seconds of an epoch of `best`, until they are measured."""
SLACK: Final = 1.15
START_S: Final = 15.0
"""Estimated seconds around the epochs of a training: reading, tracing, loading programs, the last report."""
COMPILE_S: Final = 50.0
"""Estimated seconds for compiling and autotuning the programs of a training that no cache has."""
LONG: Final = 100
"""Epochs of the long recipes."""


def list_pieces() -> list[Piece]:
    """List all pieces in their order."""
    return [
        Piece(
            "device", "What is the accelerator, and how fast does it multiply?", _about(15), device.measure
        ),
        Piece("epochs", "Does an epoch wait for its optimizer?", _about(70), epochs.measure),
        Piece("bits", "Do two runs have the same bits, and a resumed one?", _about(45), bits.measure),
        *_list_recipes(),
        *_list_speed(),
        *_list_others(),
    ]


class _Planned(Session):
    """A session in which some pieces count as done, without results."""

    done: list[str]

    def find(self, name: str) -> Json | None:
        """Find a piece without results."""
        return {"results": []} if name in self.done else None

    def has_trained(self, name: str) -> bool:
        """Whether a piece counts as done."""
        return name in self.done


def describe_plan() -> list[str]:
    """Write a line for each piece: its name, its estimated seconds after all before it, and their sum."""
    session = _Planned(
        data=None,
        ferplus=None,
        out=Path(),
        is_tiny=False,
        command="",
        console=Console(),
        ends_at=None,
        source="",
    )
    session.done = []
    lines, total = [], 0.0
    for piece in list_pieces():
        seconds = piece.estimate_s(session)
        total += seconds
        lines.append(f"{piece.name:<18}{seconds:>5.0f}{total:>6.0f}  {piece.question}")
        session.done.append(piece.name)
    return lines


def _list_recipes() -> list[Piece]:
    pieces = [
        Piece(
            name,
            f"How accurate is {arm.config} after {arm.epochs} epochs on the hold-out?",
            _training(arm.epochs, share=0.75, first=name),
            partial(recipes.measure_arm, name=name),
        )
        for name, arm in recipes.ARMS.items()
    ]
    arms = tuple(recipes.ARMS)
    pieces.append(
        Piece(
            "decision",
            "Which recipe do the rules choose?",
            _about(1),
            recipes.measure_decision,
            after=arms,
            needs_card=False,
        )
    )
    pieces += [
        Piece(
            name,
            "What does a seed of the chosen recipe learn from all of Training?",
            _training(LONG, first=recipes.SEEDS[0]),
            partial(recipes.measure_seed, name=name),
            after=("decision",),
            ruled_out=partial(recipes.find_ruling, name=name),
        )
        for name in recipes.SEEDS
    ]
    question = "What does the ensemble answer to augmented views of every training image?"
    pieces.append(Piece("bank", question, _about(45), recipes.measure_bank, after=recipes.SEEDS))
    pieces += [
        Piece(
            name,
            "What does a seed learn that the ensemble teaches?",
            _training(LONG, first=recipes.SECOND[0]),
            partial(recipes.measure_second, name=name),
            after=("bank",),
            ruled_out=partial(recipes.find_ruling, name=name),
        )
        for name in recipes.SECOND
    ]
    return [*pieces, _score("best", recipes.SEEDS), _score("second", recipes.SECOND, recipes.SEEDS)]


def _list_speed() -> list[Piece]:
    against = "How long does a train step take in JAX and in PyTorch?"
    pieces = [
        Piece(f"steps-{net}", against, _about(seconds), steps.make_measure(net, steps.BFLOAT16))
        for net, seconds in (("best", 100), ("run6", 40), ("vgg", 50))
    ]
    in_float32 = [
        Piece(f"steps-{net}-float32", against, _about(seconds), steps.make_measure(net, steps.FLOAT32))
        for net, seconds in (("best", 50), ("run6", 20), ("vgg", 30))
    ]
    autotuned = steps.make_measure("best", steps.AUTOTUNED)
    optax = "How much longer does an epoch take with Optax's Muon?"
    return [
        *pieces,
        Piece("kernels", "Which kernels does a train step spend its time in?", _about(40), kernels.measure),
        Piece("clock", "How many seconds from the command to an accuracy?", _about(190), clock.measure),
        Piece(
            "clock-autotuned",
            "How many, if the kernels are chosen already?",
            _about(70),
            clock.measure_autotuned,
            after=("clock",),
        ),
        Piece(
            "epoch-run6", "How long does an epoch take in JAX and in PyTorch?", _about(80), programs.measure
        ),
        *in_float32,
        Piece("epochs-optax", optax, _about(120), epochs.measure_optax),
        Piece("steps-autotuned", against, _about(150), autotuned),
    ]


def _list_others() -> list[Piece]:
    words = {"plain": "a second architecture", "ferplus": "the large network from FER+'s votes"}
    pieces = [
        Piece(
            name,
            f"What does {words[name.partition('-')[0]]} learn?",
            _training(LONG, first=f"{name.partition('-')[0]}-seed0"),
            partial(recipes.measure_other, name=name),
            needs=recipes.lacks_votes if name in recipes.FERPLUS else _nothing,
        )
        for name in (recipes.FERPLUS[0], *recipes.PLAIN, *recipes.FERPLUS[1:])
    ]
    return [
        *pieces,
        _score("ferplus", recipes.FERPLUS),
        _score("plain", recipes.PLAIN, recipes.SEEDS, recipes.SECOND),
        Piece(
            "clock-several",
            "How many seconds until several networks are trained and measured together?",
            _about(280),
            clock.measure_several,
        ),
    ]


def _score(name: str, own: tuple[str, ...], *others: tuple[str, ...]) -> Piece:
    return Piece(
        f"scores-{name}",
        "How accurate are the networks on PublicTest?",
        _about(25),
        partial(scores.measure, own=own, others=others),
        after=own,
        needs_card=False,
        ruled_out=partial(_find_common_ruling, names=own),
    )


def _find_common_ruling(session: Session, names: Sequence[str]) -> str | None:
    """Say why none of some trainings is wanted; None: one is."""
    rulings = [recipes.find_ruling(session, name) for name in names]
    return rulings[0] if all(rulings) else None


def _about(seconds: float) -> Callable[[Session], float]:
    return lambda session: 0.0 if session.is_tiny else seconds


def _training(epochs_: int, *, first: str, share: float = 1.0) -> Callable[[Session], float]:
    """Estimate a training's seconds.

    Args:
        epochs_: its epochs, unless the decision has others for it.
        first: the first piece of this recipe: the cache has its programs for the others, and its epochs take
            as long as theirs.
        share: of Training that it trains on.
    """

    def estimate(session: Session) -> float:
        if session.is_tiny:
            return 0.0
        done = session.find(first)
        rows = [] if done is None else done["results"]
        each = rows[0].get("seconds_per_epoch") if rows else None
        each = each or share * (epochs.epoch_s(session) or EPOCH_S)
        count = recipes.find_epochs(session, first) or epochs_
        return START_S + (0.0 if session.has_trained(first) else COMPILE_S) + SLACK * count * each

    return estimate


def _nothing(session: Session) -> None:
    """Lack nothing."""
