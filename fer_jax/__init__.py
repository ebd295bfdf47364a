"""fer_jax: facial-expression recognition on FER2013 in pure functional JAX/Flax.

The data's way is a straight line:

    file -> data.kaggle -> Examples uint8 [N, 48, 48, 1] -> data.split -> data.batch (rows, weights)
         -> augment.draw, augment.apply -> feed, steppers -> step [standardise -> model -> loss -> optax]
         -> metrics.Counts -> checkpoint, log -> report

Letters for shapes: N examples, B examples of a batch, K lanes (seeds that are trained together), H height,
W width, C channels, or classes; a face is [48, 48, 1], logits are [B, C], of seven classes or, with contempt,
eight.

A module imports only from the rows above its own (data, models and rows five to seven among themselves too):

1. `fer2013`, `notebook` facts; `classes`, their names; `errors` messages and exit codes; `config` of a run
   with its `config_augment`, `config_craft` and `config_checks`, `config_file` to and from files;
   `randomness`, its only maker; `pixels` to numbers; `augment` (with `tones`, its grays) and `mix`,
   draw and apply
2. `data.*` files to arrays, copies, votes, targets; `models.*` Linen modules; `losses`; `metrics`;
   `optimizer`; `averages` of the weights; the statistics of insight: `bootstrap`, `calibration`, `paired`
   tests, `decomposition` into bias and variance, `confident` learning; `views` of an image, `corruptions`
3. `state`: arrays that training changes
4. `step`: the jitted train and evaluation steps; `clean_stats`, batch statistics of averaged weights
5. `feed` batches to steps; `steppers`, lanes of steps on host or device; `checkpoint`; `run_folder`;
   `report` and `seeds_report`, text in `tables`; `pictures`; `contact_sheet`; `display`, `command` line;
   `stopping` by a signal; `runtime`, the machine; `figures` of predictions; `saliency` and `probe` look
   into a network;
   `diagnosis` with its `evidence`, `rules` and `advice`; `page` with its parts and charts;
   `released` weights, with what their `release_card` says; `comparison_report`, `bias_variance_report`,
   `sweep_report`, `audit_rules`, and the pictures and pages of each; `sweep_space`, what a sweep may change,
   and `sweep_study`, its memory; above them `epochs`, the loop, and `run_record`, its files
6. the work of the programs: `training` (with `place`, its folders, `resuming` and `write_up`); `trained`, a
   run read back, and `label_sets`, by whose labels it is measured; `evaluation` (with `robustness`,
   `mistakes`), `comparison` (with `comparison_runs`), `bias_variance_runs`, `sweeping`, `checking` (with
   `trial`, `sanity`, `data_sanity`, `legibility`, `rate_range`), `auditing` (with `label_errors`),
   `ensembling` of runs, `distillation` from them, `releasing` and `rescoring`
7. the programs' command lines: `train`, `evaluate`, `compare`, `diagnose`, `bias_variance`, `sweep`, `check`,
   `audit`, `release`, `show`; `python -m fer_jax` lists them. They import the work once they know what to do:
   JAX takes seconds to come

The one function to import from here is `load`: released weights.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_jax.inference.weights import Classifier

__version__ = "0.1.0"


def load(name: str) -> "Classifier":
    """Load released weights, such as `fer_jax.load("mid").predict(faces)`; nothing is fetched from a network.

    Args:
        name: of the weights; a name that there is none of is refused with those there are.

    Raises:
        ConfigError: there are none of this name.
        RunError: a file is missing or damaged.
    """
    # Imported here: `import fer_jax` must not wait for JAX.
    from fer_jax.inference import weights

    return weights.read(weights.WEIGHTS, name)
