"""Send ten thousand hostile requests to the server: no 500, none left waiting, and its memory stays flat.

    python -m benchmarks.serve.hostile
    python -m benchmarks.serve.hostile --redraw     # the section of docs/commands/serve.md from the JSON

Mutated photos, odd heads, methods, paths and sizes, lies about lengths, slow bodies, and between them good
photos, which have to be answered: every request is drawn from the seed and its number. Writes
benchmarks/results/serve-hostile.json. Memory is read from /proc: on Linux only.
"""

import contextlib
import os
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from benchmarks.harness import bench
from benchmarks.harness.arena import peak_rss_mib_of
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.serve.process import draw_photos, encode_variety, serving
from benchmarks.serve.requests import DRAW, Hostile, draw
from fer_jax import cli
from fer_jax.errors import ConfigError
from fer_jax.files import Json, read_json
from fer_jax.text import Table, counted, to_markdown

PROGRAM: Final = "python -m benchmarks.serve.hostile"
SECTION: Final = "serve-hostile"
PHOTO_SIZE: Final = (320, 240)
CLIENTS: Final = 8
UPLOAD_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 60.0
LATE: Final = "no answer in time"
CLOSED: Final = "closed"
HUNG_UP: Final = "client hung up"
TRACEBACK: Final = "Traceback"


@dataclass(frozen=True)
class HostileOptions:
    """Send hostile requests to a server of its own, or write the docs' section from the JSON."""

    requests: int = 10_000
    """How many; at least ten."""
    seed: int = 0
    """Seed of all of them."""
    weights: str = "tiny"
    """Weights of the server."""
    out: Path = bench.RESULTS / "serve-hostile.json"
    """The JSON to write."""
    pages: tuple[Path, ...] = field(default=PAGES)
    """Pages that are searched for the section."""
    redraw: bool = False
    """Only write the section again, from the JSON."""


class Outcome(NamedTuple):
    """What came back: a status, or one of the words above; and how long it took."""

    number: int
    kind: str
    came: str
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 where the server failed."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(HostileOptions, argv, prog=PROGRAM), argv))


def _run(options: HostileOptions, argv: Sequence[str]) -> int:
    if options.requests < 10:
        raise ConfigError(f"--requests is {options.requests}; wanted at least 10")
    if not options.redraw:
        rows, extra = attack(options)
        bench.write(
            options.out,
            question="Does the server withstand hostile requests, without a 500 and with flat memory?",
            command=bench.to_command(PROGRAM, argv),
            settings={
                **{"requests": options.requests, "seed": options.seed, "weights": options.weights},
                **{"clients": CLIENTS, "upload_seconds": UPLOAD_SECONDS},
            },
            results=rows,
            extra=extra,
        )
    content = read_json(options.out)
    with bench.reading(options.out):
        print(f"written to {write_section(options.pages, SECTION, describe(content))}")
        return 1 if list_failures(content) else 0


def attack(options: HostileOptions) -> tuple[list[Json], Json]:
    """Start a server and send all requests; return a row for each kind, and what is known of the server."""
    photos = [
        body
        for photo in draw_photos(seed=options.seed, faces=3, size=PHOTO_SIZE)
        for body in encode_variety(photo)
    ]
    command = [
        *(sys.executable, "-m", "fer_jax.serve", "--weights", options.weights, "--port", "0"),
        *("--upload-seconds", str(UPLOAD_SECONDS)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with serving(command, log, environment=os.environ) as served:
            memory = [served.rss_mib()]
            outcomes = []
            with ThreadPoolExecutor(CLIENTS) as pool:
                send = partial(_send, served.port, photos, options.seed)
                for outcome in pool.map(send, range(options.requests)):
                    outcomes.append(outcome)
                    if len(outcomes) % (options.requests // 10) == 0:
                        memory.append(served.rss_mib())
            peak = peak_rss_mib_of(served.pid)
        lines = log.read_text(errors="replace").splitlines()
    extra: Json = {
        "rss_mib": {"idle": memory[0], "after_tenths": memory[1:], "peak": peak},
        "log": {
            "requests": sum(bool(re.search(r" \d+ ms$", line)) for line in lines),
            "tracebacks": sum(TRACEBACK in line for line in lines),
        },
        "status_after_sigterm": served.status,
        "failures": [each._asdict() for each in outcomes if _is_failure(each)],
    }
    return _count(outcomes), extra


def _send(port: int, photos: Sequence[bytes], seed: int, number: int) -> Outcome:
    request = draw(np.random.default_rng((seed, number)), photos)
    started = time.monotonic()
    came = exchange(port, request)
    return Outcome(number, request.kind, came, time.monotonic() - started)


def exchange(port: int, request: Hostile) -> str:
    """Send a request, and return the status of the answer, or a word for what came instead."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        # A server that refuses early need not read the rest.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in request.parts:
                connection.sendall(part)
                time.sleep(request.pause_s)
            if request.hangs_up:
                return HUNG_UP
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass  # After an answer, or instead of one: what was received says it.
        except TimeoutError:
            return LATE
    found = re.match(rb"HTTP/1\.1 (?:100 [^\r]*\r\n\r\nHTTP/1\.1 )?(\d{3}) ", received)
    return found[1].decode() if found else CLOSED


def _is_failure(outcome: Outcome) -> bool:
    is_lost = outcome.kind == "good" and outcome.came != "200"
    return outcome.came == "500" or outcome.came == LATE or is_lost


def _count(outcomes: Sequence[Outcome]) -> list[Json]:
    rows = []
    for kind in DRAW:
        own = [each for each in outcomes if each.kind == kind]
        came = Counter(each.came for each in own)
        slowest = max((each.seconds for each in own), default=0.0)
        rows.append(
            {"kind": kind, "requests": len(own), "came": dict(sorted(came.items())), "slowest_s": slowest}
        )
    return rows


def list_failures(content: Json) -> list[str]:
    """List what must not be in a result."""
    found = [f"request {each['number']}: {each['kind']}: {each['came']}" for each in content["failures"]]
    if content["log"]["tracebacks"]:
        found.append(f"{content['log']['tracebacks']} tracebacks in the log")
    if content["status_after_sigterm"] != 143:
        found.append(f"status {content['status_after_sigterm']} after SIGTERM")
    return found


def describe(content: Json) -> str:
    """Write the section of the docs."""
    rows: Table = [["request", "answers", "number"]]
    for row in content["results"]:
        came = ", ".join(f"{status} × {count:,}" for status, count in row["came"].items())
        rows.append([row["kind"], came, f"{row['requests']:,}"])
    settings, memory = content["settings"], content["rss_mib"]
    idle, first, *_, last, peak = (
        f"{each:.0f} MiB" for each in (memory["idle"], *memory["after_tenths"], memory["peak"])
    )
    failures = counted(len(list_failures(content)), "failure")
    return (
        f"{settings['requests']:,} requests by {settings['clients']} clients at a time, seed "
        f"{settings['seed']}: {failures}. A failure is a 500, no answer in time, a good photo that is "
        "refused, or a traceback in the log. The process took "
        f"{idle} of memory when it started, {first} after the first tenth, {last} after the last, and {peak} "
        f"at most.\n\n{to_markdown(rows, left_columns=2)}"
    )


if __name__ == "__main__":
    sys.exit(main())
