"""Write docs/results/reliability.md from the JSON files of the campaigns.

    python -m benchmarks.reliability

The campaigns are `python -m benchmarks.reliability.NAME`, with the names crash, corruption, concurrency,
storage, interrupts, fuzz, sweep_team and parallel; each writes benchmarks/results/reliability-NAME.json.
"""

import sys
from dataclasses import dataclass

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.reliability.tables import write_sections
from fer_jax import cli

PROGRAM = "python -m benchmarks.reliability"


@dataclass(frozen=True)
class Reliability:
    """Write the tables of docs/results/reliability.md from the JSON files of the campaigns."""


def main(argv: list[str] | None = None) -> int:
    """Write the sections, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(Reliability, argv, prog=PROGRAM)))


def _run(options: Reliability) -> int:
    for name, text in write_sections(bench.RESULTS).items():
        print(f"{name} written to {write_section(PAGES, name, text)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
