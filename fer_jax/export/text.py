"""The result of `export` for the terminal."""

from collections.abc import Sequence

from fer_jax.files import Json
from fer_jax.text import align, percent


def describe(results: Sequence[Json]) -> str:
    """Lay out how the files compare with the network: a table, a row for each."""
    head = ["file", "MB", "largest difference", "changed", "of", "network", "file's accuracy"]
    rows = [head]
    for result in results:
        compared = result["compared"]
        total, correct = compared["total"], compared["correct"]
        ratios = [
            percent(correct[name] / total if total else None, digits=2) for name in ("network", "export")
        ]
        rows.append(
            [
                result["file"],
                f"{result['bytes'] / 1e6:.2f}",
                f"{compared['largest_difference']:.2g}",
                f"{compared['changed']:,}",
                f"{compared['faces']:,}",
                *ratios,
            ]
        )
    return align(rows)
