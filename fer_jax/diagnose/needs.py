"""What a rule needs to see before it may speak: enough epochs, settled curves, enough images.

A need returns None if it is met, and else why the rule cannot be judged.
"""

from collections.abc import Callable

import numpy as np

from fer_jax.diagnose.evidence import END_EPOCHS, MIN_RARE_IMAGES, MIN_VAL_IMAGES, THRESHOLDS, Evidence
from fer_jax.text import counted, decimal

Need = Callable[[Evidence], str | None]


def enough_epochs(evidence: Evidence) -> str | None:
    """Need a few epochs: fewer show no trend."""
    epochs = len(evidence.measured)
    if epochs >= END_EPOCHS:
        return None
    return f"the run has {evidence.count_measured(epochs)}, and {END_EPOCHS} are needed"


def settled(evidence: Evidence) -> str | None:
    """Need a val accuracy that has settled: where it still jumps, the last epoch is an accident."""
    if not evidence.is_moving:
        return None
    moved, least = float(np.ptp(evidence.end)), THRESHOLDS["still_moving"].value
    return (
        f"val accuracy moves by {decimal(100 * moved, digits=1)} points over the last "
        f"{evidence.count_measured(len(evidence.end))}; less than {100 * least:g} is needed"
    )


def enough_images(evidence: Evidence) -> str | None:
    """Need enough validation images for an accuracy."""
    images = sum(evidence.counts)
    if images >= MIN_VAL_IMAGES:
        return None
    return f"val has {counted(images, 'image')}, and {MIN_VAL_IMAGES} are needed"


def known_people(evidence: Evidence) -> str | None:
    """Need to know how well people do: without, nobody can say whether an accuracy is low."""
    if evidence.is_synthetic:
        return "how well one person tells drawn faces apart is not known, as it is for FER2013's"
    if not evidence.config.has_own_data:
        return None
    return "how well one person tells these classes apart is not known, as it is for FER2013's"


def enough_rare_images(evidence: Evidence) -> str | None:
    """Need enough validation images of the class that is rarest in training for its recall."""
    rare = evidence.rarest
    images = evidence.counts[rare]
    if images >= MIN_RARE_IMAGES:
        return None
    return f"val has {counted(images, 'image')} of {evidence.names[rare]}, and {MIN_RARE_IMAGES} are needed"
