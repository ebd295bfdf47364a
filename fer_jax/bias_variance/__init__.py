"""The command `bias_variance`: bias and variance measured on resampled training sets."""
