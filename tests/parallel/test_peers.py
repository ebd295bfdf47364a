"""How processes find each other, what they tell each other, and what is kept back of an abort."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from fer_jax.errors import ConfigError
from fer_jax.parallel.aborts import LogFilter
from fer_jax.parallel.launch import DistributedOptions, Launch, check_port, find_launch
from fer_jax.parallel.peers import ALONE, Peers

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911",
}


@pytest.mark.parametrize(
    ("environment", "launch"),
    [
        ({}, None),
        (SLURM, Launch("slurm", None, 4, 3)),
        (SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        # A batch script is not a task of srun's.
        ({name: SLURM[name] for name in SLURM if name != "SLURM_STEP_NODELIST"}, None),
        (OPEN_MPI, Launch("ompi", None, 2, 1)),
        # A pod that is not of an indexed job.
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
    ],
)
def test_what_started_the_process_tells_who_trains_together(
    environment: Mapping[str, str], launch: Launch | None
) -> None:
    assert find_launch(DistributedOptions(), environment) == launch
    assert find_launch(DistributedOptions(launcher="none"), environment) is None


def test_options_count_more_than_the_cluster() -> None:
    options = DistributedOptions(coordinator="node1:29400", process_count=2, process_id=1)
    assert find_launch(options, SLURM) == Launch(None, "node1:29400", 2, 1)


@pytest.mark.parametrize(
    ("given", "environment", "message"),
    [
        ({"process_count": 2, "process_id": 0}, {}, "--distributed.coordinator is missing"),
        ({"coordinator": "a:1"}, {}, "process-count and --distributed.process-id are missing"),
        ({"coordinator": "a:b", "process_count": 2, "process_id": 0}, {}, "'a:b'; wanted HOST:PORT"),
        ({"coordinator": "a:99999", "process_count": 2, "process_id": 0}, {}, "a port in 1..65535"),
        ({"coordinator": "a:1", "process_count": 0, "process_id": 0}, {}, "process-count is 0"),
        ({"coordinator": "a:1", "process_count": 2, "process_id": 2}, {}, "wanted an integer in 0..1"),
        ({"wait_s": 0}, {}, "wait-s is 0"),
        ({}, SLURM | {"SLURM_NTASKS": "four"}, "SLURM_NTASKS is 'four'"),
        (
            {},
            {name: OPEN_MPI[name] for name in OPEN_MPI if name.startswith("OMPI_COMM")},
            "$OMPI_COMM_WORLD_RANK",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    given: dict[str, Any], environment: Mapping[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        find_launch(DistributedOptions(**given), environment)


def test_a_port_that_is_taken_is_refused() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on port {port}"):
            check_port(f"localhost:{port}")
    check_port(f"localhost:{port}")


class Store:
    """jax's key-value store, for processes that speak one after another."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}

    def key_value_set(self, key: str, value: str) -> None:
        assert key not in self.content
        self.content[key] = value

    def blocking_key_value_get(self, key: str, wait_ms: int) -> str:
        return self.content[key]


def test_processes_tell_each_other() -> None:
    store = Store()
    leader, other = (Peers(number, 2, store) for number in range(2))
    assert leader.is_leader and not other.is_leader
    assert leader.follow("place", lambda: ["a"]) == ["a"]
    assert other.follow("place", lambda: pytest.fail("process 0 makes it")) == ["a"]
    store.content["start/1"] = json.dumps(2)
    assert leader.exchange("start", 1) == [1, 2]
    assert ALONE.exchange("start", 1) == [1]
    assert ALONE.follow("place", lambda: 3) == 3
    ALONE.meet("end")


def test_the_log_of_an_abort_is_kept_back_and_other_lines_are_not() -> None:
    head = b"1128 01:53:12.252110    5492"
    lines = [
        b"stopping after this step\n",
        b"W" + head + b" cpu_executable.cc:7] something\n",
        b"E" + head + b" coordination_service_agent.cc:289] Polled an error\n",
        b":UNKNOWN:Error received from peer\n",
        b"press again\n",
        b"F" + head + b" client.h:80] Terminating process because\n",
        b"    @     0x7fba7d49a82e  std::_Function_handler\n",
    ]
    log = LogFilter()
    shown = [log.take(line) for line in lines]
    assert shown == [lines[0], lines[1], b"", b"", lines[4], b"", b""]
    assert log.fatal == lines[5] + lines[6]
