"""Fuzz one reader with Atheris: coverage of its code guides the bytes that Hypothesis builds inputs from.

    python -m benchmarks.reliability.fuzz_atheris READER INPUTS SEED OUT [KEEP]

`fuzz --engine atheris` runs it, in a process of its own, since libFuzzer ends the process when it is done.
Atheris is no dependency of fer_jax: `pip install atheris`, on Linux.
"""

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, given, settings

_INSTRUMENTED: Final = ["fer_jax", "dacite", "safetensors", "zipfile", "tarfile", "csv", "json"]
_MOST_TRIES: Final = 100
"""Of bytes for an input: most short ones are none."""


def main() -> None:
    """Run the program."""
    name, inputs, seed, out, *keep = sys.argv[1:]
    # Nothing of fer_jax is imported before, or it would not be instrumented.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        fuzz = importlib.import_module("benchmarks.reliability.fuzz")
    reader, tally = fuzz.READERS[name], fuzz.Tally()
    start, tries = fuzz.warm_up(reader), 0
    home = Path(tempfile.mkdtemp())
    kept = Path(keep[0]) if keep else None
    take = fuzz.make_taker(reader, tally, home, int(seed), kept)

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(reader.inputs())
    def one(drawn: Any) -> None:
        take(drawn)

    def target(data: bytes) -> None:
        nonlocal tries
        tries += 1
        one.hypothesis.fuzz_one_input(data)
        if tally.inputs >= int(inputs) or tries >= _MOST_TRIES * int(inputs):
            Path(out).write_text(json.dumps(fuzz.describe(name, tally, start)), encoding="utf-8")
            os._exit(0)

    # libFuzzer's own limit is on all memory; ours is on what an input adds.
    options = [f"-seed={int(seed) + 1}", "-max_len=1024", "-len_control=0", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
