"""Load the images that a config asks for: the choice of a reader, and of the names of the classes."""

from dataclasses import replace
from pathlib import Path

from fer_jax import fer2013
from fer_jax.config.data import DataConfig
from fer_jax.config.model import ModelConfig
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts, number_labels
from fer_jax.data.location import find_file
from fer_jax.data.readers.cached import cache
from fer_jax.data.readers.own import classes, manifest
from fer_jax.errors import ConfigError, DataError
from fer_jax.faces import detectors
from fer_jax.runtime.progress import NOBODY, Listener


def load_examples(config: DataConfig, *, listener: Listener = NOBODY) -> Examples:
    """Load the images that a config asks for.

    Args:
        config: says which, and how they are read.
        listener: hears how many pictures of one's own are decoded, and that another process is waited for.

    Returns:
        Examples; of unlabelled files too, which `split_examples` refuses.

    Raises:
        DataError: the file is missing, malformed or refused.
    """
    path = find_file(config)
    if path is None:
        _refuse_synthetic(config)
        return cache.draw_cached(
            seed=config.synthetic_seed, examples=config.synthetic_examples, listener=listener
        )
    if is_own(path, config):
        if config.source == "tfds":
            raise ConfigError("data.source is tfds, which is for FER2013; leave it out for your own pictures")
        own = cache.read_cached(path, on_bad_row=config.on_bad_row, own=config, listener=listener)
        return replace(own, is_own=True)
    if config.source == "tfds":
        from fer_jax.data.readers import tfds  # Not available on every platform.

        return tfds.read(path, on_bad_row=config.on_bad_row)
    return cache.read_cached(path, on_bad_row=config.on_bad_row, listener=listener)


def is_own(path: Path | None, config: DataConfig) -> bool:
    """Whether what `find_file` has found is read as pictures of the user's own."""
    if path is None:
        return False
    start = manifest.read_start(path)
    return manifest.is_manifest(start) or (config.is_own and not manifest.is_pixels(start))


def check_own(config: Config) -> None:
    """Check the names of classes, and the settings for pictures of one's own, where the data is such.

    Nothing is read but the beginning of a file, and a mapping file.

    Raises:
        ConfigError: the names are not those of `data.class_map`, FER+'s votes or the official split are asked
            for, the mapping file is none, or a package for finding faces is missing.
        DataError: as `find_file`.
    """
    names = config.model.class_names
    is_fer2013 = config.data.class_map == "fer2013" and config.labels.source == "fer2013"
    if names and is_fer2013 and set(names) != set(fer2013.LABELS):
        raise ConfigError(
            f"model.class_names is {', '.join(names)}, and by data.class_map fer2013 the data has the "
            f"classes {', '.join(fer2013.LABELS)}; give another data.class_map, such as folders for classes "
            "named as your labels are, or leave model.class_names out"
        )
    if is_own(find_file(config.data), config.data):
        _refuse_fer2013_only(config)
        classes.settle(config.data.class_map)
        if config.data.fit == "detect":
            detectors.check_installed("yunet")


def _refuse_fer2013_only(config: Config) -> None:
    if config.labels.source == "ferplus":
        raise ConfigError(
            "labels.source is ferplus, and FER+'s votes are about FER2013's images, not about pictures of "
            "your own; leave it out"
        )
    if config.split.protocol == "official":
        raise ConfigError(
            "split.protocol is official, which is FER2013's split; for pictures of your own: seed, which "
            "cuts them 70/15/15, given, for parts that they name, or holdout"
        )


def complete(config: Config, examples: Examples) -> tuple[Config, Examples]:
    """Complete a config by the classes of the data that it is to be trained on.

    Returns:
        The config with `model.classes` and `model.class_names` of the data, and with the content of a mapping
        file in `data.class_map`; the examples with labels in the order of these names. FER2013's own rows
        leave both as they are.

    Raises:
        ConfigError: the config names other classes than the data has.
        DataError: a class has no picture.
    """
    names, model = examples.names, config.model
    if examples.is_own:
        _refuse_fer2013_only(config)
        _check_classes(examples)
    elif config.data.is_own:
        raise ConfigError(
            f"data.fit is {config.data.fit} and data.class_map {config.data.class_map[:80]}, which are for "
            f"pictures of your own, and {examples.source} has FER2013's rows of pixels; leave them out"
        )
    elif model.names == names or config.labels.source == "ferplus":
        return config, examples
    known = f"the data has {len(names)} classes, {', '.join(names)}"
    if model.class_names and set(model.class_names) != set(names):
        raise ConfigError(
            f"model.class_names is {', '.join(model.class_names)}, and {known}; name these, in the order "
            "that the outputs shall have, or leave model.class_names out"
        )
    if not model.class_names and model.classes not in (ModelConfig().classes, len(names)):
        raise ConfigError(f"model.classes is {model.classes}, and {known}; leave model.classes out")
    ordered = model.class_names or names
    model = replace(model, classes=len(ordered), class_names=ordered)
    data = replace(config.data, class_map=classes.settle(config.data.class_map))
    return replace(config, model=model, data=data), number_labels(examples, ordered)


def _check_classes(examples: Examples) -> None:
    """Refuse pictures of one's own of fewer than two classes, or without one of a class.

    Raises:
        DataError: they are such.
    """
    counts = class_counts(examples.labels, classes=len(examples.names))
    empty = [name for name, count in zip(examples.names, counts, strict=True) if not count]
    if len(empty) > len(examples.names) - 2:
        there = ", ".join(name for name in examples.names if name not in empty)
        raise DataError(
            f"{examples.description}: all are of one class, {there}; wanted 2 to 20 classes, such as a "
            "folder of pictures for each"
        )
    if empty and examples.class_names:  # Of FER2013's classes any may be empty, as ever.
        raise DataError(
            f"{examples.description}: there is no picture of {', '.join(empty)}, and a network cannot learn "
            "a class from none; add some, or leave the class out: data.class_map folders takes the "
            "classes that there are, and a mapping file those that it names"
        )


def _refuse_synthetic(config: DataConfig) -> None:
    """Refuse settings for pictures of one's own where there are none.

    Raises:
        ConfigError: there are.
    """
    if config.is_own:
        raise ConfigError(
            f"data.fit is {config.fit} and data.class_map {config.class_map[:80]}, and the synthetic faces "
            "are FER2013's classes at their size; name your pictures with --data"
        )
