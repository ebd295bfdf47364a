"""The command `diagnose`: what a run's curves say about bias and variance, and what to try."""
