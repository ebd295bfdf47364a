"""Flax Linen modules: layers, blocks, pooling, and the network that a config describes."""
