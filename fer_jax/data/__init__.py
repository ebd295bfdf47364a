"""The host half: files in, NumPy arrays out. Nothing here imports jax."""
