"""The launch files of examples/cluster: each is run with stand-ins for the launcher and for Python.

What they would start is parsed by the real command line, and Slurm's comments and the YAML are read.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from fer_jax import cli
from fer_jax.sweep.__main__ import SweepCommand
from fer_jax.train.__main__ import TrainCommand

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
COMMANDS: dict[str, type] = {"fer_jax.train": TrainCommand, "fer_jax.sweep": SweepCommand}

PYTHON = """#!/bin/bash
printf '%s\\n' "$CUDA_VISIBLE_DEVICES" "$@" > "$STARTED"
exit ${STATUS:-0}
"""
SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do shift; done
exec "$@"
"""
MPIRUN = """#!/bin/bash
while [[ $1 == -* ]]; do shift 2; done
export OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_LOCAL_RANK=1
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "$@" > "$STARTED.requeued"
"""


def run_script(folder: Path, script: str, *words: str, status: int = 0, **environment: str) -> Any:
    """Run a script in a folder; return the options that the command would get, parsed."""
    for name, text in (("python", PYTHON), ("srun", SRUN), ("mpirun", MPIRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    started = folder / "started"
    more = {"PATH": f"{folder}:{os.environ['PATH']}", "STARTED": str(started), "STATUS": str(status)}
    done = subprocess.run(
        ["bash", "-euc", script, "script", *words],
        cwd=folder,
        env={**more, **environment},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (status, "")
    device, flag, module, *options = started.read_text().splitlines()
    assert flag == "-m" and device == ("1" if words else "")
    return cli.parse(COMMANDS[module], options, prog=module)


def read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize("status", [0, 4, 9, 137, 138])
def test_the_slurm_script_trains_and_queues_itself_again(
    tmp_path: Path, status: int, *, is_resumed: bool
) -> None:
    if is_resumed:
        (tmp_path / "runs" / "fer-best-17").mkdir(parents=True)
        (tmp_path / "runs" / "fer-best-17" / "run.json").touch()
    job = {"SLURM_JOB_NAME": "fer-best", "SLURM_JOB_ID": "17"}
    options = run_script(tmp_path, read("train.slurm"), status=status, **job)
    assert options.run_dir == Path("runs/fer-best-17") and options.resume is is_resumed
    assert options.to_config().data.path == "fer2013.csv"
    assert (tmp_path / "started.requeued").exists() is (status in (9, 137, 138))


def test_what_slurm_is_asked_for_fits_the_batch() -> None:
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", read("train.slurm"), flags=re.M))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    processes = int(asked["nodes"]) * int(asked["ntasks-per-node"])
    options = cli.parse(TrainCommand, ["--config", "best"], prog="train")
    assert options.settings.train.batch_size % processes == 0


def test_the_sweep_of_slurm_has_the_server_of_the_environment(tmp_path: Path) -> None:
    address = "postgresql://me@db.example.org/sweeps"
    options = run_script(tmp_path, read("sweep.slurm"), DATABASE=address, SLURM_ARRAY_TASK_ID="3")
    assert options.storage == address and options.out == Path("runs/sweeps/worker-3")


def test_under_open_mpi_each_process_is_told_its_number(tmp_path: Path) -> None:
    options = run_script(tmp_path, read("train_open_mpi.sh"), "node1", "node2")
    told = options.distributed
    assert (told.coordinator, told.process_count, told.process_id) == ("node1:29400", 8, 5)
    assert options.run_dir == Path("runs/best-mpi")


def test_the_kubernetes_job_is_indexed_behind_a_headless_service(tmp_path: Path) -> None:
    service, job = yaml.safe_load_all(read("train.yaml"))
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"]
    pod = spec["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert {each["name"] for each in pod["volumes"]} == {
        each["name"] for each in pod["containers"][0]["volumeMounts"]
    }
    shell, flags, script = pod["containers"][0]["command"]
    assert (shell, flags) == ("bash", "-euc")
    options = run_script(tmp_path, script, JOB_COMPLETION_INDEX="5")
    told = options.distributed
    name = f"{job['metadata']['name']}-0.{service['metadata']['name']}:29400"
    assert (told.coordinator, told.process_count, told.process_id) == (name, spec["completions"], 5)
