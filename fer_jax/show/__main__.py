"""Write a contact sheet of faces and their augmented versions, as a run would see them.

python -m fer_jax.show --config configs/run6.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from fer_jax import cli
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import replacing


@dataclass(frozen=True, kw_only=True)
class ShowCommand(cli.ConfigCommand):
    """Write a picture of faces above their augmented versions, one column per class."""

    out: Path | None = None
    """The PNG to write; by default contact_sheet_CONFIG_DATA.png, such as contact_sheet_run6_synthetic.png,
    and with --plain faces_DATA.png."""
    examples: int = 5
    """Augmented versions of each face; with --plain, faces of each class."""
    seed: int = 0
    """Seed of the choice of faces and of their augmentation."""
    plain: bool = False
    """Show the faces without augmentation, one row per class."""
    overwrite: bool = False
    """Replace a sheet of other data or of another config, or a file that is no sheet."""


def main(argv: list[str] | None = None) -> int:
    """Parse, write the sheet, and return the exit status."""
    return cli.run(lambda: _show(cli.parse(ShowCommand, argv, prog="python -m fer_jax.show")))


def _show(show: ShowCommand) -> int:
    for name, value, least in (("--examples", show.examples, 1), ("--seed", show.seed, 0)):
        if value < least:
            raise ConfigError(f"{name} is {value}; wanted >= {least}")
    config = show.to_config()
    # Imported here: --help and misspelt options need not wait for NumPy.
    from PIL.PngImagePlugin import PngInfo

    from fer_jax.config import records
    from fer_jax.data.load import load_examples
    from fer_jax.data.location import find_file, name_data
    from fer_jax.randomness import Stream, numpy_rng
    from fer_jax.runs import outputs

    path, data = find_file(config.data), name_data(config.data)
    out = show.out or Path(f"faces_{data}.png" if show.plain else f"contact_sheet_{config.name}_{data}.png")
    # A sheet of the same data and config is drawn anew; whether it is one shows when the data is read.
    is_sheet = _read_fact(out, "data") is not None
    sources = [records.find_file(show.config, "config"), *([] if path is None or is_sheet else [path])]
    outputs.check_file("--out", out, inputs=sources, may_replace=show.overwrite or is_sheet)
    from fer_jax.report import contact_sheet, terminal  # They import matplotlib, which takes a second.

    console = terminal.make_console()
    with terminal.show_steps(console, terminal.READING, None) as steps:
        examples = load_examples(config.data, listener=steps)
    facts = PngInfo()
    for name, text in (("config", "" if show.plain else config.name), ("data", examples.sha256)):
        facts.add_text(name, text)
        if not show.overwrite and _read_fact(out, name) not in (None, text):
            raise RunError(
                f"{out} is a sheet of another {name}; give another --out, or --overwrite to replace it"
            )
    rng = numpy_rng(show.seed, Stream.SHOW)
    if show.plain:
        sheet = contact_sheet.lay_out_plain(rng, examples, per_class=show.examples)
    else:
        sheet = contact_sheet.lay_out_augmented(
            rng,
            examples,
            config.augment,
            versions=show.examples,
            title=f"{config.name}: images and their augmented versions",
        )
    try:
        with replacing(out) as new:
            sheet.save(new, format="PNG", optimize=True, pnginfo=facts)
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror}; name another place with --out") from None
    if examples.is_own:
        terminal.show_data(console, examples)
        terminal.show_classes(console, examples)
    else:
        console.print(examples.description)
    console.print(f"wrote {out}")
    return 0


def _read_fact(path: Path, name: str) -> str | None:
    """Read what an earlier sheet says about itself; None where there is none, or another picture."""
    from PIL import Image

    if not path.is_file():  # To open a pipe would wait for ever.
        return None
    try:
        with Image.open(path) as picture:
            return picture.info.get(name)
    except Exception:  # Pillow's parsers can raise anything.
        return None


if __name__ == "__main__":
    sys.exit(main())
