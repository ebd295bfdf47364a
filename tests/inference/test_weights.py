"""A classifier that may abstain: which rows have no answer, and what is refused."""

from typing import Any

import numpy as np
import pytest

from fer_jax.config.data import LabelsConfig
from fer_jax.errors import ConfigError, DataError
from fer_jax.inference.weights import Classifier

FACES = np.full((3, 48, 48), 9, np.uint8)
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.1, 0.1, 0.8]])


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(Classifier, "predict_logits", lambda *_, **__: np.log(PROBABILITIES))
    network: Any = None
    return Classifier("small", ("angry", "happy", "sad"), {}, network, LabelsConfig())


def test_below_the_threshold_there_is_no_answer(classifier: Classifier) -> None:
    found = classifier.predict(FACES, abstain_below=0.5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.where([[1], [0], [1]], PROBABILITIES, np.nan), rtol=1e-6)
    # The threshold itself is an answer.
    assert classifier.answers(found) == ["angry", None, "sad"]
    always = classifier.predict(FACES)
    np.testing.assert_array_equal(always, classifier.predict(FACES, abstain_below=0))
    assert classifier.answers(always) == ["angry", "angry", "sad"]
    assert classifier.answers(classifier.predict(FACES, abstain_below=1)) == [None] * 3
    assert classifier.answers([]) == classifier.answers(found[:0]) == []


@pytest.mark.parametrize("threshold", [50, -0.1, float("nan"), "0.5", True])
def test_a_threshold_that_is_no_probability_is_refused(classifier: Classifier, threshold: Any) -> None:
    with pytest.raises(ConfigError, match=r"abstain_below came .*; wanted a probability in 0\.\.1"):
        classifier.predict(FACES, abstain_below=threshold)


@pytest.mark.parametrize("came", [None, [[0.5, 0.5]], np.zeros(3), [[1.0], [0.2, 0.8]], [["a", "b", "c"]]])
def test_what_is_no_prediction_has_no_answers(classifier: Classifier, came: Any) -> None:
    with pytest.raises(DataError, match=r"the probabilities came as .*; wanted float \[N, 3\]"):
        classifier.answers(came)
