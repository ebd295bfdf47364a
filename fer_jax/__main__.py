"""`fer-jax VERB ...`, the same as `python -m fer_jax.VERB ...`."""

import importlib
import sys

from fer_jax.config.fields import suggest

VERBS = {
    "train": "train a network as a config file says",
    "evaluate": "measure a trained run on any part of the data",
    "compare": "put runs side by side and say which differences are real",
    "diagnose": "say what a run's figures teach, and what to change next",
    "sweep": "search a config's hyper-parameters on a hold-out",
    "bias_variance": "measure the bias and the variance of a config's errors",
    "check": "look for mistakes before a long run",
    "audit": "find copies, non-faces and likely label errors in the data",
    "release": "write a run's weights and their card, for fer_jax.load",
    "show": "draw a contact sheet of faces and their augmented versions",
}


def main(argv: list[str] | None = None) -> int:
    """Run the program that the first word names; 2 where it names none."""
    argv = sys.argv[1:] if argv is None else argv
    listing = "\n".join(f"  fer-jax {verb:<13} {what}" for verb, what in VERBS.items())
    usage = f"usage: fer-jax VERB ...\n\n{listing}\n\nfer-jax VERB --help says more."
    if not argv or argv[0] in ("-h", "--help"):
        print(usage)
        return 0 if argv else 2
    if argv[0] not in VERBS:
        print(f"error: there is no verb {argv[0]!r}{suggest(argv[0], list(VERBS))}\n{usage}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(f"fer_jax.{argv[0]}").main(argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
