"""The command `sweep`: a search over a config's fields."""
