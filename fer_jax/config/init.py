"""Section of a run's config: the weights that training starts from."""

from dataclasses import dataclass

from fer_jax.config.checks import Checks
from fer_jax.files import Json
from fer_jax.text import join


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """What training starts from: new weights, or those of a trained network (fine-tuning)."""

    weights: str | None = None
    """A trained network whose weights, batch statistics and pixel statistics to start from: weights that come
    with fer_jax such as `mid`, a `.safetensors` file with its card, or the folder of a run. Its blocks must
    be those of `model`; the last layer is new where the classes differ."""
    freeze_blocks: int = 0
    """How many of the first blocks keep their weights and batch statistics."""
    head_epochs: float = 0.0
    """For so many first epochs only the layers after the blocks are trained."""
    rate_factor: float = 1.0
    """Factor of the learning rate of the layers that were not made anew."""

    def __post_init__(self) -> None:
        checks = Checks(self, "init.")
        is_name = self.weights is None or (isinstance(self.weights, str) and self.weights != "")
        checks.check("weights", is_name, "the name of released weights, a file of them, or a run's folder")
        checks.at_least(0, "freeze_blocks")
        checks.not_negative("head_epochs")
        checks.positive("rate_factor")
        for name, value in (("freeze_blocks", 0), ("head_epochs", 0), ("rate_factor", 1)):
            is_used = self.weights is not None or getattr(self, name) == value
            checks.check(name, is_used, f"{value} without init.weights: there is no old layer")


def describe_start(facts: Json) -> str:
    """Say in a line what a run starts from.

    Args:
        facts: `run`, `sha256` and `head` of the network, see `inference.teachers.load_ancestor`.

    >>> facts = {"run": "mid", "sha256": "12ab" * 16, "head": None}
    >>> describe_start(facts)
    'starts from mid (SHA-256 12ab12ab12ab), with its last layer'
    """
    head = facts["head"]
    if head is None:
        layer = "with its last layer"
    elif not head["copied"]:
        layer = f"with a new last layer for {len(head['new'])} classes"
    else:
        layer = f"the last layer has {join(head['copied'])} from it"
        layer += f", and {join(head['new'])} anew" if head["new"] else ", in another order"
    return f"starts from {facts['run']} (SHA-256 {facts['sha256'][:12]}), {layer}"
