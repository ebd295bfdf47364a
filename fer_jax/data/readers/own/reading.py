"""Pictures of one's own -> Examples: list them, sort them into classes, and fit them to 48 × 48 gray."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from fer_jax.config.data import OWN_PARTS, DataConfig
from fer_jax.data.examples import Examples, class_counts, hash_arrays
from fer_jax.data.readers import archives
from fer_jax.data.readers.cached import store
from fer_jax.data.readers.file_kinds import check_size, find_kind, printable
from fer_jax.data.readers.own import classes, manifest, pictures
from fer_jax.data.readers.own.classes import ClassMap
from fer_jax.data.readers.own.fitting import CHANGES, SEVERAL_FACES, make_fit
from fer_jax.data.readers.own.pictures import Files, Labelled, PictureError
from fer_jax.errors import DataError, DiskError
from fer_jax.faces import crop, yunet
from fer_jax.runtime.progress import OnStep, ignore_step
from fer_jax.text import counted

# Part of the cache's key: raise it when the same pictures would give other Examples.
_FORMAT: Final = 2

_CURE: Final = "correct or remove it, or leave bad pictures out with --on-bad-row skip"
_SHOWN_LABELS: Final = 20


@dataclass(frozen=True)
class _Listed:
    """The pictures of a folder, an archive or a manifest, a message for each bad entry, and cautions."""

    files: Files
    rows: list[Labelled]
    messages: list[str]
    cautions: list[str]


def read(path: Path, config: DataConfig, *, on_step: OnStep = ignore_step) -> Examples:
    """Read pictures of one's own.

    Args:
        path: a folder of class folders, a zip or tar archive of one, or a manifest.
        config: how: `fit`, `class_map` and `on_bad_row`.
        on_step: called while pictures are decoded.

    Returns:
        Examples in the order of the paths, or of the manifest; `class_names` are empty for FER2013's seven.

    Raises:
        DataError: there are no pictures, a bad one (with stop), or labels of no class.
        ConfigError: the mapping file cannot be used, or a package is missing.
    """
    where = printable(str(path))
    try:
        with _listed(path) as listed:
            return _read(listed, path, config, on_step)
    except DiskError:
        raise
    except OSError as error:
        name = printable(str(error.filename or path))
        raise DataError(f"{name}: cannot read it: {error.strerror or error}; give another --data") from None
    except RecursionError:
        raise DataError(f"{where}: its folders are nested too deep") from None


def list_content(path: Path) -> list[Path]:
    """List the files that `read` reads, beside the path itself if that is a file: none for an archive.

    Raises:
        DataError, ConfigError: as `read`.
        OSError: something cannot be read.
    """
    if path.is_dir():
        files = pictures.list_folder(path)
        return [path / name for name in (*files.names, *files.hidden)]
    _check_file(path)
    if manifest.is_manifest(manifest.read_start(path)):
        with _listed(path) as listed:
            return [path.parent / each.name for each in listed.rows]
    return []


def describe_how(config: DataConfig) -> Any:
    """Describe what decides, beside the content, which Examples `read` returns: plain values for a key."""
    detector = [yunet.SHA256] if config.fit == "detect" else []
    contract = dataclasses.asdict(crop.CONTRACT)
    return [_FORMAT, config.fit, classes.settle(config.class_map), config.on_bad_row, contract, *detector]


@contextmanager
def _listed(path: Path) -> Iterator[_Listed]:
    """List what there is to read."""
    where = printable(str(path))
    if path.is_dir():
        yield _list_folders(pictures.list_folder(path), where)
        return
    _check_file(path)
    start = manifest.read_start(path)
    if manifest.is_manifest(start):
        check_size(path.stat().st_size, where)
        rows, messages = manifest.parse(path.read_bytes(), where=where, folder="")
        yield _Listed(pictures.in_folder(path.parent), rows, messages, [])
        return
    with archives.opened(path, leaves_out=pictures.leaves_out, keeps_images=False) as archive:
        if archive is None:
            kind = find_kind(start)
            came = "rows of pixels or another table" if kind is None else f"{kind[0]}; {kind[1]}"
            raise DataError(
                f"{where}: found {came}; data.fit and data.class_map are for pictures: give a folder of "
                "class folders, a zip or tar of it, or a manifest with the columns path,label"
            )
        yield _list_archive(archive, where)


def _check_file(path: Path) -> None:
    """Refuse pipes and devices, which are read for ever."""
    if not path.is_file():
        raise DataError(
            f"{printable(str(path))}: it is neither a file nor a folder; give a folder of class folders"
        )


def _list_folders(files: Files, where: str) -> _Listed:
    cautions = [pictures.describe_hidden(files.hidden)] if files.hidden else []
    return _Listed(files, *pictures.list_labelled(files, where=where), cautions)


def _list_archive(archive: archives.Archive, where: str) -> _Listed:
    """List the pictures of an archive, by the manifest in it where it has one."""
    files = pictures.list_archive(archive)
    tables = [name for name in files.names if name.rpartition("/")[2] in manifest.NAMES]
    if not tables:
        return _list_folders(files, where)
    if len(tables) > 1:
        raise DataError(f"{where}: found several manifests: {printable(', '.join(tables))}; wanted one")
    folder = tables[0].rpartition("/")[0]
    rows, messages = manifest.parse(
        archive.read(tables[0]),
        where=f"{where}, member {printable(tables[0])}",
        folder=f"{folder}/" if folder else "",
    )
    there = {*files.names, *files.hidden}
    messages += [
        f"{each.where}: there is no such file in the archive" for each in rows if each.name not in there
    ]
    return _Listed(files, [each for each in rows if each.name in there], messages, [])


def _read(listed: _Listed, path: Path, config: DataConfig, on_step: OnStep) -> Examples:
    where, messages = printable(str(path)), list(listed.messages)
    _stop_at(messages, where, config)
    class_map = classes.sort_labels(config.class_map, {each.label for each in listed.rows}, where=where)
    rows, dropped = [], Counter[str]()
    for each in listed.rows:
        if each.label in class_map.problems:
            messages.append(f"{each.where}: {class_map.problems[each.label]}")
        elif class_map.of_label[each.label] is None:
            dropped[each.label] += 1
        else:
            rows.append(each)
    _stop_at(messages, where, config)
    images, is_good, done = _fit(listed.files, rows, messages, where, config, on_step)
    if not is_good.any():
        first = f"; the first bad one is {messages[0]}" if messages else ""
        raise DataError(f"{where}: no good picture is left{first}")
    rows = [row for row, is_one in zip(rows, is_good, strict=True) if is_one]
    position = {name: label for label, name in enumerate(class_map.names)}
    labels = np.array([position[class_map.of_label[row.label] or ""] for row in rows], np.int32)
    usages = np.array([row.part for row in rows], np.int32)
    images = store.keep_good(images, is_good)
    return Examples(
        images,
        labels,
        usages,
        contents=_describe(labels, usages, rows, class_map, done),
        sha256=hash_arrays(images, labels, usages),
        source=path,
        cautions=(*listed.cautions, *_list_cautions(dropped, done, len(messages))),
        skipped_rows=tuple(messages),
        class_names=() if config.class_map == "fer2013" else class_map.names,
        groups=_number_groups(rows),
        is_own=True,
    )


def _stop_at(messages: list[str], where: str, config: DataConfig) -> None:
    if messages and config.on_bad_row == "stop":
        raise DataError(f"{where}, {messages[0]}; {_CURE}")


def _fit(
    files: Files,
    rows: list[Labelled],
    messages: list[str],
    where: str,
    config: DataConfig,
    on_step: OnStep,
) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    """Decode one picture at a time: images uint8 [N, 48, 48, 1], which are good bool [N], what was done."""
    images = store.make_scratch(len(rows))
    is_good, done = np.zeros(len(rows), bool), Counter[str]()
    if not rows:
        return images, is_good, done
    fit = make_fit(config.fit)
    number_of = {row.name: number for number, row in enumerate(rows)}
    bad: dict[int, str] = {}
    # The generator holds an archive open, so it is closed where a bad picture ends the work.
    with contextlib.closing(files.walk(number_of)) as contents:  # type: ignore[type-var]
        for decoded, (name, content) in enumerate(contents):
            on_step(decoded, len(rows))
            number = number_of[name]
            try:
                if name in files.problems:
                    raise PictureError(files.problems[name])
                fitted = fit(content())
            except PictureError as error:
                bad[number] = f"{rows[number].where}: {printable(str(error))}"
                _stop_at([bad[number]], where, config)
                continue
            images[number], is_good[number] = fitted.pixels, True
            done.update(fitted.done)
    messages += [bad[number] for number in sorted(bad)]
    return images, is_good, done


def _number_groups(rows: list[Labelled]) -> np.ndarray | None:
    """Give each group a number, int64 [N]; a row without one is its own. None: no row has one."""
    if not any(row.group for row in rows):
        return None
    known: dict[object, int] = {}
    return np.array([known.setdefault(row.group or (row.name,), len(known)) for row in rows], np.int64)


def _describe(
    labels: np.ndarray, usages: np.ndarray, rows: list[Labelled], class_map: ClassMap, done: Counter[str]
) -> str:
    """Describe the pictures in one line: classes, parts, groups, and what was done to them."""
    counts = class_counts(labels, classes=len(class_map.names))
    named = ", ".join(f"{name} {count:,}" for name, count in zip(class_map.names, counts, strict=True))
    words = [f"{counted(len(rows), 'picture')} of your own: {named}"]
    renamed = Counter(row.label for row in rows if class_map.of_label[row.label] != row.label)
    if renamed:
        shown = [f"{label} as {class_map.of_label[label]}" for label in sorted(renamed)[:_SHOWN_LABELS]]
        words.append(f"labels read as classes: {', '.join(shown)}{', ...' * (len(renamed) > len(shown))}")
    if (usages >= 0).any():
        parts = [f"{int((usages == part).sum()):,} for {name}" for part, name in enumerate(OWN_PARTS)]
        words.append(f"given parts: {', '.join(parts)}")
    groups = {row.group for row in rows if row.group}
    if groups:
        words.append(f"{counted(len(groups), 'group')} kept in one part each")
    changes = [f"{done[change]:,} {change}" for change in CHANGES if done[change] and change != SEVERAL_FACES]
    return "; ".join([*words, *([f"of them {', '.join(changes)}"] if changes else [])])


def _list_cautions(dropped: Counter[str], done: Counter[str], bad: int) -> list[str]:
    cautions = []
    if dropped:
        names = ", ".join(f"{label} {count:,}" for label, count in sorted(dropped.items())[:_SHOWN_LABELS])
        cautions.append(f"{counted(dropped.total(), 'picture')} left out by the mapping: {names}")
    if done[SEVERAL_FACES]:
        cautions.append(f"{counted(done[SEVERAL_FACES], 'picture')} {SEVERAL_FACES}")
    if bad:
        cautions.append(f"{counted(bad, 'bad picture')} left out")
    return cautions
