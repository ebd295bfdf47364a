"""Training: state, losses, optimizer, step, and the loop over epochs."""
