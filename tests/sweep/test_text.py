"""What a sweep says in text: short names, why trials ended, and that the best is partly luck."""

from typing import Any

from fer_jax.sweep.text import describe, rank, shorten, trial_line

NAMES = ["optimizer.peak_rate", "model.blocks.*.features"]


def make_trial(number: int, state: str, **facts: Any) -> dict[str, Any]:
    params = {"optimizer.peak_rate": 0.00123456, "model.blocks.*.features": 8}
    return {"number": number, "state": state, "value": None, "params": params, "seconds": 2.0} | facts


TRIALS = [
    make_trial(0, "complete", value=0.5, accuracies=[0.49, 0.51]),
    make_trial(1, "pruned", why="given up after epoch 1 at 20.0 %"),
    make_trial(2, "pruned", why="the device has not enough memory"),
    make_trial(3, "complete", value=0.6, accuracies=[0.58, 0.62]),
    make_trial(4, "complete", value=0.6, accuracies=[0.58, 0.62], same_as=3),
    make_trial(5, "interrupted"),
]


def test_a_line_says_what_came_of_a_trial() -> None:
    names = shorten(NAMES)
    tail = "(peak_rate 0.001235, features 8; 2.0 s)"
    assert trial_line(TRIALS, 0, names) == f"trial 0    val 50.0 %  {tail}"
    assert trial_line(TRIALS, 1, names) == f"trial 1    given up after epoch 1 at 20.0 %  {tail}"
    assert trial_line(TRIALS, 3, names) == f"trial 3    val 60.0 %  best  {tail}"
    assert trial_line(TRIALS, 4, names) == f"trial 4    val 60.0 %, as trial 3  {tail}"


def test_the_table_lists_the_best_once_and_says_how_large_chance_is() -> None:
    assert [trial["number"] for trial in rank(TRIALS)] == [3, 4, 0]
    result = {
        "name": "try",
        "trials": TRIALS,
        "space": dict.fromkeys(NAMES),
        "images": {"train": 7500, "val": 2500},
        "importances": None,
        "best": {"number": 3, "command": "python -m fer_jax.train"},
    }
    lines = describe(result).splitlines()
    assert lines[1] == "try: 6 trials (3 complete, 2 pruned, 1 interrupted)"
    assert [line.split() for line in lines[3:5]] == [
        ["3", "60.00", "2.83", "0.001235", "8", "2.0"],
        ["0", "50.00", "1.41", "0.001235", "8", "2.0"],
    ]
    assert "a standard error of up to 1.0 points" in lines[5]
    assert lines[6:] == [
        "train the best:",
        "python -m fer_jax.train",
        "stopped 1 time: the device has not enough memory",
    ]
