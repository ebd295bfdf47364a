"""A comparison of runs as an object: tables, tests and pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from matplotlib.figure import Figure

from fer_jax.api import display
from fer_jax.api.runs import Run
from fer_jax.compare import plots, records, text
from fer_jax.compare import run as compare_work
from fer_jax.config.checks import check_choice
from fer_jax.config.data import Part
from fer_jax.errors import ConfigError
from fer_jax.files import Json, expand_home, writing
from fer_jax.report import terminal

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Runs side by side, and which of their differences are significant.

    Attributes:
        result: everything that was compared, the content of `compare.json`.
    """

    result: Json

    @property
    def verdict(self) -> str:
        """What the comparison shows, in sentences."""
        return " ".join(text.verdict(self.result))

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each run, seed and part, as `compare --csv` writes it."""
        import pandas as pd

        return pd.DataFrame(records.list_records(self.result))

    @property
    def pairs(self) -> "pd.DataFrame":
        """McNemar's test of each pair of runs on the same images.

        `first` and `second`; `difference` (accuracy of the second minus that of the first, a ratio) with the
        ends `low` and `high` of its 95 % interval; how many images `only_first` and `only_second` have right;
        `p`, and `p_holm`, corrected for the number of pairs; `is_real` where that is below 0.05.
        """
        import pandas as pd

        names = [run["label"] for run in self.result["runs"]]
        frame = pd.DataFrame(self.result["pairs"])
        for column in ("first", "second"):
            frame[column] = [names[number] for number in frame[column]]
        columns = ["difference", "low", "high", "only_first", "only_second", "p", "p_holm", "is_real"]
        return frame[["first", "second", *columns]]

    def plot(self, kind: str = "accuracies") -> Figure:
        """Draw the accuracies, McNemar's tests, the learning curves or the gaps between train and val.

        Args:
            kind: one of `fer_jax.compare.plots.KINDS`.

        Raises:
            ConfigError: there is no such plot.
        """
        if kind not in plots.KINDS:
            wanted = ", ".join(plots.KINDS)
            raise ConfigError(f"there is no plot {kind!r} of a comparison; wanted one of {wanted}")
        return plots.plot(self.result, kind)

    def save(self, folder: str | Path, *, name: str = "compare") -> None:
        """Write NAME.md, NAME.html, NAME.json and the pictures into a folder, as the command does.

        Raises:
            ConfigError: the name is not a file name.
            RunError: the folder cannot be written to.
        """
        if not isinstance(name, str) or not name or Path(name).name != name:
            raise ConfigError(f"name came {name!r}; wanted a file name without a folder")
        home = expand_home(folder)
        with writing(home):
            compare_work.write(self.result, home, name)

    def __repr__(self) -> str:
        names = ", ".join(run["label"] for run in self.result["runs"])
        return f"Comparison({names}; on {self.result['part']})"

    def __str__(self) -> str:
        """Lay out the comparison in tables, as `compare` prints it."""
        return text.terminal(self.result)

    def _repr_html_(self) -> str:
        part = self.result["part"]
        whole = display.block(f"Runs compared on {part}", [self.verdict], text.main_table(self.result))
        return whole + display.block("Differences", [], text.pairs_table(self.result))


def compare_runs(
    runs: Run | str | Path | Iterable[Run | str | Path], *, part: Part = "val", data: str | Path | None = None
) -> Comparison:
    """Compare runs on the same images, and test which differences are significant, as `compare` does.

    Args:
        runs: in the order of the table: runs or their folders, or a folder that holds runs. Those that differ
            only in their seed are one row, and the first is tested.
        part: of the images to test on, as for `Run.evaluate`.
        data: another file to compare on; None for the one that the runs were trained on.

    Raises:
        FerJaxError: the runs cannot be compared, or the data cannot be used.
    """
    check_choice("part", part, get_args(Part))
    named: list[Any] = [runs] if isinstance(runs, str) or not isinstance(runs, Iterable) else list(runs)
    folders = [each.folder if isinstance(each, Run) else expand_home(each) for each in named]
    if not folders:
        raise ConfigError("no run was named; give two runs, or a folder of runs")
    words = f"fer_jax.compare_runs({[folder.name for folder in folders]}, part={part!r})"
    result = compare_work.compare(
        terminal.make_console(),
        folders,
        None if data is None else expand_home(data),
        part=part,
        on_bad_row=None,
        has_speed=True,
        invocation=words,
    )
    return Comparison(result)
