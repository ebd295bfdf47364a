"""fer_jax: facial-expression recognition on FER2013 in pure functional JAX/Flax.

The data's way is a straight line:

    file -> data.kaggle -> Examples uint8 [N, 48, 48, 1] -> data.split -> data.batch (rows, weights)
         -> augment.draw, augment.apply -> feed -> step [standardise -> model -> loss -> optax]
         -> metrics.Counts -> checkpoint, log -> report

Letters for shapes: N examples, B examples of a batch, H height, W width, C channels; a face is
[48, 48, 1], logits are [B, 7].

A module imports only from the rows above its own (data and models, and the fifth row, among themselves too):

1. `fer2013` facts; `errors` messages and exit codes; `config` of a run, `config_file` to and from files;
   `randomness`, its only maker; `pixels` to numbers; `augment`, draw and apply
2. `data.*` files to arrays; `models.*` Linen modules; `losses`; `metrics`; `optimizer`
3. `state`: arrays that training changes
4. `step`: the jitted train and evaluation steps
5. `feed` batches to steps; `checkpoint`; `run_folder`; `report` text; `pictures`; `contact_sheet`;
   `display`, `command` line; `runtime`, the machine
6. the programs: `train` (with `epochs`, its loop, and `run_record`, its files), `evaluate`, `show`;
   `python -m fer_jax` lists them
"""

__version__ = "0.1.0"
