"""The browser demo: a static page that runs the detector and the networks, and the program that builds it."""

from fer_jax.runtime.door import open_door

open_door()
