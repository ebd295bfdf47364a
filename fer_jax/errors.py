"""Mistakes that are the user's to mend. Each carries one clear message and its exit status.

| exit | meaning |
|---|---|
| 0 | done |
| 2 | the command line or the config is wrong (`ConfigError`) |
| 3 | the data is missing, malformed or refused (`DataError`) |
| 4 | the run folder, a checkpoint or the disk cannot be used (`RunError`) |
| 5 | the loss stopped being finite (`DivergedError`) |
| 130, 143 | stopped by SIGINT or SIGTERM, after saving |
| 141 | whoever read the output has gone |
"""


class FerJaxError(Exception):
    """A mistake with a message for the user: what came, where, what was wanted, what to do."""

    exit_code = 1


class ConfigError(FerJaxError):
    """The command line or the config file is wrong."""

    exit_code = 2


class DataError(FerJaxError):
    """The data is missing, malformed or not what the run asks for."""

    exit_code = 3


class RunError(FerJaxError):
    """A run folder or a checkpoint cannot be used."""

    exit_code = 4


class DivergedError(FerJaxError):
    """The training loss is not finite."""

    exit_code = 5
