"""The machine: CPU settings, the compile cache, device and CPU by name, signals."""
