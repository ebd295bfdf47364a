"""Show what fer_jax keeps in the user's cache folder, check or delete it.

python -m fer_jax.cache clear --kind programs
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from fer_jax import cli
from fer_jax.cache.kinds import KINDS, Kind
from fer_jax.errors import RunError
from fer_jax.files import cache_folder, megabytes
from fer_jax.text import align, counted, thousands

if TYPE_CHECKING:
    from rich.console import Console

    from fer_jax.cache.run import Kept


@dataclass(frozen=True, kw_only=True)
class CacheCommand:
    """Show what fer_jax keeps in your cache folder, check or delete it.

    Whatever is deleted is made again when it is needed, which takes time but changes no result. Programs that
    are running go on. What fer_jax has not made stays, and links are not followed.
    """

    action: Annotated[Literal["show", "check", "clear"], tyro.conf.Positional] = "show"
    """show: list what is kept; check: hash all images, to find damage; clear: delete what is kept."""
    kind: tuple[Kind, ...] = KINDS
    """What to show or delete. images: files of images, read and checked, and which are near copies; answers:
    those of teachers; programs: compiled by XLA."""


def main(argv: list[str] | None = None) -> int:
    """Parse, show, check or clear, and return the exit status."""
    return cli.run(lambda: _cache(cli.parse(CacheCommand, argv, prog="python -m fer_jax.cache")))


def _cache(options: CacheCommand) -> int:
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.cache import run
    from fer_jax.report import terminal

    console = terminal.make_console()
    cache = cache_folder()
    kinds = tuple(dict.fromkeys(options.kind))
    if options.action == "show":
        kept = {kind: each for kind, each in run.find_kept(cache, now=time.time()).items() if kind in kinds}
        console.print(f"kept in {cache}\n{_table(kept)}")
        return 0
    if options.action == "check":
        return _check(console, cache)
    cleared = run.clear(cache, kinds, now=time.time())
    console.print(f"deleted from {cache}\n{_table(cleared)}")
    left = [line for each in cleared.values() for line in each.in_use]
    if left:
        more = f", and {thousands(len(left) - 1)} more" if len(left) > 1 else ""
        raise RunError(f"not deleted: {left[0]}{more}; end the programs that use it, and try again")
    return 0


def _check(console: "Console", cache: Path) -> int:
    from fer_jax.cache import run

    good, damaged = run.find_damaged(cache)
    console.print(f"{counted(len(good), 'data set')} in {cache}: every image is as it was written")
    if damaged:
        raise RunError(
            f"damaged: {', '.join(map(str, damaged))}; delete the images with "
            "`python -m fer_jax.cache clear --kind images`, and they are made again when they are needed"
        )
    return 0


def _table(kept: "dict[Kind, Kept]") -> str:
    rows = [[kind, thousands(len(each.paths)), megabytes(each.size)] for kind, each in kept.items()]
    return align([["kind", "files", "size"], *rows])


if __name__ == "__main__":
    sys.exit(main())
