"""Kaggle's CSV files: their header and their rows."""
