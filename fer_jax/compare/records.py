"""A comparison as records of a table: one for each run, seed and part."""

from fer_jax.compare.text import SCORES
from fer_jax.files import Json


def list_records(result: Json) -> list[Json]:
    """List the runs as records of a table, one for each seed and part.

    Returns:
        `run` (label), `folder`, `seed`, `part`, `correct`, `total`, `accuracy` with the ends `accuracy_low`
        and `accuracy_high` of its 95 % interval (Wilson), `loss`, `balanced_accuracy` and `macro_f1` (None
        for a part that training did not measure), `copy_free_correct` and `copy_free_total` (without copies
        of training images; None where the images were not classified for the tests), `parameters`, `macs`,
        `epochs`, `best_epoch`, and, if speed is shown, `images_per_second` and `seconds_per_epoch`.
    """
    speeds = ("images_per_second", "seconds_per_epoch") if result["has_speed"] else ()
    rows = []
    for run in result["runs"]:
        for seed in run["seeds"]:
            for part, counts in seed["parts"].items():
                without = counts.get("copy_free") or {}
                rows.append(
                    {
                        "run": run["label"],
                        "folder": seed["folder"],
                        "seed": seed["seed"],
                        "part": part,
                        "correct": counts["correct"],
                        "total": counts["total"],
                        "accuracy": counts["correct"] / counts["total"],
                        "accuracy_low": counts["low"],
                        "accuracy_high": counts["high"],
                        **{name: counts.get(name) for name in SCORES},
                        **{f"copy_free_{name}": without.get(name) for name in ("correct", "total")},
                        **{name: run[name] for name in ("parameters", "macs", "epochs")},
                        "best_epoch": seed["best_epoch"],
                        **{name: run[name] for name in speeds},
                    }
                )
    return rows
