"""The tables of docs/results/reliability.md, from the JSON files of this package's campaigns."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.sections import write_or_tell
from fer_jax.text import MISSING, Table, counted, to_markdown

Content = Mapping[str, Any]

_DATE: Final = 10
"""Letters of a date without its time."""
_TIMES: Final = ("median", "max")


def write_sections(results: Path) -> dict[str, str]:
    """Write all sections in Markdown, by name; one without its JSON says that it was not measured."""
    return {name: write_or_tell(results, file, write) for name, (file, write) in SECTIONS.items()}


def crash(content: Content) -> str:
    """Write what was killed, by part of the campaign and kind of run, and whether the cycles grew."""
    rows: Table = [["part", "kind of run", "runs", "kills or stops", "while saving", "runs that differ"]]
    for each in content["results"]:
        numbers = (each["runs"], each["kills"], each["while_saving"], each["failed"])
        rows.append([each["part"], each["kind"], *(f"{number:,}" for number in numbers)])
    points = content["points"]
    kills = sum(each["kills"] for each in content["results"] if each["part"] != "steps")
    named, least = sum(each["kills"] for each in points), min((each["kills"] for each in points), default=0)
    words = (
        f"{kills:,} kills by SIGKILL, of them {named:,} at {len(points)} named points, each at least {least} "
        f"times. {_failures(content)} A run differs where its last state, its log, its figures or its files "
        f"are not those of a run that was never killed.{_describe_cycles(content['cycles'])}"
    )
    return f"{words}\n\n{to_markdown(rows, left_columns=2)}\n\n{_origin(content)}"


def _describe_cycles(cycles: Content) -> str:
    if not cycles:
        return ""
    halves = {
        name: (cycles[name]["median_of_first_half"], cycles[name]["median_of_second_half"])
        for name in ("files", "descriptors", "rss_kib")
    }
    files, descriptors, memory = (halves[name] for name in halves)
    return (
        f" One run was killed and resumed {cycles['count']:,} times; from the first half of the cycles to "
        f"the second, the median number of its files went from {files[0]:,.0f} to {files[1]:,.0f}, of open "
        f"descriptors from {descriptors[0]:,.0f} to {descriptors[1]:,.0f}, and of memory from "
        f"{memory[0] / 1024:,.0f} to {memory[1] / 1024:,.0f} MiB."
    )


def corruption(content: Content) -> str:
    """Write how often each kind of damage was made, and how often it was missed."""
    rows: Table = [["damage", "tried", "missed"]]
    for each in content["results"]:
        rows.append([each["damage"], f"{each['tried']:,}", f"{each['failed']:,}"])
    return _page(content, rows, left_columns=1)


def concurrency(content: Content) -> str:
    """Write how many starts were refused, and after what time."""
    rows: Table = [
        ["what", "locks", "rounds", "starts each", "owners killed", "refused", "median", "slowest", "failed"]
    ]
    for each in content["results"]:
        times = [f"{each['seconds_to_leave'][name]:.3f} s" if each["refused"] else MISSING for name in _TIMES]
        numbers = (each["tried"], each["starts"], each["killed_owners"], each["refused"])
        rows.append(
            [each["what"], each["locks"], *(f"{n:,}" for n in numbers), *times, f"{each['failed']:,}"]
        )
    return _page(content, rows, left_columns=2)


def storage(content: Content) -> str:
    """Write how each kind of file took a full disk."""
    rows: Table = [["file", "error", "tried", "refused", "there was room", "done without it", "failed"]]
    for each in content["results"]:
        numbers = [each[name] for name in ("tried", "refused", "fitted", "done_without", "failed")]
        rows.append([each["kind"], each["error"], *(f"{number:,}" for number in numbers)])
    return _page(content, rows, left_columns=2)


def interrupts(content: Content) -> str:
    """Write how each command ended when it was interrupted."""
    rows: Table = [["command", "tried", "at work", "in Python's own start", "median", "slowest", "failed"]]
    for each in content["results"]:
        numbers = [f"{each[name]:,}" for name in ("tried", "at_work", "in_python_start")]
        times = [
            MISSING if each[name] is None else f"{each[name]:.2f} s" for name in ("median_s", "slowest_s")
        ]
        rows.append([f"`{each['command']}`", *numbers, *times, f"{each['failed']:,}"])
    return _page(content, rows, left_columns=1)


def fuzz(content: Content) -> str:
    """Write what each reader did with hostile input, and with bombs."""
    rows: Table = [["reader", "inputs", "read", "refused", "failed", "slowest", "memory"]]
    for each in content["results"]:
        numbers = [f"{each.get(name, 0):,}" for name in ("inputs", "accepted", "refused", "failed")]
        grown = each["peak_mib"] - each["start_mib"]
        rows.append([each["reader"], *numbers, f"{each['slowest_ms']:,.0f} ms", f"+ {grown:,} MiB"])
    bombs: Table = [["bomb", "outcome", "after", "memory"]]
    for each in content["bombs"]:
        grown = each["peak_mib"] - each["start_mib"]
        bombs.append([each["bomb"], each["came"], f"{each['ms']:,.0f} ms", f"+ {grown:,} MiB"])
    tables = f"{to_markdown(rows, left_columns=1)}\n\n{to_markdown(bombs, left_columns=2)}"
    return f"{_failures(content)}\n\n{tables}\n\n{_origin(content)}"


def sweep_team(content: Content) -> str:
    """Write what became of the trials of each round."""
    rows: Table = [
        [
            *("round", "workers", "killed", "crashes of the server", "workers that waited for it", "trials"),
            *("done", "repeated", "slowest repetition", "failed"),
        ]
    ]
    for number, each in enumerate(content["results"]):
        counts = (each["workers"], each["killed"], each["crashes"], each["waited_for_server"])
        slowest = max(each["seconds_to_repeat"], default=None)
        rows.append(
            [
                *(f"{number}", *(f"{count:,}" for count in counts)),
                *(f"{each[name]:,}" for name in ("trials", "done", "repeated")),
                MISSING if slowest is None else f"{slowest:.0f} s",
                f"{each['failed']:,}",
            ]
        )
    settings = content["settings"]
    words = (
        f"{_failures(content)} PostgreSQL {settings['server'].split(' ')[0]}, down for "
        f"{settings['down_s']:g} s in each round; a worker counts as dead after "
        f"{settings['dead_after_s']:g} s without a heartbeat."
    )
    return f"{words}\n\n{to_markdown(rows, left_columns=0)}\n\n{_origin(content)}"


def parallel(content: Content) -> str:
    """Write how far several processes are from one, and what the others did when one was killed."""
    epochs = content["settings"]["epochs"]
    shown = sorted({1, 2, (epochs + 1) // 2, epochs})
    rows: Table = [["processes", "test accuracy, %", *(f"after epoch {epoch}" for epoch in shown)]]
    for each in content["results"]:
        differences = [f"{each['difference_by_epoch'][epoch - 1]:.1g}" for epoch in shown]
        rows.append([each["title"], f"{100 * each['test_accuracy']:.1f}", *differences])
    ends: Table = [["processes", "killed", "the others ended after", "resumed, at most off by"]]
    for each in content["kills"]:
        seconds = f"{each['seconds_until_all_have_ended']:.1f} s"
        number = f"process {each['killed']}"
        ends.append([f"{each['processes']}", number, seconds, f"{each['largest_difference']:.1g}"])
    resumed = content["resumed"]
    problems = [problem for each in (*content["kills"], resumed) for problem in each["problems"]]
    numbers = ", then ".join(f"{count}" for count in resumed["processes"])
    words = (
        f"{_failures({'failures': problems})} The largest difference of a loss (objective, training, "
        f"validation) from the first row's, by epoch:"
    )
    more = (
        f"Stopped twice by SIGTERM, and resumed on other numbers of processes ({numbers}): at most "
        f"{resumed['largest_difference']:.1g} off after {epochs} epochs."
    )
    tables = (to_markdown(rows, left_columns=1), to_markdown(ends, left_columns=2))
    return f"{words}\n\n{tables[0]}\n\n{tables[1]}\n\n{more}\n\n{_origin(content)}"


def _page(content: Content, rows: Table, *, left_columns: int) -> str:
    tried = sum(each["tried"] for each in content["results"])
    table = to_markdown(rows, left_columns=left_columns)
    return f"Tried {tried:,} times. {_failures(content)}\n\n{table}\n\n{_origin(content)}"


def _failures(content: Content) -> str:
    failures: Sequence[Any] = content["failures"]
    return f"{counted(len(failures), 'failure')}." if failures else "No failures."


def _origin(content: Content) -> str:
    return (
        f"`{content['command']}`, commit {content['git']}, {content['date'][:_DATE]}, {content['machine']}."
    )


_WRITERS: Final[dict[str, Callable[[Content], str]]] = {
    "crash": crash,
    "corruption": corruption,
    "concurrency": concurrency,
    "storage": storage,
    "interrupts": interrupts,
    "fuzz": fuzz,
    "sweep_team": sweep_team,
    "parallel-localhost": parallel,
    "parallel-mpirun": parallel,
    "parallel-srun": parallel,
}
SECTIONS: Final[dict[str, tuple[str, Callable[[Content], str]]]] = {
    f"reliability-{name}": (f"reliability-{name}", write) for name, write in _WRITERS.items()
}
"""By section: the JSON it shows, without .json, and what writes it."""
