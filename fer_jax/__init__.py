"""fer_jax: facial-expression recognition on FER2013 in pure functional JAX/Flax.

The data's way is a straight line:

    file -> data.location, data.load (data.readers) -> Examples uint8 [N, 48, 48, 1] -> data.split
         -> data.batches (indices, weights), images.augment.draw
         -> engine.input_pipeline, engine.steppers (uint8 and drawn numbers to the device)
         -> engine.step [augment.apply -> standardise -> model -> loss -> optax]
         -> metrics.Counts -> runs (checkpoint, log) -> report
    picture, video, camera -> faces: upright RGB uint8 [H, W, 3], boxes, crops uint8 [N, 48, 48, 1]
         -> inference.analyzer -> predict (rows, drawn copies), serve

A room is a package, or a module here at the root. It imports rooms of lower rows only:

1. ground: `errors`, `fer2013` (facts of the data set), `randomness` (its only source), `files`,
   `litter` (files that systems make), `strict_json`, `text`
2. `config` of a run; `metrics`, counts and statistics of predictions; `runtime`, the process (its `door`,
   signals, output) and the machine (its disk, with locks); `faces`, where faces are in pictures and videos,
   and the crop that a network sees (never jax)
3. `images`, uint8 arrays on the host; `data`, files to arrays; `models`, Linen modules; `parallel`, devices
   and processes that train together; `cli`
4. `runs`, run folders and checkpoints; `report`, text, pictures and pages
5. `engine`, state, step and loop; `inference`, anything that predicts
6. the commands, one folder each, and none imports another: `predict`, `serve`, `export`, `train`,
   `evaluate`, `compare`, `diagnose`, `bias_variance`, `check`, `audit`, `sweep`, `release`, `verify`,
   `show`, `configs`, `cache`. In each, `__main__` is the command line (it imports the rest late, since JAX
   takes seconds to import), `run` the work, `text` words and tables, `plots` pictures, `page` HTML.
7. `api`, what Python code and notebooks use: the work of the commands as functions

Letters for shapes, in all docstrings:

| letter | meaning |
|---|---|
| N | examples of a data set, or images to predict |
| B | examples of a batch |
| K | replicas: seeds that are trained together |
| H, W | height and width; an image is [48, 48, 1] |
| C | channels of an image or a layer; of logits, classes: seven, or eight with contempt |
| D | features, what the last layer sees |

What to import from here:

- `analyze(photo)`: the `Faces` in pictures and videos, with their expressions; `stream(video)`: the same
  frame by frame, each a `Frame`, for cameras too;
- `load(name_or_path)`: a trained network, to predict with;
- `train_run(config)` and `open_run(folder)`: a `Run`; `train_seeds(config, seeds=3)` and `open_runs(folder)`:
  several;
- `compare_runs(runs)`, `evaluate_predictions(labels, probabilities)`: a `Comparison`, a set of `Scores`.

The rest may move between versions; `fer_jax.config` holds what a config file needs.
"""

# Before anything else: until then a signal would end in a traceback.
from fer_jax.runtime.door import open_door

open_door()

import importlib  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from fer_jax.api.comparisons import Comparison, compare_runs
    from fer_jax.api.faces import analyze, stream
    from fer_jax.api.runs import Interrupted, Run, open_run, open_runs, train_run, train_seeds
    from fer_jax.api.scores import Scores, evaluate_predictions
    from fer_jax.inference.classifiers import load
    from fer_jax.inference.weights import Classifier
    from fer_jax.predict.frames import Frame
    from fer_jax.predict.rows import Faces

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "Comparison",
    "Faces",
    "Frame",
    "Interrupted",
    "Run",
    "Scores",
    "analyze",
    "compare_runs",
    "evaluate_predictions",
    "load",
    "open_run",
    "open_runs",
    "stream",
    "train_run",
    "train_seeds",
]

_HOMES = {
    "Classifier": "inference.weights",
    "Comparison": "api.comparisons",
    "Faces": "predict.rows",
    "Frame": "predict.frames",
    "Interrupted": "api.runs",
    "Run": "api.runs",
    "Scores": "api.scores",
    "analyze": "api.faces",
    "compare_runs": "api.comparisons",
    "evaluate_predictions": "api.scores",
    "load": "inference.classifiers",
    "open_run": "api.runs",
    "open_runs": "api.runs",
    "stream": "api.faces",
    "train_run": "api.runs",
    "train_seeds": "api.runs",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: `import fer_jax` does not wait for JAX."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fer_jax' has no attribute {name!r}", name=name)
    return getattr(importlib.import_module(f"fer_jax.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List what to import from here."""
    return __all__
