"""fer_jax: facial-expression recognition on FER2013 in pure functional JAX/Flax.

The data's way is a straight line:

    file -> data.load (data.readers) -> Examples uint8 [N, 48, 48, 1] -> data.split
         -> data.batches (indices, weights), images.augment.draw
         -> engine.input_pipeline, engine.steppers (uint8 and drawn numbers to the device)
         -> engine.step [augment.apply -> standardise -> model -> loss -> optax]
         -> metrics.Counts -> runs (checkpoint, log) -> report

A room is a package, or a module here at the root. It imports rooms of lower rows only:

1. ground: `errors`, `fer2013` (facts of the data set), `randomness` (its only source), `files`, `text`
2. `config` of a run; `metrics`, counts and statistics of predictions; `runtime`, the process and the machine
3. `images`, uint8 arrays on the host; `data`, files to arrays; `models`, Linen modules; `cli`
4. `runs`, run folders and checkpoints; `report`, text, pictures and pages
5. `engine`, state, step and loop; `inference`, anything that predicts
6. the commands, one folder each, and none imports another: `train`, `evaluate`, `compare`, `diagnose`,
   `bias_variance`, `check`, `audit`, `sweep`, `release`, `show`. In each, `__main__` is the command line
   (it imports the rest late, since JAX takes seconds to import), `run` the work, `text` words and tables,
   `plots` pictures, `page` HTML.

Letters for shapes, in all docstrings:

| letter | meaning |
|---|---|
| N | examples of a data set, or images to predict |
| B | examples of a batch |
| K | replicas: seeds that are trained together |
| H, W | height and width; an image is [48, 48, 1] |
| C | channels of an image or a layer; of logits, classes: seven, or eight with contempt |
| D | features, what the last layer sees |

`load` is the one function to import from here; `fer_jax.config` holds what a config file needs.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_jax.inference.weights import Classifier

__version__ = "0.1.0"


def load(name: str) -> "Classifier":
    """Load released weights: `fer_jax.load("mid").predict(images)`. Nothing is downloaded.

    Args:
        name: of the weights, such as "mid".

    Raises:
        ConfigError: there are no weights of this name; the message lists those there are.
        RunError: a file is missing or damaged.
    """
    # Imported here, so that `import fer_jax` does not wait for JAX.
    from fer_jax.inference import weights

    return weights.read(weights.WEIGHTS, name)
