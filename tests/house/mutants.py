"""Plant known bugs one at a time, and check that the tests catch each of them.

Formulas are easy to test; the code that connects them is easy to get wrong without notice, and most of these
bugs once passed every test. Each bug is planted in a copy of the tree, where only the tests that should catch
it are run:

    python tests/house/mutants.py              all bugs, some minutes
    python tests/house/mutants.py NAME ...     some of them; --help lists the names

Exit status: 0 if all bugs were caught; 1 if one survived; 2 if the table no longer fits the code: a test
fails without the bug, or a text is not found exactly once.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("benchmarks", "configs", "fer_jax", "tests", "pyproject.toml")
"""What the tests need from the tree."""

TRANSFER: Final = "tests/engine/test_transfer.py::"
LOOP: Final = "tests/engine/test_epochs.py::"
REFERENCE: Final = "tests/engine/test_reference_loop.py::"
CHECKPOINT: Final = "tests/runs/test_checkpoint.py::"
RECORD: Final = "tests/runs/test_record.py::"
EVALUATE: Final = "tests/evaluate/test_run.py::"

SCHEDULE: Final = f"{LOOP}test_the_schedule_begins_with_the_first_step_and_follows_the_run"
RECIPES: Final = f"{LOOP}test_the_recipes_are_those_of_their_seed_epoch_and_step"
BEST: Final = f"{LOOP}test_the_best_epoch_is_the_first_of_the_highest_validation_accuracy"
UNSAVED: Final = f"{LOOP}test_the_objective_of_an_epoch_is_the_same_where_nothing_is_saved"
STOPPED: Final = f"{LOOP}test_a_run_that_is_stopped_within_an_epoch_has_the_history_of_one_that_is_not"
RESUMED: Final = (
    "tests/engine/test_loop.py::test_a_stopped_run_goes_on_to_the_same_bits_and_predicts_as_measured"
)
OBJECTIVES: Final = f"{REFERENCE}test_the_objectives_are_those_by_hand"
RATES: Final = f"{REFERENCE}test_the_learning_rates_are_those_by_hand[votes]"
SELECTED: Final = "tests/inference/test_run_weights.py::test_the_weights_are_those_that_the_config_selects"
TEACHERS: Final = "tests/inference/test_teachers.py::test_a_teacher_that_saw_one_image_of_a_part_is_refused"
TEMPERATURE: Final = f"{EVALUATE}test_the_temperature_is_fitted_on_val_in_the_views_it_is_used_with"
ENSEMBLE: Final = f"{EVALUATE}test_an_ensemble_averages_the_logits_of_its_runs"
SCORE: Final = (
    "tests/sweep/test_run.py::test_the_score_of_a_trial_is_that_of_the_epoch_that_its_config_selects"
)
THRESHOLDS: Final = "tests/diagnose/test_findings.py::test_each_rule_changes_at_its_threshold"
LINE: Final = "tests/diagnose/test_findings.py::test_a_line_needs_four_epochs_and_is_fitted_to_the_last_ten"
COPIES: Final = "tests/data/test_near_copies.py::test_images_with_a_correlation_of_092_are_copies"
SERVER: Final = "tests/serve/test_server.py::"
CARD: Final = "tests/release/test_run.py::test_a_card_is_measured_from_the_numbers_in_its_file"


class Mutant(NamedTuple):
    """A bug to plant.

    Attributes:
        name: for the command line.
        module: dotted name of the module in which it is planted.
        old: text that is found in the module exactly once.
        new: what replaces it.
        tests: pytest node ids, each of which must fail; of a test without its parameters, at least one case.
    """

    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS: Final = (
    Mutant(
        "same-draws-in-every-epoch",
        "fer_jax.engine.input_pipeline",
        "            step=step,\n            mixing=config.mix,",
        "            step=position,\n            mixing=config.mix,",
        (f"{LOOP}test_every_step_of_every_seed_has_draws_of_its_own", RECIPES),
    ),
    Mutant(
        "same-draws-for-every-seed",
        "fer_jax.engine.loop",
        "recipe_at(replica.seed, each)",
        "recipe_at(replicas[0].seed, each)",
        (f"{LOOP}test_every_step_of_every_seed_has_draws_of_its_own", RECIPES),
    ),
    Mutant(
        "same-order-in-every-epoch",
        "fer_jax.engine.input_pipeline",
        "sampled_order(seed, cycle, rows,",
        "sampled_order(seed, 0, rows,",
        (f"{LOOP}test_an_epoch_shows_no_row_twice_and_each_epoch_has_another_order", RECIPES),
    ),
    Mutant(
        "draws-begin-anew-on-resuming",
        "fer_jax.engine.loop",
        "    plan = _make_plan(job, replicas)\n",
        "    drawn = _make_plan(job, replicas)\n"
        "    begun = int(replicas[0].state.step)\n\n"
        "    def plan(step: int) -> list[list[Recipe]]:\n        return drawn(step - begun)\n\n",
        (STOPPED, RESUMED),
    ),
    Mutant(
        "same-dropout-in-every-step",
        "fer_jax.engine.step",
        "dropout_key = jax.random.fold_in(key, state.step)",
        "dropout_key = key",
        (
            "tests/engine/test_step.py::"
            "test_the_same_key_and_step_give_the_same_bits_and_others_another_dropout",
        ),
    ),
    Mutant(
        "step-one-late-on-resuming",
        "fer_jax.train.resume",
        "    replica.state = checkpoint.restore(replica.state, chosen)\n",
        "    replica.state = checkpoint.restore(replica.state, chosen)\n"
        "    replica.state = replica.state.replace(step=replica.state.step + 1)\n",
        (STOPPED, RESUMED),
    ),
    Mutant(
        "step-one-early-on-resuming",
        "fer_jax.train.resume",
        "    replica.state = checkpoint.restore(replica.state, chosen)\n",
        "    replica.state = checkpoint.restore(replica.state, chosen)\n"
        "    replica.state = replica.state.replace(step=replica.state.step - 1)\n",
        (STOPPED,),
    ),
    Mutant(
        "damage-ignored",
        "fer_jax.runs.checkpoint",
        'return f"{name} is damaged, missing or not of it" if is_read else f"{name} {found[name]}"',
        "return None",
        (f"{CHECKPOINT}test_a_flipped_bit_in_any_file_is_noticed_and_named",),
    ),
    Mutant(
        "other-data-ignored",
        "fer_jax.runs.record",
        'for name in ("data", "split", "votes", "teachers", "ancestor"):',
        'for name in ("split", "votes", "teachers", "ancestor"):',
        (f"{RECORD}test_other_data_another_split_and_other_teachers_are_refused[data]",),
    ),
    Mutant(
        "frozen-weights-decay",
        "fer_jax.engine.step",
        "params = keep(old.params, new.params, frozen)",
        "params = new.params",
        (f"{TRANSFER}test_a_frozen_block_keeps_its_bits",),
    ),
    Mutant(
        "frozen-statistics-measured-again",
        "fer_jax.engine.averages",
        "frozen_at(max(0, int(state.step) - 1))",
        "0",
        (f"{TRANSFER}test_the_average_of_a_frozen_block_keeps_its_statistics",),
    ),
    Mutant(
        "optimizer-of-the-head-goes-on",
        "fer_jax.engine.step",
        "is_due = state.step == transfer.restart_step",
        "is_due = state.step < 0",
        (f"{TRANSFER}test_blocks_that_join_the_training_start_with_a_new_optimizer",),
    ),
    Mutant(
        "classes-mapped-the-wrong-way",
        "fer_jax.models.transfer",
        "theirs, own = (",
        "own, theirs = (",
        (f"{TRANSFER}test_the_last_layer_is_mapped_by_name",),
    ),
    Mutant(
        "file-moved-before-it-is-on-the-disk",
        "fer_jax.files",
        "            sync_file(temporary)\n",
        "",
        ("tests/test_files.py::test_a_file_is_on_the_disk_before_its_name_and_the_name_before_the_end",),
    ),
    Mutant(
        "name-not-on-the-disk",
        "fer_jax.files",
        "            sync_folder(path.parent)\n",
        "",
        ("tests/test_files.py::test_a_file_is_on_the_disk_before_its_name_and_the_name_before_the_end",),
    ),
    Mutant(
        "checkpoint-moved-before-it-is-on-the-disk",
        "fer_jax.runs.checkpoint",
        "    _sync(folder)\n",
        "",
        (f"{CHECKPOINT}test_everything_is_on_the_disk_before_it_gets_its_name",),
    ),
    Mutant(
        "temporary-files-stay",
        "fer_jax.train.run",
        "            remove_temporaries(folder)\n",
        "",
        (
            "tests/train/test_run.py::test_a_damaged_checkpoint_is_named_and_the_one_before_gives_the_same_bits",
        ),
    ),
    Mutant(
        "log-goes-on-after-a-kill",
        "fer_jax.runs.record",
        'write_text(log, "".join(json_line(record) for record in history))',
        "log.touch()",
        (f"{RECORD}test_the_log_of_a_resumed_run_has_each_epoch_once_in_order",),
    ),
    Mutant(
        "torn-programs-stay",
        "fer_jax.runtime.compile_cache",
        "    delete_torn(folder)\n",
        "",
        ("tests/runtime/test_compile_cache.py::test_torn_programs_are_deleted_before_any_is_read",),
    ),
    Mutant(
        "same-targets-in-every-epoch",
        "fer_jax.engine.input_pipeline",
        "else targets(seed, epoch)",
        "else targets(seed, 0)",
        (RECIPES,),
    ),
    Mutant(
        "schedule-one-step-late",
        "fer_jax.engine.schedule",
        "jnp.arange(first)",
        "jnp.maximum(jnp.arange(first) - 1, 0)",
        (SCHEDULE, RATES),
    ),
    Mutant(
        "schedule-one-step-early",
        "fer_jax.engine.schedule",
        "jnp.arange(first)",
        "(jnp.arange(first) + 1)",
        (SCHEDULE,),
    ),
    Mutant(
        "plateau-by-the-first-seed",
        "fer_jax.engine.schedule",
        "keep_measured(history) for history in histories]",
        "keep_measured(histories[0]) for _ in histories]",
        (
            f"{LOOP}test_the_plateau_cuts_each_seed_by_its_own_losses",
            RATES,
        ),
    ),
    Mutant(
        "statistics-of-all-rows",
        "fer_jax.engine.setup",
        "standardise.measure(examples.images, split.train)",
        "standardise.measure(examples.images)",
        (f"{REFERENCE}test_pixel_statistics_are_those_of_the_training_rows[votes]",),
    ),
    Mutant(
        "class-weights-of-all-soft-labels",
        "fer_jax.engine.setup",
        "targets(0, 0)[split.train].sum(",
        "targets(0, 0).sum(",
        (f"{OBJECTIVES}[votes]",),
    ),
    Mutant(
        "class-weights-of-all-labels",
        "fer_jax.engine.setup",
        "class_counts(examples.labels[split.train],",
        "class_counts(examples.labels,",
        (f"{OBJECTIVES}[labels]",),
    ),
    Mutant(
        "dropout-of-the-first-seed",
        "fer_jax.engine.setup",
        "keys = [jax_key(seed, Stream.DROPOUT) for seed in seeds]",
        "keys = [jax_key(seeds[0], Stream.DROPOUT) for seed in seeds]",
        (f"{REFERENCE}test_the_states_are_those_by_hand[votes]",),
    ),
    Mutant(
        "best-is-better-than-the-previous-epoch",
        "fer_jax.engine.loop",
        'best = max((record["val_accuracy"] for record in keep_measured(history)), default=-1.0)',
        'best = history[-1]["val_accuracy"] if history else -1.0',
        (BEST,),
    ),
    Mutant(
        "best-is-the-last-of-equals",
        "fer_jax.engine.loop",
        '"is_best": figures.get("val_accuracy", -1.0) > best',
        '"is_best": figures.get("val_accuracy", -1.0) >= best',
        (BEST,),
    ),
    Mutant(
        "best-of-any-seed",
        "fer_jax.engine.loop",
        'save(job, replica, is_best=record["is_best"])',
        'save(job, replica, is_best=any(each["is_best"] for each in records))',
        (BEST,),
    ),
    Mutant(
        "last-is-loaded-always",
        "fer_jax.inference.run_weights",
        "wanted, names = config.train.select, ",
        'wanted, names = "last", ',
        (SELECTED,),
    ),
    Mutant(
        "best-is-loaded-always",
        "fer_jax.inference.run_weights",
        "wanted, names = config.train.select, ",
        'wanted, names = "best", ',
        (SELECTED,),
    ),
    Mutant(
        "objective-of-all-epochs",
        "fer_jax.engine.loop",
        "replica.progress = Progress([*replica.progress.history, record])\n        if stopping",
        "replica.progress.history.append(record)\n        if stopping",
        (f"{LOOP}test_the_objective_of_an_epoch_is_the_mean_over_its_own_steps", f"{OBJECTIVES}[votes]"),
    ),
    Mutant(
        "objective-of-all-epochs-unsaved",
        "fer_jax.engine.loop",
        'replica.progress = Progress([*replica.progress.history, record])\n            if record["is_best"]',
        'replica.progress.history.append(record)\n            if record["is_best"]',
        (UNSAVED,),
    ),
    Mutant(
        "objective-of-all-epochs-unwatched",
        "fer_jax.engine.loop",
        "replica.progress = Progress(replica.progress.history)\n",
        "pass\n",
        (UNSAVED,),
    ),
    Mutant(
        "objective-lost-on-resuming",
        "fer_jax.train.resume",
        'Progress(**checkpoint.read_meta(chosen)["progress"])',
        'Progress(checkpoint.read_meta(chosen)["progress"]["history"])',
        (f"{LOOP}test_a_run_that_is_stopped_within_an_epoch_has_the_history_of_one_that_is_not",),
    ),
    Mutant(
        "teacher-that-saw-test-images",
        "fer_jax.inference.teachers",
        "np.concatenate([split.val, split.test])",
        "split.val",
        (f"{TEACHERS}[test]",),
    ),
    Mutant(
        "teacher-that-saw-val-images",
        "fer_jax.inference.teachers",
        "np.concatenate([split.val, split.test])",
        "split.test",
        (f"{TEACHERS}[val]",),
    ),
    Mutant(
        "temperature-of-a-single-view",
        "fer_jax.evaluate.run",
        "_predict(console, runs, own.images[rows], views)",
        '_predict(console, runs, own.images[rows], "single")',
        (TEMPERATURE,),
    ),
    Mutant(
        "temperature-of-the-test-part",
        "fer_jax.evaluate.run",
        'choose_rows(own, first, "val")',
        'choose_rows(own, first, "test")',
        (TEMPERATURE, ENSEMBLE),
    ),
    Mutant(
        "temperature-of-the-measured-images",
        "fer_jax.evaluate.run",
        "calibrate(measured, self.held_out)",
        "calibrate(measured, measured)",
        (TEMPERATURE, ENSEMBLE),
    ),
    Mutant(
        "temperature-of-an-ensembles-first-run",
        "fer_jax.evaluate.run",
        "return average(each, [run.folder for run in runs]), own.labels[rows]",
        "return each[0], own.labels[rows]",
        (ENSEMBLE,),
    ),
    Mutant(
        "score-is-the-curves-maximum",
        "fer_jax.sweep.run",
        "[max(curve) if is_best else curve[-1] for",
        "[max(curve) for",
        (f"{SCORE}[last-scores1]",),
    ),
    Mutant(
        "score-is-the-last-epochs",
        "fer_jax.sweep.run",
        "[max(curve) if is_best else curve[-1] for",
        "[curve[-1] for",
        (f"{SCORE}[best-scores0]",),
    ),
    Mutant(
        "card-of-float32",
        "fer_jax.release.run",
        "for result in _measure(stored, examples",
        "for result in _measure(trained, examples",
        (f"{CARD}[float16-0]",),
    ),
    Mutant(
        "near-copies-from-091",
        "fer_jax.data.groups.near_copies",
        "MIN_CORRELATION: Final = 0.92",
        "MIN_CORRELATION: Final = 0.91",
        (COPIES,),
    ),
    Mutant(
        "near-copies-from-093",
        "fer_jax.data.groups.near_copies",
        "MIN_CORRELATION: Final = 0.92",
        "MIN_CORRELATION: Final = 0.93",
        (COPIES,),
    ),
    *(
        Mutant(f"threshold-{name}", "fer_jax.diagnose.evidence", old, new, (THRESHOLDS,))
        for name, old, new in (
            ("large-bias", '0.20, "train below', '0.201, "train below'),
            ("large-gap", '"large_gap": Threshold(0.10,', '"large_gap": Threshold(0.101,'),
            ("small-gap", '"small_gap": Threshold(0.05,', '"small_gap": Threshold(0.051,'),
            ("variance-share", '"variance_share": Threshold(1 / 3,', '"variance_share": Threshold(0.33,'),
            ("collapse", '0.05, "train above the', '0.051, "train above the'),
            ("collapse-nats", '"collapse_nats": Threshold(0.05,', '"collapse_nats": Threshold(0.051,'),
            ("linearity", '0.98, "R²', '0.981, "R²'),
            ("fall", '"fall": Threshold(0.02,', '"fall": Threshold(0.0205,'),
            ("val-rise", '"val_rise": Threshold(0.05,', '"val_rise": Threshold(0.051,'),
            ("val-fall", '0.01, "nats of val loss per', '0.0102, "nats of val loss per'),
            ("poor-features", '"poor_features": Threshold(0.10,', '"poor_features": Threshold(0.101,'),
            ("rarity", '"rarity": Threshold(3.0,', '"rarity": Threshold(3.01,'),
            ("recall-ratio", '"recall_ratio": Threshold(1 / 3,', '"recall_ratio": Threshold(0.33,'),
            ("human", "HUMAN_ACCURACY: Final = 0.717", "HUMAN_ACCURACY: Final = 0.718"),
        )
    ),
    Mutant(
        "line-of-eleven-epochs",
        "fer_jax.diagnose.evidence",
        "LINE_EPOCHS: Final = 10",
        "LINE_EPOCHS: Final = 11",
        (LINE,),
    ),
    Mutant(
        "paths-may-leave-the-folder",
        "fer_jax.data.readers.own.pictures",
        'or ".." in name.split("/")',
        "",
        ("tests/data/readers/own/test_manifest.py::test_a_bad_row_has_a_message_with_its_line",),
    ),
    Mutant(
        "links-may-leave-the-folder",
        "fer_jax.data.readers.own.pictures",
        "[place, os.path.realpath(path)]",
        "[place, os.path.abspath(path)]",
        ("tests/data/readers/own/test_reading.py::test_links_that_leave_the_folder_are_not_followed",),
    ),
    Mutant(
        "smallest-face-cut-out",
        "fer_jax.data.readers.own.fitting",
        "np.argmax(boxes.xywh",
        "np.argmin(boxes.xywh",
        ("tests/data/readers/own/test_reading.py::test_the_face_is_found_as_predict_finds_it",),
    ),
    Mutant(
        "square-at-the-corner",
        "fer_jax.data.readers.own.fitting",
        "Square((width - side) / 2, (height - side) / 2, side)",
        "Square(0.0, 0.0, side)",
        ("tests/data/readers/own/test_reading.py::test_pictures_become_what_predict_makes_of_them",),
    ),
    Mutant(
        "raf-db-counted-from-0",
        "fer_jax.data.readers.own.presets",
        '"angry", "neutral"), 1),',
        '"angry", "neutral"), 0),',
        ("tests/data/readers/own/test_classes.py::test_presets",),
    ),
    Mutant(
        "labels-keep-the-datas-numbers",
        "fer_jax.data.load",
        "number_labels(examples, ordered)",
        "replace(examples, class_names=ordered)",
        (
            "tests/data/test_own_classes.py"
            "::test_the_config_takes_the_classes_of_the_data_in_its_own_order_or_the_users",
        ),
    ),
    Mutant(
        "crop-shifted-the-other-way",
        "fer_jax.faces.crop",
        "height / 2 + contract.shift_down * side",
        "height / 2 - contract.shift_down * side",
        ("tests/faces/test_crop.py::test_the_square_by_hand",),
    ),
    Mutant(
        "gray-rounded-down",
        "fer_jax.faces.crop",
        "(sums + 32768) >> 16",
        "sums >> 16",
        ("tests/faces/test_crop.py::test_gray_is_pillows",),
    ),
    Mutant(
        "border-wrapped-around",
        "fer_jax.faces.crop",
        "inside = np.clip(taps, 0, pixels - 1)",
        "inside = np.sort(taps % pixels, axis=1)",
        ("tests/faces/test_crop.py::test_outside_the_border_is_repeated",),
    ),
    Mutant(
        "detector-sees-rgb",
        "fer_jax.faces.yunet",
        "image[..., ::-1].transpose(2, 0, 1)",
        "image.transpose(2, 0, 1)",
        ("tests/faces/test_yunet.py::test_it_is_opencvs",),
    ),
    Mutant(
        "suppressed-boxes-suppress",
        "fer_jax.faces.boxes",
        "overlaps[row, kept].any()",
        "overlaps[row, :row].any()",
        ("tests/faces/test_boxes.py::test_a_suppressed_box_suppresses_nothing",),
    ),
    Mutant(
        "faces-upside-down",
        "fer_jax.inference.analyzer",
        "self.crops[:, :, :, ::-1]",
        "self.crops[:, :, ::-1]",
        ("tests/inference/test_analyzer.py::test_logits_are_averaged_over_sizes_and_mirror_images",),
    ),
    Mutant(
        "tracks-across-videos",
        "fer_jax.predict.frames",
        "                    follower.begin()\n",
        "                    pass\n",
        ("tests/predict/test_run.py::test_tracks_begin_anew_with_each_video",),
    ),
    Mutant(
        "tracks-smoothed-together",
        "fer_jax.predict.collect",
        "np.array([rows[index].track for index in followed])",
        "np.ones(len(followed), int)",
        ("tests/predict/test_collect.py::test_tracks_and_sources_are_smoothed_apart",),
    ),
    Mutant(
        "server-place-never-free",
        "fer_jax.serve.line",
        "self._free += 1",
        "pass",
        (f"{SERVER}test_a_slow_body_gets_408_and_frees_its_place",),
    ),
    Mutant(
        "server-works-for-nobody",
        "fer_jax.serve.line",
        "if await request.is_disconnected():",
        "if False:",
        (f"{SERVER}test_who_hangs_up_is_not_worked_for",),
    ),
    Mutant(
        "server-body-not-counted",
        "fer_jax.serve.photos",
        "if len(body) > limits.bytes:",
        "if False:",
        (f"{SERVER}test_an_endless_body_is_refused_and_then_cut_off",),
    ),
    Mutant(
        "server-waits-for-heads",
        "fer_jax.serve.server",
        "self.loop.call_later(HEAD_SECONDS, ",
        "self.loop.call_later(1000 * HEAD_SECONDS, ",
        (f"{SERVER}test_a_slow_head_is_cut_off",),
    ),
    Mutant(
        "server-answers-late",
        "fer_jax.serve.server",
        "socket.socket(family, kind, socket.IPPROTO_TCP)",
        "socket.socket(family, kind)",
        (f"{SERVER}test_answers_do_not_wait_for_the_clients_acknowledgement",),
    ),
    Mutant(
        "server-answers-neighbours",
        "fer_jax.serve.guards",
        'not in ("none", "same-origin")',
        'not in ("none", "same-origin", "same-site")',
        ("tests/serve/test_app.py::test_other_names_and_other_pages_are_refused",),
    ),
    Mutant(
        "server-logs-queries",
        "fer_jax.serve.guards",
        'quote(scope["path"])',
        'quote(scope["path"] + str(scope["query_string"]))',
        ("tests/serve/test_app.py::test_the_log_has_nothing_of_a_photo_or_a_query",),
    ),
    Mutant(
        "line-of-five-epochs",
        "fer_jax.diagnose.evidence",
        "END_EPOCHS: Final = 4",
        "END_EPOCHS: Final = 5",
        (LINE,),
    ),
)
"""All bugs, by what they touch."""


class TableError(Exception):
    """The table no longer fits the code."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the script; see the docstring of this file."""
    parser = argparse.ArgumentParser(description="Plant known bugs, and check that the tests catch them.")
    names = [mutant.name for mutant in MUTANTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of a bug: {', '.join(names)}")
    asked = parser.parse_args(words).names
    if unknown := sorted(set(asked) - set(names)):
        parser.error(f"no bug is called {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [mutant for mutant in MUTANTS if not asked or mutant.name in asked]
    try:
        with tempfile.TemporaryDirectory(prefix="fer_jax-mutants-") as folder:
            survivors = plant_all(chosen, Path(folder) / "tree")
    except TableError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    print(f"{len(chosen) - survivors} of {len(chosen)} caught")
    return 1 if survivors else 0


def plant_all(mutants: Sequence[Mutant], tree: Path) -> int:
    """Plant bugs in a copy of the tree, one at a time, and print which tests caught each.

    Args:
        mutants: the bugs.
        tree: folder of the copy; it is created.

    Returns:
        The number of bugs that survived.

    Raises:
        TableError: the table no longer fits the code.
    """
    planted = [plant(mutant) for mutant in mutants]
    copy_tree(tree)
    tests = dict.fromkeys(test for mutant in mutants for test in mutant.tests)
    if failed := run_tests(tree, list(tests)):
        raise TableError(f"without any bug these tests fail: {', '.join(failed)}")
    survivors = 0
    for mutant, text in zip(mutants, planted, strict=True):
        path = tree / path_of(mutant.module)
        clean = path.read_bytes()
        path.write_text(text, encoding="utf-8")
        failed = run_tests(tree, mutant.tests)
        path.write_bytes(clean)
        survivors += show(mutant, failed)
    return survivors


def path_of(module: str) -> Path:
    """Return the path of a module, relative to the root of the tree.

    >>> path_of("fer_jax.data.split").as_posix()
    'fer_jax/data/split.py'
    """
    return Path(*module.split(".")).with_suffix(".py")


def plant(mutant: Mutant) -> str:
    """Return the text of a module with a bug in it.

    Raises:
        TableError: the module is missing, or does not contain the text exactly once.
    """
    path = ROOT / path_of(mutant.module)
    if not path.is_file():
        raise TableError(f"{mutant.name}: there is no module {mutant.module}")
    text = path.read_text(encoding="utf-8")
    if (times := text.count(mutant.old)) != 1:
        raise TableError(
            f"{mutant.name}: found {times} times in {path.relative_to(ROOT)}, wanted once: {mutant.old!r}"
        )
    return text.replace(mutant.old, mutant.new)


def copy_tree(tree: Path) -> None:
    """Copy what the tests need to a new folder."""
    tree.mkdir()
    for name in COPIED:
        if (source := ROOT / name).is_file():
            shutil.copy(source, tree / name)
        else:
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))


def run_tests(tree: Path, tests: Sequence[str]) -> dict[str, str]:
    """Run tests in a tree.

    Args:
        tree: the folder.
        tests: pytest node ids; without parameters, all cases of a test.

    Returns:
        For each test that failed, node id with parameters -> the reason.

    Raises:
        TableError: the tests could not be run.
    """
    words = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--tb=no", "-rf", *tests]
    # Wide enough for a line to hold a test and the reason that it failed.
    there = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    done = subprocess.run(words, cwd=tree, env=there, capture_output=True, text=True, check=False)
    lines = re.findall(r"^FAILED (\S+(?:\[.*?\])?)(?: - (.*))?$", done.stdout, re.MULTILINE)
    if done.returncode > 1 or (done.returncode == 1 and not lines):
        raise TableError(
            f"{' '.join(words[2:])} ended with status {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return dict(lines)


def show(mutant: Mutant, failed: Mapping[str, str]) -> bool:
    """Print which tests caught a bug.

    Args:
        mutant: the bug.
        failed: see `run_tests`.

    Returns:
        Whether a test did not catch it.
    """
    has_survived = False
    for test in mutant.tests:
        why = next((why for name, why in failed.items() if test in (name, name.split("[")[0])), None)
        has_survived |= why is None
        outcome = "SURVIVED" if why is None else "caught  "
        print(f"{outcome}  {mutant.name}  {test}" + (f"  ({why[:90]})" if why else ""), flush=True)
    return has_survived


if __name__ == "__main__":
    sys.exit(main())
