"""The trials of a sweep: which is next, how each ended, and who repeats those of dead workers.

Several processes may share a sweep. Each takes its turns behind a door, and keeps its trial while it runs,
so the others can tell which trials are abandoned (see `locks`). Such a trial is marked failed and repeated in
the next turn.

What the sampler suggests is a function of the sweep's seed, the number of trials and the results so far. A
single process therefore runs the same sweep whether it was killed on the way or not, and no two workers draw
the same numbers.
"""

from typing import Final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from fer_jax.files import Json
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.sweep.board import Board, Turn
from fer_jax.sweep.locks import DEAD_AFTER, name_worker
from fer_jax.sweep.space import Choices, Space

RANDOM_TRIALS: Final = 10
"""Trials before the sampler (Bergstra et al. 2011, tree-structured Parzen estimator) learns from results."""
IMPORTANCE_TRIALS: Final = 10
"""Finished trials below which no importances are computed: they would be chance."""

_WORKER, _REPEATS = "worker", "repeats"
_KEPT_BACK: Final = (DEAD_AFTER, "place")  # place: older versions recorded the folder of the locks.


class TakenError(Exception):
    """Another worker repeats the trial: this one's heartbeats did not reach the database."""


def take(board: Board, *, most: int) -> Turn | None:
    """Take the next turn: a trial that a dead process left, or a new one.

    Args:
        board: the sweep.
        most: the total number of trials, over all processes; a repeated one counts once.

    Returns:
        None if there are that many.
    """
    return board.locks.call(lambda: _take(board, most))


def _take(board: Board, most: int) -> Turn | None:
    with board.locks.door():
        _take_back(board)
        trials = _current(board.study)
        if len(trials) >= most and all(each.state != TrialState.WAITING for each in trials):
            return None
        # A new sampler for each trial: one that kept its state would start over after a kill.
        sampler_seed = int(numpy_rng(board.seed, Stream.SWEEP, len(trials)).integers(2**32))
        board.study.sampler = TPESampler(
            seed=sampler_seed, n_startup_trials=RANDOM_TRIALS, constant_liar=True
        )
        trial = board.study.ask(_distributions(board.space))
        trial.set_user_attr(_WORKER, name_worker())
        return Turn(trial, board.locks.hold(trial))


def report(board: Board, turn: Turn, *, value: float, epoch: int) -> bool:
    """Record the objective after an epoch; return whether the pruner gives the trial up.

    Raises:
        TakenError: another worker repeats the trial.
    """

    def tell() -> bool:
        turn.trial.report(value, epoch)
        return turn.trial.should_prune()

    try:
        return board.locks.call(tell)
    except optuna.exceptions.UpdateFinishedTrialError:
        raise TakenError from None


def finish(board: Board, turn: Turn, *, value: float | None, facts: Json) -> None:
    """Record the result of a turn, with facts that are ready for JSON.

    The value is the objective; None for a trial that was stopped: then `facts` has the reason, `why`.

    Raises:
        TakenError: another worker repeats the trial; the result is not recorded.
    """
    board.locks.call(lambda: _finish(board, turn, value, facts))


def _finish(board: Board, turn: Turn, value: float | None, facts: Json) -> None:
    number = turn.trial.number
    with board.locks.door():
        state = board.study.get_trials(deepcopy=False)[number].state
        if state == TrialState.FAIL:
            raise TakenError
        # Finished already: done before, and the answer got lost.
        if state == TrialState.RUNNING:
            for name, fact in facts.items():
                turn.trial.set_user_attr(name, fact)
            wanted = TrialState.PRUNED if value is None else TrialState.COMPLETE
            board.study.tell(turn.trial, value, state=wanted)
        turn.hold.release()


def take_back(board: Board) -> None:
    """Mark abandoned trials as failed, and queue their repetitions."""

    def act() -> None:
        with board.locks.door():
            _take_back(board)

    board.locks.call(act)


def _take_back(board: Board) -> None:
    repeated = _repeated(board.study)
    for trial in board.locks.list_dead(_list_running(board)):
        # In this order: who is killed in between leaves a trial that only has to be marked.
        if trial.number not in repeated:
            board.study.enqueue_trial(trial.params, user_attrs={_REPEATS: trial.number})
        board.study.tell(trial.number, state=TrialState.FAIL)


def wait_for_others(board: Board) -> bool:
    """Wait until the trials of other workers have shown that they live; whether one has to be repeated."""
    return board.locks.watch(lambda: _list_running(board))


def _list_running(board: Board) -> list[FrozenTrial]:
    return board.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _repeated(study: optuna.Study) -> set[int]:
    """Return the numbers of the trials that have a repetition."""
    return {
        trial.user_attrs[_REPEATS]
        for trial in study.get_trials(deepcopy=False)
        if _REPEATS in trial.user_attrs
    }


def _current(study: optuna.Study) -> list[FrozenTrial]:
    """List the trials, without those that are repeated by another one."""
    repeated = _repeated(study)
    return [trial for trial in study.get_trials(deepcopy=False) if trial.number not in repeated]


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    made: dict[str, BaseDistribution] = {}
    for name, domain in space.items():
        if isinstance(domain, Choices):
            made[name] = CategoricalDistribution(domain.values)
        elif domain.is_int:
            made[name] = IntDistribution(int(domain.low), int(domain.high), log=domain.is_log)
        else:
            made[name] = FloatDistribution(domain.low, domain.high, log=domain.is_log)
    return made


def list_trials(board: Board) -> list[Json]:
    """List all trials in the order of their numbers, ready for JSON.

    Returns:
        Of each `number`, `state` (complete, pruned, running, waiting, failed; interrupted if another trial
        repeats it), `params`, `value` (None unless complete), `epochs` (those after which it was measured,
        from 1), `curve` (the objective after each of them) and the `worker` and the facts that `finish`
        recorded.
    """
    return board.locks.call(lambda: _list_trials(board))


def _list_trials(board: Board) -> list[Json]:
    repeated, listed = _repeated(board.study), []
    for trial in board.study.get_trials(deepcopy=False):
        state = {TrialState.FAIL: "failed"}.get(trial.state, trial.state.name.lower())
        facts = {name: fact for name, fact in trial.user_attrs.items() if name not in _KEPT_BACK}
        reported = sorted(trial.intermediate_values.items())
        listed.append(
            {
                "number": trial.number,
                "state": "interrupted" if trial.number in repeated else state,
                "value": trial.value if trial.state == TrialState.COMPLETE else None,
                "params": dict(trial.params),
                "epochs": [epoch for epoch, _ in reported],
                "curve": [value for _, value in reported],
                **facts,
            }
        )
    return listed


def measure_importances(board: Board) -> dict[str, float] | None:
    """Measure how much each field determines whether a trial is among the best tenth.

    PED-ANOVA (Watanabe et al. 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces"): shares that sum to 1, largest first.

    Returns:
        None with fewer than `IMPORTANCE_TRIALS` complete trials.
    """
    return board.locks.call(lambda: _measure_importances(board.study))


def _measure_importances(study: optuna.Study) -> dict[str, float] | None:
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < IMPORTANCE_TRIALS:
        return None
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in found.items()}
