"""The command `check`: sanity checks before a long training."""
