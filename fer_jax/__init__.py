"""fer_jax: facial-expression recognition on FER2013 in pure functional JAX/Flax.

The data's way is a straight line:

    file -> data.kaggle -> Examples uint8 [N, 48, 48, 1] -> data.split -> data.batch (rows, weights)
         -> augment.draw, augment.apply -> feed, steppers -> step [standardise -> model -> loss -> optax]
         -> metrics.Counts -> checkpoint, log -> report

Letters for shapes: N examples, B examples of a batch, K lanes (seeds that are trained together), H height,
W width, C channels; a face is [48, 48, 1], logits are [B, 7].

A module imports only from the rows above its own (data, models and rows five to seven among themselves too):

1. `fer2013`, `notebook` facts; `errors` messages and exit codes; `config` of a run, `config_file` to and from
   files; `randomness`, its only maker; `pixels` to numbers; `augment`, draw and apply
2. `data.*` files to arrays, copies, votes; `models.*` Linen modules; `losses`; `metrics`; `optimizer`; the
   statistics of insight: `bootstrap`, `calibration`, `paired` tests, `decomposition` into bias and variance,
   `confident` learning; `views` of an image, `corruptions` of it
3. `state`: arrays that training changes
4. `step`: the jitted train and evaluation steps
5. `feed` batches to steps; `steppers`, lanes of steps on host or device; `checkpoint`; `run_folder`;
   `report` and `seeds_report`, text in `tables`; `pictures`; `contact_sheet`; `display`, `command` line;
   `runtime`, the machine; `figures` of predictions; `saliency` and `probe` look into a network;
   `diagnosis` with its `evidence`, `rules` and `advice`; `page` with its parts and charts;
   `comparison_report`, `bias_variance_report`, `sweep_report`, `audit_rules`, and the pictures and pages of
   each; `sweep_space`, what a sweep may change, and `sweep_study`, its memory; above them `epochs`, the loop,
   and `run_record`, its files
6. the work of the programs: `training` (with `place`, its folders, `resuming` and `write_up`); `trained`, a
   run read back; `evaluation` (with `robustness`, `mistakes`), `comparison` (with `comparison_runs`),
   `bias_variance_runs`, `sweeping`, `checking` (with `trial`, `sanity`, `rate_range`), `auditing` (with
   `label_errors`)
7. the programs' command lines: `train`, `evaluate`, `compare`, `diagnose`, `bias_variance`, `sweep`, `check`,
   `audit`, `show`; `python -m fer_jax` lists them. They import the work once they know what to do: JAX takes
   seconds to come
"""

__version__ = "0.1.0"
