"""What Python code and notebooks use: the work of the commands as functions, re-exported by `fer_jax`."""
