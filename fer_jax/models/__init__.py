"""The device half: Flax Linen modules and the one table from a config to its module."""
