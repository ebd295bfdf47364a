"""Randomness: independent streams, and a recipe that every past result depends on."""

from itertools import product

import jax
import pytest

from fer_jax.randomness import Stream, jax_key, numpy_rng

SEED = 12345


def test_the_recipe_has_not_changed() -> None:
    """A change here changes every run that was ever made."""
    assert {stream.name: int(stream) for stream in Stream} == {
        "SPLIT": 1,
        "EPOCH_ORDER": 2,
        "AUGMENT": 3,
        "INIT": 4,
        "DROPOUT": 5,
        "SYNTHETIC": 6,
        "SHOW": 7,
        "SUBSET": 8,
        "BOOTSTRAP": 9,
        "CORRUPTION": 10,
        "RESAMPLE": 11,
        "LIMIT": 12,
        "MIX": 13,
        "LABELS": 14,
        "HOLDOUT": 15,
        "SWEEP": 16,
        "CALIBRATION": 17,
        "VIEWS": 18,
    }
    assert numpy_rng(SEED, Stream.AUGMENT, 6, 7).integers(2**32, size=3).tolist() == [
        640712461,
        2349316967,
        2867847374,
    ]
    assert numpy_rng(SEED, Stream.SUBSET).permutation(8).tolist() == [5, 4, 1, 2, 7, 0, 6, 3]
    assert jax.random.key_data(jax_key(SEED, Stream.INIT)).tolist() == [305750198, 730924241]


def test_every_seed_stream_and_place_is_its_own() -> None:
    places = [(), (0,), (1,), (2,), (0, 0), (0, 1), (1, 0), (1, 1), (0, 0, 0), (1, 0, 0), (2**32 - 1,)]
    seeds = (0, 1, 2, 3, 2**32 - 1)
    firsts = {
        int(numpy_rng(seed, stream, *place).integers(2**63))
        for seed, stream, place in product(seeds, Stream, places)
    }
    assert len(firsts) == len(seeds) * len(Stream) * len(places)
    keys = {
        tuple(jax.random.key_data(jax_key(seed, stream)).tolist()) for seed, stream in product(seeds, Stream)
    }
    assert len(keys) == len(seeds) * len(Stream)


def test_a_generator_depends_on_nothing_drawn_before() -> None:
    first = numpy_rng(SEED, Stream.SPLIT, 3)
    first.normal(size=100)
    assert numpy_rng(SEED, Stream.SPLIT, 3).normal() == numpy_rng(SEED, Stream.SPLIT, 3).normal()


def test_a_negative_place_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        numpy_rng(SEED, Stream.SPLIT, -1)
