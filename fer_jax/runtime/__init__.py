"""The process and its machine: CPU, device, compile cache, signals, progress, verbosity."""
