"""Run folders: where they are, what is in them, checkpoints and records."""
