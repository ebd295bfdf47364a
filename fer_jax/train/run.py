"""The main job: from a config to trained and measured runs, with their reports."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

from rich.console import Console

from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.engine.loop import Clock, Job, Record, Replica, run_epochs, save
from fer_jax.engine.schedule import describe_extension
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.files import Json, remove_temporaries, replacing, write_json
from fer_jax.inference.prepare import Prepared, prepare
from fer_jax.models.summary import Layer, list_layers
from fer_jax.parallel.mesh import count_devices
from fer_jax.parallel.peers import ALONE, Peers
from fer_jax.randomness import Stream, jax_key, numpy_rng
from fer_jax.report import markdown, terminal
from fer_jax.report import seeds as report_seeds
from fer_jax.report.story import extension_note
from fer_jax.runs import checkpoint
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import record as runs_record
from fer_jax.runs.location import Place, choose_place, refuse_old
from fer_jax.runs.trackers import check_installed
from fer_jax.runtime import machine
from fer_jax.runtime.disk.space import check_space
from fer_jax.runtime.signals import StopError, watch_signals
from fer_jax.train import resume
from fer_jax.train.ahead import measure_ahead
from fer_jax.train.together import (
    check_data,
    check_devices,
    check_start,
    follow_ancestor,
    follow_leader,
    follow_place,
    join_job,
)

PICTURES = "pictures.png"
"""A sheet of one's own pictures, in the folder of a run."""

_OTHER_BYTES = 4_000_000
"""What a run of one seed writes beside its checkpoints, at most: logs, reports and pictures."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        home: the folder of the run, or the common one of several seeds.
        stopped_by: the number of the signal that stopped it, after saving; None: it is finished.
    """

    home: Path
    stopped_by: int | None


def train(
    config: Config,
    *,
    seeds: int,
    run_dir: Path | None,
    is_resumed: bool,
    extra_epochs: int = 0,
    invocation: str,
    clock: Clock,
    peers: Peers = ALONE,
) -> Outcome:
    """Train one seed or several together, and write their run folders.

    Args:
        config: of the run; with several seeds, of the first.
        seeds: how many, >= 1, from the config's seed on.
        run_dir: see `choose_place`.
        is_resumed: whether to resume a run.
        extra_epochs: how many epochs longer than planned the resumed run becomes; 0: no longer.
        invocation: the command line, for the record.
        clock: for the log.
        peers: the processes that train together; process 0 alone reads and writes the run folders.

    Raises:
        FerJaxError: a user error: config, data or run folder.
    """
    check_installed(config.train.trackers)
    check_start(peers, config, seeds=seeds, is_resumed=is_resumed, extra_epochs=extra_epochs)
    place = follow_place(
        peers,
        config,
        lambda: choose_place(config, seeds, run_dir, is_resumed=is_resumed, extra_epochs=extra_epochs),
    )
    with ExitStack() as locks:
        # First of all: a second run is told at once, not after it has loaded the data.
        for folder in dict.fromkeys([place.home, *place.folders]) if peers.is_leader else ():
            locks.enter_context(runs_folder.locked(folder))
            remove_temporaries(folder)
        if peers.is_leader and not is_resumed:
            refuse_old(place.home, place.folders)  # Another process may have begun one at the same moment.
        return _train(
            place,
            peers,
            is_resumed=is_resumed,
            extra_epochs=extra_epochs,
            invocation=invocation,
            clock=clock,
        )


def _train(
    place: Place, peers: Peers, *, is_resumed: bool, extra_epochs: int, invocation: str, clock: Clock
) -> Outcome:
    """Load the data, and run; see `train`. The folders are locked."""
    config = place.configs[0]
    console = terminal.begin(f"fer_jax {place.title} -> {place.home}", config)
    check_devices(peers, config, seeds=len(place.seeds))
    config, examples = terminal.load_training_data(console, config)
    # The seeds differ in nothing that the data decides.
    configs = [replace(each, data=config.data, model=config.model) for each in place.configs]
    place = replace(place, configs=configs)
    ancestor = follow_ancestor(peers, place) if is_resumed else None
    prepared = prepare(config, examples, console=console, ancestor=ancestor)
    facts = runs_record.describe_run(config, prepared.examples, prepared.split, command=invocation)
    facts["split"]["dropped"] = prepared.dropped
    facts["extensions"] = _describe_extensions(config, at=facts["started"])
    if extra_epochs:
        console.print(f"extended   {extension_note(facts['extensions'][-1])}")
    if prepared.votes is not None:
        facts["votes"] = prepared.votes
    if prepared.teachers is not None:
        facts["teachers"] = prepared.teachers
    if prepared.ancestor is not None:
        facts["ancestor"] = prepared.ancestor.facts
    terminal.show_split(
        console,
        prepared.examples,
        prepared.split,
        names=config.model.names,
        facts=facts["split"],
    )
    missing = [f"no commit is recorded: {facts['git_missing']}"] if facts["git_missing"] else []
    terminal.show_notes(console, [*prepared.notes, *missing])
    check_data(peers, facts)
    return _run(console, place, prepared, facts, peers, is_resumed=is_resumed, clock=clock)


def _describe_extensions(config: Config, *, at: str) -> list[Json]:
    """Describe all extensions of a run, also one that a killed program has not recorded."""
    rule = describe_extension(config.optimizer.schedule)
    ends = accumulate(config.train.extra_epochs, initial=config.train.epochs)
    return [
        {"from_epoch": before + 1, "to_epoch": last, "rule": rule, "at": at}
        for before, last in pairwise(ends)
    ]


def _run(
    console: Console,
    place: Place,
    prepared: Prepared,
    facts: Json,
    peers: Peers,
    *,
    is_resumed: bool,
    clock: Clock,
) -> Outcome:
    with terminal.show_steps(console, "compiling the initial weights", None):
        job, replicas, layers = _build(place, prepared)
        job = join_job(peers, job)
    console.print(markdown.layer_table(layers))
    console.print(f"batches    {job.stepper.description}")
    facts = facts | {
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "layers": layers,
        "seeds_together": len(replicas),
        "batches": job.stepper.description,
    }
    # The facts of the home folder come last: once they are written, there is a run to resume.
    every = {
        replica.folder: facts
        | {"seed": replica.seed, "config_sha256": runs_record.hash_config(to_json(config))}
        for config, replica in zip(place.configs, replicas, strict=True)
    }
    if len(replicas) > 1:
        every[place.home] = facts | {"seeds": place.seeds, "folders": [str(path) for path in place.folders]}
    if is_resumed and peers.is_leader:
        resumed = {folder: runs_record.resume(folder, each) for folder, each in every.items()}
        every = {folder: each for folder, (each, _) in resumed.items()}
        for note in dict.fromkeys(note for _, notes in resumed.values() for note in notes):
            console.print(note, style="yellow")
        for line in resume.restore(replicas, select=job.config.train.select):
            console.print(line, style="yellow" if line.startswith("note") else None)
    follow_leader(peers, replicas)
    # Programs of several devices have to start in the same order everywhere.
    if machine.describe_device() != machine.CPU and count_devices(job.config.device) == 1:
        job = measure_ahead(job, replicas)
    if peers.is_leader:
        _begin(place, prepared, job, replicas, every, is_resumed=is_resumed)
    peers.meet("begun")
    with watch_signals() as signals, suppress(StopError):
        _fit(console, place.configs, job, replicas, signals, clock)
    # It may have come after the last step, too: everything is saved.
    if signum := job.agree(signals) or job.agree(signals):
        return Outcome(place.home, signum)
    from fer_jax.train import finish  # It imports matplotlib, which the first step need not wait for.

    finish.finish(console, place, job, replicas, every)
    return Outcome(place.home, None)


def _begin(
    place: Place,
    prepared: Prepared,
    job: Job,
    replicas: Sequence[Replica],
    every: Mapping[Path, Json],
    *,
    is_resumed: bool,
) -> None:
    """Write the facts of each folder, and a checkpoint where there is none or it is damaged."""
    _check_space(place, replicas)
    for config, replica in zip(place.configs, replicas, strict=True):
        runs_record.write(
            replica.folder,
            config,
            prepared.split,
            every[replica.folder],
            train_hashes=prepared.train_hashes,
        )
        is_best = _is_at_best(job, replica)
        names = [checkpoint.LAST, *([checkpoint.BEST] if is_best else [])]
        # Where no step is left, nothing else would replace a damaged one that is measured at the end.
        if not is_resumed or any(checkpoint.find_damage(replica.checkpoints / name) for name in names):
            save(job, replica, is_best=is_best)
    write_json(place.home / "run.json", every[place.home])
    if prepared.loaded.is_own:
        _show_pictures(place, prepared.loaded)


def _is_at_best(job: Job, replica: Replica) -> bool:
    """Whether a state is that after an epoch which is the best so far."""
    history = replica.progress.history
    is_after_epoch = int(replica.state.step) == len(history) * job.epoch_steps
    return bool(history) and is_after_epoch and history[-1]["is_best"]


def _show_pictures(place: Place, examples: Examples) -> None:
    """Write a sheet of one's own pictures as the network sees them, to be looked at while it trains."""
    from fer_jax.report import contact_sheet  # It imports matplotlib, which takes a second.

    rng = numpy_rng(place.seeds[0], Stream.SHOW)
    with replacing(place.home / PICTURES) as new:
        contact_sheet.lay_out_plain(rng, examples, per_class=10).save(new, format="PNG", optimize=True)


def _check_space(place: Place, replicas: Sequence[Replica]) -> None:
    """Refuse to train what the disk has no room for.

    Raises:
        DiskError: it has none.
    """
    one = checkpoint.checkpoint_bytes(replicas[0].state)
    needed = len(replicas) * (len(resume.NAMES) * one + _OTHER_BYTES) + 2 * one
    kept = sum(
        path.stat().st_size for each in replicas for path in each.checkpoints.rglob("*") if path.is_file()
    )
    check_space(place.home, needed - kept, what="the run")


def _build(place: Place, prepared: Prepared) -> tuple[Job, list[Replica], list[Layer]]:
    config, examples, split = place.configs[0], prepared.examples, prepared.split
    programs = make_programs(config, examples, split, targets=prepared.targets, start=prepared.start)
    job = make_job(config, place.seeds, examples, split, programs)
    replicas = [
        Replica(seed, folder, programs.init(jax_key(seed, Stream.INIT)))
        for seed, folder in zip(place.seeds, place.folders, strict=True)
    ]
    return job, replicas, list_layers(programs.model)


def _fit(
    console: Console,
    configs: Sequence[Config],
    job: Job,
    replicas: Sequence[Replica],
    signals: list[int],
    clock: Clock,
) -> None:
    """Run the epochs with a progress bar, and write the logs."""
    epochs, images = job.config.train.total_epochs, job.config.train.batch_size * len(replicas)
    with ExitStack() as logs:
        add = [
            logs.enter_context(
                runs_record.open_log(replica.folder, config, replica.progress.history)
                if job.peers.is_leader
                else nullcontext(lambda record: None)
            )
            for config, replica in zip(configs, replicas, strict=True)
        ]
        steps = logs.enter_context(
            terminal.show_steps(
                console,
                terminal.COMPILING,
                job.epoch_steps * epochs,
                done=int(replicas[0].state.step),
                images_per_step=images,
            )
        )

        def on_step(position: int, objective: float) -> None:
            epoch = len(replicas[0].progress.history)
            words = f"epoch {epoch + 1}/{epochs}, objective {objective:.3f}"
            steps.move(epoch * job.epoch_steps + position, words=words)

        def on_epoch(records: list[Record]) -> None:
            for add_record, record in zip(add, records, strict=True):
                add_record(record)
            if len(records) == 1:
                console.print(markdown.epoch_line(records[0], epochs=epochs))
            else:
                console.print(report_seeds.epoch_line(records, epochs=epochs))

        run_epochs(job, replicas, clock=clock, signals=signals, on_step=on_step, on_epoch=on_epoch)
