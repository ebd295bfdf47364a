"""What the long ablation compares: views, and single changes of its base."""

from typing import Final

from benchmarks.accuracy.ablation import BASE
from fer_jax.images.view_choice import ViewChoice

VIEWS: Final[tuple[ViewChoice, ...]] = ("single", "flip", "flip-zooms")
COMPARED: Final[ViewChoice] = "flip"
"""The views whose accuracies are compared with the base's."""
MATCHED: Final[ViewChoice] = "flip-zooms"
"""The views that match the training images, compared with `COMPARED` on the same weights."""

_TAUGHT: Final = (
    "--distill.teachers best --distill.weight 0.8 --distill.temperature 1.5 --loss.label-smoothing 0"
)

INGREDIENTS: Final[dict[str, tuple[str, str]]] = {
    BASE: ("`tiny.py` over 60 epochs", ""),
    "augmentation": (
        "crops of at least 0.85 of the side on half of the images, erasing and mixup on 30 % each",
        "--augment.crop-probability 0.5 --augment.min-crop-scale 0.85 --augment.erase-probability 0.3 "
        "--mix.mixup-alpha 0.2 --mix.probability 0.3",
    ),
    "bank": (
        "0.8 of the target from `best`, asked about the 8 stored views that an image then has",
        f"{_TAUGHT} --distill.views 8",
    ),
    "batch": (
        "batches of 256 instead of 64; learning rate and weight decay doubled, averaged over as many epochs",
        "--train.batch-size 256 --optimizer.peak-rate 0.01 --optimizer.weight-decay 0.04 "
        "--average.ema-decay 0.992",
    ),
    "repeats": ("each image of a batch in two augmentations", "--augment.repeats 2"),
    "clean-teacher": (
        "0.8 of the target from `best`, asked once, about the image and its mirror image",
        _TAUGHT,
    ),
    "strong-augmentation": (
        "the augmentation of `best100.py`, without mixing",
        "--augment.max-shift-px 6 --augment.max-rotation-deg 12 --augment.crop-probability 0.7 "
        "--augment.min-crop-scale 0.75 --augment.zoom-probability 0.5 --augment.max-zoom 1.15 "
        "--augment.stretch-probability 0.5 --augment.max-stretch 1.15 --augment.contrast-probability 0.5 "
        "--augment.max-contrast 1.4 --augment.brightness-probability 0.5 --augment.max-brightness 0.15 "
        "--augment.erase-probability 0.5 --augment.max-erase-fraction 0.3",
    ),
}
"""By name, most wanted first: the change in words, and as options of `python -m fer_jax.train`."""
