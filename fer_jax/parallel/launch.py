"""How the processes of one training find each other: by options, or by what started them."""

import errno
import importlib.util
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from fer_jax.errors import ConfigError
from fer_jax.text import join

_SLURM: Final = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_OPEN_MPI: Final = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")
_OPEN_MPI_ADDRESS: Final = "OMPI_MCA_orte_hnp_uri"
"""Where Open MPI up to version 4 tells the address of mpirun; later versions tell none."""
_KUBERNETES: Final = ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX")
_OPTIONS: Final = (
    "--distributed.coordinator HOST:PORT --distributed.process-count N --distributed.process-id I"
)
_MOST_PROCESSES: Final = 65536
_NO_FAMILY: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""The system has no IPv6."""


@dataclass(frozen=True, kw_only=True)
class DistributedOptions:
    """Which processes train together; each is started with the same command."""

    coordinator: str | None = None
    """HOST:PORT of process 0, where the processes of a distributed training meet; together with the next two.
    Under srun (Slurm), mpirun (Open MPI 4) and in an indexed Kubernetes Job all three are found."""
    process_count: int | None = None
    """How many processes train together."""
    process_id: int | None = None
    """The number of this process, from 0."""
    launcher: Literal["auto", "none"] = "auto"
    """auto: join the processes that srun, mpirun or an indexed Kubernetes Job has started; none: train
    alone."""
    wait_s: int = 300
    """How many seconds to wait for the other processes at the start."""


class Launch(NamedTuple):
    """A process of a training of several.

    Attributes:
        method: jax's name of the cluster that tells the rest; None: it is given.
        coordinator: HOST:PORT of process 0; None: the cluster tells it.
        processes: how many there are; None: the cluster tells it.
        number: of this process, from 0.
    """

    method: str | None
    coordinator: str | None
    processes: int | None
    number: int


def find_launch(options: DistributedOptions, environment: Mapping[str, str]) -> Launch | None:
    """Find out whether this process is one of several that train together; None: it trains alone.

    Raises:
        ConfigError: the options do not go together, or what started the process does not tell enough.
    """
    _check_options(options)
    if options.coordinator is not None:
        count, number = options.process_count or 1, options.process_id or 0
        return None if count == 1 else Launch(None, options.coordinator, count, number)
    if options.launcher == "none":
        return None
    if all(name in environment for name in _SLURM):
        return _from_cluster("slurm", environment, "SLURM_NTASKS", "SLURM_PROCID")
    if all(name in environment for name in _OPEN_MPI):
        found = _from_cluster("ompi", environment, *_OPEN_MPI[:2])
        if found is not None and _OPEN_MPI_ADDRESS not in environment:
            raise ConfigError(
                "this version of Open MPI does not tell its processes where process 0 is; give "
                f"{_OPTIONS.replace(' I', ' $OMPI_COMM_WORLD_RANK')}, or --distributed.launcher none to "
                "train in each process by itself"
            )
        return found
    is_indexed = all(name in environment for name in _KUBERNETES)
    if is_indexed and importlib.util.find_spec("kubernetes") is not None:
        return Launch("k8s", None, None, _read_number(environment, "JOB_COMPLETION_INDEX"))
    return None


def _check_options(options: DistributedOptions) -> None:
    given = (options.coordinator, options.process_count, options.process_id)
    if not 1 <= options.wait_s <= 86400:
        raise ConfigError(f"--distributed.wait-s is {options.wait_s}; wanted seconds in 1..86400")
    if given == (None, None, None):
        return
    names = ("coordinator", "process-count", "process-id")
    missing = [f"--distributed.{name}" for name, value in zip(names, given, strict=True) if value is None]
    if missing:
        raise ConfigError(
            f"{join(missing)} {'is' if len(missing) == 1 else 'are'} missing: a process of a distributed "
            f"training needs {_OPTIONS}"
        )
    coordinator, count, number = options.coordinator or "", options.process_count or 0, options.process_id
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ConfigError(
            f"--distributed.coordinator is {coordinator!r}; wanted HOST:PORT of process 0, such as "
            "node1:29400, with a port in 1..65535"
        )
    if not 1 <= count <= _MOST_PROCESSES:
        raise ConfigError(
            f"--distributed.process-count is {count}; wanted an integer in 1..{_MOST_PROCESSES}"
        )
    if number is None or not 0 <= number < count:
        raise ConfigError(
            f"--distributed.process-id is {number}; wanted an integer in 0..{count - 1}, a different one for "
            f"each of the {count} processes"
        )


def _from_cluster(method: str, environment: Mapping[str, str], count: str, number: str) -> Launch | None:
    """Read what a launcher tells; None: it has started one process."""
    processes = _read_number(environment, count)
    return None if processes == 1 else Launch(method, None, processes, _read_number(environment, number))


def _read_number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(
            f"the environment variable {name} is {text!r}; wanted a number. --distributed.launcher none "
            "trains in this process alone"
        )
    return int(text)


def check_port(coordinator: str) -> None:
    """Refuse to be process 0 where its port is taken: the service there would share it without a word.

    Raises:
        ConfigError: another program listens on it.
    """
    port = int(coordinator.rpartition(":")[2])
    for family, host in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as trial:
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((host, port))
                trial.listen(1)
        except OSError as error:
            if error.errno in _NO_FAMILY:
                continue
            raise ConfigError(
                f"process 0 cannot listen on port {port} of --distributed.coordinator {coordinator}: "
                f"{error.strerror}; give another port to all processes"
            ) from None
