"""Anything that predicts: runs and released weights read back, views, ensembles."""
