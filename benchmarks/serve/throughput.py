"""How many photos a second does the server answer, and how long does one wait? Beside a plain Flask server.

    python -m benchmarks.serve.throughput
    python -m benchmarks.serve.throughput --redraw     # the section of docs/commands/serve.md from the JSON

All servers run at the same time and are asked in turns, so that a change in the machine's speed affects all
alike. A client sends the next photo when it has its answer. The photos are JPEGs with a synthetic face each.
The plain server is Flask around `fer`, whose weights are in its package. deepface fetches its weights from a
release page at the first use; nothing is downloaded here, so it is left out.
"""

import contextlib
import http.client
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from benchmarks.harness import bench
from benchmarks.harness.arena import peak_rss_mib_of
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.photos import rivals
from benchmarks.serve import flask_worker
from benchmarks.serve.process import Served, draw_photos, encode, serving
from fer_jax import cli
from fer_jax.errors import ConfigError
from fer_jax.files import Json, read_json
from fer_jax.text import Table, decimal, to_markdown

PROGRAM: Final = "python -m benchmarks.serve.throughput"
SECTION: Final = "serve-throughput"
PHOTO_SIZE: Final = (640, 480)
PHOTOS: Final = 8
WARM_UP_REQUESTS: Final = 8
DEEPFACE: Final = "it fetches its weights from github.com at the first use, and nothing is downloaded here"
FLASK: Final = "flask==3.1.2"

Name = Literal["mid", "mid-single", "tiny", "fer"]
TITLES: Final[dict[Name, str]] = {
    "mid": "`serve`",
    "mid-single": "`serve --views single`",
    "tiny": "`serve --weights tiny`",
    "fer": "Flask around `fer`",
}
OPTIONS: Final[dict[Name, tuple[str, ...]]] = {
    "mid": (),
    "mid-single": ("--views", "single"),
    "tiny": ("--weights", "tiny"),
}


@dataclass(frozen=True)
class Throughput:
    """Measure requests a second and latency, or write the docs' section from the JSON."""

    servers: tuple[Name, ...] = get_args(Name)
    """Servers to measure."""
    clients: tuple[int, ...] = (1, 4)
    """Clients at the same time; a row each."""
    seconds: float = 5.0
    """Length of a turn."""
    rounds: int = 3
    """Turns of each server and number of clients."""
    environment: Path = bench.ROOT / "runs" / "photos-environments" / "fer"
    """Environment of `fer`, which `benchmarks.photos.rivals` makes, too; it takes gigabytes."""
    flask: Path = bench.ROOT / "runs" / "serve-flask"
    """Folder of Flask, which is kept out of that environment."""
    out: Path = bench.RESULTS / "serve-throughput.json"
    """The JSON to write."""
    pages: tuple[Path, ...] = field(default=PAGES)
    """Pages that are searched for the section."""
    redraw: bool = False
    """Only write the section again, from the JSON."""


class Answer(NamedTuple):
    """What came back: a status, the number of faces, and the seconds that it took."""

    status: int
    faces: int
    seconds: float


class Turn(NamedTuple):
    """The answers of a turn, and the seconds from its start to the last one."""

    answers: list[Answer]
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(Throughput, argv, prog=PROGRAM), argv))


def _run(options: Throughput, argv: Sequence[str]) -> int:
    if not options.servers or not options.clients or min(options.clients) < 1 or options.rounds < 1:
        raise ConfigError("wanted at least one of --servers, --clients (each >= 1) and --rounds")
    if not options.redraw:
        load = os.getloadavg()[0]
        rows = measure(options)
        bench.write(
            options.out,
            question="How many photos a second does the server answer, and how long does one wait?",
            command=bench.to_command(PROGRAM, argv),
            settings={
                **{"photo_size": PHOTO_SIZE, "clients": options.clients},
                **{"seconds": options.seconds, "rounds": options.rounds},
                "plain": (*rivals.RIVALS["fer"].requirements, FLASK),
            },
            results=rows,
            extra={"load_average_before": load, "left_out": {"deepface": DEEPFACE}},
        )
    with bench.reading(options.out):
        print(f"written to {write_section(options.pages, SECTION, describe(read_json(options.out)))}")
    return 0


def measure(options: Throughput) -> list[Json]:
    """Start all servers, ask them in turns, and return a row for each server and number of clients."""
    photos = [encode(each, "JPEG", quality=90) for each in draw_photos(seed=0, faces=PHOTOS, size=PHOTO_SIZE)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served: dict[Name, Served] = {}
        start_s: dict[Name, float] = {}
        for name in options.servers:
            command, environment = make_command(name, options)
            started = time.monotonic()
            log = folder / f"{name}.log"
            served[name] = stack.enter_context(serving(command, log, environment=environment))
            start_s[name] = time.monotonic() - started
            for _ in range(WARM_UP_REQUESTS):
                ask_for(served[name].port, photos, 0.0)
        turns: dict[tuple[Name, int], list[Turn]] = {}
        for _ in range(options.rounds):
            for name, clients in itertools.product(options.servers, options.clients):
                turn = take_turn(served[name].port, photos, clients=clients, seconds=options.seconds)
                turns.setdefault((name, clients), []).append(turn)
        peaks = {name: peak_rss_mib_of(each.pid) for name, each in served.items()}
    return [
        to_row(name, clients, taken) | {"start_s": start_s[name], "peak_rss_mib": peaks[name]}
        for (name, clients), taken in turns.items()
    ]


def make_command(name: Name, options: Throughput) -> tuple[list[str], Mapping[str, str]]:
    """Make the command line and the environment variables of a server.

    Raises:
        RunError: pip failed.
    """
    if name != "fer":
        return [sys.executable, "-m", "fer_jax.serve", "--port", "0", *OPTIONS[name]], os.environ
    python = rivals.make_environment(rivals.RIVALS["fer"], options.environment, commit=None)
    if not (options.flask / "flask").is_dir():
        rivals.call([str(python), "-m", "pip", "install", "--quiet", "--target", str(options.flask), FLASK])
    others = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return [str(python), flask_worker.__file__], others | {"PYTHONPATH": str(options.flask)}


def take_turn(port: int, photos: Sequence[bytes], *, clients: int, seconds: float) -> Turn:
    """Let clients ask for some seconds."""
    started = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        answers = pool.map(partial(ask_for, port, photos), [seconds] * clients)
        return Turn([answer for each in answers for answer in each], time.monotonic() - started)


def ask_for(port: int, photos: Sequence[bytes], seconds: float) -> list[Answer]:
    """Be a client: send photos on one connection, one after another, at least one."""
    answers = []
    end = time.monotonic() + seconds
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for photo in itertools.cycle(photos):
            started = time.monotonic()
            connection.request("POST", "/v1/predict", photo)
            answer = connection.getresponse()
            content = answer.read()
            faces = len(json.loads(content)["faces"]) if answer.status == 200 else 0
            answers.append(Answer(answer.status, faces, time.monotonic() - started))
            if time.monotonic() > end:
                return answers
    return answers


def to_row(name: Name, clients: int, turns: Sequence[Turn]) -> Json:
    """Convert the turns of a server to JSON; only answers with status 200 are counted as requests."""
    good = [[answer for answer in turn.answers if answer.status == 200] for turn in turns]
    seconds = sorted(answer.seconds for each in good for answer in each)
    return {
        "name": name,
        "clients": clients,
        "requests_per_s": [len(each) / turn.seconds for each, turn in zip(good, turns, strict=True)],
        "latency_s": {f"p{share}": pick(seconds, share) for share in (50, 95, 99)},
        "requests": len(seconds),
        "with_a_face": sum(answer.faces > 0 for each in good for answer in each),
        "refused": sum(len(turn.answers) for turn in turns) - len(seconds),
        "samples_s": [[round(answer.seconds, 5) for answer in each] for each in good],
    }


def pick(ordered: Sequence[float], percent: int) -> float | None:
    """Pick a percentile of ordered numbers, the nearest rank; None of none.

    >>> pick([1.0, 2.0, 3.0, 4.0], 50), pick([1.0], 99), pick([], 50)
    (2.0, 1.0, None)
    """
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def describe(content: Json) -> str:
    """Write the section of the docs."""
    rows: Table = [["server", "clients", "photos/s", "ms, half", "ms, 95 %", "ms, 99 %", "face found", "MiB"]]
    for row in content["results"]:
        rates = row["requests_per_s"]
        latencies = [None if each is None else 1000 * each for each in row["latency_s"].values()]
        rows.append(
            [
                TITLES[row["name"]],
                str(row["clients"]),
                f"{statistics.median(rates):.1f} ({min(rates):.1f}..{max(rates):.1f})",
                *(decimal(each, digits=0) for each in latencies),
                f"{row['with_a_face']:,} of {row['requests']:,}",
                decimal(row["peak_rss_mib"], digits=0),
            ]
        )
    (width, height), turns = content["settings"]["photo_size"], content["settings"]["rounds"]
    return (
        f"JPEGs of {width} × {height} pixels with a synthetic face, on {content['machine']}: median and "
        f"range of {turns} turns, the latency within which half, 95 % and 99 % of the answers came, and the "
        "largest memory of the process. `fer` has its weights in its package; deepface is left out: "
        f"{content['left_out']['deepface']}.\n\n{to_markdown(rows, left_columns=1)}"
    )


if __name__ == "__main__":
    sys.exit(main())
