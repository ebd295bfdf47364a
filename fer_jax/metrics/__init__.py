"""Counts, scores, calibration and tests on predictions: NumPy and SciPy, and counts on the device."""
