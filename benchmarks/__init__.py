"""Measurements, each program answering one question; README.md and docs/ show only what stands in their JSON.

- `accuracy`: how accurate are the networks, and what does each part of a recipe gain?
- `latency`: how long does one image take, how long is it from launch to the first step, and how long does a
command keep a user waiting?
- `throughput`: how fast are steps, epochs and the input pipeline, and how do they scale?
- `roofline`: how far is each part of the train step from the limits of the machine?
- `reliability`: is anything lost or let in when runs are killed, files damaged and input hostile?
- `photos`: what is the whole chain worth, from a photo to a label, beside other programs, and how fast is it?
- `tables`: writes the speed tables from the JSON files in `results`.
- `harness`: what the programs share; `nets`: configs only for benchmarks; `pytorch`: the same training in
PyTorch.
"""

from fer_jax.runtime.door import open_door

open_door()
