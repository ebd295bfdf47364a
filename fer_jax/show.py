"""The program `python -m fer_jax.show`: a contact sheet of the faces, augmented as a run would see them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from fer_jax import augment, command, fer2013
from fer_jax.config import BadRow, Config
from fer_jax.config_augment import AugmentConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.randomness import Stream, numpy_rng

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Show:
    """Write a picture of faces over their augmented versions, one column an expression."""

    config: Path
    """The experiment record, such as configs/run6.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    """Every field of the config; what the file says is the default."""
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """Short for --data.on-bad-row."""
    out: Path = Path("contact_sheet.png")
    """The PNG to write."""
    examples: int = 5
    """Augmented versions under each face; with --plain, faces beside each label."""
    seed: int = 0
    """Picks the faces and draws their augmentation."""
    plain: bool = False
    """Show the faces as they are: one row an expression, no augmentation."""


def draw_rows(rng: np.random.Generator, labels: np.ndarray, *, per_class: int) -> dict[str, np.ndarray]:
    """Draw rows of each class that has any.

    Args:
        rng: source of the randomness.
        labels: int32 [N], 0..6, or -1 for unlabelled.
        per_class: how many rows of a class; fewer where the class is smaller.

    Returns:
        Label name -> int [up to per_class], rows without repeats; classes without rows are left out.

    >>> draw_rows(np.random.default_rng(0), np.array([3, 0, -1]), per_class=5)
    {'angry': array([1]), 'happy': array([0])}
    """
    rows = [np.flatnonzero(labels == label) for label in range(fer2013.CLASS_COUNT)]
    picked = [rng.permutation(of_class)[:per_class] for of_class in rows]
    return {name: some for name, some in zip(fer2013.LABELS, picked, strict=True) if len(some)}


def draw_augmented_grid(
    rng: np.random.Generator, faces: np.ndarray, config: AugmentConfig, *, versions: int
) -> np.ndarray:
    """Put faces over augmented versions of themselves.

    Args:
        rng: source of the randomness.
        faces: uint8 [C, 48, 48, 1], one a column.
        config: ranges and probabilities.
        versions: how many rows to augment.

    Returns:
        uint8 [1 + versions, C, 48, 48, 1].
    """
    copies = np.tile(faces, (versions, 1, 1, 1))
    augmented = augment.apply(copies, augment.draw(rng, config, len(copies)))
    return np.concatenate([faces[None], augmented.reshape(versions, *faces.shape)])


def plain_grid(images: np.ndarray, picked: list[np.ndarray]) -> np.ndarray:
    """Put the picked rows beside each other, with white where a class has fewer than another.

    Args:
        images: uint8 [N, 48, 48, 1].
        picked: R times int [up to C], rows of `images`.

    Returns:
        uint8 [R, C, 48, 48, 1].
    """
    grid = np.full((len(picked), max(map(len, picked)), *fer2013.IMAGE_SHAPE), 255, np.uint8)
    for line, rows in zip(grid, picked, strict=True):
        line[: len(rows)] = images[rows]
    return grid


def describe(config: AugmentConfig) -> str:
    """Say in words what the augmentation does.

    >>> describe(AugmentConfig(shift_probability=1.0, flip_probability=0.5))
    'shifted by up to 6 px (100 %), mirrored (50 %)'
    >>> describe(AugmentConfig())
    'no augmentation'
    """
    changes = (
        (f"turned by up to {config.max_rotation_deg:g}°", config.rotate_probability),
        (f"larger or smaller by up to {config.max_zoom:g}×", config.zoom_probability),
        (f"taller or wider by up to {config.max_stretch:g}×", config.stretch_probability),
        (f"cropped to {100 * config.min_crop_scale:g}–100 % of the side", config.crop_probability),
        (f"shifted by up to {config.max_shift_px:g} px", config.shift_probability),
        ("mirrored" + " in turn" * config.alternate_flip, config.flip_probability),
        (f"blurred or sharpened by up to {100 * config.max_sharpness:g} %", config.sharpness_probability),
        (f"gamma up to {config.max_gamma:g}", config.gamma_probability),
        (f"contrast up to {config.max_contrast:g}×", config.contrast_probability),
        (f"brightness by up to {100 * config.max_brightness:g} %", config.brightness_probability),
        (f"erased up to {100 * config.max_erase_fraction:g} % of the area", config.erase_probability),
    )
    words = [f"{what} ({100 * probability:g} %)" for what, probability in changes if probability]
    return ", ".join(words) or "no augmentation"


def lay_out_sheet(examples: Examples, show: Show) -> "Image.Image":
    """Lay out the sheet that the command asks for.

    Args:
        examples: where to pick the faces from.
        show: the command; `data`, `out` and the like are not looked at.

    Returns:
        A gray picture, mode "L".

    Raises:
        DataError: no example has a label.
    """
    from fer_jax.contact_sheet import contact_sheet  # It needs matplotlib, for which --help need not wait.

    rng = numpy_rng(show.seed, Stream.SHOW)
    picked = draw_rows(rng, examples.labels, per_class=show.examples if show.plain else 1)
    if not picked:
        raise DataError(f"{examples.description}: no image has a label; show needs a labelled file")
    grid = plain_grid(examples.images, list(picked.values()))
    if show.plain:
        return contact_sheet(
            grid,
            row_labels=list(picked),
            column_labels=[""] * grid.shape[1],
            title="Faces by expression",
            subtitle=examples.description,
        )
    return contact_sheet(
        draw_augmented_grid(rng, grid[:, 0], show.settings.augment, versions=show.examples),
        row_labels=["original", "augmented"] + [""] * (show.examples - 1),
        column_labels=list(picked),
        title=f"{show.settings.name}: faces and their augmented versions",
        subtitle=describe(show.settings.augment),
    )


def main(argv: list[str] | None = None) -> int:
    """Run the program; see the module's docstring.

    Args:
        argv: the command line; the process's own when None.

    Returns:
        The exit status.
    """
    return command.run(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    show: Show = command.parse(Show, argv, prog="python -m fer_jax.show")
    for name, value, least in (("--examples", show.examples, 1), ("--seed", show.seed, 0)):
        if value < least:
            raise ConfigError(f"{name} is {value}; wanted >= {least}")
    config = command.with_data(show.settings, show.data, show.on_bad_row)
    examples = load_examples(config.data)
    sheet = lay_out_sheet(examples, show)
    try:
        sheet.save(show.out, format="PNG", optimize=True)
    except OSError as error:
        raise RunError(f"cannot write {show.out}: {error.strerror}; name another place with --out") from None
    print(f"{examples.description}\nwrote {show.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
