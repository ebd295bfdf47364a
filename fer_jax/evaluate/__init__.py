"""The command `evaluate`: measure a run, an ensemble or released weights."""
