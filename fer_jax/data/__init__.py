"""From files to `Examples`: readers, splits, targets, batches. NumPy on the host, never JAX."""
