"""`python -m fer_jax.serve`: an HTTP API that finds faces in a photo and says their expressions.

`app` has the routes, `guards` what every request and answer passes, `photos` and `line` what a request may
cost, `server` the process: its socket, time-outs and signals. Photos stay in memory, and out of the log.
"""
