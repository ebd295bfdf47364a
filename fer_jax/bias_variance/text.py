"""A study of bias and variance in words: its table, and how much annotators disagree; its input is JSON."""

from fer_jax.files import Json
from fer_jax.text import align, counted

TITLES = {"zero_one": "0-1 loss, %", "brier": "Brier score", "cross_entropy": "cross-entropy, nats"}


def describe(result: Json) -> str:
    """Describe a study for the terminal, from the content of its JSON."""
    rows = [["loss", "mean", "= bias", "+ variance", "unbiased", "- biased", "variance / mean"]]
    for name, title in TITLES.items():
        parts, scale, digits = result["losses"][name], *((100, 1) if name == "zero_one" else (1, 3))
        names = ("loss", "bias", "variance", "variance_unbiased", "variance_biased")
        cells = [_with_spread(parts, each, scale, digits) if each in parts else "" for each in names]
        share = f"{parts['variance'] / parts['loss']:.2f}" if parts["loss"] else ""
        rows.append([title, *cells, share])
    lines = [
        f"{counted(len(result['seeds']), 'seed')} on {counted(len(result['resamples']), 'resample')} of "
        f"{counted(result['train_images'], 'image')}, measured on the {result['images']:,} of "
        f"{result['part']}",
        align(rows),
    ]
    if result["losses"]["zero_one"]["spread"] is not None:
        lines.append("±: standard error over the resamples (jackknife).")
    if result["brier_variance"] is not None:
        seed, data = result["brier_variance"]["seed"], result["brier_variance"]["data"]
        from_seed = seed / (seed + data) if seed + data else 0.0
        lines.append(
            f"Brier variance of one network: {seed:.3f} from the seed, {data:.3f} from the data; "
            f"the share of the seed is {from_seed:.2f}."
        )
    if result["noise"] is not None:
        noise = result["noise"]
        lines.append(
            f"FER+'s annotators disagree with the others by as much (votes on {noise['images']:,} images): "
            f"{100 * noise['zero_one']:.1f} %, {noise['brier']:.3f}, {noise['cross_entropy']:.3f} nats. "
            f"The label is not their majority on {100 * noise['label_is_not_majority']:.1f} %. So a part of "
            "the bias is label noise; how much is not known."
        )
    return "\n".join(lines)


def _with_spread(parts: Json, name: str, scale: int, digits: int) -> str:
    text = f"{scale * parts[name]:.{digits}f}"
    return text if parts["spread"] is None else f"{text} ± {scale * parts['spread'][name]:.{digits}f}"
