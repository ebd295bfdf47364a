"""The recipes whose accuracy is measured, on which part and in which views."""

from dataclasses import dataclass
from typing import Final

from fer_jax.images.view_choice import ViewChoice

PART: Final = "PublicTest"
VIEWS: Final[tuple[ViewChoice, ...]] = ("single", "flip", "flip-zooms", "ten-crop")


@dataclass(frozen=True)
class Tier:
    """A recipe: its seeds are a row of the table.

    Attributes:
        config: its file.
        words: its description in the table.
        is_taught: whether it is distilled from the tier `--teachers`. A config that names its teachers itself
            is not.
    """

    config: str
    words: str
    is_taught: bool = False


TIERS: Final[dict[str, Tier]] = {
    "speedrun": Tier("configs/speedrun.py", "mid-size network, 17 epochs"),
    "speedrun20": Tier("configs/speedrun20.py", "mid-size network, 20 epochs"),
    "tiny": Tier("configs/tiny.py", "tiny network"),
    "tiny-distilled": Tier("configs/tiny.py", "tiny network, distilled", is_taught=True),
    "tiny160": Tier("configs/tiny160.py", "tiny network, 160 epochs, distilled"),
    "tiny160_deep": Tier("configs/tiny160_deep.py", "tiny network, one block deeper, 160 epochs, distilled"),
    "tiny80": Tier("configs/tiny80.py", "tiny network, one block deeper, 80 epochs, distilled"),
    "xception": Tier("configs/xception.py", "mini-Xception"),
    "mid": Tier("configs/mid.py", "mid-size network"),
    "mid-distilled": Tier("configs/mid.py", "mid-size network, distilled", is_taught=True),
    "mid64": Tier("configs/mid64.py", "mid-size network, 64 epochs, distilled"),
    "ferplus": Tier("configs/ferplus.py", "mid-size network, FER+ votes"),
    "ferplus100": Tier("configs/ferplus100.py", "large network, 100 epochs, FER+ votes"),
    "vgg": Tier("configs/vgg.py", "VGG"),
    "resnet18": Tier("configs/resnet18.py", "ResNet-18"),
    "best": Tier("configs/best.py", "large network, mixed images"),
    "best100": Tier("configs/best100.py", "large network, 100 epochs, stronger augmentation"),
    "best100_plain": Tier(
        "configs/best100_plain.py",
        "large network without squeeze-and-excitation, 100 epochs, stronger augmentation",
    ),
}
"""Tiers by name; one that is taught waits for its teachers."""
