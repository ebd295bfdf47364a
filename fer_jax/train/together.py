"""How the processes of a training begin alike: the same settings, data, run folders and states."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np

from fer_jax.config.fields import FREE, field_of, flatten
from fer_jax.config.files import from_json, to_json
from fer_jax.config.run import Config
from fer_jax.engine.loop import Job, Progress, Replica
from fer_jax.errors import ConfigError, DataError, FerJaxError
from fer_jax.files import Json, json_line, reading
from fer_jax.inference.teachers import Ancestor, restore_ancestor
from fer_jax.parallel.collectives import make_agree, take_over
from fer_jax.parallel.mesh import choose_devices, list_places
from fer_jax.parallel.peers import Peers
from fer_jax.runs.location import Place
from fer_jax.runtime import machine
from fer_jax.strict_json import parse_json
from fer_jax.train import resume

_MUST_AGREE: Final = "all processes of a training need the same"


def check_start(peers: Peers, config: Config, *, seeds: int, is_resumed: bool, extra_epochs: int) -> None:
    """Refuse, in every process, what differs between them before anything is read or written.

    Raises:
        ConfigError: versions, settings or options differ.
    """
    settings = {name: value for name, value in flatten(to_json(config)).items() if field_of(name) not in FREE}
    options = {"--seeds": seeds, "--resume": is_resumed, "--extend-epochs": extra_epochs}
    told = {**machine.list_versions(), **options, **settings}
    _compare(peers.exchange("start", told), ConfigError, "versions, config and options")


def check_devices(peers: Peers, config: Config, *, seeds: int) -> None:
    """Refuse devices that are not there, that differ between the processes, or that cannot share a batch.

    Raises:
        ConfigError: they are.
    """
    count = len(choose_devices(config.device))
    told = {"device": machine.describe_device(), "number of devices": count}
    _compare(peers.exchange("devices", told), ConfigError, "devices")
    list_places(config.device, seeds=seeds, batch_size=config.train.batch_size)


def check_data(peers: Peers, facts: Json) -> None:
    """Refuse, in every process, what differs between them before anything is written.

    Args:
        peers: the processes.
        facts: what `describe_run` says in this one.

    Raises:
        DataError: data, split, votes, teachers or ancestor differ.
    """
    names = [name for name in ("data", "split", "votes", "teachers", "ancestor") if name in facts]
    told = {f"SHA-256 of the {name}": facts[name]["sha256"][:12] for name in names}
    _compare(peers.exchange("data", told), DataError, "data")


def _compare(told: Sequence[Json], error: type[FerJaxError], what: str) -> None:
    """Raise an error that names the first thing that a process has told otherwise than process 0."""
    for number, other in enumerate(told):
        for name in sorted(told[0].keys() | other.keys()):
            ours, theirs = (each.get(name, "absent") for each in (told[0], other))
            if ours != theirs:
                raise error(
                    f"{name} is {ours} in process 0 and {theirs} in process {number}; {_MUST_AGREE} {what}. "
                    "To let each process train by itself, give --distributed.launcher none"
                )


def follow_place(peers: Peers, config: Config, choose: Callable[[], Place]) -> Place:
    """Let process 0 choose the run folders, or find the run to resume: the others need not see them.

    Each process reads its own files: those that its `config` names.
    """
    if peers.count == 1:
        return choose()

    def describe() -> Json:
        place = choose()
        configs = [to_json(config) for config in place.configs]
        return {"configs": configs, "folders": list(map(str, place.folders)), "home": str(place.home)}

    told = peers.follow("place", describe)
    configs = [
        _keep_files(config, from_json(Config, each, where="the config of process 0"))
        for each in told["configs"]
    ]
    return Place(configs, list(map(Path, told["folders"])), Path(told["home"]))


def _keep_files(own: Config, config: Config) -> Config:
    """Return a config with the data files of this process; their contents are compared by hash."""
    data = replace(config.data, path=own.data.path, source=own.data.source)
    return replace(config, data=data, labels=replace(config.labels, ferplus=own.labels.ferplus))


def follow_ancestor(peers: Peers, place: Place) -> Ancestor | None:
    """Restore the ancestor of a resumed run from its record, which process 0 reads; None: there is none.

    Raises:
        RunError: the record is damaged.
    """
    found = resume.read_ancestor(place) if peers.is_leader else None
    size = 0 if found is None else len(found[1])
    told = peers.follow("ancestor", lambda: None if found is None else {"facts": found[0], "images": size})
    if told is None:
        return None
    hashes = np.zeros(told["images"], np.uint64) if found is None else found[1]
    if peers.count > 1:
        # JAX has no uint64 by default.
        peers.meet("hashes of the ancestor")
        hashes = np.asarray(take_over(np.ascontiguousarray(hashes).view(np.uint32))).view(np.uint64)
    with reading(place.folders[0] / "run.json"):
        return restore_ancestor(told["facts"], hashes, place.configs[0].model.names)


def join_job(peers: Peers, job: Job) -> Job:
    """Let the processes of a job stop together, and process 0 alone write."""
    if peers.count == 1:
        return job
    peers.meet("built")
    return replace(job, peers=peers, agree=make_agree())


def follow_state(peers: Peers, name: str, state: Any) -> Any:
    """Take over a state from process 0; each name is used once."""
    peers.meet(name)
    return state if peers.count == 1 else take_over(state)


def follow_leader(peers: Peers, replicas: Sequence[Replica]) -> None:
    """Take over states and progress of all replicas from process 0, which alone reads checkpoints."""
    if peers.count == 1:
        return
    text = np.frombuffer(json_line([asdict(each.progress) for each in replicas]).encode(), np.uint8)
    peers.meet("read")
    size = peers.follow("size of the progress", lambda: len(text))
    (found,) = take_over([np.resize(text, size)])
    progress = parse_json(np.asarray(found).tobytes().decode())
    for replica, each in zip(replicas, progress, strict=True):
        replica.state, replica.progress = take_over(replica.state), Progress(**each)
    jax.block_until_ready([replica.state for replica in replicas])
