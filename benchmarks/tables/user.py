"""How fast is it end to end? The rows of the second speed table, a few from each benchmark's JSON.

Each row has what was measured, what fer_jax is compared with, fer_jax's time, the other's time, and the
speed-up. Part of `benchmarks.tables`.
"""

import itertools
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.harness import arena
from fer_jax.text import Table

NOT_MEASURED = "not measured"
HEAD = ["end to end", "compared with", "fer_jax", "the other", "speed-up"]
TARGETS = (50, 55, 60, 65, 70)
MANY_SEEDS = 8
OTHERS = {"torch-users": "PyTorch as users run it", "torch-tuned": "PyTorch tuned"}
"""Titles of the programs of `time_to_accuracy`."""

Content = Mapping[str, Any]
"""A benchmark's JSON, see `bench.write`."""
NOTHING: Content = {"settings": {}, "results": [], "device": "CPU"}


def median_and_range(values: Sequence[float], unit: str = "", *, decimals: int | None = None) -> str:
    """Format median, minimum and maximum; by default with three significant digits.

    >>> median_and_range([3.0, 1.0, 2.0], "s"), median_and_range([1234.0, 1234.0])
    ('2.00 s (1.00..3.00)', '1,234')
    """
    median = statistics.median(values)
    if decimals is None:
        decimals = max(0, 2 - math.floor(math.log10(abs(median)))) if median else 0
    low, middle, high = (f"{value:,.{decimals}f}" for value in (min(values), median, max(values)))
    middle = f"{middle} {unit}".strip()
    return middle if low == high else f"{middle} ({low}..{high})"


def ratio_and_range(values: Sequence[float]) -> str:
    """Format the median, minimum and maximum of ratios."""
    return median_and_range(values, "×", decimals=2)


def to_result(row: Mapping[str, Any]) -> arena.Result:
    """Read a row made by `arena.to_row`; its title becomes a fact, since programs store it in two places."""
    title = row.get("title") or row["facts"].get("title", row["name"])
    return arena.Result(row["name"], {**row["facts"], "title": title}, row["samples_s"])


def flatten(result: arena.Result) -> list[float]:
    """Return the samples of all rounds in one list, in seconds."""
    return list(itertools.chain(*result.samples))


def _fastest(results: Sequence[arena.Result], pattern: str) -> arena.Result | None:
    own = [result for result in results if re.fullmatch(pattern, result.name)]
    return min(own, key=arena.median_s, default=None)


def _compare(
    what: str,
    ours: arena.Result | None,
    others: Mapping[str, arena.Result | None],
    show: Callable[[arena.Result], str],
) -> Table:
    """Return a line for each of the others, or one line if there is none; ours is in the first.

    Args:
        what: the thing measured.
        ours: None: not measured.
        others: by the titles to use if they were not measured.
        show: formats a candidate's time.
    """
    if ours is None and not any(others.values()):
        return [[what, "", NOT_MEASURED, "", ""]]
    lines = []
    for label, other in others.items():
        ratio = ratio_and_range(arena.ratios(ours, other)) if ours and other else ""
        name = other.facts["title"] if other else label
        lines.append(["", name, "", show(other) if other else NOT_MEASURED, ratio])
    lines = lines or [["", "", "", "", ""]]
    lines[0][0], lines[0][2] = what, show(ours) if ours else NOT_MEASURED
    return lines


def _show_seconds(result: arena.Result) -> str:
    return median_and_range(flatten(result), "s")


def _show_quartiles(result: arena.Result) -> str:
    # Of very many short calls some are always interrupted: the maximum is meaningless.
    ends = arena.spread(result)
    return median_and_range([1000 * ends[name] for name in ("q1", "median", "q3")], "ms")


# Each function returns the lines of one file, or of `NOTHING`.


def _named(content: Content, what: str) -> str:
    """Describe what was measured, of which config, on which data, and where if not on the CPU."""
    settings = content["settings"]
    config = settings.get("config")
    words = [what if config is None else f"{what} of {config if isinstance(config, str) else config['name']}"]
    if "examples" in settings:
        data = settings.get("data", "synthetic")
        words.append(f"{settings['examples']:,} synthetic faces" if data == "synthetic" else data)
    if content["device"] != "CPU":
        words.append(content["device"])
    return ", ".join(words)


def _results(content: Content) -> list[arena.Result]:
    return [to_result(row) for row in content["results"]]


def _epoch_lines(content: Content) -> Table:
    results = _results(content)
    others = {
        "PyTorch as users run it": _fastest(results, "torch-users.*"),
        "PyTorch tuned": _fastest(results, r"torch-tuned-\d+"),
        "PyTorch tuned, bfloat16": _fastest(results, "torch-tuned-bf16.*"),
    }
    what = _named(content, "one epoch")
    lines = _compare(what, _fastest(results, "jax"), others, _show_seconds)
    shares = content.get("share_of_the_epoch_that_is_augmentation")
    told = median_and_range([100 * share for share in shares], "%", decimals=1) if shares else NOT_MEASURED
    lines.append(["share of that epoch spent on augmentation", "", told, "", ""])
    ratios = content.get("epoch_over_its_device_steps")
    told = median_and_range(ratios, "×", decimals=3) if ratios else NOT_MEASURED
    return [*lines, ["that epoch / the sum of its device steps", "", told, "", ""]]


def _host_lines(content: Content) -> Table:
    batch_size = content["settings"].get("batch_size", 0)
    # Loaders with worker processes prepare batches in advance, so only the mean of a turn is meaningful.
    results = [
        arena.Result(each.name, each.facts, [[statistics.fmean(turn)] for turn in each.samples])
        for each in _results(content)
    ]
    others = {"OpenCV": _fastest(results, "cv2.*"), "PIL": _fastest(results, "pil.*")}

    def show(result: arena.Result) -> str:
        return median_and_range([batch_size / seconds for seconds in flatten(result)], "img/s")

    return _compare(_named(content, "the input pipeline"), _fastest(results, "batch-float"), others, show)


def _startup_lines(content: Content) -> Table:
    starts = {result.name: result for result in _results(content)}
    others, cold = {"PyTorch": starts.get("torch")}, {"PyTorch": starts.get("torch-first")}
    show, what = _show_seconds, _named(content, "from launch to the first step")
    return [
        *_compare("`--help`", starts.get("help"), {}, show),
        *(_compare("a misspelt option", starts["slip"], {}, show) if "slip" in starts else []),
        *_compare(
            f"{what}, cold start", starts.get("ours-first"), cold if "torch-first" in starts else {}, show
        ),
        *_compare("the same, data cached", starts.get("ours"), others, show),
        *_compare("the same, data and compiled programs cached", starts.get("ours-compiled"), others, show),
    ]


def _latency_lines(content: Content) -> Table:
    results = [to_result(row) for row in content["results"] if row["batch_size"] == 1]
    ours = _fastest(results, "jax.*")
    others = {"PyTorch": _fastest(results, "torch.*"), "ONNX Runtime": _fastest(results, "onnx")}
    what = _named(content, "one image") + (f": {ours.facts['title']}" if ours else "")
    return _compare(f"{what} (quartiles)", ours, others, _show_quartiles)


def _scaling_lines(content: Content) -> Table:
    rows = {row["value"]: row for row in content["results"] if row["what"] == "seeds"}
    one, many = (to_result(rows[count]) if count in rows else None for count in (1, MANY_SEEDS))
    title = f"one seed, {MANY_SEEDS} times"
    if one:
        samples = [[MANY_SEEDS * seconds for seconds in turn] for turn in one.samples]
        one = arena.Result(one.name, {"title": title}, samples)
    what = _named(content, f"an epoch of {MANY_SEEDS} replicas (seeds trained together)")
    return _compare(what, many, {title: one}, _show_seconds)


def _accuracy_lines(content: Content) -> Table:
    """Return a line for each accuracy and each other program; runs with cached programs separately."""
    cold = [row for row in content["results"] if not row.get("found_compiled_programs")]
    warm = [row for row in content["results"] if row.get("found_compiled_programs")]
    lines = _lines_of_alike({**content, "results": cold}, "") if cold or not warm else []
    return lines + (
        _lines_of_alike({**content, "results": warm}, ", compiled programs cached") if warm else []
    )


def _lines_of_alike(content: Content, words: str) -> Table:
    settings = content["settings"]
    targets = settings.get("targets_percent", TARGETS)
    ours = [row for row in content["results"] if row["name"] == "jax"]
    if not ours:
        percents = ", ".join(f"{target:g}" for target in targets)
        return [[f"to {percents} % validation accuracy", "", NOT_MEASURED, "", ""]]
    named = _named(content, "") + words
    others = list(dict.fromkeys(row["name"] for row in content["results"] if row["name"] != "jax"))
    lines = []
    for target in targets:
        own = _seconds_to(target, ours)
        what = f"to {target:g} % validation accuracy"
        if target == targets[0]:
            what += f"{named}, {len(ours)} seed{'s' * (len(ours) > 1)}, from process start"
        group = [["", "", "", "", ""] for _ in others or [""]]
        for line, name in zip(group, others, strict=False):
            theirs = _seconds_to(target, [row for row in content["results"] if row["name"] == name])
            pairs = [(own.get(seed), seconds) for seed, seconds in theirs.items()]
            ratios = [seconds / mine for mine, seconds in pairs if mine and seconds]
            line[1:] = [
                OTHERS.get(name, name),
                "",
                _show_reached(theirs),
                ratio_and_range(ratios) if ratios else "",
            ]
        group[0][0], group[0][2] = what, _show_reached(own)
        lines += group
    viewed = [row["viewed"] for row in ours if row.get("viewed")]
    if viewed:
        found = [100 * each["correct"] / each["total"] for each in viewed]
        what = f"to the end of training, evaluated with {viewed[0]['views']} TTA: "
        what += median_and_range(found, "%", decimals=1)
        lines.append([what, "", median_and_range([each["seconds"] for each in viewed], "s"), "", ""])
    return lines


def _seconds_to(target: float, rows: Sequence[Mapping[str, Any]]) -> dict[int, float | None]:
    """Return one program's seconds until an accuracy, by seed; None: not reached."""
    found = ((row["seed"], each) for row in rows for each in row["reached"])
    return {seed: each["seconds"] for seed, each in found if each["percent"] == target}


def _show_reached(by_seed: Mapping[int, float | None]) -> str:
    seconds = [each for each in by_seed.values() if each is not None]
    if not seconds:
        return "not reached"
    told = median_and_range(seconds, "s")
    return told if len(seconds) == len(by_seed) else f"{told}, {len(seconds)} of {len(by_seed)} seeds"


KINDS: dict[str, Callable[[Content], Table]] = {
    "epoch": _epoch_lines,
    "host": _host_lines,
    "startup": _startup_lines,
    "latency": _latency_lines,
    "scaling": _scaling_lines,
    "time_to_accuracy": _accuracy_lines,
}
"""By the first word of a file's name, in the order of the table."""
