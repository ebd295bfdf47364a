"""`fer-jax VERB ...`, the same as `python -m fer_jax.VERB ...`."""

import importlib
import sys

from fer_jax.config.fields import suggest

VERBS = {
    "train": "train the network that a config file describes",
    "evaluate": "measure runs or released weights on any part of the data",
    "compare": "compare runs side by side and test which differences are real",
    "diagnose": "diagnose a run's bias and variance, and suggest what to change",
    "sweep": "search a config's hyper-parameters on a hold-out",
    "bias_variance": "measure the bias and the variance of a config's errors",
    "check": "check config, data and network before a long run",
    "audit": "find duplicates, images without a face and likely label errors",
    "release": "export a run's weights with a card, for fer_jax.load",
    "show": "draw a contact sheet of images and their augmented versions",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first word names.

    Returns:
        Its exit status; 2 where there is no such command.
    """
    argv = sys.argv[1:] if argv is None else argv
    listing = "\n".join(f"  fer-jax {verb:<13} {what}" for verb, what in VERBS.items())
    usage = f"usage: fer-jax VERB ...\n\n{listing}\n\nfer-jax VERB --help lists its options."
    if not argv or argv[0] in ("-h", "--help"):
        print(usage)
        return 0 if argv else 2
    if argv[0] not in VERBS:
        print(f"error: there is no verb {argv[0]!r}{suggest(argv[0], list(VERBS))}\n{usage}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(f"fer_jax.{argv[0]}.__main__").main(argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
